// The page of one run: its curves by section, settings, summary, console, tables, artifacts and files.

import { $, h, page, badge, chartControls } from "./dom.js";
import { json, curves, live } from "./api.js";
import { CurveChart } from "./curves.js";
import { drawMedia, fileAddress, onItsWay } from "./media.js";
import { pairs } from "./table.js";
import { number, bytes, duration, ago, text, formatterOf, tickFormatterOf } from "./format.js";
import { styleOf, onThemeChange } from "./theme.js";
import "./times.js";

const HEADLINES = ["interpolate/exact_match", "extrapolate/exact_match", "validation/loss", "train/loss"];
// Prefixes that belong together under one heading.
const TOGETHER = {
  validation: "evaluation",
  interpolate: "evaluation",
  extrapolate: "evaluation",
  exact_match: "evaluation",
};
const ORDER = ["evaluation", "train", "benchmark", "bias", "repetition", "memory"];
const settings = { x: "step", log: false, smoothing: 0 };
const charts = new Map();
const sections = new Map();
const tables = new Map();
let answer = null;
let history = [];
let system = [];

/** Metrics by section, and within it by chart: `a/b/c` and `a/b/d` share the chart `a/b`. */
function layout() {
  const groups = new Map();
  const add = (section, chart, key, kind) => {
    if (!groups.has(section)) groups.set(section, new Map());
    const inside = groups.get(section);
    if (!inside.has(chart)) inside.set(chart, { keys: [], kind });
    inside.get(chart).keys.push(key);
  };
  const place = (name) => (name === "system" ? 99 : ORDER.includes(name) ? ORDER.indexOf(name) : 50);
  const rank = (key) => Object.keys(TOGETHER).indexOf(key.split("/")[0]);
  for (const key of [...answer.metrics].sort(
    (a, b) => rank(a) - rank(b) || a.localeCompare(b, "en", { numeric: true }),
  )) {
    const parts = key.split("/");
    add(
      parts.length > 1 ? (TOGETHER[parts[0]] ?? parts[0]) : "metrics",
      parts.length > 2 ? parts.slice(0, -1).join("/") : key,
      key,
      "history",
    );
  }
  for (const key of answer.system) add("system", key, key, "events");
  return [...groups].sort(([a], [b]) => place(a) - place(b) || a.localeCompare(b));
}

async function load() {
  answer = await json("run", { run: page.run });
  drawHead();
  pairs($("#config"), answer.run.config);
  pairs(
    $("#summary"),
    Object.fromEntries(Object.entries(answer.run.summary).filter(([key]) => !key.startsWith("_"))),
    (value, key) => (typeof value === "number" ? formatterOf(key)(value) : text(value)),
  );
  drawFiles();
  await Promise.all([loadCurves(), loadConsole(), loadTables()]);
}

async function loadCurves() {
  const open = sections.get("system")?.open ?? false;
  [history, system] = await Promise.all([
    curves([page.run], answer.metrics, settings.x),
    open ? curves([page.run], answer.system, "time", "events") : [],
  ]);
  drawCurves();
}

function drawCurves() {
  const found = new Map([...history, ...system].map((curve) => [curve.key, curve]));
  const groups = layout();
  if (!groups.length) {
    $("#groups").replaceChildren(
      h("p", { class: "empty" }, "Nothing logged yet. Curves appear with the first points."),
    );
    return;
  }
  $("#groups > .empty")?.remove();
  groups.forEach(([section, inside], place) => {
    if (!sections.has(section)) {
      const details = h(
        "details",
        {
          class: "group",
          open: section !== "system",
          toggle: () => {
            if (section === "system" && details.open && !system.length) loadCurves();
          },
        },
        h("summary", {}, `${section} `, h("span", { class: "count" })),
        h("div", { class: "charts" }),
      );
      sections.set(section, details);
    }
    const details = sections.get(section);
    if ($("#groups").children[place] !== details)
      $("#groups").insertBefore(details, $("#groups").children[place] ?? null);
    $(".count", details).textContent = inside.size;
    for (const [chart, { keys, kind }] of inside) drawChart(details, chart, keys, kind, found);
  });
}

function drawChart(details, name, keys, kind, found) {
  const id = `${kind} ${name}`;
  if (!charts.has(id))
    charts.set(
      id,
      new CurveChart($(".charts", details), {
        title: name,
        format: formatterOf(keys[0]),
        tickFormat: tickFormatterOf(keys[0]),
      }),
    );
  const series = keys
    .filter((key) => found.has(key))
    .map((key, i) => {
      const { x, y } = found.get(key);
      return { id: key, label: key.startsWith(`${name}/`) ? key.slice(name.length + 1) : key, ...styleOf(i), x, y };
    });
  const x = kind === "events" ? "time" : settings.x;
  charts.get(id).set(series, {
    x,
    log: settings.log && kind === "history",
    smoothing: kind === "history" ? settings.smoothing : 0,
    key: keys.length > 1,
  });
}

function drawHead() {
  const { run } = answer;
  $("#state").replaceChildren(badge(run.state, run.early));
  $("#facts").textContent = [
    run.label === run.name ? null : run.label,
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

let nextLine = 0;

async function loadConsole() {
  if (answer.lines === nextLine && nextLine) return;
  const box = $("#console");
  const found = await json("console", { run: page.run, after: Math.max(0, nextLine - 1) });
  // The last line is asked for again: a progress bar rewrites it.
  if (nextLine) box.lastElementChild?.remove();
  if (!nextLine && found.first > 0)
    box.append(h("span", { class: "note" }, `${number(found.first)} earlier lines are in the file output.log\n`));
  for (const line of found.lines) box.append(h("span", { class: line.error ? "error" : null }, `${line.text}\n`));
  while (box.childElementCount > 5000) box.firstElementChild.remove();
  nextLine = found.next;
  if (!nextLine) box.replaceChildren();
  if ($("#follow").checked) box.scrollTop = box.scrollHeight;
}

async function loadTables() {
  const media = Object.entries(answer.run.media).filter(([, value]) => value.path);
  $("#samples").hidden = !media.length;
  for (const [key, value] of media) {
    const known = tables.get(key);
    if (known?.path === value.path) continue;
    const host = known?.host ?? h("figure", { class: "card media" });
    if (!known) $("#media").append(host);
    const shown = await drawMedia(page.run, key, value);
    host.replaceChildren(h("figcaption", {}, key), shown ?? onItsWay());
    tables.set(key, { host, path: shown && value.path });
  }
}

function drawFiles() {
  $("#files").replaceChildren(
    answer.files.length
      ? h(
          "table",
          {},
          h(
            "tbody",
            {},
            answer.files.map((file) =>
              h(
                "tr",
                {},
                h("td", {}, h("a", { href: fileAddress(page.run, file.name) }, file.name)),
                h("td", { class: "n" }, bytes(file.size)),
              ),
            ),
          ),
        )
      : h("p", { class: "empty" }, "None"),
  );
  const rows = (artifacts, how) =>
    artifacts.map((one) =>
      h(
        "tr",
        {},
        h(
          "td",
          {},
          `${one.name}:v${one.version_index ?? "?"}`,
          ...one.aliases.map((alias) => h("span", { class: "alias" }, alias)),
        ),
        h("td", {}, one.type),
        h("td", { class: "muted" }, how),
        h("td", { class: "n" }, bytes(one.size)),
      ),
    );
  const { logged, used } = answer.artifacts;
  $("#artifacts").replaceChildren(
    logged.length + used.length
      ? h("table", {}, h("tbody", {}, ...rows(logged, "logged"), ...rows(used, "used")))
      : h("p", { class: "empty" }, "None"),
  );
}

chartControls($("#controls"), settings, drawCurves, loadCurves);
onThemeChange(drawCurves);
$("#console").addEventListener("scroll", (event) => {
  const box = event.target;
  $("#follow").checked = box.scrollTop + box.clientHeight > box.scrollHeight - 30;
});
await live((changed) => (changed === null || changed.has(page.run) ? load() : null));
