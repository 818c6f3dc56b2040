// The filter line of a table of runs: `place learning_rate<0.01 state=finished`, all of which must hold.

const TERM = /(?:[^\s"]|"[^"]*")+/g;
const PARTS = /^(.+?)(!=|<=|>=|=|<|>|~)(.*)$/s;
const unquote = (text) => text.replaceAll('"', "");
const ATTRIBUTES = { state: (run) => (run.early ? "stopped early" : run.state), name: (run) => run.label };

/** A run's knob, metric or attribute by its plain name. */
export function fieldOf(run, name) {
  return run.config[name] ?? run.summary[name] ?? (ATTRIBUTES[name] ?? ((one) => one[name]))(run);
}

const TESTS = {
  "=": (value, wanted) => (Array.isArray(value) ? value.map(String).includes(wanted) : same(value, wanted)),
  "!=": (value, wanted) => !TESTS["="](value, wanted),
  "~": (value, wanted) => String(value ?? "").toLowerCase().includes(wanted.toLowerCase()),
  "<": (value, wanted) => typeof value === "number" && value < Number(wanted),
  "<=": (value, wanted) => typeof value === "number" && value <= Number(wanted),
  ">": (value, wanted) => typeof value === "number" && value > Number(wanted),
  ">=": (value, wanted) => typeof value === "number" && value >= Number(wanted),
};
const same = (value, wanted) =>
  typeof value === "number"
    ? wanted !== "" && value === Number(wanted)
    : String(value ?? "").toLowerCase() === wanted.toLowerCase();

/** A test of runs from what was typed; words without a sign are looked for in names, states and tags. */
export function parseFilter(text) {
  const terms = (text.match(TERM) ?? []).map((term) => {
    const parts = PARTS.exec(term);
    if (parts) {
      const [, name, sign, wanted] = parts;
      return (run) => TESTS[sign](fieldOf(run, unquote(name)), unquote(wanted));
    }
    const word = unquote(term).toLowerCase();
    return (run) =>
      [run.label, run.name, run.id, run.early ? "stopped early" : run.state, run.sweep, run.group, ...run.tags].some(
        (one) => one && String(one).toLowerCase().includes(word),
      );
  });
  return (run) => terms.every((term) => term(run));
}

/** One term of the line, quoted where it must be. */
export const term = (name, sign, value) => `${quote(name)}${sign}${quote(value)}`;
const quote = (text) => (/[\s"=<>!~]/.test(text) || text === "" ? `"${text.replaceAll('"', "")}"` : text);
