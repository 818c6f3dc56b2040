// A run's memory in one chart: who holds how much at which time, what there is, and what the trial was at.

import { $, h, page } from "./dom.js";
import { curves } from "./api.js";
import { CurveChart } from "./curves.js";
import { bytes, duration, formatterOf, number, tickFormatterOf } from "./format.js";
import { PHASES, phasesOf } from "./phases.js";
import { styleOf } from "./theme.js";

export const LINES = {
  "memory/device_used": "used on the device",
  "memory/device_reserved": "kept by its driver",
  "memory/allocator_peak": "JAX's peak",
  "memory/host_rss": "host memory",
  "memory/limit": "limit",
};
const PHASE = "memory/phase";
// A limit so far above everything would press the rest to the floor; it is said in words instead.
const FAR = 6;

export class RunMemory {
  constructor(root) {
    this.root = root;
    this.said = h("p", { class: "note" });
    root.append(this.said);
    this.chart = null;
  }

  async set(metrics, summary) {
    const keys = [...Object.keys(LINES), PHASE].filter((key) => metrics.includes(key));
    this.root.hidden = !keys.includes("memory/host_rss");
    if (this.root.hidden) return;
    this.chart ??= new CurveChart(this.root, {
      title: "Memory over time",
      format: formatterOf("memory/host_rss"),
      tickFormat: tickFormatterOf("memory/host_rss"),
      height: 260,
    });
    const found = new Map((await curves([page.run], keys, "time")).map((one) => [one.key, one]));
    const phases = found.has(PHASE) ? phasesOf(found.get(PHASE), PHASES) : [];
    const highest = (key) => found.get(key)?.y.reduce((most, one) => (one > most ? one : most), 0) ?? 0;
    const limit = highest("memory/limit");
    const most = Math.max(...keys.filter((key) => key !== "memory/limit" && key !== PHASE).map(highest));
    const off = limit > FAR * most;
    const shown = Object.keys(LINES).filter((key) => found.has(key) && !(off && key === "memory/limit"));
    this.chart.set(
      shown.map((key, i) => ({
        id: key,
        label: LINES[key],
        ...(key === "memory/limit" ? { ...styleOf(8), dash: [6, 4] } : styleOf(i)),
        x: found.get(key).x,
        y: found.get(key).y,
      })),
      { x: "time", key: true, phases },
    );
    this.said.textContent = sentences(summary, off ? limit : 0, phases).join(" ");
  }
}

const PEAK_PHASES = { evaluate: "an evaluation", checkpoint: "a checkpoint" };

/** What the chart does not show, in words. */
function sentences(summary, limit, phases) {
  const said = [];
  if (limit) said.push(`The limit, ${bytes(limit)}, is far above the chart.`);
  const predicted = summary["memory/predicted_peak"];
  const measured = summary["memory/measured_peak"];
  if (predicted) {
    const seen = measured ? `; measured ${bytes(measured)} (${signed(measured / predicted - 1)})` : "";
    const phase = PEAK_PHASES[summary["memory/peak_phase"]] ?? "a training step";
    said.push(`Predicted peak of ${phase} ${bytes(predicted)}${seen}.`);
  }
  const batch = summary["memory/largest_batch"];
  if (batch !== undefined) said.push(`The largest batch that would have fitted is about ${number(batch)}.`);
  const compile = phases.findIndex(({ name }) => name === "compile");
  if (compile >= 0 && phases[compile + 1])
    said.push(`The first compilation took ${duration(phases[compile + 1].at - phases[compile].at)}.`);
  return said;
}

const signed = (share) => `${share < 0 ? "−" : "+"}${Math.abs(100 * share).toFixed(0)}%`;

export const mountMemory = () => new RunMemory($("#memory"));
