// How W&B's reports name values: `config:a.value.b`, `summary:m`, `run:state`, and plain metrics.

const UNNAMED = { name: "id", displayName: "label", createdAt: "created", duration: "runtime", username: "user" };

/** A run's value by any of W&B's accessors: `config:a.value.b`, `config.a.value`, `summary:m`, `run:state`, `m`. */
export function valueOf(run, accessor) {
  const [, section, name] = /^(config|summary_metrics|summary|run|c)(?::+|\.(?=.))(.*)$/s.exec(accessor) ?? [
    null,
    null,
    accessor,
  ];
  if (section === "config" || section === "c") {
    const plain = name.replace(/^([^.]+)\.value(?=\.|$)/, "$1");
    return run.config[plain] ?? run.config[name];
  }
  if (section === "run") return run[UNNAMED[name] ?? name];
  return run.summary[section ? name : accessor] ?? (section ? undefined : run.config[accessor]);
}

/** Knobs spread over decades are drawn so by themselves, outcomes only when the report says it. */
export const guessLog = (accessor) => (/^(config|c)[:.]/.test(accessor) ? undefined : false);

export const nameOf = (accessor) =>
  accessor.replace(/^(config|summary_metrics|summary|run|c)(::?|\.)/, "").replace(/^([^.]+)\.value(?=\.|$)/, "$1");

/** The axis to ask the server for: W&B's times are seconds since the run's start here, all else is a metric's name. */
export const axisName = (name) =>
  ["_runtime", "_absolute_runtime", "_timestamp"].includes(name) ? "time" : name || "_step";

/** The metrics of a line plot, by name or by pattern. */
export function metricsOf(config, known) {
  const named = (config.metrics ?? []).map(nameOf);
  if (!config.useMetricRegex || !config.metricRegex) return named;
  try {
    const pattern = new RegExp(config.metricRegex);
    return known.filter((key) => pattern.test(key));
  } catch {
    return named;
  }
}

/** The folders that all names share: exact_match/extrapolate/ of ..._50_digits and ..._100_digits. */
export function common(names) {
  const parts = names[0].split("/").slice(0, -1);
  while (parts.length && !names.every((name) => name.startsWith(`${parts.join("/")}/`))) parts.pop();
  return parts.length ? `${parts.join("/")}/` : "";
}
