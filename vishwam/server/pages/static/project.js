// The page of a project: the newest runs' curves and the table of all runs.

import { $, page, chartControls, h } from "./dom.js";
import { json, curves, live } from "./api.js";
import { CurveChart } from "./curves.js";
import { SortedTable, nameColumn, stateColumn, runtimeColumn, createdColumn, metricColumn } from "./table.js";
import { formatterOf, tickFormatterOf } from "./format.js";
import { styleOf, onThemeChange } from "./theme.js";
import "./times.js";

const PREFERRED = ["validation/loss", "interpolate/exact_match", "extrapolate/exact_match", "train/loss"];
const NEWEST = 20;
const settings = { x: "step", log: false, smoothing: 0 };
const charts = new Map();
let answer = null;
let found = [];

const table = new SortedTable($("#runs"), { sort: "Created", down: true, empty: "No runs yet" });

async function load() {
  answer = await json("runs");
  draw();
  await loadCurves();
}

async function loadCurves() {
  const shown = answer.runs.slice(-NEWEST).map((run) => run.id);
  found = await curves(shown, metrics().slice(0, 4), settings.x);
  drawCurves();
}

function metrics() {
  const usual = PREFERRED.filter((key) => answer.metrics.includes(key));
  return usual.length ? usual : answer.metrics;
}

function draw() {
  answer.runs.forEach((run, i) => Object.assign(run, styleOf(i)));
  const sweepColumn = {
    name: "Sweep",
    value: (run) => run.sweep,
    cell: (run) =>
      run.sweep
        ? h(
            "a",
            { href: `/${[page.entity, page.project, "sweeps", run.sweep].map(encodeURIComponent).join("/")}` },
            run.sweep,
          )
        : "",
  };
  table.set(answer.runs, [
    nameColumn(null, "Run"),
    stateColumn,
    ...(answer.runs.some((run) => run.sweep) ? [sweepColumn] : []),
    ...metrics()
      .slice(0, 4)
      .map((key) => metricColumn(key)),
    runtimeColumn,
    createdColumn,
  ]);
}

function drawCurves() {
  const runs = new Map(answer.runs.map((run) => [run.id, run]));
  for (const key of metrics().slice(0, 4)) {
    const series = found
      .filter((curve) => curve.key === key)
      .map(({ run, x, y }) => {
        const { id, label, color, dash } = runs.get(run);
        return { id, label, color, dash, x, y };
      });
    if (!series.length && !charts.has(key)) continue;
    if (!charts.has(key))
      charts.set(
        key,
        new CurveChart($("#curves"), { title: key, format: formatterOf(key), tickFormat: tickFormatterOf(key) }),
      );
    charts.get(key).set(series, settings);
  }
}

chartControls($("#controls"), settings, drawCurves, loadCurves);
onThemeChange(() => {
  draw();
  drawCurves();
});
await live(load, 1000);
