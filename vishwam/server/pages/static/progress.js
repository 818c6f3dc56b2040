// How the best of a set of runs got better, run after run.

import { css } from "./theme.js";
import { duration, number, tick } from "./format.js";
import { axisStyle, base } from "./graphs.js";

/**
 * Every run that ended as a point at the time of its end, and the best so far as a line over them.
 * runs: {label, color, score, ended (seconds since the first began), faulty}.
 */
export function bestSoFar(graph, runs, { name, less, isShown }) {
  const ordered = runs.filter((run) => Number.isFinite(run.score)).sort((a, b) => a.ended - b.ended);
  graph.set(() => {
    let best = null;
    const line = ordered.map((run) => {
      if (best === null || (less ? run.score < best : run.score > best)) best = run.score;
      return [run.ended, best];
    });
    const axis = axisStyle();
    return {
      ...base(),
      grid: { left: 58, right: 18, top: 14, bottom: 42 },
      xAxis: {
        type: "value",
        name: "time since the first began",
        nameLocation: "middle",
        nameGap: 26,
        ...axis,
        splitLine: { show: false },
        axisLabel: { ...axis.axisLabel, formatter: (value) => duration(value).split(" 00")[0] },
      },
      yAxis: { type: "value", scale: true, ...axis, axisLabel: { ...axis.axisLabel, formatter: tick } },
      tooltip: {
        ...base().tooltip,
        formatter: ({ data, seriesType }) =>
          seriesType === "line"
            ? `best so far ${number(data[1])}`
            : `${data.name}\n${name}  ${number(data.value[1])}\nafter ${duration(data.value[0])}`,
      },
      series: [
        {
          type: "scatter",
          symbolSize: 7,
          data: ordered.map((run) => ({
            id: run.id,
            name: run.label,
            value: [run.ended, run.score],
            symbol: run.faulty ? "diamond" : run.early ? "rect" : "circle",
            itemStyle: { color: run.color, opacity: isShown(run.id) ? 0.9 : 0.1 },
          })),
        },
        {
          type: "line",
          step: "end",
          data: line,
          showSymbol: false,
          lineStyle: { width: 2, color: css("accent") },
          itemStyle: { color: css("accent") },
          z: 1,
        },
      ],
    };
  });
}
