// The charts of one run, by section. Only what is in view is fetched, and fetched anew while the run goes on.

import { $, h, axisFor, chartControls, offerTokens, page } from "./dom.js";
import { curves } from "./api.js";
import { CurveChart } from "./curves.js";
import { formatterOf, tickFormatterOf } from "./format.js";
import { recall, remember } from "./memory.js";
import { styleOf } from "./theme.js";

// Prefixes that belong together under one heading.
const TOGETHER = {
  validation: "evaluation",
  interpolate: "evaluation",
  extrapolate: "evaluation",
  exact_match: "evaluation",
};
const ORDER = ["evaluation", "train", "benchmark", "bias", "repetition", "memory"];

const BOUND = /^(.*)_(low|high|count)$/;
const inOrder = new Intl.Collator("en", { numeric: true });

/** Metrics by section, and within it by chart: `a/b/c` and `a/b/d` share the chart `a/b`. */
export function layout(metrics, system) {
  const groups = new Map();
  const add = (section, chart, key, kind) => {
    if (!groups.has(section)) groups.set(section, new Map());
    const inside = groups.get(section);
    if (!inside.has(chart)) inside.set(chart, { keys: [], kind });
    inside.get(chart).keys.push(key);
  };
  const place = (name) => (name === "system" ? 99 : ORDER.includes(name) ? ORDER.indexOf(name) : 50);
  const rank = (key) => Object.keys(TOGETHER).indexOf(key.split("/")[0]);
  const known = new Set(metrics);
  const companions = new Map();
  for (const key of [...metrics].sort((a, b) => rank(a) - rank(b) || inOrder.compare(a, b))) {
    const [, of, bound] = BOUND.exec(key) ?? [];
    // An interval belongs into its value's chart, and a count of questions into none.
    if (of && known.has(of)) {
      if (bound !== "count") companions.set(key, of);
      continue;
    }
    const parts = key.split("/");
    add(
      parts.length > 1 ? (TOGETHER[parts[0]] ?? parts[0]) : "metrics",
      parts.length > 2 ? parts.slice(0, -1).join("/") : key,
      key,
      "history",
    );
  }
  for (const inside of groups.values())
    for (const [key, of] of companions) inside.get(of)?.keys.push(key);
  for (const key of system) add("system", key, key, "events");
  return [...groups].sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b));
}

export class RunCharts {
  constructor() {
    this.settings = { x: "step", log: false, smoothing: 0, ...recall("charts of a run", {}) };
    this.charts = new Map();
    this.sections = new Map();
    this.points = new Map();
    this.stale = new Set();
    const keep = () => remember("charts of a run", this.settings);
    chartControls(
      $("#controls"),
      this.settings,
      () => {
        keep();
        this.draw();
      },
      () => {
        keep();
        this.renew();
      },
    );
    this.filter = h("input", {
      type: "search",
      placeholder: "Search metrics",
      "aria-label": "Search metrics",
      input: () => this.place(),
    });
    $("#controls").prepend(this.filter);
  }

  /** Every chart is out of date: what is in view is fetched now, the others when they come into view. */
  set(metrics, system, live) {
    const same = JSON.stringify([metrics, system, live]);
    Object.assign(this, { metrics, system, live });
    offerTokens(this.settings, metrics);
    if (same !== this.known) this.place();
    this.known = same;
    return this.renew();
  }

  renew() {
    for (const id of this.charts.keys()) this.stale.add(id);
    return this.fetch();
  }

  async fetch() {
    if (this.busy) return this.busy;
    const wanted = [...this.stale].filter((id) => this.charts.get(id).chart.visible);
    if (!wanted.length) return null;
    for (const id of wanted) this.stale.delete(id);
    this.busy = this.load(wanted);
    try {
      await this.busy;
    } finally {
      this.busy = null;
    }
    return this.fetch();
  }

  async load(ids) {
    const keys = (kind) => ids.map((id) => this.charts.get(id)).filter((one) => one.kind === kind).flatMap((one) => one.keys);
    const found = await Promise.all([
      curves([page.run], keys("history"), axisFor(this.settings)),
      curves([page.run], keys("events"), "time", "events"),
    ]);
    for (const curve of found.flat()) this.points.set(curve.key, curve);
    for (const id of ids) this.drawChart(id);
  }

  /** Sections and charts in their order, without those the search leaves out. */
  place() {
    const words = this.filter.value.toLowerCase().split(/\s+/);
    const groups = layout(this.metrics, this.system);
    if (!groups.length) {
      $("#groups").replaceChildren(
        h(
          "p",
          { class: "empty" },
          this.live ? "Nothing logged yet. Curves appear with the first points." : "This run ended without logging anything.",
        ),
      );
      return;
    }
    $("#groups > .empty")?.remove();
    groups.forEach(([section, inside], i) => {
      if (!this.sections.has(section)) {
        const heading = h("summary", {}, `${section} `, h("span", { class: "count" }));
        const details = h("details", { class: "group", open: true }, heading, h("div", { class: "charts" }));
        this.sections.set(section, details);
      }
      const details = this.sections.get(section);
      if ($("#groups").children[i] !== details) $("#groups").insertBefore(details, $("#groups").children[i] ?? null);
      let shown = 0;
      for (const [name, { keys, kind }] of inside) {
        const one = this.chart(details, name, keys, kind);
        const matches = words.every((word) => [name, ...keys].some((text) => text.toLowerCase().includes(word)));
        one.chart.root.hidden = !matches;
        shown += matches;
      }
      details.hidden = !shown;
      $(".count", details).textContent = shown;
    });
  }

  chart(details, name, keys, kind) {
    const id = `${kind} ${name}`;
    if (!this.charts.has(id)) {
      const chart = new CurveChart($(".charts", details), {
        title: name,
        format: formatterOf(keys[0]),
        tickFormat: tickFormatterOf(keys[0]),
        onShow: () => this.stale.has(id) && this.fetch(),
      });
      this.charts.set(id, { chart, name, keys, kind });
      this.stale.add(id);
    }
    this.charts.get(id).keys = keys;
    return this.charts.get(id);
  }

  draw() {
    for (const id of this.charts.keys()) if (!this.stale.has(id)) this.drawChart(id);
  }

  drawChart(id) {
    const { chart, name, keys, kind } = this.charts.get(id);
    const series = keys
      .filter((key) => this.points.has(key))
      .map((key, i) => {
        const { x, y } = this.points.get(key);
        const label = key.startsWith(`${name}/`) ? key.slice(name.length + 1) : key;
        // Bounds are drawn thin beside what they bound.
        const bound = i > 0 && BOUND.exec(key)?.[1] === keys[0];
        return { id: key, label, ...(bound ? { color: styleOf(0).color, dash: [2, 4] } : styleOf(i)), x, y };
      });
    const history = kind === "history";
    chart.set(series, {
      x: history ? this.settings.x : "time",
      xLabel: this.settings.x === "tokens" ? "tokens" : "",
      log: this.settings.log && history,
      smoothing: history ? this.settings.smoothing : 0,
      key: keys.length > 1 && BOUND.exec(keys[1])?.[1] !== keys[0],
    });
  }
}
