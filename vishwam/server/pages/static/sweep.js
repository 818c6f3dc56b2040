// The page of a sweep: how far it is, live curves of its trials, knobs against outcome, the trials and the agents.

import { $, h, page, badge } from "./dom.js";
import { act, firstCurves, json, live } from "./api.js";
import { Analysis } from "./analysis.js";
import { CurvePanel } from "./curve_panel.js";
import { hover } from "./curves.js";
import { ago, bytes, duration, formatterOf } from "./format.js";
import { RunsTable } from "./runs_table.js";
import { runAddress, swatch } from "./table.js";
import { MANY_RUNS, lessIsBetter, onThemeChange, ramp, shades, styleOf } from "./theme.js";
import "./times.js";

const SCORES = ["interpolate/exact_match", "extrapolate/exact_match"];
const name = `sweep ${page.sweep}`;
let answer = null;

const curves = new CurvePanel({ name, early: firstCurves({ sweep: page.sweep }) });
const analysis = new Analysis($("#analysis"), $("#outcome"), { name, onScores: rescored });
const trials = new RunsTable($("#trials"), $("#trial-tools"), {
  name,
  title: "Trial",
  empty: "No trial yet. Start an agent and trials appear here.",
  onGroup: (group) => curves.setGroup(group),
});

const goalOf = (key) =>
  key === answer.sweep.metric?.name
    ? (answer.sweep.metric.goal ?? "minimize")
    : /exact_match|accuracy/.test(key)
      ? "maximize"
      : /loss/.test(key)
        ? "minimize"
        : undefined;

/** Few trials each have a colour; many are shaded by how well they do. */
function style() {
  const { runs } = answer;
  const shade = runs.length > MANY_RUNS ? shades(runs.map(analysis.score), analysis.less) : null;
  runs.forEach((run, i) => Object.assign(run, shade ? { color: shade[i], dash: undefined } : styleOf(i)));
}

/** The reader counts runs by something else: what is shaded by it is drawn anew. */
function rescored(drawn) {
  style();
  if (!drawn) return;
  drawTrials();
  curves.set(layered(), answer.metrics, [answer.sweep.metric?.name], legend);
  curves.draw();
}

/** The runs in the order they are drawn: of many, the best on top. */
function layered() {
  if (answer.runs.length <= MANY_RUNS) return answer.runs;
  const sign = analysis.less ? -1 : 1;
  const value = (run) => (analysis.scores.has(run.id) ? sign * analysis.score(run) : -Infinity);
  return [...answer.runs].sort((a, b) => value(a) - value(b));
}

async function load(changed = null) {
  answer = await json("runs", { sweep: page.sweep });
  const { runs, knobs, sweep, scales } = answer;
  style();
  const metric = sweep.metric?.name;
  await analysis.set({ runs, knobs, metrics: numericKeys(runs), metric, goal: sweep.metric?.goal, scales });
  curves.set(layered(), answer.metrics, [metric], legend);
  // The curves come while the rest is drawn.
  const coming = curves.load(changed);
  drawHead();
  drawAgents();
  drawTrials();
  analysis.draw();
  await coming;
  analysis.weigh();
}

const numericKeys = (runs) =>
  [
    ...new Set(
      runs.flatMap((run) =>
        Object.keys(run.summary).filter((key) => typeof run.summary[key] === "number" && !key.startsWith("_")),
      ),
    ),
  ].sort();

function drawHead() {
  const { sweep, runs, best } = answer;
  $("#state").replaceChildren(badge(sweep.state));
  drawButtons();
  const counts = Object.entries(sweep.counts)
    .map(([state, count]) => `${count} ${state}`)
    .join(", ");
  const total = sweep.expected ? `${sweep.trials} of ${sweep.expected} trials` : `${sweep.trials} trials`;
  const spent = runs.reduce((sum, run) => sum + run.runtime, 0);
  $("#facts").textContent = [
    `${sweep.method} search`,
    `${total}${counts ? ` (${counts})` : ""}`,
    `${duration(spent)} of trials`,
    `${bytes(sweep.storage)} stored`,
    `started ${ago(sweep.created)}`,
  ].join(" · ");
  $("#progress").hidden = !sweep.expected;
  if (sweep.expected) Object.assign($("#progress"), { max: sweep.expected, value: ended(sweep.counts) });
  const top = runs.find((run) => run.id === best);
  if (!top) {
    $("#figures").replaceChildren();
    return;
  }
  const shown = [sweep.metric.name, ...SCORES].filter(
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

const ended = (counts) =>
  Object.entries(counts).reduce((sum, [s, n]) => sum + (/running|pending|preempt/.test(s) ? 0 : n), 0);

/** What may be asked of a sweep in its state; stopping and cancelling cannot be taken back, and are asked twice. */
const ACTS = {
  pending: ["pause", "stop", "cancel"],
  running: ["pause", "stop", "cancel"],
  paused: ["resume", "stop", "cancel"],
};
const SAID = {
  pause: ["Pause", "Agents get no new trial until it is resumed; what runs goes on"],
  resume: ["Resume", "Agents get trials again"],
  stop: ["Stop", "No new trial; what runs goes on to its end"],
  cancel: ["Cancel", "No new trial, and what runs is ended"],
};

function drawButtons() {
  const { state } = answer.sweep;
  const host = $("#acts");
  if (host.dataset.state === state) return;
  host.dataset.state = state;
  host.replaceChildren(
    ...(ACTS[state] ?? []).map((one) => {
      const [label, title] = SAID[one];
      const button = h("button", { type: "button", class: "button", title, click: () => ask(one, button, label) }, label);
      button.addEventListener("blur", () => {
        button.textContent = label;
      });
      return button;
    }),
  );
}

async function ask(what, button, label) {
  if (/stop|cancel/.test(what) && button.textContent === label) {
    button.textContent = `${label} for good?`;
    return;
  }
  $("#refused").textContent = "";
  try {
    await act("sweep", { sweep: page.sweep, act: what });
  } catch (error) {
    $("#refused").textContent = error.message;
  }
}

function drawAgents() {
  const { agents } = answer.sweep;
  const labels = new Map(answer.runs.map((run) => [run.id, run.label]));
  $("#agents").replaceChildren(
    agents.length
      ? h(
          "table",
          {},
          h("thead", {}, h("tr", {}, ["Agent", "", "Trials", "Now", "Heard"].map((head) => h("th", { scope: "col" }, head)))),
          h(
            "tbody",
            {},
            agents.map((agent) =>
              h(
                "tr",
                {},
                h("td", {}, agent.host || agent.name),
                h("td", {}, badge(agent.alive ? "listening" : "gone"), agent.stop_reason ? ` ${agent.stop_reason}` : ""),
                h("td", {}, `${agent.trials}${agent.failed ? `, ${agent.failed} failed` : ""}`),
                h("td", {}, agent.run ? h("a", { href: runAddress(agent.run) }, labels.get(agent.run) ?? agent.run) : "–"),
                h("td", { class: "muted" }, ago(agent.heard)),
              ),
            ),
          ),
        )
      : h(
          "p",
          { class: "empty" },
          "No agent has asked for trials. ",
          h("code", {}, `wandb agent ${page.entity}/${page.project}/${page.sweep}`),
          " starts one.",
        ),
  );
}

function legend(runs) {
  if (curves.group) return null;
  if (answer.runs.length <= MANY_RUNS) return null;
  return [
    h("span", { class: "muted" }, `${runs.length} trials · ${analysis.metric}: worse`),
    h("i", { class: "ramp", style: { background: `linear-gradient(90deg, ${ramp().join(", ")})` } }),
    h("span", { class: "muted" }, "better"),
  ];
}

function drawTrials() {
  const { runs, knobs, metrics, best, sweep } = answer;
  const logged = new Set(runs.flatMap((run) => Object.keys(run.summary)));
  const wanted = [...new Set([...SCORES, sweep.metric?.name, "validation/loss"])].filter((key) => logged.has(key));
  const own = (wanted.length ? wanted : metrics.slice(0, 3)).map((key) => ({ key, goal: goalOf(key) }));
  trials.set({ runs, knobs, metrics, best, own });
}

onThemeChange(() => {
  style();
  drawTrials();
  analysis.drawn = null;
  analysis.draw();
  curves.draw();
});
await live(load);
