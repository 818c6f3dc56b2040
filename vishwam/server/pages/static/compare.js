// A few runs side by side, or what decides how well many do.

import { $, h, page } from "./dom.js";
import { json, live } from "./api.js";
import { Analysis } from "./analysis.js";
import { Comparer } from "./comparer.js";
import { CurvePanel } from "./curve_panel.js";
import { RunsTable } from "./runs_table.js";
import { MANY_RUNS, onThemeChange, shades, styleOf } from "./theme.js";
import "./times.js";

const MOST_SIDE_BY_SIDE = 8;
const name = "compare";
let answer = null;

const curves = new CurvePanel({ name });
const analysis = new Analysis($("#analysis"), $("#outcome"), { name, onScores: style });
const table = new RunsTable($("#runs"), $("#run-tools"), {
  name,
  empty: "None of these runs is here.",
  onGroup: (group) => curves.setGroup(group),
});
const comparer = new Comparer($("#comparer"), { differences: true });
$("#differences").addEventListener("change", (event) => {
  comparer.differences = event.target.checked;
  comparer.draw(answer);
});

function style() {
  const { runs } = answer;
  const shade = runs.length > MANY_RUNS ? shades(runs.map(analysis.score), analysis.less) : null;
  runs.forEach((run, i) => Object.assign(run, shade ? { color: shade[i], dash: undefined } : styleOf(i)));
}

async function load(changed = null) {
  answer = await json("runs", { run: page.runs });
  const { runs, knobs, metrics } = answer;
  const few = runs.length <= MOST_SIDE_BY_SIDE;
  style();
  const numeric = metrics.filter((key) => runs.some((run) => typeof run.summary[key] === "number"));
  await analysis.set({ runs, knobs, metrics: numeric });
  curves.set(runs, metrics);
  const coming = curves.load(changed);
  $("#side-by-side").hidden = !few;
  if (few) comparer.draw(answer);
  table.set({ runs, knobs, metrics, own: curves.first.map((key) => ({ key })) });
  analysis.draw();
  await coming;
  analysis.weigh();
}

onThemeChange(() => {
  style();
  comparer.draw(answer);
  analysis.drawn = null;
  analysis.draw();
  curves.draw();
});
if (page.runs.length) await live(load);
else $("main").append(h("p", { class: "empty" }, "Choose runs on the project's page first."));
