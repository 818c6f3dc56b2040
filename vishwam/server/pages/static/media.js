// Tables and pictures that runs logged.

import { h, page } from "./dom.js";
import { json } from "./api.js";
import { sampleTable } from "./table.js";

export const fileAddress = (run, path) =>
  `/-/files/${[page.entity, page.project, run, ...path.split("/")].map(encodeURIComponent).join("/")}`;

/** What `run` logged as `key`, drawn; null while its file is on its way. value: {_type, path} of the summary. */
export async function drawMedia(run, key, value) {
  const path = String(value.path ?? "");
  if (String(value._type).endsWith("table-file")) {
    const table = await json("table", { run, key }).catch(() => null);
    return table && sampleTable(table);
  }
  if (/\.(png|jpe?g|gif|webp)$/i.test(path))
    return h("img", { src: fileAddress(run, path), alt: key, loading: "lazy" });
  return h("p", {}, h("a", { href: fileAddress(run, path) }, path));
}

export const onItsWay = () => h("p", { class: "empty" }, "On its way");

/** Tables and pictures of one of the grid's runs: the one the reader chose, or the run set's first that has them. */
export class Media {
  constructor(body, keys) {
    this.body = body;
    this.keys = keys;
    this.run = null;
  }

  async draw({ runs, order }) {
    const holding = runs.filter((run) => this.keys.some((key) => run.media[key]));
    if (!holding.length) {
      this.body.replaceChildren(h("p", { class: "empty" }, "Nothing logged yet"));
      return;
    }
    const run =
      holding.find((one) => one.id === this.run) ??
      order.map((id) => holding.find((one) => one.id === id)).find(Boolean);
    const shown = this.keys.map((key) => [key, run.media[key]]).filter(([, value]) => value);
    const state = JSON.stringify([run.id, shown.map(([, value]) => value.path), holding.length]);
    if (state === this.state) return;
    const select = h(
      "select",
      {
        "aria-label": "Run",
        change: (event) => {
          this.run = event.target.value;
          this.draw({ runs, order });
        },
      },
      holding.map((one) => h("option", { value: one.id, selected: one === run }, one.label)),
    );
    const parts = await Promise.all(shown.map(([key, value]) => drawMedia(run.id, key, value)));
    // What is missing is asked for again at the next change.
    this.state = parts.includes(null) ? null : state;
    this.body.replaceChildren(
      h("p", { class: "what" }, `${this.keys.join(", ")} `, select),
      ...parts.map((part) => part ?? onItsWay()),
    );
  }
}
