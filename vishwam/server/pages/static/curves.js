// One chart of curves: many runs or metrics over one axis, drawn by uPlot.

/* global uPlot */
import { h } from "./dom.js";
import { recall, remember } from "./memory.js";
import { nearest, plotSettings } from "./curve_settings.js";
import { number, tick, duration } from "./format.js";
import { css } from "./theme.js";

const HEIGHT = 210;
const LARGE = 460;
const hovering = new EventTarget();

/** Marks one run in every chart, table and graph of the page; null for none. */
export function hover(run) {
  hovering.dispatchEvent(new CustomEvent("hover", { detail: run }));
}
export const onHover = (callback) => hovering.addEventListener("hover", (event) => callback(event.detail));

// Charts out of sight keep their newest data and draw it when they come into view.
const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const { chart } = entry.target;
      chart.visible = entry.isIntersecting;
      if (!entry.isIntersecting) continue;
      chart.draw();
      chart.onShow?.();
    }
  },
  { rootMargin: "200px" },
);
// Paper shows all of it.
addEventListener("beforeprint", () => {
  for (const { chart } of document.querySelectorAll(".plot")) {
    chart.visible = true;
    chart.draw();
  }
});
// One chart a turn of the page: twenty that change at once hold up nobody who scrolls or types.
const waiting = new Set();
const turns = new MessageChannel();
turns.port1.onmessage = () => {
  const [chart] = waiting;
  if (!chart) return;
  waiting.delete(chart);
  if (waiting.size) turns.port2.postMessage(null);
  chart.draw();
};
function drawSoon(chart) {
  if (!waiting.size) turns.port2.postMessage(null);
  waiting.add(chart);
}
const resizer = new ResizeObserver((entries) => entries.forEach((entry) => entry.target.chart.resize()));

export class CurveChart {
  /** `format` writes values, `tickFormat` those of the axis; `onShow` is called when it comes into view. */
  constructor(host, { title = "", format = number, tickFormat = tick, height = HEIGHT, onShow = null } = {}) {
    this.body = h("div", {
      class: "plot",
      style: { minHeight: `${height}px` },
      tabindex: 0,
      role: "group",
      "aria-label": `${title || "Curves"}: arrow keys read values, plus and minus zoom`,
      keydown: (event) => this.press(event),
      blur: () => this.plot?.setCursor({ left: -10, top: -10 }),
    });
    this.tip = h("div", { class: "tip", hidden: true });
    this.key = h("div", { class: "key", hidden: true });
    this.root = h(
      "figure",
      { class: "chart" },
      title ? h("figcaption", { title }, title) : null,
      title ? this.tools(title, height) : null,
      this.key,
      this.body,
      this.tip,
    );
    this.body.chart = this;
    Object.assign(this, { format, tickFormat, height, title, onShow, visible: false, dirty: false, plot: null, zoomed: false });
    host.append(this.root);
    watcher.observe(this.body);
    resizer.observe(this.body);
    onHover((run) => this.focus(run));
  }

  /** A switch of its own to a logarithmic axis, which is remembered, and one that makes it large. */
  tools(title, height) {
    const button = (label, words, on, click) =>
      h("button", { type: "button", "aria-label": `${words}: ${title}`, title: words, "aria-pressed": String(on), click }, label);
    const name = `logarithmic ${title}`;
    this.ownLog = recall(name, false);
    const log = button("log", "Logarithmic axis", this.ownLog, () => {
      this.ownLog = !this.ownLog;
      remember(name, this.ownLog);
      log.setAttribute("aria-pressed", String(this.ownLog));
      this.set(this.given, this.options);
    });
    const large = button("⤢", "Large", false, () => enlarge(this.height === height));
    const enlarge = (on) => {
      this.height = on ? LARGE : height;
      this.root.classList.toggle("large", on);
      large.setAttribute("aria-pressed", String(on));
      this.body.style.minHeight = `${this.height}px`;
      this.plot?.setSize({ width: this.body.clientWidth, height: this.height });
    };
    return h("span", { class: "chart-tools" }, log, large);
  }

  get log() {
    return Boolean(this.options.log || this.ownLog);
  }

  /** series: [{id, label, color, dash, x, y}]; options: {x: "step" | "time", xLabel, log, smoothing, key, ranges}. */
  set(series, options = {}) {
    this.given = series;
    this.series = series.filter((one) => one.x.length);
    this.options = options;
    this.dirty = true;
    if (this.visible) drawSoon(this);
  }

  draw() {
    if (!this.dirty || !this.body.clientWidth) return;
    this.dirty = false;
    this.drawKey();
    this.lines = this.series.flatMap((one) => [one, ...bounds(one)]);
    const longest = Math.max(0, ...this.series.map((one) => one.x.length));
    this.root.dataset.points = this.series.reduce((sum, one) => sum + one.x.length, 0);
    if (longest <= 1) {
      this.key.hidden = true;
      return this.drawValues();
    }
    const shape = JSON.stringify([
      this.lines.map((one) => [one.id, one.label, one.color, longest < 40]),
      this.options,
      this.log,
      css("ink"),
    ]);
    const data = this.join();
    if (this.plot && shape === this.shape) {
      // A reader who zoomed in stays there while points arrive.
      this.plot.setData(data, !this.zoomed);
      if (this.zoomed) this.plot.redraw();
      return;
    }
    this.shape = shape;
    this.plot?.destroy();
    this.body.replaceChildren();
    this.zoomed = false;
    this.plot = new uPlot(plotSettings(this, longest, hover), data, this.body);
  }

  /** Names the curves under the title where nothing else on the page does: `options.key`. */
  drawKey() {
    this.key.hidden = !this.options.key || this.series.length < 2 || this.series.length > 12;
    if (!this.key.hidden)
      this.key.replaceChildren(
        ...this.series.map((one) =>
          h(
            "span",
            { mouseenter: () => hover(one.id), mouseleave: () => hover(null) },
            h("i", {
              class: one.dash ? "swatch dashed" : "swatch",
              style: { background: one.color, color: one.color },
            }),
            one.label,
          ),
        ),
      );
  }

  join() {
    const { log } = this;
    const tables = this.lines.map((one) => {
      const y = smooth(one.y, this.options.smoothing);
      // null is a gap (NaN, or no logarithm); where a run has no point at another's x, join leaves undefined.
      return [one.x, Array.from(y, (v) => (Number.isFinite(v) && !(log && v <= 0) ? v : null))];
    });
    // Long runs come over one axis; finding that out anew point by point takes longer than drawing them.
    if (tables.length > 1 && tables.every(([x]) => x === tables[0][0])) return [tables[0][0], ...tables.map(([, y]) => y)];
    return tables.length
      ? uPlot.join(
          tables,
          tables.map(() => [0, 1]),
        )
      : [[], []];
  }

  /** A metric logged once is a number, not a curve. */
  drawValues() {
    this.plot?.destroy();
    this.plot = null;
    this.shape = null;
    const most = Math.max(...this.series.map((one) => Math.abs(one.y[0])), 0);
    const full = this.series.every((one) => one.y[0] >= 0 && one.y[0] <= 1) ? 1 : most;
    this.body.replaceChildren(
      this.series.length
        ? h(
            "ul",
            { class: "values" },
            this.series.map((one) =>
              h(
                "li",
                {
                  mouseenter: () => hover(one.id),
                  mouseleave: () => hover(null),
                },
                h("span", { class: "name", title: one.label }, one.label),
                h("span", { class: "value" }, this.format(one.y[0])),
                h(
                  "span",
                  { class: "bar" },
                  h("span", {
                    style: { width: `${(100 * Math.abs(one.y[0])) / (full || 1)}%`, background: one.color },
                  }),
                ),
              ),
            ),
          )
        : h("p", { class: "empty" }, "No points yet"),
    );
  }

  showTip(u) {
    const { left, top, idx } = u.cursor;
    if (idx === null || idx === undefined || left < 0) {
      this.tip.hidden = true;
      return;
    }
    const rows = this.lines
      .map((one, i) => ({ one, at: nearest(u.data[i + 1], idx), i: i + 1 }))
      .filter((row) => !row.one.bound && row.at !== null && u.series[row.i].show)
      .map((row) => ({
        ...row,
        y: u.data[row.i][row.at],
        distance: Math.abs(u.valToPos(u.data[row.i][row.at], "y") - top),
      }));
    if (!rows.length) {
      this.tip.hidden = true;
      return;
    }
    rows.sort((a, b) => a.distance - b.distance);
    const shown = rows.slice(0, 6).sort((a, b) => b.y - a.y);
    const at = u.data[0][rows[0].at];
    this.tip.replaceChildren(
      h(
        "div",
        { class: "at" },
        this.options.x === "time" ? duration(at) : `${this.options.xLabel || "step"} ${number(at)}`,
      ),
      ...shown.map(({ one, y }) =>
        h(
          "div",
          { class: one === rows[0].one ? "row near" : "row" },
          h("i", { style: { background: one.color } }),
          h("span", { class: "name" }, one.label),
          h("b", {}, this.format(y)),
          one.low ? h("span", {}, this.between(one, at)) : null,
        ),
      ),
    );
    this.tip.hidden = false;
    const box = this.root.getBoundingClientRect();
    const plot = u.over.getBoundingClientRect();
    // Beside the cursor, on the side where the window has room.
    const width = this.tip.offsetWidth;
    const x = plot.left + left;
    const start = x + 14 + width < document.documentElement.clientWidth - 6 ? x + 14 : Math.max(6, x - 14 - width);
    this.tip.style.left = `${start - box.left}px`;
    this.tip.style.top = `${Math.max(0, plot.top - box.top + 4)}px`;
  }

  /** What a pointer does, from the keyboard: arrows move the cursor, plus zooms in around it, minus shows all again. */
  press(event) {
    const u = this.plot;
    if (!u || event.ctrlKey || event.metaKey || event.altKey) return;
    const { clientWidth: width, clientHeight: tall } = u.over;
    const at = u.cursor.left >= 0 ? u.cursor.left : width / 2;
    const move = (left) =>
      u.setCursor({ left: Math.min(Math.max(left, 0), width - 1), top: u.cursor.top >= 0 ? u.cursor.top : tall / 2 });
    const zoom = () => {
      const { min, max } = u.scales.x;
      const [middle, span] = [u.posToVal(at, "x"), (max - min) / 4];
      this.zoomed = true;
      u.setScale("x", { min: Math.max(min, middle - span), max: Math.min(max, middle + span) });
    };
    const whole = () => {
      this.zoomed = false;
      u.setData(u.data);
    };
    const act = {
      ArrowLeft: () => move(at - width / 50),
      ArrowRight: () => move(at + width / 50),
      Escape: () => u.setCursor({ left: -10, top: -10 }),
      "+": zoom,
      "=": zoom,
      "-": whole,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** What the members of a group have at `x`: lowest to highest. */
  between({ x, low, high }, at) {
    const place = x.indexOf(at);
    return place < 0 ? "" : `${this.format(low[place])} to ${this.format(high[place])}`;
  }

  focus(run) {
    if (!this.plot || !this.visible) return;
    const i = run === null ? null : this.lines.findIndex((one) => one.id === run) + 1;
    if (i === 0) return;
    this.quiet = true;
    this.plot.setSeries(i, { focus: true }, false);
    this.quiet = false;
  }

  resize() {
    const width = this.body.clientWidth;
    if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: this.height });
    else if (this.visible) this.draw();
  }

  destroy() {
    waiting.delete(this);
    watcher.unobserve(this.body);
    resizer.unobserve(this.body);
    this.plot?.destroy();
    this.root.remove();
  }
}

/** The edges of a group's band, as lines without ink. */
const bounds = (one) =>
  one.low ? ["high", "low"].map((edge) => ({ ...one, id: `${one.id} ${edge}`, y: one[edge], bound: edge })) : [];

/** Exponential moving average, started without bias (as Adam's), so that the first points are not pulled to zero. */
export function smooth(values, weight) {
  if (!weight) return values;
  const out = new Float64Array(values.length);
  let sum = 0;
  let mass = 0;
  for (let i = 0; i < values.length; i += 1) {
    if (!Number.isFinite(values[i])) {
      out[i] = values[i];
      continue;
    }
    sum = weight * sum + (1 - weight) * values[i];
    mass = weight * mass + (1 - weight);
    out[i] = sum / mass;
  }
  return out;
}
