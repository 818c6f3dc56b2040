// The curves of many runs: a chart a metric, as many metrics as the reader chooses, only what changed fetched anew.

import { $, h, axisFor, chartControls, offerTokens } from "./dom.js";
import { curves } from "./api.js";
import { CurveChart, hover, onHover } from "./curves.js";
import { formatterOf, tickFormatterOf } from "./format.js";
import { grouped } from "./groups.js";
import { recall, remember } from "./memory.js";
import { isShown, onSelect, selected } from "./selection.js";
import { runAddress, swatch } from "./table.js";
import { styleOf } from "./theme.js";

const PREFERRED = ["validation/loss", "train/loss", "interpolate/exact_match", "extrapolate/exact_match"];
const FIRST = 4;
const LEGEND_RUNS = 20;
// Knobs that many are in the table; here the run's own name says enough.
const LONGEST_LABEL = 60;
// The only fetched curves of a page that shows the newest of thousands of runs.
const MOST_RUNS = 500;

export class CurvePanel {
  /**
   * `name` keeps the reader's choice of metrics; `newest`: how many runs are drawn when none is chosen; `early`: a
   * promise of curves over steps that are already under way.
   */
  constructor({ name, newest = Infinity, early = null }) {
    Object.assign(this, { name, newest, early, runs: [], metrics: [], first: [], marked: null });
    this.settings = { x: "step", log: false, smoothing: 0 };
    this.charts = new Map();
    this.points = new Map();
    this.chosen = null;
    chartControls(
      $("#controls"),
      this.settings,
      () => this.draw(),
      () => {
        this.points.clear();
        this.load(null);
      },
    );
    onHover((id) => this.mark(id));
    onSelect(() => this.load(new Set()));
  }

  /** Dims every run of the legend but one; null none. */
  mark(id) {
    this.marked = id;
    for (const item of $("#legend").querySelectorAll("a"))
      item.classList.toggle("dim", id !== null && item.dataset.run !== id);
  }

  /** runs: in the order they are drawn, each with color and dash. `own`: metrics that matter most here. */
  set(runs, metrics, own = [], legend = null) {
    Object.assign(this, { runs, metrics, legend });
    const first = [...new Set([...own, ...PREFERRED])].filter((key) => metrics.includes(key));
    this.first = (first.length ? first : metrics).slice(0, FIRST);
    const kept = recall(`metrics of ${this.name}`, null)?.filter((key) => metrics.includes(key));
    this.chosen = new Set(kept?.length ? kept : this.first);
    offerTokens(this.settings, metrics);
    this.drawChoices();
  }

  shown() {
    const runs = selected() ? this.runs.filter((run) => isShown(run.id)) : this.runs.slice(-this.newest);
    return runs.slice(-MOST_RUNS);
  }

  /** Draws the runs of one value as one curve: {name, value: run => text}; null draws every run. */
  setGroup(group) {
    if (!group && !this.group) return;
    this.group = group;
    this.draw();
  }

  /** Name of its group by run, and the places of the groups' colours. */
  groups() {
    const names = new Map(this.shown().map((run) => [run.id, `${this.group.name} ${this.group.value(run)}`]));
    const order = [...new Set(names.values())].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    return { names, places: new Map(order.map((name, place) => [name, place])) };
  }

  /** Fetches what is not here yet, and the runs in `changed`; everything for null. */
  async load(changed) {
    const keys = [...this.chosen];
    const runs = this.shown().map((run) => run.id);
    if (changed === null) this.points.clear();
    if (this.early) await this.takeEarly(runs);
    const stale = runs.filter((id) => changed?.has(id) || keys.some((key) => !this.points.has(`${key}\n${id}`)));
    const axis = axisFor(this.settings);
    const fetched = await curves(stale, keys, axis);
    // Over another axis all is asked for anew.
    if (axis !== axisFor(this.settings)) return;
    for (const id of stale) for (const key of keys) this.points.set(`${key}\n${id}`, null);
    for (const curve of fetched) this.points.set(`${curve.key}\n${curve.run}`, curve);
    this.draw();
  }

  async takeEarly(runs) {
    const found = await this.early.catch(() => []);
    this.early = null;
    if (this.settings.x !== "step") return;
    // A run that is not among them has no point of these metrics yet.
    for (const key of new Set(found.map((curve) => curve.key)))
      for (const id of runs) this.points.set(`${key}\n${id}`, null);
    for (const curve of found) this.points.set(`${curve.key}\n${curve.run}`, curve);
  }

  draw() {
    this.drawLegend();
    const groups = this.group && this.groups();
    for (const [key, chart] of this.charts)
      if (!this.chosen.has(key)) {
        chart.destroy();
        this.charts.delete(key);
      }
    for (const key of this.chosen) {
      if (!this.charts.has(key))
        this.charts.set(
          key,
          new CurveChart($("#curves"), { title: key, format: formatterOf(key), tickFormat: tickFormatterOf(key) }),
        );
      const series = this.shown().flatMap(({ id, label, color, dash }) => {
        const found = this.points.get(`${key}\n${id}`);
        return found ? [{ id, label, color, dash, x: found.x, y: found.y }] : [];
      });
      const drawn = groups ? grouped(series, (id) => groups.names.get(id), groups.places) : series;
      this.charts.get(key).set(drawn, { ...this.settings });
    }
  }

  drawLegend() {
    const runs = this.shown();
    const parts =
      this.legend?.(runs) ??
      this.groupLegend() ??
      (runs.length > LEGEND_RUNS
        ? [h("span", { class: "muted" }, `${runs.length} runs`)]
        : runs.map((run) =>
            h(
              "a",
              {
                href: runAddress(run.id),
                "data-run": run.id,
                mouseenter: () => hover(run.id),
                mouseleave: () => hover(null),
                focus: () => hover(run.id),
                blur: () => hover(null),
              },
              swatch(run),
              run.label.length > LONGEST_LABEL ? run.name : run.label,
            ),
          ));
    $("#legend").replaceChildren(...parts);
    this.mark(this.marked);
  }

  groupLegend() {
    if (!this.group) return null;
    const { names, places } = this.groups();
    const count = (name) => [...names.values()].filter((one) => one === name).length;
    return [
      ...[...places].map(([name, place]) =>
        h(
          "span",
          { class: "of-group", mouseenter: () => hover(`group ${name}`), mouseleave: () => hover(null) },
          swatch(styleOf(place)),
          `${name} `,
          h("span", { class: "muted" }, String(count(name))),
        ),
      ),
      h("span", { class: "muted" }, "mean, between lowest and highest"),
    ];
  }

  drawChoices() {
    $("#more").hidden = this.metrics.length < 2;
    const state = JSON.stringify([this.metrics, [...this.chosen]]);
    if (state === this.choices) return;
    this.choices = state;
    const toggle = (key) => (event) => {
      if (this.chosen.has(key)) this.chosen.delete(key);
      else this.chosen.add(key);
      remember(`metrics of ${this.name}`, this.chosen.size ? [...this.chosen] : null);
      event.target.setAttribute("aria-pressed", String(this.chosen.has(key)));
      this.load(new Set());
    };
    $("#choices").replaceChildren(
      ...this.metrics.map((key) =>
        h("button", { type: "button", "aria-pressed": String(this.chosen.has(key)), click: toggle(key) }, key),
      ),
    );
  }
}
