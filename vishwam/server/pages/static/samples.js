// Tables that runs logged, of any length: the server sorts, filters and sends a page of them.

import { h, page } from "./dom.js";
import { json } from "./api.js";
import { number, text } from "./format.js";

const ROWS = 50;

/** One logged table. `draw()` returns false while its file is on its way. */
export class TableView {
  constructor(host, run, key) {
    Object.assign(this, { host, run, key, offset: 0, sort: null, down: false, filter: "" });
    this.input = h("input", {
      type: "search",
      placeholder: "Filter rows",
      "aria-label": `Filter rows of ${key}`,
      input: () => {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => {
          this.filter = this.input.value;
          this.offset = 0;
          this.draw();
        }, 200);
      },
    });
    this.bar = h("div", { class: "tools" });
    this.body = h("div", { class: "wide tall", tabindex: 0, role: "region", "aria-label": key });
  }

  async draw() {
    const { run, key, offset, sort, down, filter } = this;
    const asked = { run, key, offset, limit: ROWS, filter: filter || null, sort, down: down ? 1 : null };
    this.asked = asked;
    const table = await json("table", asked).catch(() => null);
    // Answers may come in another order than they were asked for in; the last question counts.
    if (this.asked !== asked) return true;
    if (!table) return false;
    if (!this.host.contains(this.body)) this.host.replaceChildren(this.bar, this.body);
    this.drawBar(table);
    this.body.replaceChildren(
      h(
        "table",
        { class: "samples" },
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            table.columns.map((name, i) => this.heading(name, i)),
          ),
        ),
        h(
          "tbody",
          {},
          table.rows.map((row) => h("tr", {}, row.map(cell))),
        ),
      ),
    );
    return true;
  }

  heading(name, i) {
    const sorted = this.sort === i;
    const by = () => {
      this.down = sorted && !this.down;
      this.sort = sorted && !this.down ? null : i;
      this.offset = 0;
      this.draw();
    };
    return h(
      "th",
      { scope: "col", "aria-sort": sorted ? (this.down ? "descending" : "ascending") : null },
      page.saved
        ? String(name)
        : h("button", { type: "button", click: by }, String(name), sorted ? (this.down ? " ↓" : " ↑") : ""),
    );
  }

  drawBar(table) {
    const last = this.offset + table.rows.length;
    const step = (by) => () => {
      this.offset = Math.max(0, this.offset + by);
      this.draw();
    };
    const button = (label, by, off) => h("button", { type: "button", disabled: off, click: step(by) }, label);
    const pages = table.found > ROWS && !page.saved;
    const found = table.found === table.total ? "" : ` of ${number(table.total)}`;
    const parts = [
      h("span", {}, table.found ? `${number(this.offset + 1)}–${number(last)} of ${number(table.found)} rows` : "No row"),
      found && h("span", { class: "muted" }, `(${found.trim()} in all)`),
      pages && button("‹ Before", -ROWS, this.offset === 0),
      pages && button("Next ›", ROWS, last >= table.found),
    ];
    this.bar.hidden = table.total <= 10 && !this.filter;
    // The field that is being typed in stays where it is.
    while (this.bar.lastChild && this.bar.lastChild !== this.input) this.bar.lastChild.remove();
    if (!page.saved && !this.bar.contains(this.input)) this.bar.append(this.input);
    this.bar.append(...parts.filter(Boolean));
  }
}

function cell(value) {
  if (typeof value === "number") return h("td", { class: "n" }, number(value));
  if (typeof value === "boolean") return h("td", { class: value ? "yes" : "no" }, value ? "✓" : "✗");
  const plain = value !== null && typeof value === "object" ? (value._type ? `[${value._type}]` : value) : value;
  return h("td", {}, text(plain));
}
