// Parallel coordinates, drawn by Apache ECharts, with axes that can be brushed.

import { Graph, axisOf, axisStyle, base } from "./graphs.js";
import { hover, onHover } from "./curves.js";
import { tick } from "./format.js";
import { MANY_RUNS, css, lessIsBetter, shades } from "./theme.js";

/**
 * One line a run over its knobs to the metric in the last column. columns: [{name, log, inverted, value: run => ...}],
 * onSelect(ids or null) after a reader brushed an axis. Few runs keep their colours; many are shaded by the last column.
 */
export class Parallel extends Graph {
  constructor(host, { height = 300, onSelect = null } = {}) {
    super(host, { height });
    this.onSelect = onSelect;
    onHover((id) => this.mark(id));
    host.addEventListener("pointerdown", () => {
      this.held = true;
    });
    addEventListener("pointerup", () => {
      this.held = false;
      if (this.late) setTimeout(() => this.draw());
    });
  }

  begin() {
    this.chart.on("mouseover", (event) => hover(event.data?.id ?? null));
    this.chart.on("mouseout", () => hover(null));
    this.chart.on("axisareaselected", () => this.onSelect?.(this.selected()));
  }

  /** Takes back what was brushed. */
  clear() {
    if (!this.made) return;
    for (const { parallelAxisId } of this.intervals())
      this.chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId, intervals: [] });
  }

  /** Brushes an axis as a pointer does. intervals: [[low, high]] in its own values, places among the words of one. */
  brush(dim, intervals) {
    const axis = this.intervals()[dim];
    if (axis) this.chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId: axis.parallelAxisId, intervals });
  }

  show(runs, columns) {
    const state = JSON.stringify([
      columns.map(({ name, log, inverted }) => [name, log, inverted]),
      runs.map((run) => [run.id, run.label, run.color, ...columns.map((column) => column.value(run))]),
    ]);
    if (state === this.state) return;
    this.state = state;
    this.runs = runs;
    const metric = columns.at(-1);
    this.set(() => {
      const axes = columns.map((column) => axisOf(runs.map(column.value), column.log));
      const shade =
        runs.length > MANY_RUNS ? shades(runs.map(metric.value), lessIsBetter(metric.name, metric.goal)) : null;
      // Names stand centred over their axes, shortened to the room between two of them.
      const left = Math.max(46, 3.4 * columns[0].name.length);
      const right = Math.max(56, 3.4 * Math.min(metric.name.length, 30));
      const room = Math.floor((this.host.clientWidth - left - right) / Math.max(1, columns.length - 1) / 6.6);
      const shorten = (name) =>
        name.length <= room ? name : name.includes("/") ? `…${name.slice(1 - room)}` : `${name.slice(0, room - 1)}…`;
      return {
        ...base(),
        parallel: { left, right, top: 40, bottom: 22, parallelAxisDefault: { realtime: false } },
        parallelAxis: columns.map((column, dim) => {
          const { place, ...axis } = axes[dim];
          return {
            ...axis,
            dim,
            id: `axis ${dim} ${column.name}`,
            name: shorten(column.name),
            inverse: Boolean(column.inverted),
            nameLocation: "end",
            nameGap: 14,
            ...axisStyle(),
            nameTextStyle: { color: css("ink"), fontSize: 11.5, fontFamily: css("font") },
            axisLabel: {
              ...axisStyle().axisLabel,
              formatter: (value) => (typeof value === "number" ? tick(value) : value),
              showMinLabel: true,
              showMaxLabel: true,
              backgroundColor: `${css("card")}d0`,
              padding: [1, 3],
              borderRadius: 3,
            },
            areaSelectStyle: { width: 16, borderColor: css("accent"), color: css("accent"), opacity: 0.18 },
          };
        }),
        tooltip: { ...base().tooltip, formatter: (event) => event.name },
        series: [
          {
            type: "parallel",
            inactiveOpacity: 0.06,
            activeOpacity: 1,
            lineStyle: { width: shade ? 1.4 : 2, opacity: 0.85 },
            emphasis: { lineStyle: { width: 4, opacity: 1 } },
            data: runs.map((run, i) => ({
              id: run.id,
              name: run.label,
              value: columns.map((column, dim) => axes[dim].place(column.value(run)) ?? "-"),
              lineStyle: shade ? { color: shade[i] } : { color: run.color, type: run.dash ?? "solid" },
            })),
          },
        ],
      };
    });
  }

  /** What the reader brushed stays brushed when points arrive, and nothing moves under a pressed pointer. */
  draw() {
    this.late = this.held;
    if (this.held) return;
    const brushed = (this.made ? this.intervals() : []).filter(({ intervals }) => intervals.length);
    super.draw();
    for (const { parallelAxisId, intervals } of brushed)
      this.chart.dispatchAction({ type: "axisAreaSelect", parallelAxisId, intervals });
  }

  intervals() {
    const found = [];
    this.chart
      .getModel()
      ?.eachComponent("parallelAxis", (axis) =>
        found.push({ parallelAxisId: axis.id, intervals: axis.activeIntervals ?? [] }),
      );
    return found;
  }

  selected() {
    if (!this.intervals().some(({ intervals }) => intervals.length)) return null;
    const active = this.chart.getModel().getSeriesByIndex(0).getRawIndicesByActiveState("active");
    return new Set(active.map((i) => this.runs[i].id));
  }

  mark(id) {
    if (!this.made) return;
    const dataIndex = this.runs?.findIndex((run) => run.id === id) ?? -1;
    this.chart.dispatchAction({ type: "downplay", seriesIndex: 0 });
    if (id !== null && dataIndex >= 0) this.chart.dispatchAction({ type: "highlight", seriesIndex: 0, dataIndex });
  }
}
