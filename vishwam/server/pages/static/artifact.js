// The page of an artifact: its versions, what is in the chosen one, what made it and what used it.

import { $, h, page } from "./dom.js";
import { json, live } from "./api.js";
import { filesTable } from "./files.js";
import { ago, bytes, text } from "./format.js";
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
  $("#facts").textContent = [
    `${version.type}`,
    bytes(version.size),
    `${version.count} file${version.count === 1 ? "" : "s"}`,
    version.step === null ? null : `step ${version.step}`,
    `made ${ago(version.created)}`,
    version.state === "committed" ? null : version.state,
  ]
    .filter(Boolean)
    .join(" · ");
  pairs($("#metadata"), version.metadata, (value) => (typeof value === "number" ? text(value) : text(value)));
  const inside = (name) =>
    `/-/artifact/${[page.entity, page.project, version.name, `v${version.version}`, ...name.split("/")].map(encodeURIComponent).join("/")}`;
  $("#files").replaceChildren(
    filesTable(answer.files, inside),
    answer.files.length < version.count
      ? h("p", { class: "note" }, `The first ${answer.files.length} of ${version.count} files.`)
      : "",
  );
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
  const levels = Map.groupBy(nodes, (node) => node.level);
  const tallest = Math.max(...[...levels.values()].map((column) => column.length));
  const place = (node) => levels.get(node.level).indexOf(node) - (levels.get(node.level).length - 1) / 2;
  graph ??= new Graph($("#lineage"), { height: Math.max(120, Math.min(560, tallest * ROW + 40)), onClick: follow });
  graph.set(() => ({
    ...base(),
    series: [
      {
        type: "graph",
        layout: "none",
        left: 90,
        right: 90,
        top: 24,
        bottom: 24,
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
          width: 170,
          overflow: "truncate",
        },
        data: nodes.map((node) => ({
          id: node.id,
          name: node.label,
          x: node.level * 200,
          y: place(node) * ROW,
          symbol: node.kind === "run" ? "circle" : "roundRect",
          symbolSize: node.level === 0 ? 20 : 14,
          itemStyle: { color: node.level === 0 ? css("accent") : node.kind === "run" ? css("good") : css("quiet") },
        })),
        links: links.map(([source, target]) => ({ source, target })),
      },
    ],
    tooltip: { ...base().tooltip, formatter: ({ name }) => name ?? "" },
  }));
  $("#relatives").replaceChildren(
    ...[-2, -1, 1, 2]
      .filter((level) => levels.has(level))
      .map((level) =>
        h(
          "p",
          {},
          h("span", { class: "muted" }, `${LEVELS[level]} `),
          ...levels.get(level).flatMap((node, i) => [i ? ", " : "", h("a", { href: goal(node) }, node.label)]),
        ),
      ),
  );
}

const follow = (id) => location.assign(goal(answer.lineage.nodes.find((node) => node.id === id)));

await live(load, 1000);
