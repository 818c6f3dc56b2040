// Tables that sort by a click on a column, and link their rows to the charts.

import { $, h, page, badge } from "./dom.js";
import { number, duration, text, ago, formatterOf } from "./format.js";
import { hover, onHover } from "./curves.js";

export const runAddress = (id) => `/${[page.entity, page.project, "runs", id].map(encodeURIComponent).join("/")}`;

/** columns: [{name, title, value: row => sortable, cell: row => node or text, numeric, best: "min" | "max"}]. */
export class SortedTable {
  constructor(host, { sort = null, down = false, empty = "Nothing yet" } = {}) {
    Object.assign(this, { host, sort, down, empty, rows: [], columns: [] });
    this.selected = null;
    onHover((id) => {
      for (const row of host.querySelectorAll("tr.marked")) row.classList.remove("marked");
      if (id !== null) $(`tr[data-run="${CSS.escape(id)}"]`, host)?.classList.add("marked");
    });
  }

  set(rows, columns) {
    this.rows = rows;
    this.columns = columns;
    this.draw();
  }

  /** Rows outside the set of ids are dimmed; null marks none. */
  select(ids) {
    this.selected = ids;
    this.draw();
  }

  draw() {
    if (!this.rows.length) {
      this.host.replaceChildren(h("p", { class: "empty" }, this.empty));
      return;
    }
    const column = this.columns.find((one) => one.name === this.sort);
    const rows = column
      ? [...this.rows].sort((a, b) => compare(column.value(a), column.value(b), this.down))
      : this.rows;
    const best = new Map(
      this.columns
        .filter((one) => one.best)
        .map((one) => {
          const values = this.rows
            .map(one.value)
            .filter((value) => typeof value === "number" && Number.isFinite(value));
          return [one.name, new Set(values).size > 1 ? Math[one.best](...values) : null];
        }),
    );
    const head = this.columns.map((one) => {
      const sorted = one.name === this.sort;
      return h(
        "th",
        {
          class: one.numeric ? "n" : null,
          scope: "col",
          "aria-sort": sorted ? (this.down ? "descending" : "ascending") : null,
        },
        h(
          "button",
          { type: "button", title: one.title ?? one.name, click: () => this.by(one) },
          one.name,
          sorted ? (this.down ? " ↓" : " ↑") : "",
        ),
      );
    });
    const body = rows.map((row) =>
      h(
        "tr",
        {
          "data-run": row.id,
          class: this.selected && !this.selected.has(row.id) ? "dim" : null,
          mouseenter: () => hover(row.id),
          mouseleave: () => hover(null),
        },
        this.columns.map((one) => {
          const top = best.get(one.name);
          return h(
            "td",
            {
              class:
                [one.numeric ? "n" : "", top !== null && top !== undefined && one.value(row) === top ? "best" : ""]
                  .join(" ")
                  .trim() || null,
            },
            one.cell ? one.cell(row) : text(one.value(row)),
          );
        }),
      ),
    );
    const focused = [...this.host.querySelectorAll("th button")].indexOf(document.activeElement);
    this.host.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
    this.host.querySelectorAll("th button")[focused]?.focus();
  }

  by(column) {
    this.down = this.sort === column.name ? !this.down : column.best === "max";
    this.sort = column.name;
    this.draw();
  }
}

/** Numbers before texts, what is missing last, whichever way. */
function compare(a, b, down) {
  const missing = (value) => value === null || value === undefined || value === "" || value === "NaN";
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  const order =
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), "en", { numeric: true });
  return down ? -order : order;
}

export const swatch = (run) =>
  h("i", { class: run.dash ? "swatch dashed" : "swatch", style: { background: run.color, color: run.color } });

/** Columns every table of runs starts and ends with. */
export const nameColumn = (best, title = "Trial") => ({
  name: title,
  value: (run) => run.label,
  cell: (run) =>
    h(
      "a",
      { class: "run", href: runAddress(run.id), title: run.name },
      swatch(run),
      h("span", {}, run.label, run.label === run.name ? null : h("small", {}, run.name)),
      run.id === best ? h("span", { class: "star", title: "Best so far" }, "best") : null,
    ),
});
export const stateColumn = {
  name: "State",
  value: (run) => (run.early ? "stopped early" : run.state),
  cell: (run) => badge(run.state, run.early),
};
export const runtimeColumn = {
  name: "Runtime",
  numeric: true,
  value: (run) => run.runtime,
  cell: (run) => duration(run.runtime),
};
export const createdColumn = {
  name: "Created",
  numeric: true,
  value: (run) => run.created,
  cell: (run) => ago(run.created),
};

export function metricColumn(key, goal) {
  const format = formatterOf(key);
  return {
    name: key,
    numeric: true,
    value: (run) => run.summary[key],
    cell: (run) => format(run.summary[key]),
    best: goal === "maximize" ? "max" : goal === "minimize" ? "min" : undefined,
  };
}
export const knobColumn = (key) => ({
  name: key,
  value: (run) => run.config[key],
  cell: (run) => text(run.config[key]),
  numeric: true,
});

/** Two columns, name and value, of a configuration or summary; with a filter once it is long. */
export function pairs(host, values, format = text) {
  const names = Object.keys(values).sort();
  if (!names.length) {
    host.replaceChildren(h("p", { class: "empty" }, "Empty"));
    return;
  }
  const rows = names.map((name) =>
    h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "value" }, format(values[name], name))),
  );
  const known = $("input", host)?.value ?? "";
  const filter = () =>
    names.forEach((name, i) => {
      rows[i].hidden = !name.toLowerCase().includes(input.value.toLowerCase());
    });
  const input = h("input", {
    type: "search",
    placeholder: "Filter",
    "aria-label": "Filter",
    value: known,
    input: filter,
  });
  const focused = document.activeElement === $("input", host);
  host.replaceChildren(...(names.length > 12 ? [input] : []), h("table", { class: "pairs" }, h("tbody", {}, rows)));
  if (names.length > 12) {
    filter();
    if (focused) input.focus();
  }
}

/** A logged table: {columns, rows, total}. Texts stay texts, whatever is in them. */
export function sampleTable(table) {
  const cell = (value) =>
    value !== null && typeof value === "object" ? (value._type ? `[${value._type}]` : JSON.stringify(value)) : value;
  const rows = table.rows.map((row) =>
    h(
      "tr",
      {},
      row.map((value) =>
        h(
          "td",
          {
            class: typeof value === "number" ? "n" : typeof value === "boolean" ? (value ? "yes" : "no") : null,
          },
          typeof value === "number"
            ? number(value)
            : typeof value === "boolean"
              ? value
                ? "✓"
                : "✗"
              : text(cell(value)),
        ),
      ),
    ),
  );
  return h(
    "div",
    {},
    h(
      "div",
      { class: "wide tall" },
      h(
        "table",
        { class: "samples" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            table.columns.map((name) => h("th", { scope: "col" }, String(name))),
          ),
        ),
        h("tbody", {}, rows),
      ),
    ),
    table.total > table.rows.length
      ? h("p", { class: "note" }, `The first ${number(table.rows.length)} of ${number(table.total)} rows.`)
      : null,
  );
}
