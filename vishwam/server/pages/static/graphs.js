// Scatters and bars, drawn by Apache ECharts in the colours of the page, and what every such graph shares.

/* global echarts */
import { number, text, tick } from "./format.js";
import { css, onThemeChange, ramp } from "./theme.js";

// Graphs out of sight are made when they come into view.
const watcher = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.graph.visible = isIntersecting;
      if (isIntersecting && target.graph.dirty) target.graph.draw();
    }
  },
  { rootMargin: "200px" },
);

// Its megabyte is read while the page already asks for data and draws curves; a page that rarely needs it reads it then.
let loading = null;
function library() {
  let script = document.getElementById("graph-library");
  if (!script) {
    script = document.createElement("script");
    script.id = "graph-library";
    script.src = new URL("./vendor/echarts-6.1.0.min.js", import.meta.url);
    document.head.append(script);
  }
  loading ??= new Promise((resolve) => script.addEventListener("load", resolve));
  return loading;
}

/** One graph: `options()` makes the settings anew whenever data or theme change. */
export class Graph {
  constructor(host, { height = 240, onClick = null } = {}) {
    Object.assign(this, { host, onClick, visible: false, dirty: false });
    host.style.height = `${height}px`;
    host.graph = this;
    this.sizes = new ResizeObserver(() => this.made && this.made.resize());
    this.sizes.observe(host);
    watcher.observe(host);
    onThemeChange(() => this.draw());
    // Paper shows all of it.
    addEventListener("beforeprint", () => {
      this.visible = true;
      if (this.dirty) this.draw();
    });
  }

  get chart() {
    if (!this.made) {
      this.made = echarts.init(this.host, null, { renderer: "canvas" });
      this.made.on("click", (event) => event.data?.id && this.onClick?.(event.data.id));
      this.begin?.();
    }
    return this.made;
  }

  set(options) {
    this.options = options;
    this.draw();
  }

  draw() {
    if (!window.echarts) {
      library().then(() => this.draw());
      return;
    }
    this.dirty = !this.visible;
    if (this.options && this.visible) this.chart.setOption(this.options(), { notMerge: true });
  }
}

export const base = () => ({
  animation: false,
  backgroundColor: "transparent",
  textStyle: { fontFamily: css("font"), color: css("ink-2"), fontSize: 11 },
  // Tooltips are painted on the canvas: what is stored never becomes markup.
  tooltip: {
    renderMode: "richText",
    confine: true,
    backgroundColor: css("card"),
    borderColor: css("line"),
    borderWidth: 1,
    padding: [6, 9],
    textStyle: { color: css("ink"), fontSize: 12, fontFamily: css("font") },
  },
});

export const axisStyle = () => ({
  axisLine: { lineStyle: { color: css("line") } },
  axisTick: { lineStyle: { color: css("line") }, length: 3 },
  axisLabel: { color: css("ink-2"), fontSize: 11, fontFamily: css("font"), hideOverlap: true },
  splitLine: { lineStyle: { color: css("grid") } },
  nameTextStyle: { color: css("ink-2"), fontSize: 11 },
});

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Linear, logarithmic or named values; a span of more than twenty times is logarithmic unless told otherwise. */
export function axisOf(values, log) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (!known.every(isNumber)) {
    const names = [...new Set(known.map(text))];
    return {
      type: "category",
      data: names,
      place: (value) => (value === null || value === undefined ? null : text(value)),
    };
  }
  const low = Math.min(...known);
  const high = Math.max(...known);
  const logarithmic = low > 0 && high > low && (log ?? high / low >= 20);
  const place = (value) => (isNumber(value) && !(logarithmic && value <= 0) ? value : null);
  if (logarithmic) return { type: "log", logBase: 10, min: low, max: high, place };
  const margin = high === low ? Math.abs(high) * 0.1 || 1 : 0;
  return { type: "value", scale: true, min: low - margin, max: high + margin, place };
}

// By all the values so far, from left to right.
const RUNNING = {
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
  avg: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
};

/** A line of what the points up to each x have reached: the front, where both axes have a better end. */
function runningLine(how, points) {
  const sorted = points.filter(({ at }) => isNumber(at[0])).toSorted((a, b) => a.at[0] - b.at[0]);
  const values = sorted.map(({ at }) => at[1]);
  return {
    type: "line",
    name: `running ${how}`,
    data: sorted.map(({ at }, i) => [at[0], RUNNING[how](values.slice(0, i + 1))]),
    step: how === "avg" ? false : "end",
    ...aLine("solid"),
  };
}

/** The straight line nearest to the points, by least squares of what is drawn. */
function trendLine(points) {
  const known = points.map(({ at }) => at).filter(([x]) => isNumber(x));
  const mean = (i) => known.reduce((sum, at) => sum + at[i], 0) / known.length;
  const [x, y] = [mean(0), mean(1)];
  const spread = known.reduce((sum, at) => sum + (at[0] - x) ** 2, 0);
  if (!spread) return null;
  const slope = known.reduce((sum, at) => sum + (at[0] - x) * (at[1] - y), 0) / spread;
  const ends = [Math.min(...known.map((at) => at[0])), Math.max(...known.map((at) => at[0]))];
  return { type: "line", name: "trend", data: ends.map((end) => [end, y + slope * (end - x)]), ...aLine("dashed") };
}

const aLine = (type) => ({
  symbol: "none",
  silent: true,
  z: 1,
  lineStyle: { color: css("ink-2"), width: 1.5, type, opacity: 0.7 },
});

/**
 * Points of runs; z colours them, else each has its own colour. x, y, z: {name, log, low, high, value: run => number}.
 * `small`: one of many. `isShown(id)`: the others are faint. `running`: lines of the "min", "max" or "avg" so far.
 * `colours`: of z, from its lowest to its highest.
 */
export function scatter(
  graph,
  runs,
  x,
  y,
  z,
  { small = false, isShown = () => true, running = [], trend = false, colours = null } = {},
) {
  graph.set(() => {
    const points = runs
      .map((run) => ({ run, at: [x.value(run), y.value(run), z?.value(run)] }))
      .filter(({ at }) => at[0] !== undefined && at[0] !== null && isNumber(at[1]));
    const axes = [
      axisOf(
        points.map(({ at }) => at[0]),
        x.log,
      ),
      axisOf(
        points.map(({ at }) => at[1]),
        y.log,
      ),
    ].map(({ place, min, max, ...axis }, i) => {
      const { low, high } = [x, y][i];
      return {
        ...axis,
        ...(axis.type === "log" ? { min, max } : {}),
        ...(isNumber(low) && { min: low }),
        ...(isNumber(high) && { max: high }),
        ...axisStyle(),
      };
    });
    const third = points.map(({ at }) => at[2]).filter(isNumber);
    const name = { nameLocation: "middle", nameGap: 26 };
    return {
      ...base(),
      grid: small
        ? { left: 52, right: 12, top: 8, bottom: 38 }
        : { left: 62, right: 26, top: third.length > 1 ? 34 : 14, bottom: 42 },
      xAxis: { ...axes[0], name: x.name, ...name, axisLabel: { ...axisStyle().axisLabel, formatter: label } },
      yAxis: {
        ...axes[1],
        name: small ? "" : y.name,
        ...name,
        nameGap: 46,
        axisLabel: { ...axisStyle().axisLabel, formatter: label },
      },
      ...(third.length > 1 && {
        visualMap: {
          show: !small,
          type: "continuous",
          seriesIndex: 0,
          dimension: 2,
          min: z.low ?? Math.min(...third),
          max: z.high ?? Math.max(...third),
          inRange: { color: colours ?? ramp() },
          orient: "horizontal",
          right: 26,
          top: 2,
          itemWidth: 10,
          itemHeight: 110,
          text: [number(z.high ?? Math.max(...third)), `${z.name}  ${number(z.low ?? Math.min(...third))}`],
          textStyle: { color: css("ink-2"), fontSize: 11, fontFamily: css("font") },
        },
      }),
      tooltip: {
        ...base().tooltip,
        formatter: ({ data }) =>
          [
            data.name,
            `${x.name}  ${text(data.value[0])}`,
            `${y.name}  ${number(data.value[1])}`,
            ...(z ? [`${z.name}  ${text(data.value[2])}`] : []),
          ].join("\n"),
      },
      series: [
        {
          type: "scatter",
          symbolSize: small ? 7 : 9,
          // As the badges of the table: failed and stopped early are told by shape.
          data: points.map(({ run, at }) => ({
            id: run.id,
            name: run.label,
            symbol: run.faulty ? "diamond" : run.early ? "rect" : "circle",
            value: typeof at[0] === "number" ? at : [text(at[0]), at[1], at[2]],
            itemStyle: {
              opacity: isShown(run.id) ? 1 : 0.1,
              borderColor: css("card"),
              borderWidth: 1,
              ...(third.length > 1 ? {} : { color: run.color }),
            },
          })),
        },
        ...running.map((how) => runningLine(how, points)),
        ...(trend ? [trendLine(points)].filter(Boolean) : []),
      ],
    };
  });
}

/**
 * Over bars that stand `offset` from the middle of their group: intervals as whiskers, chance as a dashed line across
 * the group. rows: [{low, high, chance}], one a group.
 */
function marks(rows, upright, layout, place) {
  const colour = css("ink");
  return {
    type: "custom",
    silent: true,
    z: 5,
    data: rows.map((row, i) => [i, row.low ?? NaN, row.high ?? NaN, row.chance ?? NaN]),
    encode: upright ? { x: 0, y: [1, 2, 3] } : { y: 0, x: [1, 2, 3] },
    renderItem: (_, api) => {
      const [group, low, high, chance] = [0, 1, 2, 3].map((dimension) => api.value(dimension));
      const at = (value) => api.coord(upright ? [group, value] : [value, group]);
      const bar = api.barLayout(layout)[place];
      const line = (from, to, dash) => {
        const [x1, y1, x2, y2] = upright ? [...from, ...to] : [from[1], from[0], to[1], to[0]];
        return { type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: colour, lineWidth: 1.2, lineDash: dash } };
      };
      // Along the groups first, then along the values, whichever way the bars lie.
      const point = (value, shift) => {
        const [x, y] = at(value);
        return upright ? [x + shift, y] : [y + shift, x];
      };
      const children = [];
      if (isNumber(low) && isNumber(high)) {
        const half = Math.min(4, bar.width / 4);
        children.push(line(point(low, bar.offsetCenter), point(high, bar.offsetCenter)));
        for (const end of [low, high])
          children.push(line(point(end, bar.offsetCenter - half), point(end, bar.offsetCenter + half)));
      }
      if (isNumber(chance)) {
        const half = (upright ? api.size([1, 0])[0] : api.size([0, 1])[1]) * 0.42;
        children.push(line(point(chance, -half), point(chance, half), [4, 3]));
      }
      return { type: "group", children };
    },
  };
}

const label = (value) => (typeof value === "number" ? tick(value) : value);

const MOST_UPRIGHT = 12;

/**
 * Bars: of several metrics one group each, with one bar a run; of one metric a bar a run, lying down for long names.
 * metrics: [{name, value: run => number}], and low, high and chance where these are known.
 */
export function bars(graph, runs, metrics, { vertical = false, low, high, format = number, title } = {}) {
  graph.set(() => {
    const several = metrics.length > 1;
    const short = format === number ? tick : format;
    // The names of many metrics have room only beside their bars.
    const upright = vertical || (several && metrics.length <= MOST_UPRIGHT);
    const groups = several ? metrics.map((metric) => metric.name) : runs.map((run) => run.label);
    const written = {
      show: runs.length * metrics.length <= 24,
      position: upright ? "top" : "right",
      color: css("ink-2"),
      fontSize: 11,
      formatter: ({ value }) => (isNumber(value) ? short(value) : ""),
    };
    const values = runs.flatMap((run) => metrics.map((metric) => metric.value(run))).filter(isNumber);
    const unit = values.every((value) => value >= 0 && value <= 1);
    const valueAxis = {
      type: "value",
      min: low,
      max: high ?? (unit ? 1 : undefined),
      ...axisStyle(),
      axisLabel: { ...axisStyle().axisLabel, formatter: label },
      axisLine: { show: false },
      axisTick: { show: false },
      ...(!upright && written.show && { axisLabel: { show: false }, splitLine: { show: false } }),
    };
    const groupAxis = {
      type: "category",
      data: groups,
      ...axisStyle(),
      splitLine: { show: false },
      axisTick: { show: false },
      axisLabel: {
        ...axisStyle().axisLabel,
        interval: 0,
        overflow: "truncate",
        width: upright ? (graph.host.clientWidth - 60) / groups.length : Math.min(380, graph.host.clientWidth * 0.42),
      },
    };
    const colorOf = (run) => ({
      color: run.color,
      borderRadius: upright ? [3, 3, 0, 0] : [0, 3, 3, 0],
      ...(run.dash && {
        decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 3], color: "rgba(255,255,255,.35)" },
      }),
    });
    const around = (run) => (metric) => ({
      low: metric.low?.(run),
      high: metric.high?.(run),
      chance: metric.chance?.(run),
    });
    const rows = several
      ? runs.map((run) => metrics.map(around(run)))
      : [runs.map((run) => around(run)(metrics[0] ?? {}))];
    const layout = several
      ? { count: runs.length, barGap: "12%", barMaxWidth: 34 }
      : { count: 1, barMaxWidth: 22 };
    // A figure makes way for the whisker over its bar.
    const beside = (metric, run) =>
      isNumber(metric?.high?.(run)) && {
        label: { ...written, position: upright ? "insideBottom" : "insideLeft", color: css("card") },
      };
    const marked = rows
      .map((row, place) => marks(row, upright, layout, place))
      .filter(({ data }) => data.some((row) => row.slice(1).some(isNumber)));
    return {
      ...base(),
      grid: { left: 10, right: upright ? 14 : 46, top: upright ? 22 : 6, bottom: 6, containLabel: true },
      xAxis: upright ? groupAxis : valueAxis,
      yAxis: upright ? valueAxis : { ...groupAxis, inverse: true },
      tooltip: {
        ...base().tooltip,
        trigger: "item",
        formatter: (event) => `${event.seriesName}\n${event.name}  ${format(event.value)}`,
      },
      series: (several
        ? runs.map((run) => ({
            type: "bar",
            name: run.label,
            barMaxWidth: 34,
            barGap: "12%",
            itemStyle: colorOf(run),
            label: written,
            labelLayout: { hideOverlap: true },
            data: metrics.map((metric) => ({ value: metric.value(run) ?? null, ...beside(metric, run) })),
          }))
        : [
            {
              type: "bar",
              name: metrics[0]?.name ?? title,
              barMaxWidth: 22,
              label: written,
              data: runs.map((run) => ({
                value: metrics[0]?.value(run) ?? null,
                itemStyle: colorOf(run),
                ...beside(metrics[0], run),
              })),
            },
          ]
      ).concat(marked),
    };
  });
}
