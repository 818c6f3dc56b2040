// The table of runs with its switches: search and filter, columns, groups, and what to do with the chosen ones.

import { h, page } from "./dom.js";
import { fieldOf, parseFilter, term } from "./filters.js";
import { recall, remember } from "./memory.js";
import { onSelect, select, selected } from "./selection.js";
import {
  SortedTable,
  createdColumn,
  knobColumn,
  metricColumn,
  nameColumn,
  runtimeColumn,
  stateColumn,
} from "./table.js";

const MOST_COMPARED = 8;
const FACTS = ["group", "job_type", "host", "user", "tags"];

export class RunsTable {
  /**
   * Builds itself inside `host` under `tools`. `onFilter(runs)`: the ones that are left; `onGroup(group)`: {name, value:
   * run => text} or null, before they are drawn.
   */
  constructor(host, tools, { name, title = "Run", empty, sort = null, down = false, onFilter = () => {}, onGroup = () => {} }) {
    Object.assign(this, { tools, name, title, onFilter, onGroup, runs: [], own: [] });
    const kept = recall(`table of ${name}`, {});
    Object.assign(this, { filter: "", shown: null, group: "", sort, down, ...kept });
    this.table = new SortedTable(host, {
      sort: this.sort,
      down: this.down,
      empty,
      ticks: true,
      onSort: (by, downwards) => this.keep({ sort: by, down: downwards }),
    });
    this.input = h("input", {
      type: "search",
      id: "filter",
      placeholder: "Search, or position=place loss<0.1",
      "aria-label": "Search and filter",
      value: this.filter,
      input: () => this.keep({ filter: this.input.value }),
    });
    this.parts = Object.fromEntries(["terms", "columns", "groups", "chosen"].map((part) => [part, h("span")]));
    tools.replaceChildren(this.input, this.parts.terms, this.parts.groups, this.parts.columns, this.parts.chosen);
    onSelect(() => this.drawChosen());
    // A click elsewhere closes what is open.
    document.addEventListener("pointerdown", (event) => {
      for (const open of tools.querySelectorAll("details[open]")) if (!open.contains(event.target)) open.open = false;
    });
  }

  keep(values) {
    Object.assign(this, values);
    const { filter, shown, group, sort, down } = this;
    remember(`table of ${this.name}`, { filter, shown, group, sort, down });
    if (!("sort" in values)) this.draw();
  }

  /** own: the metrics worth a column from the start, [{key, goal}]; fixed: columns of the page's own. */
  set({ runs, knobs, metrics, own = [], best = null, fixed = [] }) {
    Object.assign(this, { runs, knobs, metrics, own, best, fixed });
    for (const run of runs) run.faulty = ["failed", "crashed"].includes(run.state);
    this.draw();
  }

  /** Names of columns: facts, knobs and metrics, in this order. */
  all() {
    const configs = [...new Set(this.runs.flatMap((run) => Object.keys(run.config)))];
    const facts = FACTS.filter((name) => this.runs.some((run) => (Array.isArray(run[name]) ? run[name].length : run[name])));
    const logged = new Set(this.runs.flatMap((run) => Object.keys(run.summary)));
    return {
      facts,
      knobs: [...this.knobs, ...configs.filter((key) => !this.knobs.includes(key)).sort()],
      metrics: [...logged].filter((key) => !key.startsWith("_")).sort(),
    };
  }

  columns() {
    const { facts, knobs, metrics } = this.all();
    const start = [...(this.knobs.length > 3 ? this.knobs : []), ...this.own.map((one) => one.key)];
    const shown = new Set(this.shown ?? start);
    const goals = new Map(this.own.map((one) => [one.key, one.goal]));
    return [
      nameColumn(this.best, this.title),
      stateColumn,
      ...this.fixed,
      ...facts.filter((name) => shown.has(name)).map((name) => ({ name, value: (run) => fact(run[name]) })),
      ...knobs.filter((key) => shown.has(key)).map(knobColumn),
      ...[...goals.keys(), ...metrics.filter((key) => !goals.has(key))]
        .filter((key) => shown.has(key) && metrics.includes(key))
        .map((key) => metricColumn(key, goals.get(key))),
      runtimeColumn,
      createdColumn,
    ];
  }

  draw() {
    this.tools.hidden = !this.runs.length;
    const test = parseFilter(this.filter);
    const runs = this.runs.filter(test);
    this.left = runs;
    const columns = this.columns();
    const many = columns.some((column) => this.knobs.includes(column.name));
    // What the knobs' own columns say need not stand in the name, too.
    const rows = many ? runs.map((run) => ({ ...run, label: run.name })) : runs;
    const group = this.group ? { name: this.group, value: (run) => fact(fieldOf(run, this.group)) } : null;
    this.table.empty = this.runs.length ? "No run passes the filter." : this.table.empty;
    if (this.grouping !== this.group) this.onGroup(group);
    this.grouping = this.group;
    this.table.set(rows, columns, group);
    this.drawColumns();
    this.drawGroups();
    this.drawTerms();
    this.drawChosen();
    if (this.onFiltered !== this.filter) this.onFilter(runs);
    this.onFiltered = this.filter;
  }

  drawColumns() {
    const { facts, knobs, metrics } = this.all();
    const shown = new Set(this.columns().map((column) => column.name));
    const state = JSON.stringify([facts, knobs, metrics, [...shown]]);
    if (state === this.columnState) return;
    this.columnState = state;
    const choose = (key) => (event) => {
      const all = [...facts, ...knobs, ...metrics].filter((one) => shown.has(one));
      this.keep({ shown: event.target.checked ? [...all, key] : all.filter((one) => one !== key) });
    };
    const list = (title, keys) =>
      keys.length
        ? h(
            "fieldset",
            {},
            h("legend", {}, title),
            keys.map((key) =>
              h("label", {}, h("input", { type: "checkbox", checked: shown.has(key), change: choose(key) }), key),
            ),
          )
        : null;
    const open = this.parts.columns.querySelector("details")?.open;
    const menu = h(
      "details",
      { class: "menu", open },
      h("summary", {}, "Columns"),
      h(
        "div",
        { class: "pop" },
        h("button", { type: "button", click: () => this.keep({ shown: null }) }, "As at first"),
        list("Run", facts),
        list("Knobs", knobs),
        list("Metrics", metrics),
      ),
    );
    const focused = [...this.parts.columns.querySelectorAll("input")].indexOf(document.activeElement);
    const top = this.parts.columns.querySelector(".pop")?.scrollTop;
    this.parts.columns.replaceChildren(menu);
    menu.querySelectorAll("input")[focused]?.focus();
    if (top) menu.querySelector(".pop").scrollTop = top;
  }

  drawGroups() {
    const varied = this.knobs.filter((knob) => new Set(this.runs.map((run) => String(run.config[knob]))).size < 20);
    const names = [...["state", "sweep", "group", "job_type"].filter((name) => this.runs.some((run) => run[name])), ...varied];
    const state = JSON.stringify([names, this.group]);
    if (state === this.groupState) return;
    this.groupState = state;
    const input = h(
      "select",
      { "aria-label": "Group", change: () => this.keep({ group: input.value }) },
      h("option", { value: "" }, "No groups"),
      names.map((name) => h("option", { value: name, selected: name === this.group }, `By ${name}`)),
    );
    this.parts.groups.replaceChildren(input);
  }

  /** A condition made by choosing: field, sign, value. */
  drawTerms() {
    if (this.parts.terms.childElementCount) return;
    const field = h("select", { "aria-label": "Field" });
    const sign = h(
      "select",
      { "aria-label": "Condition" },
      [["=", "is"], ["!=", "is not"], ["<", "is less than"], [">", "is more than"], ["~", "contains"]].map(([value, name]) =>
        h("option", { value }, name),
      ),
    );
    const value = h("input", { type: "text", "aria-label": "Value", size: 12 });
    const fill = () => {
      const { facts, knobs, metrics } = this.all();
      field.replaceChildren(...["state", ...facts, ...knobs, ...metrics].map((name) => h("option", { value: name }, name)));
    };
    const add = () => {
      this.input.value = `${this.input.value} ${term(field.value, sign.value, value.value)}`.trim();
      this.keep({ filter: this.input.value });
      menu.open = false;
    };
    const menu = h(
      "details",
      { class: "menu", toggle: fill },
      h("summary", {}, "Filter"),
      h("div", { class: "pop" }, field, sign, value, h("button", { type: "button", click: add }, "Add")),
    );
    value.addEventListener("keydown", (event) => event.key === "Enter" && add());
    this.parts.terms.append(menu);
  }

  drawChosen() {
    const ids = selected() ? [...selected()] : null;
    const left = this.left?.length === this.runs.length ? "" : `${this.left?.length} of ${this.runs.length}`;
    const path = `/${[page.entity, page.project, "compare"].map(encodeURIComponent).join("/")}`;
    const address = `${path}?${new URLSearchParams((ids ?? []).map((id) => ["run", id]))}`;
    this.parts.chosen.replaceChildren(
      h("span", { class: "muted" }, left),
      ...(ids
        ? [
            h("b", {}, `${ids.length} chosen`),
            h("a", { href: address, class: "button" }, ids.length > MOST_COMPARED ? "Analyse" : "Compare"),
            h("button", { type: "button", click: () => select(null) }, "Clear"),
          ]
        : []),
    );
  }
}

const fact = (value) => (Array.isArray(value) ? value.join(", ") : value);
