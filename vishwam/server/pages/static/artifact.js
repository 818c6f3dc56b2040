// The page of an artifact: its versions, what is in the chosen one, what made it and what used it.

import { $, h, page } from "./dom.js";
import { json, live } from "./api.js";
import { artifactFile, showFiles } from "./files.js";
import { ago, bytes, number, text } from "./format.js";
import { Graph, base } from "./graphs.js";
import { pairs, runAddress } from "./table.js";
import { css } from "./theme.js";
import "./times.js";

const ROW = 46;
const path = (...parts) => `/${[page.entity, page.project, ...parts].map(encodeURIComponent).join("/")}`;
const addressOf = (one) => path("artifacts", one.type, one.name, `v${one.version}`);
let answer = null;
let graph = null;

async function load() {
  answer = await json("artifact", { name: page.artifact, version: page.version });
  const { versions, version } = answer;
  $("#versions").replaceChildren(
    h(
      "table",
      {},
      h("tbody", {}, versions.map((one) => row(one, one.version === version.version))),
    ),
  );
  // A trial's own step, where it says it; W&B counts the rows that were logged.
  const step = version.metadata.step ?? version.step;
  $("#facts").textContent = [
    `${version.type}`,
    bytes(version.size),
    `${version.count} file${version.count === 1 ? "" : "s"}`,
    step === null ? null : `step ${number(step)}`,
    `made ${ago(version.created)}`,
    version.state === "committed" ? null : version.state,
  ]
    .filter(Boolean)
    .join(" · ");
  pairs($("#metadata"), version.metadata, (value) => (typeof value === "number" ? text(value) : text(value)));
  showFiles($("#files"), answer.files, (name) => artifactFile(version, name));
  if (answer.files.length < version.count && !$("#files > .note"))
    $("#files").append(h("p", { class: "note" }, `The first ${answer.files.length} of ${version.count} files.`));
  $("#use").textContent = `${page.entity}/${page.project}/${version.name}:v${version.version}`;
  drawLineage();
}

const row = (one, chosen) =>
  h(
    "tr",
    { class: chosen ? "marked" : null },
    h(
      "td",
      {},
      h("a", { href: addressOf(one), "aria-current": chosen ? "true" : null }, `v${one.version}`),
      ...one.aliases.map((alias) => h("span", { class: "alias" }, alias)),
    ),
    h("td", {}, one.run ? h("a", { href: runAddress(one.run) }, one.run_name) : "–"),
    h("td", { class: "n" }, bytes(one.size)),
    h("td", { class: "n muted" }, ago(one.created)),
  );

const goal = (node) => (node.kind === "run" ? runAddress(node.run) : addressOf(node));
const LEVELS = { "-2": "Made from", "-1": "Made by", 0: "This version", 1: "Used by", 2: "Led to" };

/** Columns from what it was made of to what was made with it; the same as lists of links. */
function drawLineage() {
  const { nodes, links } = answer.lineage;
  const columns = new Map([...Map.groupBy(nodes, (node) => node.level)].sort(([a], [b]) => a - b));
  const tallest = Math.max(...[...columns.values()].map((column) => column.length));
  const height = Math.max(120, Math.min(560, tallest * ROW + 40));
  graph ??= new Graph($("#lineage"), { height, onClick: follow });
  const places = [...columns.keys()];
  // The first and last node are the corners of the box: a unit is a pixel, and nothing is stretched.
  const corner = (x, y) => ({ x, y, symbolSize: 0.1, label: { show: false }, itemStyle: { opacity: 0 } });
  graph.set(() => {
    const width = $("#lineage").clientWidth;
    const step = width / places.length;
    const at = (node) => ({
      x: (places.indexOf(node.level) + 0.5) * step,
      y: height / 2 - 8 + (columns.get(node.level).indexOf(node) - (columns.get(node.level).length - 1) / 2) * ROW,
    });
    return {
      ...base(),
      series: [
        {
          type: "graph",
          layout: "none",
          left: 0,
          right: 0,
          top: 0,
          bottom: 0,
          edgeSymbol: ["none", "arrow"],
          edgeSymbolSize: 8,
          lineStyle: { color: css("ink-2"), width: 1.2, opacity: 0.7, curveness: 0 },
          label: {
            show: true,
            position: "bottom",
            distance: 5,
            color: css("ink"),
            fontSize: 11.5,
            fontFamily: css("font"),
            width: step - 8,
            overflow: "truncate",
          },
          data: [
            corner(0, 0),
            corner(width, height),
            ...nodes.map((node) => ({
              id: node.id,
              name: node.label,
              ...at(node),
              symbol: node.kind === "run" ? "circle" : "roundRect",
              symbolSize: node.level === 0 ? 20 : 14,
              itemStyle: { color: node.level === 0 ? css("accent") : node.kind === "run" ? css("good") : css("quiet") },
            })),
          ],
          links: links.map(([source, target]) => ({ source, target })),
        },
      ],
      tooltip: { ...base().tooltip, formatter: ({ name }) => name ?? "" },
    };
  });
  $("#relatives").replaceChildren(
    ...[-2, -1, 1, 2]
      .filter((level) => columns.has(level))
      .map((level) =>
        h(
          "p",
          {},
          h("span", { class: "muted" }, `${LEVELS[level]} `),
          ...columns.get(level).flatMap((node, i) => [i ? ", " : "", h("a", { href: goal(node) }, node.label)]),
        ),
      ),
  );
}

function follow(id) {
  const node = answer.lineage.nodes.find((one) => one.id === id);
  if (node) location.assign(goal(node));
}

await live(load, 1000);
