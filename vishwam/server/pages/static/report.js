// The page of a report: its panel grids, filled from the runs they choose and kept live.

import { $, h, page } from "./dom.js";
import { curves, json, live } from "./api.js";
import { hover, onHover } from "./curves.js";
import { nameOf, valueOf } from "./accessors.js";
import { Media } from "./media.js";
import { makePanel } from "./panels.js";
import { ShownArtifact } from "./shown_artifact.js";
import { SortedTable, nameColumn, runAddress, runtimeColumn, stateColumn, swatch } from "./table.js";
import { formatterOf, text } from "./format.js";
import { styleOf, onThemeChange } from "./theme.js";
import "./times.js";

const LEGEND_RUNS = 16;

class Grid {
  constructor(host, number) {
    const { panels } = page.grids[number];
    this.number = number;
    this.legend = h("div", { class: "legend" });
    this.body = h("div", { class: "panels" });
    this.note = h("p", { class: "note", hidden: true });
    host.append(this.legend, this.body, this.note);
    const table = page.grids[number].hidden ? null : h("div", { class: "wide runs" });
    if (table) host.append(table);
    this.table = table && new SortedTable(table, { empty: "No run is in this set yet" });
    this.panels = panels.map((panel, place) => makePanel(this.body, panel, { grid: number, place }));
    this.points = new Map();
    onHover((id) => {
      for (const item of this.legend.children) item.classList.toggle("dim", id !== null && item.dataset.run !== id);
    });
  }

  async load(changed = null) {
    const before = new Set(this.answer?.runs.map((run) => run.id));
    this.answer = await json("grid", { view: page.view, grid: this.number });
    const { runs, metrics, elsewhere } = this.answer;
    this.style();
    this.note.hidden = !elsewhere.length;
    this.note.textContent = `Runs of another project are not drawn here: ${elsewhere.join(", ")}.`;
    const wanted = new Map();
    for (const panel of this.panels) {
      const { x, keys } = panel.wants?.(metrics) ?? {};
      if (x) wanted.set(x, new Set([...(wanted.get(x) ?? []), ...keys]));
    }
    const ids = runs.map((run) => run.id).filter((id) => !changed || changed.has(id) || !before.has(id));
    await Promise.all(
      [...wanted].map(async ([x, keys]) => {
        const found = await curves(ids, [...keys], x);
        if (!this.points.has(x)) this.points.set(x, new Map());
        for (const curve of found) this.points.get(x).set(`${curve.run}\n${curve.key}`, curve);
      }),
    );
    await this.draw();
  }

  style() {
    const own = page.grids[this.number].colors;
    this.answer.runs.forEach((run, i) => {
      Object.assign(run, styleOf(i));
      if (typeof own[run.id] === "string") run.color = own[run.id];
    });
  }

  draw() {
    const { runs } = this.answer;
    this.legend.hidden = runs.length > LEGEND_RUNS || !this.panels.some((panel) => panel.inColours);
    this.legend.replaceChildren(
      ...runs.map((run) =>
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
    this.drawTable();
    const drawing = async (panel) => panel.draw({ ...this.answer, points: this.points });
    return Promise.all(this.panels.map((panel) => drawing(panel).catch((error) => console.error(error))));
  }

  /** The table of a run set that shows one: its runs in its order, with the columns it names. */
  drawTable() {
    if (!this.table) return;
    const { runs, order } = this.answer;
    const byId = new Map(runs.map((run) => [run.id, run]));
    const columns = page.grids[this.number].columns.filter(
      (one) => !/^run:(name|displayName|state|duration)$|^tags:/.test(one),
    );
    this.table.set(
      order.map((id) => byId.get(id)),
      [
        nameColumn(null, "Run"),
        stateColumn,
        ...columns.map((accessor) => {
          const name = nameOf(accessor);
          const format = accessor.startsWith("summary:") ? formatterOf(name) : text;
          return {
            name,
            numeric: !accessor.startsWith("run:"),
            value: (run) => valueOf(run, accessor),
            cell: (run) => {
              const value = valueOf(run, accessor);
              return typeof value === "number" ? format(value) : text(value);
            },
          };
        }),
        runtimeColumn,
      ],
    );
  }
}

/** A table block stands alone in the text: of the newest run of the project that logged it. */
async function drawTable(host) {
  host.media ??= new Media(host, [host.dataset.table]);
  const { runs } = await json("runs");
  await host.media.draw({ runs, order: runs.map((run) => run.id).reverse() });
}

/** An artifact block, likewise. */
function drawArtifact(host) {
  host.shown ??= new ShownArtifact(host, JSON.parse(host.dataset.artifact));
  return host.shown.draw();
}

const grids = [...document.querySelectorAll("[data-grid]")].map((host) => new Grid(host, Number(host.dataset.grid)));
const tables = [...document.querySelectorAll("[data-table]")];
const artifacts = [...document.querySelectorAll("[data-artifact]")];

const load = (changed = null) =>
  Promise.all([...grids.map((grid) => grid.load(changed)), ...tables.map(drawTable), ...artifacts.map(drawArtifact)]);
onThemeChange(() =>
  grids.forEach((grid) => {
    grid.style();
    grid.draw();
  }),
);
await live(load, 700);
$("main").dataset.drawn = "yes";
