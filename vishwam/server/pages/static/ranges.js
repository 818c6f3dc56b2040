// Which runs to keep, by value of each axis: what brushing parallel coordinates does, for who has no pointer.

import { h } from "./dom.js";
import { tick } from "./format.js";

export class Ranges {
  /** Builds itself inside `host`; brushes the axes of `parallel`, and shows what a pointer brushed. */
  constructor(host, parallel) {
    Object.assign(this, { host, parallel, lines: [] });
    this.body = h("div", { class: "ranges" });
    host.replaceChildren(h("summary", {}, "Choose runs by value"), this.body);
  }

  /** columns, axes: those of the parallel coordinates, in their order. */
  show(columns, axes) {
    const state = JSON.stringify(axes.map(({ type, data, min, max }, i) => [columns[i].name, type, data, min, max]));
    if (state === this.state) return;
    this.state = state;
    this.lines = columns.map((column, dim) => (axes[dim].data ? this.words(column, axes[dim], dim) : this.span(column, axes[dim], dim)));
    this.body.replaceChildren(...this.lines.map((line) => line.element));
  }

  /** Between two numbers; an empty field leaves that side open. */
  span({ name }, { min, max }, dim) {
    const field = (label, bound) =>
      h("input", { type: "number", step: "any", placeholder: tick(bound), "aria-label": `${name} ${label}`, change: () => brush() });
    const [low, high] = [field("from", min), field("to", max)];
    const brush = () => {
      const given = [low, high].map((input) => (input.value === "" ? null : Number(input.value)));
      this.parallel.brush(dim, given.every((value) => value === null) ? [] : [[given[0] ?? min, given[1] ?? max]]);
    };
    return {
      element: h("label", {}, h("span", { class: "name" }, name), low, " to ", high),
      read: ([interval]) => {
        low.value = interval ? Number(interval[0].toPrecision(4)) : "";
        high.value = interval ? Number(interval[1].toPrecision(4)) : "";
      },
    };
  }

  /** Some of the values of an axis of words; all of them is as none. */
  words({ name }, { data }, dim) {
    const boxes = data.map((word) => h("input", { type: "checkbox", "aria-label": `${name} ${word}`, change: () => brush() }));
    const brush = () =>
      this.parallel.brush(dim, boxes.flatMap((box, i) => (box.checked ? [[i - 0.4, i + 0.4]] : [])));
    return {
      element: h(
        "span",
        { role: "group", "aria-label": name },
        h("span", { class: "name" }, name),
        data.map((word, i) => h("label", {}, boxes[i], word)),
      ),
      read: (intervals) =>
        boxes.forEach((box, i) => {
          box.checked = intervals.some(([low, high]) => low <= i && i <= high);
        }),
    };
  }

  /** intervals: of every axis, as the parallel coordinates have them. A field that is being typed in stays as it is. */
  read(intervals) {
    this.lines.forEach((line, dim) => {
      if (!line.element.contains(document.activeElement)) line.read(intervals[dim]?.intervals ?? []);
    });
  }
}
