// The page of a sweep: live curves of all trials, knobs against outcome, the table of trials.

import { $, h, page, badge, chartControls } from "./dom.js";
import { json, curves, live } from "./api.js";
import { CurveChart, hover, onHover } from "./curves.js";
import { Parallel } from "./graphs.js";
import {
  SortedTable,
  nameColumn,
  stateColumn,
  runtimeColumn,
  metricColumn,
  knobColumn,
  runAddress,
  swatch,
} from "./table.js";
import { duration, ago, formatterOf, tickFormatterOf } from "./format.js";
import { MANY_RUNS, lessIsBetter, onThemeChange, ramp, shades, styleOf } from "./theme.js";
import "./times.js";

const PREFERRED = ["validation/loss", "train/loss", "interpolate/exact_match", "extrapolate/exact_match"];
const settings = { x: "step", log: false, smoothing: 0 };
const charts = new Map();
const points = new Map();
let answer = null;
let chosen = null;
let outcome = null;

const trials = new SortedTable($("#trials"), { empty: "No trial yet. Start an agent and trials appear here." });
const parallel = new Parallel($("#parallel"), { onSelect: (ids) => trials.select(ids) });

/** Few trials each have a colour; many are shaded by how well they do. */
function style() {
  const { runs } = answer;
  const shade =
    runs.length > MANY_RUNS
      ? shades(
          runs.map((run) => run.summary[outcome]),
          lessIsBetter(outcome, goalOf(outcome)),
        )
      : null;
  runs.forEach((run, i) => Object.assign(run, shade ? { color: shade[i], dash: undefined } : styleOf(i)));
}

/** The runs in the order they are drawn: of many, the best on top. */
function layered() {
  if (answer.runs.length <= MANY_RUNS) return answer.runs;
  const sign = lessIsBetter(outcome, goalOf(outcome)) ? -1 : 1;
  const value = (run) => (typeof run.summary[outcome] === "number" ? sign * run.summary[outcome] : -Infinity);
  return [...answer.runs].sort((a, b) => value(a) - value(b));
}

const goalOf = (key) => (key === answer.sweep.metric?.name ? (answer.sweep.metric.goal ?? "minimize") : undefined);

/** Metrics worth a chart from the start: the sweep's own, the project's usual ones, else the first four. */
function firstMetrics() {
  const own = [answer.sweep.metric?.name, ...PREFERRED].filter((key) => answer.metrics.includes(key));
  const found = [...new Set(own)];
  return new Set((found.length ? found : answer.metrics).slice(0, 4));
}

async function load(changed = null) {
  answer = await json("runs", { sweep: page.sweep });
  chosen = chosen?.touched ? chosen : Object.assign(firstMetrics(), { touched: false });
  chooseOutcome();
  style();
  drawHead();
  drawLegend();
  drawChoices();
  drawOutcome();
  drawTrials();
  await loadCurves(changed);
}

async function loadCurves(changed) {
  const keys = [...chosen];
  const known = new Set(keys.filter((key) => points.get(key)));
  const all = answer.runs.map((run) => run.id);
  const runs = changed && known.size === keys.length ? all.filter((id) => changed.has(id)) : all;
  const fetched = await curves(runs, keys, settings.x);
  if (runs.length === all.length) points.clear();
  for (const key of keys) points.set(key, points.get(key) ?? new Map());
  for (const curve of fetched) points.get(curve.key)?.set(curve.run, curve);
  drawCurves();
}

function drawCurves() {
  for (const [key, chart] of charts)
    if (!chosen.has(key)) {
      chart.destroy();
      charts.delete(key);
    }
  for (const key of chosen) {
    if (!charts.has(key))
      charts.set(
        key,
        new CurveChart($("#curves"), { title: key, format: formatterOf(key), tickFormat: tickFormatterOf(key) }),
      );
    const series = layered()
      .filter((run) => points.get(key)?.has(run.id))
      .map((run) => {
        const { x, y } = points.get(key).get(run.id);
        return { id: run.id, label: run.label, color: run.color, dash: run.dash, x, y };
      });
    charts.get(key).set(series, { x: settings.x, log: settings.log, smoothing: settings.smoothing });
  }
}

function drawHead() {
  const { sweep, runs, best } = answer;
  $("#state").replaceChildren(badge(sweep.state));
  const counts = Object.entries(sweep.counts)
    .map(([state, count]) => `${count} ${state}`)
    .join(", ");
  const total = sweep.expected ? `${sweep.trials} of ${sweep.expected} trials` : `${sweep.trials} trials`;
  const spent = runs.reduce((sum, run) => sum + run.runtime, 0);
  $("#facts").textContent = [
    `${sweep.method} search`,
    `${total}${counts ? ` (${counts})` : ""}`,
    `${duration(spent)} of trials`,
    `started ${ago(sweep.created)}`,
  ].join(" · ");
  const top = runs.find((run) => run.id === best);
  if (!top) {
    $("#figures").replaceChildren();
    return;
  }
  const name = sweep.metric.name;
  const shown = [name, ...PREFERRED.slice(2)].filter(
    (key, i, keys) => typeof top.summary[key] === "number" && keys.indexOf(key) === i,
  );
  $("#figures").replaceChildren(
    h(
      "a",
      {
        class: "figure lead",
        href: runAddress(top.id),
        mouseenter: () => hover(top.id),
        mouseleave: () => hover(null),
      },
      h("span", { class: "what" }, "Best so far"),
      h("span", { class: "text" }, swatch(top), top.label),
    ),
    ...shown.map((key) =>
      h(
        "div",
        { class: "figure" },
        h("span", { class: "what" }, key),
        h("span", { class: "number" }, formatterOf(key)(top.summary[key])),
      ),
    ),
  );
}

function drawLegend() {
  const legend = $("#legend");
  if (answer.runs.length > MANY_RUNS) {
    legend.replaceChildren(
      h("span", { class: "muted" }, `${outcome}: worse`),
      h("i", { class: "ramp", style: { background: `linear-gradient(90deg, ${ramp().join(", ")})` } }),
      h("span", { class: "muted" }, "better"),
    );
    return;
  }
  legend.replaceChildren(
    ...answer.runs.map((run) =>
      h(
        "a",
        {
          href: runAddress(run.id),
          "data-run": run.id,
          mouseenter: () => hover(run.id),
          mouseleave: () => hover(null),
          focus: () => hover(run.id),
          blur: () => hover(null),
        },
        swatch(run),
        run.label,
      ),
    ),
  );
}

function drawChoices() {
  $("#more").hidden = answer.metrics.length < 2;
  $("#choices").replaceChildren(
    ...answer.metrics.map((key) =>
      h(
        "button",
        {
          type: "button",
          "aria-pressed": String(chosen.has(key)),
          click: (event) => {
            if (chosen.has(key)) chosen.delete(key);
            else chosen.add(key);
            chosen.touched = true;
            event.target.setAttribute("aria-pressed", String(chosen.has(key)));
            loadCurves(null);
          },
        },
        key,
      ),
    ),
  );
}

/** What counts as the outcome: the sweep's metric, until the reader chooses another. */
function chooseOutcome() {
  outcome ??= answer.sweep.metric?.name ?? "";
  const numeric = numericKeys();
  if (!numeric.includes(outcome)) outcome = numeric.find((key) => PREFERRED.includes(key)) ?? numeric[0] ?? outcome;
}

const numericKeys = () =>
  [
    ...new Set(
      answer.runs.flatMap((run) =>
        Object.entries(run.summary)
          .filter(([key, value]) => typeof value === "number" && !key.startsWith("_"))
          .map(([key]) => key),
      ),
    ),
  ].sort();

function redraw() {
  style();
  drawHead();
  drawLegend();
  drawTrials();
  drawOutcome();
  drawCurves();
}

function drawOutcome() {
  const numeric = numericKeys();
  const select = h(
    "select",
    {
      "aria-label": "Metric",
      change: (event) => {
        outcome = event.target.value;
        redraw();
      },
    },
    numeric.map((key) => h("option", { value: key, selected: key === outcome }, key)),
  );
  if (document.activeElement?.parentElement?.id !== "outcome")
    $("#outcome").replaceChildren(...(numeric.length ? [select] : []));
  const columns = answer.knobs.map((knob) => ({
    name: knob,
    log: answer.scales[knob] === "log" ? true : undefined,
    value: (run) => run.config[knob],
  }));
  const shown = answer.runs.filter((run) => typeof run.summary[outcome] === "number");
  $("#parallel").classList.toggle("waiting", !shown.length || !columns.length);
  if (shown.length && columns.length)
    parallel.show(shown, [
      ...columns,
      { name: outcome, log: false, goal: goalOf(outcome), value: (run) => run.summary[outcome] },
    ]);
}

function drawTrials() {
  const { sweep, knobs, best } = answer;
  const goal = (key) =>
    goalOf(key) ?? (/exact_match|accuracy/.test(key) ? "maximize" : /loss/.test(key) ? "minimize" : undefined);
  const logged = new Set(answer.runs.flatMap((run) => Object.keys(run.summary)));
  const metrics = [
    ...new Set(["interpolate/exact_match", "extrapolate/exact_match", sweep.metric?.name, "validation/loss"]),
  ].filter((key) => logged.has(key));
  const shown = metrics.length ? metrics : answer.metrics.slice(0, 3);
  const many = knobs.length > 3;
  const rows = many ? answer.runs.map((run) => ({ ...run, label: run.name })) : answer.runs;
  trials.set(rows, [
    nameColumn(best),
    stateColumn,
    ...(many ? knobs.map(knobColumn) : []),
    ...shown.map((key) => metricColumn(key, goal(key))),
    runtimeColumn,
  ]);
}

chartControls($("#controls"), settings, drawCurves, () => {
  points.clear();
  loadCurves(null);
});
onHover((id) => {
  for (const item of $("#legend").querySelectorAll("a"))
    item.classList.toggle("dim", id !== null && item.dataset.run !== id);
});
onThemeChange(redraw);
await live(load);
