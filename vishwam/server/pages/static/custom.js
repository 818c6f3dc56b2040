// Charts that scripts made with wandb.plot: their table, drawn as W&B draws the specification of that name.

import { h } from "./dom.js";
import { json } from "./api.js";
import { number, text, tick } from "./format.js";
import { Graph, axisStyle, base } from "./graphs.js";
import { TableView } from "./samples.js";
import { css, ramp, styleOf } from "./theme.js";

const PAGE_ROWS = 1000;
const MOST_ROWS = 10_000;
const MOST_RUNS = 10;
const BINS = 30;

/** One custom chart of the runs that have its data. chart: {spec, fields, strings, table, summary}. */
export class CustomChart {
  constructor(body, chart, height) {
    this.chart = chart;
    this.host = body.appendChild(h("div"));
    this.note = body.appendChild(h("p", { class: "note", hidden: true }));
    this.rest = body.appendChild(h("div"));
    this.graph = new Graph(this.host, { height: height - 8 });
    this.host.hidden = true;
  }

  async draw({ runs, order }) {
    const { chart } = this;
    const make = SPECS[chart.spec];
    const byId = new Map(runs.map((run) => [run.id, run]));
    const holding = order
      .map((id) => byId.get(id))
      .filter((run) => (chart.table ? run?.media[chart.table] : run))
      .slice(0, MOST_RUNS);
    const state = JSON.stringify([
      chart,
      holding.map((run) => [run.id, run.color, chart.table ? run.media[chart.table].path : chart.summary?.map((key) => run.summary[key])]),
    ]);
    if (state === this.state) return;
    if (!chart.table && !chart.summary) return this.say(`The chart “${chart.spec}” asks for neither a table nor a summary, and is not drawn here.`);
    if (!holding.length) return this.say("Nothing logged yet");
    if (!make) {
      this.say(`The specification “${chart.spec}” is not drawn here${chart.table ? "; this is its table." : "."}`);
      if (chart.table) await new TableView(this.rest, holding[0].id, chart.table).draw();
      this.state = state;
      return;
    }
    this.asked = state;
    const sets = await Promise.all(holding.map(async (run) => ({ run, rows: await this.rows(run) })));
    if (state !== this.asked) return;
    // What is still on its way is asked for again at the next change.
    this.state = sets.some(({ rows }) => !rows) ? null : state;
    const known = sets.filter(({ rows }) => rows?.length);
    if (!known.length) return this.say("On its way");
    this.note.hidden = true;
    this.host.hidden = false;
    this.host.dataset.rows = known.reduce((sum, { rows }) => sum + rows.length, 0);
    this.graph.set(() => ({ ...base(), ...make(known, chart) }));
  }

  say(words) {
    this.host.hidden = true;
    this.note.hidden = false;
    this.note.textContent = words;
  }

  /** [{x, y, ...}] under the specification's own names of fields; null while the table is on its way. */
  async rows(run) {
    const { fields, table, summary } = this.chart;
    if (!table) {
      const values = Object.fromEntries(summary.map((key) => [key, run.summary[key]]));
      return [Object.fromEntries(Object.entries(fields).map(([field, key]) => [field, key === "name" ? run.label : values[key]]))];
    }
    const found = [];
    let page;
    do {
      page = await json("table", { run: run.id, key: table, offset: found.length, limit: PAGE_ROWS }).catch(() => null);
      if (!page) return null;
      const places = Object.entries(fields).map(([field, column]) => [field, page.columns.indexOf(column)]);
      for (const row of page.rows) found.push(Object.fromEntries(places.map(([field, place]) => [field, row[place]])));
    } while (page.rows.length && found.length < Math.min(page.total, MOST_ROWS));
    return found;
  }
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function axis(values, name, more = {}) {
  const shared = { ...axisStyle(), name, nameLocation: "middle", nameGap: 28, ...more };
  const label = { ...axisStyle().axisLabel, formatter: (value) => (typeof value === "number" ? tick(value) : value) };
  return values.every(isNumber)
    ? { type: "value", scale: true, ...shared, axisLabel: label }
    : { type: "category", data: [...new Set(values.map(text))], ...shared, axisLabel: label };
}

const legend = (names) => ({
  show: names.length > 1,
  type: "scroll",
  top: 0,
  textStyle: { color: css("ink"), fontSize: 11.5 },
  pageTextStyle: { color: css("ink-2") },
});
const room = { left: 62, right: 20, top: 30, bottom: 46 };
const named = (...parts) => parts.filter((part) => part !== undefined && part !== null && part !== "").map(text).join(" · ");

/** One curve for each value of the field `by` of each run. */
function lines(sets, chart, { x = "x", y = "y", by = "stroke", titles = [chart.fields[x], chart.fields[y]], ...more } = {}) {
  const curves = sets.flatMap(({ run, rows }) =>
    [...Map.groupBy(rows, (row) => (chart.fields[by] ? row[by] : null))].map(([value, own]) => ({
      name: named(sets.length > 1 || value === null ? run.label : null, value),
      color: value === null ? run.color : undefined,
      own: own.every((row) => isNumber(row[x])) ? own.toSorted((a, b) => a[x] - b[x]) : own,
    })),
  );
  return {
    grid: room,
    legend: legend(curves),
    xAxis: axis(curves.flatMap(({ own }) => own.map((row) => row[x])), titles[0], more),
    yAxis: axis(curves.flatMap(({ own }) => own.map((row) => row[y])), titles[1], { nameGap: 44, ...more }),
    tooltip: { ...base().tooltip, formatter: ({ seriesName, value }) => `${seriesName}\n${value.map(text).join("   ")}` },
    series: curves.map(({ name, own, color }, i) => ({
      type: "line",
      name,
      symbol: "circle",
      symbolSize: 5,
      showSymbol: own.length < 40,
      color: color ?? styleOf(i).color,
      lineStyle: { width: 1.8, type: (color ? undefined : styleOf(i).dash) ?? "solid" },
      data: own.map((row) => [isNumber(row[x]) ? row[x] : text(row[x]), row[y]]),
    })),
  };
}

function scatter(sets, chart) {
  const points = sets.flatMap(({ rows }) => rows);
  return {
    grid: room,
    legend: legend(sets),
    xAxis: axis(points.map((row) => row.x), chart.fields.x),
    yAxis: axis(points.map((row) => row.y), chart.fields.y, { nameGap: 44 }),
    tooltip: { ...base().tooltip, formatter: ({ seriesName, value }) => `${seriesName}\n${value.map(text).join("   ")}` },
    series: sets.map(({ run, rows }, i) => ({
      type: "scatter",
      name: run.label,
      symbolSize: 7,
      color: run.color ?? styleOf(i).color,
      data: rows.map((row) => [row.x, row.y].map((value) => (isNumber(value) ? value : text(value)))),
    })),
  };
}

function bars(sets, chart) {
  const groups = [...new Set(sets.flatMap(({ rows }) => rows.map((row) => text(row.label))))];
  return {
    grid: { left: 10, right: 46, top: sets.length > 1 ? 30 : 8, bottom: 26, containLabel: true },
    legend: legend(sets),
    xAxis: { ...axis([0], chart.fields.value), scale: false, axisLine: { show: false } },
    yAxis: { type: "category", data: groups, inverse: true, ...axisStyle(), splitLine: { show: false } },
    tooltip: { ...base().tooltip, formatter: ({ seriesName, name, value }) => `${seriesName}\n${name}  ${number(value)}` },
    series: sets.map(({ run, rows }, i) => {
      const values = new Map(rows.map((row) => [text(row.label), row.value]));
      return {
        type: "bar",
        name: run.label,
        barMaxWidth: 26,
        color: run.color ?? styleOf(i).color,
        label: { show: groups.length * sets.length <= 24, position: "right", color: css("ink-2"), formatter: ({ value }) => (isNumber(value) ? tick(value) : "") },
        data: groups.map((group) => values.get(group) ?? null),
      };
    }),
  };
}

function histogram(sets, chart) {
  const all = sets.flatMap(({ rows }) => rows.map((row) => row.value)).filter(isNumber);
  const low = all.reduce((a, b) => Math.min(a, b), Infinity);
  const width = (all.reduce((a, b) => Math.max(a, b), -Infinity) - low) / BINS || 1;
  const edges = Array.from({ length: BINS }, (_, i) => low + i * width);
  return {
    grid: room,
    legend: legend(sets),
    xAxis: { ...axis(["bins"], chart.fields.value), data: edges.map((edge) => tick(edge + width / 2)) },
    yAxis: { ...axis([0], "count", { nameGap: 44 }), scale: false },
    tooltip: {
      ...base().tooltip,
      formatter: ({ seriesName, dataIndex: i, value }) => `${seriesName}\n${tick(edges[i])} to ${tick(edges[i] + width)}: ${value}`,
    },
    series: sets.map(({ run, rows }, i) => {
      const counts = edges.map(() => 0);
      for (const { value } of rows) if (isNumber(value)) counts[Math.min(BINS - 1, Math.floor((value - low) / width))] += 1;
      const color = run.color ?? styleOf(i).color;
      return { type: "bar", name: run.label, barGap: "-100%", barCategoryGap: "6%", itemStyle: { color, opacity: sets.length > 1 ? 0.6 : 1 }, data: counts };
    }),
  };
}

/** Of one run: matrices of several do not lie over each other. */
function confusion([{ rows }]) {
  const order = (field) => [...new Set(rows.map((row) => text(row[field])))];
  const [across, down] = [order("Predicted"), order("Actual")];
  const most = Math.max(1, ...rows.map((row) => row.nPredictions).filter(isNumber));
  const stops = ramp();
  return {
    grid: { ...room, top: 8, bottom: 24, left: 26, containLabel: true },
    xAxis: { ...axis(["words"], "predicted"), data: across },
    yAxis: { ...axis(["words"], "actual", { nameGap: 40 }), data: down, inverse: true },
    visualMap: { show: false, min: 0, max: most, inRange: { color: [css("grid"), stops[2], stops[4]] } },
    tooltip: { ...base().tooltip, formatter: ({ value: [x, y, count] }) => `${down[y]} taken for ${across[x]}: ${number(count)}` },
    series: [
      {
        type: "heatmap",
        itemStyle: { borderColor: css("card"), borderWidth: 2 },
        label: { show: rows.length <= 144, formatter: ({ value }) => number(value[2]) },
        data: rows.map((row) => ({
          value: [across.indexOf(text(row.Predicted)), down.indexOf(text(row.Actual)), row.nPredictions],
          label: { color: row.nPredictions > 0.35 * most ? css("card") : css("ink") },
        })),
      },
    ],
  };
}

const SPECS = {
  "wandb/line/v0": lines,
  "wandb/lineseries/v0": (sets, chart) =>
    lines(sets, chart, { x: "step", y: "lineVal", by: "lineKey", titles: [chart.strings.xname ?? "x", ""] }),
  "wandb/area-under-curve/v0": (sets, chart) =>
    lines(sets, chart, { by: "class", titles: [chart.strings["x-axis-title"], chart.strings["y-axis-title"]], min: 0, max: 1 }),
  "wandb/scatter/v0": scatter,
  "wandb/bar/v0": bars,
  "wandb/histogram/v0": histogram,
  "wandb/confusion_matrix/v1": confusion,
};
