// What decides how well runs do: knobs against a metric, for the trials of a sweep or any other set of runs.

import { h, page } from "./dom.js";
import { post } from "./api.js";
import { bestSoFar } from "./progress.js";
import { Graph, axisOf, scatter } from "./graphs.js";
import { Parallel } from "./parallel.js";
import { importanceTable } from "./importance.js";
import { Ranges } from "./ranges.js";
import { recall, remember } from "./memory.js";
import { isShown, onSelect, select, selected } from "./selection.js";
import { runAddress } from "./table.js";
import { lessIsBetter } from "./theme.js";

const HOWS = [
  ["last", "last value"],
  ["best", "best value"],
  ["mean", "mean of the last"],
];

const SECOND = ["interpolate/exact_match", "extrapolate/exact_match", "validation/loss", "train/loss"];
const USUAL = ["validation/loss", "train/loss", "loss"];
// As the sweep draws a knob; one it lists, or nobody draws, is logarithmic when it spans more than twenty times.
const LOG = { log: true, linear: false };

export class Analysis {
  /**
   * Builds itself inside `host`, its switches inside `tools`. `onScores(drawn)` is called when runs have scores, or others than those drawn.
   */
  constructor(host, tools, { name, onScores = () => {} }) {
    Object.assign(this, { host, tools, name, onScores, runs: [], knobs: [], scores: new Map(), metric: null });
    const kept = recall(`analysis of ${name}`, {});
    Object.assign(this, { how: "last", count: 5, logs: {}, hidden: [], ...kept });
    this.parts = {
      parallel: h("div", { id: "parallel", class: "parallel" }),
      axes: h("div", { class: "chips axes", role: "group", "aria-label": "Axes" }),
      ranges: h("details", { class: "more" }),
      importance: h("div", { class: "card", id: "importance" }),
      best: h("div", { class: "parallel", id: "best" }),
      grid: h("div", { class: "scatters", id: "scatters" }),
      two: h("div", { class: "parallel", id: "two" }),
      twoTools: h("div", { class: "tools" }),
    };
    const { parallel, axes, ranges, importance, best, grid, two, twoTools } = this.parts;
    const heading = (text) => h("h3", {}, text);
    host.classList.add("unread");
    host.replaceChildren(
      h("div", { class: "card" }, parallel, axes, ranges),
      h(
        "div",
        { class: "columns analysis" },
        h("div", {}, heading("Which knobs matter"), importance),
        h("div", {}, heading("Best so far"), h("div", { class: "card" }, best)),
      ),
      heading("Every knob against the metric"),
      grid,
      h("div", { class: "heading" }, heading("Any two"), twoTools),
      h("div", { class: "card" }, two),
    );
    this.parallel = new Parallel(parallel, {
      onSelect: (ids) => {
        this.ranges.read(this.parallel.intervals());
        select(ids, this.parallel);
      },
    });
    this.ranges = new Ranges(ranges, this.parallel);
    const open = (id) => location.assign(runAddress(id));
    this.best = new Graph(best, { height: 236, onClick: open });
    this.two = new Graph(two, { height: 300, onClick: open });
    this.cells = new Map();
    onSelect((from) => {
      if (from !== this.parallel && selected() === null) this.parallel.clear();
      this.drawPoints();
    });
  }

  /** What `draw` then draws. metrics: names a run may count by; `metric`, `goal`: the sweep's own; scales: {knob: "log"}. */
  async set({ runs, knobs, metrics, metric = null, goal = null, scales = {} }) {
    Object.assign(this, { runs, knobs, metrics, own: metric, ownGoal: goal, scales });
    this.metric ??= recall(`analysis of ${this.name}`, {}).metric;
    if (!metrics.includes(this.metric))
      this.metric = [metric, ...USUAL].find((key) => metrics.includes(key)) ?? metrics[0];
    await this.loadScores();
  }

  get less() {
    return lessIsBetter(this.metric ?? "", this.metric === this.own ? this.ownGoal : undefined);
  }
  score = (run) => this.scores.get(run.id);

  async loadScores() {
    const { metric, how, count, runs } = this;
    const question = (this.question = {});
    if (how === "last" || page.saved)
      this.scores = new Map(runs.map((run) => [run.id, run.summary[metric]]).filter(([, v]) => Number.isFinite(v)));
    else {
      const scores = await post("scores", { ...this.asked(), metric, how, count });
      // What was asked for later may be here already.
      if (question !== this.question) return;
      this.scores = new Map(Object.entries(scores));
    }
    this.onScores(Boolean(this.drawn));
  }

  asked() {
    const { metric, how, count, less } = this;
    return { runs: this.runs.map((run) => run.id), metric, how, count, goal: less ? "minimize" : "maximize" };
  }

  async change(values) {
    Object.assign(this, values);
    const { metric, how, count, logs, hidden } = this;
    remember(`analysis of ${this.name}`, { metric, how, count, logs, hidden });
    if ("metric" in values || "how" in values || "count" in values) await this.loadScores();
    this.drawn = null;
    this.draw();
  }

  draw() {
    const scored = this.runs.filter((run) => this.scores.has(run.id));
    const state = JSON.stringify([
      this.knobs,
      this.metric,
      scored.map((run) => [run.id, run.label, run.color, this.score(run), run.state, this.knobs.map((k) => run.config[k])]),
    ]);
    this.host.classList.remove("unread");
    this.host.classList.toggle("waiting", !scored.length || !this.knobs.length);
    this.drawTools();
    if (state === this.drawn) return;
    this.drawn = state;
    this.scored = scored;
    this.drawAxes();
    this.drawPoints();
    if (this.weighing) this.drawImportance();
  }

  /** Importance takes the server longest: a page asks for it when all else is drawn, and it comes when it is in view. */
  weigh() {
    if (this.weighing) return;
    this.weighing = true;
    new IntersectionObserver(([entry]) => {
      this.near = entry.isIntersecting;
      if (this.near && this.scored && this.weighed !== this.drawn) this.drawImportance();
    }).observe(this.parts.importance);
  }

  drawTools() {
    if (this.tools.contains(document.activeElement)) return;
    const metric = h(
      "select",
      { "aria-label": "Metric", change: () => this.change({ metric: metric.value }) },
      this.metrics.map((key) => h("option", { value: key, selected: key === this.metric }, key)),
    );
    const how = h(
      "select",
      { "aria-label": "Counted by", change: () => this.change({ how: how.value }) },
      HOWS.map(([value, name]) => h("option", { value, selected: value === this.how }, name)),
    );
    const count = h("input", {
      type: "number",
      min: 1,
      max: 1000,
      value: this.count,
      "aria-label": "How many values",
      hidden: this.how !== "mean",
      change: () => this.change({ count: Math.max(1, Math.round(Number(count.value)) || 1) }),
    });
    this.tools.replaceChildren(...(this.metrics.length ? [metric, " by its ", how, count] : []));
  }

  columns() {
    const column = (name, value, guess) => ({ name, value, log: this.logs[name] ?? guess });
    return [
      ...this.knobs
        .filter((knob) => !this.hidden.includes(knob))
        .map((knob) => column(knob, (run) => run.config[knob], LOG[this.scales[knob]])),
      { ...column(this.metric, this.score, false), goal: this.less ? "minimize" : "maximize" },
    ];
  }

  /** Under the parallel coordinates: which knobs are axes, and which axes are logarithmic. */
  drawAxes() {
    const columns = this.columns();
    if (columns.length > 1 && this.scored.length) {
      this.parallel.show(this.scored, columns);
      this.ranges.show(
        columns,
        columns.map((column) => axisOf(this.scored.map(column.value), column.log)),
      );
    }
    const chips = [...this.knobs, this.metric].filter(Boolean).map((name) => {
      const column = columns.find((one) => one.name === name);
      const values = column ? this.scored.map(column.value) : [];
      const positive = values.length && values.every((value) => typeof value === "number" && value > 0);
      const log = column && positive && this.isLog(column, values);
      const show = () =>
        this.change({ hidden: column ? [...this.hidden, name] : this.hidden.filter((one) => one !== name) });
      return h(
        "span",
        { class: "axis" },
        h(
          "button",
          { type: "button", "aria-pressed": String(Boolean(column)), disabled: name === this.metric, click: show },
          name,
        ),
        positive
          ? h(
              "button",
              {
                type: "button",
                "aria-pressed": String(log),
                "aria-label": `Logarithmic axis for ${name}`,
                click: () => this.change({ logs: { ...this.logs, [name]: !log } }),
              },
              "log",
            )
          : null,
      );
    });
    this.parts.axes.replaceChildren(...chips);
  }

  isLog = ({ log }, values) => log ?? Math.max(...values) / Math.min(...values) >= 20;

  /** Everything that shows runs as points. */
  drawPoints() {
    if (!this.scored?.length) return;
    const metric = { name: this.metric, log: this.logs[this.metric] ?? false, value: this.score };
    const start = Math.min(...this.runs.map((run) => run.created));
    bestSoFar(
      this.best,
      this.scored
        .filter((run) => !run.live)
        .map((run) => ({ ...run, score: this.score(run), ended: run.created + run.runtime - start })),
      { name: this.metric, less: this.less, isShown },
    );
    const columns = this.columns().slice(0, -1);
    for (const [name, cell] of this.cells)
      if (!columns.some((one) => one.name === name)) {
        cell.figure.remove();
        this.cells.delete(name);
      }
    for (const column of columns) {
      if (!this.cells.has(column.name)) {
        const body = h("div", { class: "parallel" });
        const figure = h("figure", { class: "chart" }, body);
        this.parts.grid.append(figure);
        const graph = new Graph(body, { height: 190, onClick: (id) => location.assign(runAddress(id)) });
        this.cells.set(column.name, { figure, graph });
      }
      scatter(this.cells.get(column.name).graph, this.scored, column, metric, null, { small: true, isShown });
    }
    this.drawTwo();
  }

  /** A scatter of any two values, coloured by the metric. */
  drawTwo() {
    const names = [...new Set([...this.knobs, ...this.metrics])];
    const value = (name) => (name === this.metric ? this.score : (run) => run.config[name] ?? run.summary[name]);
    const other = [...SECOND, ...this.metrics].find((key) => key !== this.metric && this.metrics.includes(key));
    this.pair ??= [this.knobs[0], other ?? this.metric];
    const pick = (place, label) => {
      const input = h(
        "select",
        {
          "aria-label": label,
          change: () => {
            this.pair[place] = input.value;
            this.drawTwo();
          },
        },
        names.map((name) => h("option", { value: name, selected: name === this.pair[place] }, name)),
      );
      return input;
    };
    if (!this.parts.twoTools.contains(document.activeElement))
      this.parts.twoTools.replaceChildren(pick(1, "Upright"), "against", pick(0, "Lying"));
    const [x, y] = this.pair.map((name) => ({ name, value: value(name), log: this.logs[name] }));
    if (x.name) scatter(this.two, this.scored, x, { ...y, log: y.log ?? false }, null, { isShown });
  }

  async drawImportance() {
    const state = this.drawn;
    if (!this.near) return;
    const answer = await post("importance", { ...this.asked(), runs: this.scored.map((run) => run.id) });
    if (state !== this.drawn) return;
    this.weighed = state;
    this.parts.importance.replaceChildren(importanceTable(answer));
  }
}
