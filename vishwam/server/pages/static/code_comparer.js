// The code of two runs beside each other, line by line: what each stored, its changes since the commit, its Gin text.

import { h } from "./dom.js";
import { json } from "./api.js";

const AROUND = 3;
// Above so many pairs of lines, what lies between the common start and end counts as replaced whole.
const MOST_PAIRS = 4e6;

export class CodeComparer {
  /** `unified`: one column with signs, else two. */
  constructor(body, { unified }) {
    Object.assign(this, { body, unified, pair: [], known: new Map() });
  }

  async draw({ runs, order }) {
    const byId = new Map(runs.map((run) => [run.id, run]));
    const ids = order.filter((id) => byId.has(id));
    if (ids.length < 2) {
      this.body.replaceChildren(h("p", { class: "empty" }, "Two runs are needed to compare their code."));
      return;
    }
    const [left = ids[0], right = ids.find((id) => id !== left)] = this.pair.filter((id) => byId.has(id));
    const state = JSON.stringify([ids, left, right]);
    if (state === this.state) return;
    this.state = state;
    // A second choice, made before the code of the first has come, goes on from the first and not from what is drawn.
    this.shown = [left, right];
    const [a, b] = await Promise.all([left, right].map((id) => this.code(id)));
    // The reader may have chosen others meanwhile.
    if (state !== this.state) return;
    // Code that has not come yet is asked for again at the next change.
    if (!a || !b) this.state = null;
    const select = (label, chosen, place) =>
      h(
        "select",
        {
          "aria-label": label,
          change: (event) => {
            this.pair = this.shown.with(place, event.target.value);
            this.draw({ runs, order });
          },
        },
        ids.map((id) => h("option", { value: id, selected: id === chosen }, byId.get(id).label)),
      );
    this.body.replaceChildren(
      h("p", { class: "tools" }, select("Left run", left, 0), "beside", select("Right run", right, 1)),
      ...this.files(a, b),
    );
  }

  async code(id) {
    if (this.known.has(id)) return this.known.get(id);
    const found = await json("code", { run: id }).catch(() => null);
    const some = found && (found.command || Object.keys(found.texts).length);
    if (some) this.known.set(id, found);
    return some ? found : null;
  }

  files(a, b) {
    const texts = (code) => ({ ...(code?.command && { "how it was started": code.command }), ...code?.texts });
    const [left, right] = [texts(a), texts(b)];
    const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
    if (!names.length) return [h("p", { class: "empty" }, "No code was stored with these runs.")];
    const differing = names.filter((name) => left[name] !== right[name]);
    const same = names.filter((name) => left[name] === right[name]);
    return [
      ...differing.map((name) =>
        h(
          "details",
          { open: true },
          h("summary", {}, name),
          this.table(compareLines(lines(left[name]), lines(right[name])), name),
        ),
      ),
      same.length ? h("p", { class: "note" }, `The same in both: ${same.join(", ")}.`) : "",
    ];
  }

  table(steps, name) {
    const cell = (kind, text) => h("td", { class: kind }, text ?? "");
    const row = ([a, b]) => {
      if (this.unified) return [a === b && [" ", a], a !== b && a !== null && ["−", a], a !== b && b !== null && ["+", b]]
        .filter(Boolean)
        .map(([sign, text]) => h("tr", {}, cell("sign", sign), cell({ "−": "gone", "+": "new" }[sign], text)));
      const changed = a !== b;
      return [h("tr", {}, cell(changed && a !== null ? "gone" : null, a), cell(changed && b !== null ? "new" : null, b))];
    };
    return h(
      "table",
      { class: this.unified ? "code-lines" : "code-lines split", "aria-label": name },
      h(
        "tbody",
        {},
        folded(steps).flatMap((step) =>
          typeof step === "number"
            ? [h("tr", { class: "fold" }, h("td", { colspan: 2 }, `${step} lines the same`))]
            : row(step),
        ),
      ),
    );
  }
}

const lines = (text) => (text === undefined ? [] : text.replace(/\n$/, "").split("\n"));

/** [[line of a or null, line of b or null]]: by the longest common subsequence; what changed in place shares a row. */
export function compareLines(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const [left, right] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const middle = left.length * right.length > MOST_PAIRS ? beside(left, right) : common(left, right);
  const both = (line) => [line, line];
  return [...a.slice(0, start).map(both), ...middle, ...a.slice(a.length - end).map(both)];
}

function common(a, b) {
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      longest[i * width + j] =
        a[i] === b[j] ? longest[(i + 1) * width + j + 1] + 1 : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
  const found = [];
  let [i, j, gone, fresh] = [0, 0, [], []];
  const flush = () => {
    found.push(...beside(gone, fresh));
    [gone, fresh] = [[], []];
  };
  while (i < a.length && j < b.length)
    if (a[i] === b[j]) {
      flush();
      found.push([a[i], b[j]]);
      i += 1;
      j += 1;
    } else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) gone.push(a[i++]);
    else fresh.push(b[j++]);
  gone.push(...a.slice(i));
  fresh.push(...b.slice(j));
  flush();
  return found;
}

const beside = (gone, fresh) =>
  Array.from({ length: Math.max(gone.length, fresh.length) }, (_, i) => [gone[i] ?? null, fresh[i] ?? null]);

/** Long stretches that are the same become their number of lines. */
function folded(steps) {
  const near = new Set();
  steps.forEach(([a, b], i) => {
    if (a !== b) for (let d = -AROUND; d <= AROUND; d += 1) near.add(i + d);
  });
  const found = [];
  let skipped = 0;
  steps.forEach((step, i) => {
    if (!near.has(i)) {
      skipped += 1;
      return;
    }
    if (skipped) found.push(skipped);
    skipped = 0;
    found.push(step);
  });
  if (skipped) found.push(skipped);
  return found;
}
