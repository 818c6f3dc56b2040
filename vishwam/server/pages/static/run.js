// The page of one run: its curves by section, settings, summary, console, media, artifacts, files, how to make it again.

import { $, h, page, badge } from "./dom.js";
import { act, json, live } from "./api.js";
import { followConsole, loadConsole } from "./console.js";
import { CustomChart } from "./custom.js";
import { copyable, showFiles } from "./files.js";
import { drawMedia, fileAddress, isTable, onItsWay } from "./media.js";
import { RunCharts } from "./run_charts.js";
import { mountMemory } from "./run_memory.js";
import { pairs, runAddress, saysMore } from "./table.js";
import { number, bytes, duration, ago, text, formatterOf } from "./format.js";
import { onThemeChange } from "./theme.js";
import "./times.js";

const HEADLINES = ["interpolate/exact_match", "extrapolate/exact_match", "validation/loss", "train/loss"];
const LONG = 200;
const shownMedia = new Map();
const charts = new RunCharts();
const memory = mountMemory();
let answer = null;

async function load() {
  answer = await json("run", { run: page.run });
  charts.set(answer.metrics, answer.system, answer.run.live);
  memory.set(answer.metrics, answer.run.summary);
  drawHead();
  drawConfig();
  pairs(
    $("#summary"),
    Object.fromEntries(Object.entries(answer.run.summary).filter(([key]) => !key.startsWith("_"))),
    (value, key) => (typeof value === "number" ? formatterOf(key)(value) : text(value)),
  );
  drawFiles();
  drawArtifacts();
  drawAgain();
  await Promise.all([loadConsole(answer.lines), loadMedia()]);
}

function drawHead() {
  const { run } = answer;
  $("#state").replaceChildren(badge(run.state, run.early));
  $("#acts").replaceChildren(...(run.live ? [stopButton()] : []));
  $("#facts").textContent = [
    saysMore(run) ? run.label : null,
    `${duration(run.runtime)}`,
    `started ${ago(run.created)}`,
    run.summary._step === undefined ? null : `${number(run.summary["train/step"] ?? run.summary._step)} steps`,
    answer.exit_code ? `exit code ${answer.exit_code}` : null,
    run.host,
    run.tags.length ? run.tags.join(", ") : null,
  ]
    .filter(Boolean)
    .join(" · ");
  $("#alerts").replaceChildren(
    ...answer.alerts.map((alert) =>
      h(
        "p",
        { class: `alert ${alert.severity.toLowerCase().replace(/[^a-z]/g, "")}` },
        h("b", {}, alert.title),
        " ",
        alert.text,
        " ",
        h("span", { class: "muted" }, ago(alert.created_at)),
      ),
    ),
  );
  const shown = HEADLINES.filter((key) => typeof run.summary[key] === "number");
  $("#figures").replaceChildren(
    ...shown.map((key) =>
      h(
        "div",
        { class: "figure" },
        h("span", { class: "what" }, key),
        h("span", { class: "number" }, number(run.summary[key])),
      ),
    ),
  );
}

let stopping = "Stop";

/** Asked twice, for it cannot be taken back. */
function stopButton() {
  const press = async () => {
    if (stopping === "Stop") stopping = "Stop for good?";
    else {
      stopping = "Stopping";
      await act("run", { run: page.run }).catch((error) => console.error(error));
    }
    drawHead();
    $("#acts button")?.focus();
  };
  return h("button", { type: "button", class: "button", disabled: stopping === "Stopping", click: press }, stopping);
}

/** Settings, beside those of the sweep's best run where they differ. Long texts stand below, at how to make it again. */
function drawConfig() {
  const short = Object.fromEntries(
    Object.entries(answer.run.config).filter(([, value]) => !(typeof value === "string" && value.length > LONG)),
  );
  const { best } = answer;
  pairs($("#config"), short, text, best && { title: "best", values: best.config });
  $("#best").replaceChildren(
    ...(best ? ["Marked where the sweep's best run, ", h("a", { href: runAddress(best.id) }, best.label), ", differs."] : []),
  );
}

async function loadMedia() {
  const media = Object.entries(answer.run.media).filter(([, value]) => value.path);
  $("#samples").hidden = !media.length;
  // What a script drew with wandb.plot stands where its table would.
  const drawn = new Set(Object.values(answer.custom).map((chart) => chart.table));
  await Promise.all([
    ...Object.entries(answer.custom).map(([key, chart]) => drawCustom(key, chart)),
    ...media.filter(([key]) => !drawn.has(key)).map(async ([key, value]) => {
      const known = shownMedia.get(key);
      if (known?.path === value.path || known?.fixed) return;
      const host = known?.host ?? h("figure", { class: isTable(value) ? "card media table" : "card media" });
      shownMedia.set(key, { host, path: null });
      if (!known) $("#media").append(host);
      await drawOne(host, key, value);
    }),
  ]);
}

function drawCustom(key, chart) {
  if (!shownMedia.has(key)) {
    const body = h("div");
    $("#media").append(h("figure", { class: "card media custom" }, h("figcaption", {}, chart.strings.title || key), body));
    shownMedia.set(key, new CustomChart(body, chart, 300));
  }
  return shownMedia.get(key).draw({ runs: [answer.run], order: [answer.run.id] });
}

async function drawOne(host, key, value) {
  const steps = await json("media", { run: page.run, key });
  const shown = await drawMedia(page.run, key, value);
  const body = h("div", {}, shown ?? onItsWay());
  host.replaceChildren(h("figcaption", {}, key, value.caption ? ` · ${value.caption}` : ""), slider(key, steps, body), body);
  shownMedia.set(key, { host, path: shown && value.path });
}

/** Goes back to what was logged at earlier steps. */
function slider(key, steps, body) {
  if (steps.length < 2) return "";
  const said = h("output", {}, `step ${number(steps.at(-1).step)}`);
  const input = h("input", {
    type: "range",
    min: 0,
    max: steps.length - 1,
    value: steps.length - 1,
    "aria-label": `Step of ${key}`,
    input: async () => {
      const { step, value } = steps[Number(input.value)];
      said.textContent = `step ${number(step)}`;
      // Who looks back stays there while newer ones arrive.
      shownMedia.get(key).fixed = Number(input.value) < steps.length - 1;
      const shown = await drawMedia(page.run, key, value);
      if (steps[Number(input.value)].value === value) body.replaceChildren(shown ?? onItsWay());
    },
  });
  return h("label", { class: "tools" }, input, said);
}

function drawFiles() {
  showFiles($("#files"), answer.files, (name) => fileAddress(page.run, name));
}

function drawArtifacts() {
  const path = (one) =>
    `/${[page.entity, page.project, "artifacts", one.type, one.name, `v${one.version_index}`].map(encodeURIComponent).join("/")}`;
  const rows = (artifacts, how) =>
    artifacts.map((one) =>
      h(
        "tr",
        {},
        h(
          "td",
          {},
          one.version_index === null ? one.name : h("a", { href: path(one) }, `${one.name}:v${one.version_index}`),
          ...one.aliases.map((alias) => h("span", { class: "alias" }, alias)),
        ),
        h("td", {}, one.type),
        h("td", { class: "muted" }, one.version_index === null ? "on its way" : how),
        h("td", { class: "n" }, bytes(one.size)),
      ),
    );
  const { logged, used } = answer.artifacts;
  $("#artifacts").replaceChildren(
    logged.length + used.length
      ? h("table", {}, h("tbody", {}, ...rows(used, "in"), ...rows(logged, "out")))
      : h("p", { class: "empty" }, "None"),
  );
}

/** The command, the commit it was made at, and the Gin text that says all. */
function drawAgain() {
  const { again, run } = answer;
  const long = Object.entries(run.config).filter(([, value]) => typeof value === "string" && value.length > LONG);
  const state = JSON.stringify([again, long]);
  if (state === $("#again").state) return;
  $("#again").state = state;
  $("#again").replaceChildren(
    again.command ? copyable(again.command) : h("p", { class: "empty" }, "The client did not say how it was started."),
    ...long.map(([name, value]) => h("details", {}, h("summary", {}, name), copyable(value))),
  );
}

followConsole();
onThemeChange(() => charts.draw());
await live((changed) => (changed === null || changed.has(page.run) ? load() : null));
