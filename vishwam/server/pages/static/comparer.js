// Runs side by side: configuration and summary, a column a run.

import { h } from "./dom.js";
import { hover } from "./curves.js";
import { formatterOf, text } from "./format.js";
import { runAddress, swatch } from "./table.js";

const LONGEST = 120;

/** `differences`: only the lines in which the runs differ. */
export class Comparer {
  constructor(body, { differences }) {
    this.differences = differences;
    this.body = body;
  }

  draw({ runs }) {
    const section = (title, part, format) => {
      const keys = [...new Set(runs.flatMap((run) => Object.keys(run[part])))]
        // A whole Gin file is no setting to compare; its knobs stand in lines of their own.
        .filter((key) => !key.startsWith("_") && !runs.some((run) => String(run[part][key] ?? "").length > LONGEST))
        .sort();
      const rows = keys.filter(
        (key) => !this.differences || new Set(runs.map((run) => JSON.stringify(run[part][key]))).size > 1,
      );
      return rows.length
        ? [
            h("tr", { class: "section" }, h("th", { colspan: runs.length + 1 }, title)),
            ...rows.map((key) =>
              h(
                "tr",
                {},
                h("th", { scope: "row" }, key),
                runs.map((run) => {
                  const said = format(run[part][key], key);
                  // A whole Gin file stands in one cell: its first words do, the rest is in the tooltip.
                  return h("td", { class: "n", title: said }, said);
                }),
              ),
            ),
          ]
        : [];
    };
    const body = [
      ...section("Configuration", "config", text),
      ...section("Summary", "summary", (value, key) =>
        typeof value === "number" ? formatterOf(key)(value) : text(value),
      ),
    ];
    const top = this.body.scrollTop;
    this.body.replaceChildren(
      runs.length
        ? h(
            "table",
            { class: "comparer" },
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                h("th"),
                runs.map((run) =>
                  h(
                    "th",
                    { class: "n", scope: "col" },
                    h(
                      "a",
                      { href: runAddress(run.id), mouseenter: () => hover(run.id), mouseleave: () => hover(null) },
                      swatch(run),
                      run.label,
                    ),
                  ),
                ),
              ),
            ),
            h("tbody", {}, body),
          )
        : h("p", { class: "empty" }, "No runs yet"),
    );
    this.body.scrollTop = top;
  }
}
