// The panels of a report: each draws itself from the runs of its grid, as wandb-workspaces describes it.
// A panel `inColours` tells runs apart by colour and needs the grid's legend.

import { $, h } from "./dom.js";
import { axisName, common, guessLog, metricsOf, nameOf, valueOf } from "./accessors.js";
import { post } from "./api.js";
import { CodeComparer } from "./code_comparer.js";
import { Comparer } from "./comparer.js";
import { CurveChart } from "./curves.js";
import { CustomChart } from "./custom.js";
import { Graph, bars, scatter } from "./graphs.js";
import { Parallel } from "./parallel.js";
import { importanceTable } from "./importance.js";
import { Media } from "./media.js";
import { ShownArtifact } from "./shown_artifact.js";
import { formatterOf, tickFormatterOf } from "./format.js";
import { PHASES, phasesOf } from "./phases.js";
import { styleOf } from "./theme.js";

const ROW_HEIGHT = 40;
const LIMIT = "memory/limit";
const FAR = 6; // times the rest
class LinePlot {
  inColours = true;

  constructor(body, panel, height) {
    this.config = panel.config ?? {};
    this.x = axisName(this.config.xAxis);
    const first = this.config.metrics?.[0] ?? "";
    this.chart = new CurveChart(body, { height, format: formatterOf(first), tickFormat: tickFormatterOf(first) });
  }

  wants(known) {
    return { x: this.x, keys: metricsOf(this.config, known) };
  }

  draw({ runs, metrics, points }) {
    const { config } = this;
    const named = metricsOf(config, metrics);
    const shown = config.limit ? runs.slice(-config.limit) : runs;
    // What a trial is at is no curve beside its memory, but what stands behind it.
    const keys = named.length > 1 ? named.filter((key) => key !== "memory/phase") : named;
    const at = keys.length < named.length && points.get(this.x)?.get(`${shown.at(-1)?.id}\nmemory/phase`);
    // A limit far above the rest would press it to the floor; it is said in words instead.
    const top = (key) =>
      Math.max(0, ...shown.map((run) => points.get(this.x)?.get(`${run.id}\n${key}`)?.y.reduce((a, b) => (b > a ? b : a), 0) ?? 0));
    const limit = keys.includes(LIMIT) ? top(LIMIT) : 0;
    const far = limit > FAR * Math.max(...keys.filter((key) => key !== LIMIT).map(top));
    const series = keys.flatMap((key, k) =>
      shown.flatMap((run) => {
        const found = points.get(this.x)?.get(`${run.id}\n${key}`);
        if (!found || (far && key === LIMIT)) return [];
        const own = `${run.id}:${key}`;
        const label =
          config.overrideSeriesTitles?.[own] ??
          (keys.length === 1 ? run.label : shown.length === 1 ? key : `${run.label} · ${key}`);
        const alone = shown.length === 1 && keys.length > 1;
        const color = config.overrideColors?.[own]?.color ?? (alone ? styleOf(k).color : run.color);
        return [
          {
            id: run.id,
            label,
            color,
            dash: k && !alone
              ? [
                  [7, 3],
                  [2, 3],
                  [9, 3, 2, 3],
                ][(k - 1) % 3]
              : run.dash,
            x: found.x,
            y: found.y,
          },
        ];
      }),
    );
    const range = (low, high) => (low === undefined && high === undefined ? null : [low, high]);
    this.chart.set(series, {
      x: this.x === "time" ? "time" : "step",
      xLabel:
        config.xAxisTitle ??
        (this.x === "time" ? (far ? `the limit, ${formatterOf(LIMIT)(limit)}, is far above` : "") : this.x.replace(/^_/, "")),
      log: config.yLogScale,
      xLog: config.xLogScale,
      key: keys.length > 1,
      ...(at && shown.length === 1 && { phases: phasesOf(at, PHASES) }),
      smoothing: config.smoothingType === "none" ? 0 : (config.smoothingWeight ?? 0),
      yRange: range(config.yAxisMin, config.yAxisMax),
      xRange: range(config.xAxisMin, config.xAxisMax),
    });
  }
}

class BarChart {
  inColours = true;

  constructor(body, panel, height) {
    this.config = panel.config ?? {};
    this.graph = new Graph(body.appendChild(h("div")), { height });
  }

  draw({ runs, metrics }) {
    const keys = (this.config.metrics ?? []).length ? this.config.metrics : metrics.slice(0, 1);
    const prefix = keys.length > 1 ? common(keys.map(nameOf)) : "";
    const shown = runs
      .filter((run) => keys.some((key) => typeof valueOf(run, key) === "number"))
      .slice(0, this.config.barLimit ?? 40);
    empty(this.graph.host, !shown.length);
    if (!shown.length) return;
    bars(
      this.graph,
      shown,
      keys.map((key) => ({
        name: this.config.overrideSeriesTitles?.[key] ?? nameOf(key).slice(prefix.length),
        value: (run) => valueOf(run, key),
        // Bounds are logged beside a value, and what guessing would get.
        low: (run) => valueOf(run, `${key}_low`),
        high: (run) => valueOf(run, `${key}_high`),
        chance: (run) => valueOf(run, `${key}_chance`),
      })),
      {
        vertical: this.config.vertical,
        low: this.config.xAxisMin,
        high: this.config.xAxisMax,
        format: formatterOf(nameOf(keys[0])),
        title: nameOf(keys[0]),
      },
    );
  }
}

function empty(host, is) {
  host.classList.toggle("waiting", is);
}

// As the panel's settings name them.
const RUNNING_LINES = { min: "showMinYAxisLine", max: "showMaxYAxisLine", avg: "showAvgYAxisLine" };

class ScatterPlot {
  inColours = true;

  constructor(body, panel, height) {
    this.config = panel.config ?? {};
    this.graph = new Graph(body.appendChild(h("div")), { height });
  }

  draw({ runs }) {
    const { config } = this;
    if (!config.xAxis || !config.yAxis) {
      empty(this.graph.host, true);
      return;
    }
    const axis = (which) => {
      const accessor = config[`${which}Axis`];
      return (
        accessor && {
          name: nameOf(accessor),
          log: config[`${which}AxisLogScale`] ?? guessLog(accessor),
          low: config[`${which}AxisMin`],
          high: config[`${which}AxisMax`],
          value: (run) => valueOf(run, accessor),
        }
      );
    };
    const shown = runs.filter((run) => typeof valueOf(run, config.yAxis) === "number");
    empty(this.graph.host, !shown.length);
    if (shown.length)
      scatter(
        this.graph,
        shown,
        axis("x"),
        axis("y"),
        axis("z"),
        {
          running: Object.keys(RUNNING_LINES).filter((how) => config[RUNNING_LINES[how]]),
          trend: Boolean(config.showLinearRegression),
          colours: config.customGradient?.toSorted((a, b) => a.offset - b.offset).map((point) => point.color),
        },
      );
  }
}

const AGGREGATES = {
  mean: (values) => values.reduce((a, b) => a + b, 0) / values.length,
  min: (values) => Math.min(...values),
  max: (values) => Math.max(...values),
  sum: (values) => values.reduce((a, b) => a + b, 0),
  median: (values) => {
    const s = values.toSorted((a, b) => a - b);
    const m = s.length >> 1;
    return s.length % 2 ? s[m] : (s[m - 1] + s[m]) / 2;
  },
};

class ScalarChart {
  constructor(body, panel) {
    this.config = panel.config ?? {};
    this.body = body;
  }

  draw({ runs }) {
    const key = this.config.metrics?.[0] ?? "";
    const values = runs.map((run) => valueOf(run, key)).filter((value) => typeof value === "number");
    const how = AGGREGATES[this.config.groupAgg] ? this.config.groupAgg : "mean";
    const format = formatterOf(nameOf(key));
    this.body.replaceChildren(
      h(
        "div",
        { class: "scalar" },
        h("span", { class: "number" }, values.length ? format(AGGREGATES[how](values)) : "–"),
        h(
          "span",
          { class: "what" },
          values.length > 1 ? `${how} of ${nameOf(key)} over ${values.length} runs` : nameOf(key),
        ),
      ),
    );
  }
}

class ParallelCoordinates {
  inColours = true;

  constructor(body, panel, height) {
    this.config = panel.config ?? {};
    this.host = body.appendChild(h("div"));
    this.parallel = new Parallel(this.host, { height });
  }

  draw({ runs }) {
    const columns = (this.config.columns ?? [])
      .filter((column) => column.accessor)
      .map((column) => ({
        name: column.displayName || nameOf(column.accessor),
        log: column.log ?? guessLog(column.accessor),
        inverted: column.inverted,
        value: (run) => valueOf(run, column.accessor),
      }));
    const shown = runs.filter((run) =>
      columns.every((column) => column.value(run) !== undefined && column.value(run) !== null),
    );
    empty(this.host, shown.length === 0 || columns.length < 2);
    if (shown.length && columns.length > 1) this.parallel.show(shown, columns);
  }
}

class Importance {
  constructor(body, panel) {
    this.target = nameOf(panel.config?.targetKey ?? "");
    this.body = body;
  }

  async draw({ runs }) {
    if (!runs.length) {
      this.body.replaceChildren(h("p", { class: "empty" }, "Appears with the first results"));
      return;
    }
    const goal = /loss|error|perplexity/i.test(this.target) ? "minimize" : "maximize";
    const question = (this.question = {});
    const answer = await post("importance", { metric: this.target, goal, runs: runs.map((run) => run.id) });
    if (question !== this.question) return;
    this.body.replaceChildren(h("p", { class: "what" }, this.target), importanceTable(answer));
  }
}

const WORDS = {
  Weave: "This query panel asks for something other than a logged table or an artifact, which is all that is drawn here.",
  "Weave Trace": "Traces of W&B Weave are kept by another service and are not drawn here.",
};

class Unknown {
  constructor(body, panel) {
    body.append(h("p", { class: "empty" }, WORDS[panel.viewType] ?? `A panel of the kind “${panel.viewType ?? "unknown"}” is not drawn here.`));
  }

  draw() {}
}

const KINDS = {
  "Run History Line Plot": LinePlot,
  "Bar Chart": BarChart,
  "Scatter Plot": ScatterPlot,
  "Scalar Chart": ScalarChart,
  "Parallel Coordinates Plot": ParallelCoordinates,
  "Parameter Importance": Importance,
};
const TITLES = {
  "Parameter Importance": "Importance of the knobs",
  "Run Comparer": "Runs side by side",
  "Code Comparer": "Code side by side",
};

function titleOf({ viewType, config = {}, chart }) {
  if (config.chartTitle) return config.chartTitle;
  if (chart) return chart.strings.title || chart.table || chart.spec;
  if (viewType === "Scatter Plot" && config.xAxis && config.yAxis)
    return `${nameOf(config.yAxis)} against ${nameOf(config.xAxis)}${config.zAxis ? `, coloured by ${nameOf(config.zAxis)}` : ""}`;
  const names = (config.metrics ?? []).map(nameOf);
  if (names.length > 1 && common(names)) return common(names).replace(/\/$/, "");
  return names.length ? names.join(", ") : (TITLES[viewType] ?? "");
}

/** A panel on the page: its frame in the grid's 24 columns, its title, and what draws it. */
export function makePanel(host, panel, { grid, place }) {
  const layout = { x: 0, y: 0, w: 8, h: 6, ...panel.layout };
  const title = titleOf(panel);
  const body = h("div", { class: "body" });
  const frame = h(
    "section",
    { class: "card panel", "data-kind": panel.viewType ?? "unknown" },
    title ? h("h4", { title }, title) : null,
    body,
  );
  frame.style.gridColumn = `${layout.x + 1} / span ${Math.min(layout.w, 24 - layout.x)}`;
  frame.style.gridRow = `${layout.y + 1} / span ${layout.h}`;
  frame.style.setProperty("--h", layout.h);
  host.append(frame);
  const height = Math.max(120, layout.h * ROW_HEIGHT - (title ? 64 : 40));
  if (panel.viewType === "Markdown Panel") {
    body.append($(`#markdown-${grid}-${place}`).content.cloneNode(true));
    return new Unknown(h("div"), panel);
  }
  const keys = panel.viewType === "Media Browser" ? panel.config?.mediaKeys : panel.table ? [panel.table] : null;
  if (keys) return new Media(body, keys);
  if (panel.artifact) return new ShownArtifact(body, panel.artifact);
  if (panel.chart) return new CustomChart(body, panel.chart, height);
  if (panel.viewType === "Code Comparer") return new CodeComparer(body, { unified: panel.config?.diff === "unified" });
  if (panel.viewType === "Run Comparer")
    return new Comparer(body, { differences: Boolean(panel.config?.diffOnly) });
  return new (KINDS[panel.viewType] ?? Unknown)(body, panel, height);
}
