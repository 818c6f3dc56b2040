// The page of a project: its runs in a table, the curves of the chosen ones, and what decides how well they do.

import { $, h, page } from "./dom.js";
import { json, live } from "./api.js";
import { Analysis } from "./analysis.js";
import { CurvePanel } from "./curve_panel.js";
import { RunsTable } from "./runs_table.js";
import { isShown, onSelect, selected } from "./selection.js";
import { styleOf, onThemeChange } from "./theme.js";
import "./times.js";

const PREFERRED = ["validation/loss", "interpolate/exact_match", "extrapolate/exact_match", "train/loss"];
const NEWEST = 20;
let answer = null;
let left = [];
let analysis = null;

const curves = new CurvePanel({ name: "project", newest: NEWEST });
const table = new RunsTable($("#runs"), $("#run-tools"), {
  name: "project",
  sort: "Created",
  down: true,
  empty: "No runs yet",
  onFilter: (runs) => {
    left = runs;
    if (answer) drawCurves(new Set());
  },
  onGroup: (group) => curves.setGroup(group),
});

const sweepColumn = {
  name: "Sweep",
  value: (run) => run.sweep,
  cell: (run) =>
    run.sweep
      ? h("a", { href: `/${[page.entity, page.project, "sweeps", run.sweep].map(encodeURIComponent).join("/")}` }, run.sweep)
      : "",
};

async function load(changed = null) {
  answer = await json("runs");
  draw();
  await drawCurves(changed);
}

function draw() {
  const { runs, knobs, metrics } = answer;
  runs.forEach((run, i) => Object.assign(run, styleOf(i)));
  const usual = PREFERRED.filter((key) => metrics.includes(key));
  const own = (usual.length ? usual : metrics).slice(0, 4).map((key) => ({
    key,
    goal: /exact_match|accuracy/.test(key) ? "maximize" : /loss/.test(key) ? "minimize" : undefined,
  }));
  table.onFiltered = null;
  table.set({ runs, knobs, metrics, own, fixed: runs.some((run) => run.sweep) ? [sweepColumn] : [] });
}

async function drawCurves(changed) {
  curves.set(left, answer.metrics);
  analyse();
  await curves.load(changed);
}

/** Of the chosen runs, or of all that pass the filter, once a reader opens it. */
async function analyse() {
  if (!$("#why").open || !answer) return;
  analysis ??= new Analysis($("#analysis"), $("#outcome"), { name: "project" });
  const runs = left.filter((run) => isShown(run.id));
  const shown = runs.length > 1 || selected() ? runs : left;
  await analysis.set({ runs: shown, knobs: answer.knobs, metrics: answer.metrics });
  analysis.draw();
  analysis.weigh();
}

$("#why").addEventListener("toggle", analyse);
onSelect((from) => from !== analysis?.parallel && analyse());
onThemeChange(() => {
  draw();
  curves.draw();
});
await live(load, 1000);
