// How uPlot draws one chart of curves: scales, axes, cursor.

/* global uPlot */
import { bytes, duration, tick } from "./format.js";
import { PHASE_COLORS, drawPhases } from "./phases.js";
import { css } from "./theme.js";

// Bytes are round in powers of two.
const POWERS = Array.from({ length: 50 }, (_, i) => 2 ** i);

/** uPlot's settings for a CurveChart whose longest curve has so many points. `hover(run)` marks one on the page. */
export function plotSettings(chart, longest, hover) {
  const ink = css("ink-2");
  const grid = { stroke: css("grid"), width: 1 };
  const font = `11px ${css("font")}`;
  const { log } = chart;
  const { x, xLabel, yRange, xRange } = chart.options;
  const start = (range, low, high) => [range?.[0] ?? low, range?.[1] ?? high];
  const time = x === "time";
  return {
    width: chart.body.clientWidth,
    height: chart.height,
    legend: { show: false },
    padding: [10, 12, 0, 0],
    scales: {
      x: {
        time: false,
        distr: chart.options.xLog ? 3 : 1,
        ...(xRange && { range: (u, low, high) => start(xRange, low, high) }),
      },
      y: {
        distr: log ? 3 : 1,
        ...((yRange || !log) && { range: (u, low, high) => start(yRange, ...padded(low, high)) }),
      },
    },
    series: [
      {},
      ...chart.lines.map((one) => ({
        label: one.label,
        stroke: one.bound ? "transparent" : one.color,
        width: one.bound ? 0 : chart.series.length > 40 ? 1 : 1.6,
        dash: one.dash,
        spanGaps: false,
        points: { show: longest < 40 && !one.bound, size: 5, fill: one.color, stroke: one.color },
      })),
    ],
    bands: chart.lines.flatMap((one, i) =>
      one.bound === "high" ? [{ series: [i + 1, i + 2], fill: `color-mix(in srgb, ${one.color} 16%, transparent)` }] : [],
    ),
    axes: [
      {
        stroke: ink,
        grid: { show: false },
        ticks: { stroke: css("grid"), size: 4 },
        font,
        labelFont: font,
        label: xLabel,
        labelSize: 16,
        size: 26,
        space: 60,
        values: (u, ticks) => ticks.map((v) => (v === null ? "" : time ? duration(v).split(" 00")[0] : tick(v))),
      },
      {
        stroke: ink,
        ticks: { show: false },
        font,
        grid: { ...grid, ...(log && { filter: decades }) },
        filter: log ? decades : undefined,
        ...(chart.format === bytes && { incrs: POWERS }),
        size: (u, values) => 14 + 6.2 * Math.max(3, ...(values ?? []).map((v) => String(v ?? "").length)),
        space: 34,
        values: (u, ticks) => ticks.map((v) => (v === null ? "" : chart.tickFormat(v))),
      },
    ],
    focus: { alpha: 0.22 },
    cursor: {
      focus: { prox: 24 },
      points: { size: 7 },
      drag: { x: true, y: false },
      dataIdx: (u, i, index) => nearest(u.data[i], index),
    },
    hooks: {
      drawClear: chart.options.phases
        ? [(u) => drawPhases(u, chart.options.phases, PHASE_COLORS, ink, `${11 * devicePixelRatio}px ${css("font")}`)]
        : [],
      setSeries: [
        (u, i) => {
          if (!chart.quiet) hover(i === null ? null : chart.lines[i - 1]?.id);
        },
      ],
      setCursor: [(u) => chart.showTip(u)],
      setSelect: [
        (u) => {
          if (u.select.width > 0) chart.zoomed = true;
        },
      ],
      ready: [
        (u) =>
          u.over.addEventListener("dblclick", () => {
            chart.zoomed = false;
          }),
      ],
    },
  };
}

/** A tenth of room above and below; a flat line gets some, too. */
function padded(low, high) {
  if (low === null || low === undefined) return [0, 1];
  if (low === high) return low === 0 ? [0, 1] : [low - Math.abs(low) / 10, high + Math.abs(low) / 10];
  return uPlot.rangeNum(low, high, 0.1, true);
}

/** A logarithmic axis is marked at powers of ten, where it spans two of them. */
function decades(u, splits) {
  const whole = splits.map((v) => (Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-9 ? v : null));
  return whole.filter((v) => v !== null).length > 1 ? whole : splits;
}

/** The index of the value nearest to `index` that is there. */
export function nearest(values, index) {
  for (let d = 0; d < values.length; d += 1) {
    if (values[index - d] !== null && values[index - d] !== undefined) return index - d;
    if (values[index + d] !== null && values[index + d] !== undefined) return index + d;
  }
  return null;
}
