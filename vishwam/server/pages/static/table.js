// Tables that sort by a click on a column, and link their rows to the charts.

import { $, h, page, badge } from "./dom.js";
import { number, duration, text, ago, formatterOf } from "./format.js";
import { hover, onHover } from "./curves.js";
import { isShown, onSelect, select, selected } from "./selection.js";

export const runAddress = (id) => `${page.origin ?? ""}/${[page.entity, page.project, "runs", id].map(encodeURIComponent).join("/")}`;

const PAGE_ROWS = 50;

/**
 * columns: [{name, title, value: row => sortable, cell: row => node or text, numeric, best: "min" | "max"}].
 * `ticks`: rows can be chosen, for the whole page. Fifty rows are drawn, and more when asked for.
 */
export class SortedTable {
  constructor(host, { sort = null, down = false, empty = "Nothing yet", ticks = false, onSort = null } = {}) {
    Object.assign(this, { host, sort, down, empty, ticks, onSort, rows: [], columns: [], limit: PAGE_ROWS });
    this.group = null;
    this.folded = new Set();
    onSelect(() => this.draw());
    onHover((id) => {
      for (const row of host.querySelectorAll("tr.marked")) row.classList.remove("marked");
      if (id !== null) $(`tr[data-run="${CSS.escape(id)}"]`, host)?.classList.add("marked");
    });
  }

  /** group: {name, value: row => text} puts rows of one value under one heading. */
  set(rows, columns, group = null) {
    Object.assign(this, { rows, columns, group });
    this.draw();
  }

  draw() {
    if (!this.rows.length) {
      this.host.replaceChildren(h("p", { class: "empty" }, this.empty));
      return;
    }
    const rows = this.ordered();
    const shown = rows.slice(0, this.limit);
    const focused = [...this.host.querySelectorAll("button, input")].indexOf(document.activeElement);
    this.host.replaceChildren(
      h("table", {}, this.head(rows), h("tbody", {}, this.group ? this.groups(shown) : this.body(shown))),
      rows.length > shown.length ? this.more(rows.length - shown.length) : "",
    );
    this.host.querySelectorAll("button, input")[focused]?.focus();
  }

  /** Sorted; what is chosen stands above what is not, so that it can be found among hundreds. */
  ordered() {
    const column = this.columns.find((one) => one.name === this.sort);
    const rows = column
      ? [...this.rows].sort((a, b) => compare(column.value(a), column.value(b), this.down))
      : [...this.rows];
    return selected() ? rows.sort((a, b) => isShown(b.id) - isShown(a.id)) : rows;
  }

  head(rows) {
    const all = this.ticks && selected() !== null && rows.every((row) => selected().has(row.id));
    const columns = this.columns.map((one) => {
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
    const every = () => this.tick("Every run", all, (on) => select(on ? new Set(rows.map((row) => row.id)) : null));
    return h("thead", {}, h("tr", {}, this.ticks ? h("th", { class: "tick" }, every()) : null, columns));
  }

  tick(label, on, change) {
    const box = h("input", { type: "checkbox", "aria-label": label, change: () => change(box.checked) });
    box.checked = on;
    return box;
  }

  choose(row, on) {
    const ids = new Set(selected() ?? []);
    if (on) ids.add(row.id);
    else ids.delete(row.id);
    select(ids);
  }

  body(rows) {
    const best = new Map(
      this.columns
        .filter((one) => one.best)
        .map((one) => {
          const values = this.rows.map(one.value).filter((v) => typeof v === "number" && Number.isFinite(v));
          return [one.name, new Set(values).size > 1 ? Math[one.best](...values) : null];
        }),
    );
    return rows.map((row) =>
      h(
        "tr",
        {
          "data-run": row.id,
          class: isShown(row.id) ? (row.faulty ? "faulty" : null) : "dim",
          mouseenter: () => hover(row.id),
          mouseleave: () => hover(null),
        },
        this.ticks
          ? h(
              "td",
              { class: "tick" },
              this.tick(`Choose ${row.label}`, selected()?.has(row.id) ?? false, (on) => this.choose(row, on)),
            )
          : null,
        this.columns.map((one) => {
          const top = best.get(one.name);
          const is = top !== null && top !== undefined && one.value(row) === top ? "best" : "";
          const kind = `${one.numeric ? "n" : ""} ${is}`.trim();
          return h("td", { class: kind || null }, one.cell ? one.cell(row) : text(one.value(row)));
        }),
      ),
    );
  }

  /** A heading a group, with the mean of every numeric column. */
  groups(rows) {
    const found = Map.groupBy(rows, (row) => text(this.group.value(row)));
    return [...found].flatMap(([name, members]) => {
      const folded = this.folded.has(name);
      const fold = () => {
        if (folded) this.folded.delete(name);
        else this.folded.add(name);
        this.draw();
      };
      const title = `${this.group.name} ${name}`;
      const heading = h(
        "tr",
        { class: "grouped" },
        this.ticks ? h("td", { class: "tick" }) : null,
        this.columns.map((one, i) => {
          if (i === 0)
            return h(
              "td",
              {},
              h("button", { type: "button", "aria-expanded": String(!folded), click: fold }, folded ? "▸ " : "▾ ", title),
              h("span", { class: "count" }, String(members.length)),
            );
          const values = members.map(one.value).filter((v) => typeof v === "number" && Number.isFinite(v));
          const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
          return h(
            "td",
            { class: one.numeric ? "n" : null, title: "mean" },
            one.mean && values.length ? (one.format ?? number)(mean) : "",
          );
        }),
      );
      return folded ? [heading] : [heading, ...this.body(members)];
    });
  }

  more(left) {
    const show = (count) => () => {
      this.limit += count;
      this.draw();
    };
    return h(
      "p",
      { class: "more-rows" },
      h("button", { type: "button", click: show(PAGE_ROWS) }, `Show ${Math.min(PAGE_ROWS, left)} more`),
      left > PAGE_ROWS ? h("button", { type: "button", click: show(left) }, `Show all ${left + this.limit}`) : null,
    );
  }

  by(column) {
    this.down = this.sort === column.name ? !this.down : column.best === "max";
    this.sort = column.name;
    this.onSort?.(this.sort, this.down);
    this.draw();
  }
}

/** Numbers before texts, what is missing last, whichever way. */
export function compare(a, b, down) {
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

/** A name like `position=place steps=9` says what the label does. */
export const saysMore = (run) => run.label !== run.name && !run.name.split(" ").every((word) => word.includes("="));

/** Columns every table of runs starts and ends with. */
export const nameColumn = (best, title = "Trial") => ({
  name: title,
  value: (run) => run.label,
  cell: (run) =>
    h(
      "a",
      { class: "run", href: runAddress(run.id), title: run.name },
      swatch(run),
      h("span", {}, run.label, saysMore(run) ? h("small", {}, run.name) : null),
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
  mean: true,
  format: duration,
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
    mean: true,
    format,
    best: goal === "maximize" ? "max" : goal === "minimize" ? "min" : undefined,
  };
}
export const knobColumn = (key) => ({
  name: key,
  value: (run) => run.config[key],
  cell: (run) => text(run.config[key]),
  numeric: true,
});

/**
 * Two columns, name and value, of a configuration or summary; with a filter once it is long. other: {title, values} adds
 * a column where these differ.
 */
export function pairs(host, values, format = text, other = null) {
  const state = JSON.stringify([values, other]);
  if (state === host.state) return;
  host.state = state;
  const names = Object.keys(values).sort();
  // While a run goes on only its values change.
  if (!other && host.names === names.join("\n")) {
    names.forEach((name, i) => {
      const said = format(values[name], name);
      if (host.cells[i].textContent !== said) host.cells[i].textContent = said;
    });
    return;
  }
  host.names = null;
  if (!names.length) {
    host.replaceChildren(h("p", { class: "empty" }, "Empty"));
    return;
  }
  const differs = (name) => other && JSON.stringify(values[name]) !== JSON.stringify(other.values[name]);
  const some = names.some(differs);
  const rows = names.map((name) =>
    h(
      "tr",
      { class: differs(name) ? "differs" : null },
      h("th", { scope: "row" }, name),
      h("td", { class: "value" }, format(values[name], name)),
      some
        ? h("td", { class: "value" }, differs(name) ? `${other.title} ${format(other.values[name], name)}` : "")
        : null,
    ),
  );
  if (!other) {
    host.names = names.join("\n");
    host.cells = rows.map((row) => row.lastElementChild);
  }
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
