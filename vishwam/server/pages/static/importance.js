// Which knobs matter, as a table with bars.

import { h } from "./dom.js";
import { number } from "./format.js";

/** Importance as a plain table with bars: knob, share, correlation. */
export function importanceTable(answer) {
  if (!answer.rows.length) return h("p", { class: "empty" }, "No knob differs between these runs.");
  const enough = answer.trials >= answer.fewest;
  const bar = (value, signed) =>
    h(
      "span",
      { class: signed && value < 0 ? "bar negative" : "bar" },
      h("span", { style: { width: `${Math.min(100, Math.abs(value) * 100)}%` } }),
    );
  return h(
    "div",
    {},
    h(
      "table",
      { class: "importance" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", {}, "Knob"),
          enough ? h("th", { colspan: 2 }, "Importance") : null,
          h("th", { colspan: 2 }, "Rank correlation"),
        ),
      ),
      h(
        "tbody",
        {},
        answer.rows.map((row) =>
          h(
            "tr",
            {},
            h("td", {}, row.knob),
            ...(enough
              ? [
                  h("td", { class: "bars" }, bar(row.importance ?? 0, false)),
                  h("td", { class: "n" }, number(row.importance)),
                ]
              : []),
            h("td", { class: "bars" }, row.correlation === null ? null : bar(row.correlation, true)),
            h(
              "td",
              { class: "n" },
              row.value === null ? null : h("span", { class: "muted" }, `${row.value} `),
              row.correlation === null ? "–" : number(row.correlation),
            ),
          ),
        ),
      ),
    ),
    h(
      "p",
      { class: "note" },
      enough
        ? `PED-ANOVA over ${answer.trials} trials that ended.`
        : `${answer.trials} trials ended; importance needs ${answer.fewest}. Correlation of so few is a hint at most.`,
    ),
  );
}
