// Tables, pictures, sounds and films that runs logged.

import { h, page } from "./dom.js";
import { TableView } from "./samples.js";

export const fileAddress = (run, path) =>
  page.saved?.files?.[`${run}/${path}`] ??
  `/-/files/${[page.entity, page.project, run, ...path.split("/")].map(encodeURIComponent).join("/")}`;

const SHOWN = [
  [/\.(png|jpe?g|gif|webp)$/i, (src, key) => h("img", { src, alt: key, loading: "lazy" })],
  [/\.(wav|mp3|ogg|flac)$/i, (src, key) => h("audio", { src, controls: true, preload: "none", "aria-label": key })],
  [/\.(mp4|webm)$/i, (src, key) => h("video", { src, controls: true, preload: "metadata", "aria-label": key })],
];

export const isTable = (value) => String(value._type).endsWith("table-file");

/** What `run` logged as `key`, drawn; null while its file is on its way. value: {_type, path} of the summary. */
export async function drawMedia(run, key, value) {
  const path = String(value.path ?? "");
  if (isTable(value)) {
    const host = h("div");
    return (await new TableView(host, run, key).draw()) ? host : null;
  }
  const address = fileAddress(run, path);
  const shown = SHOWN.find(([pattern]) => pattern.test(path))?.[1](address, key);
  return shown ?? h("p", {}, h("a", { href: address }, path));
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
    this.asked = state;
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
    if (state !== this.asked) return;
    // What is missing is asked for again at the next change.
    this.state = parts.includes(null) ? null : state;
    this.body.replaceChildren(
      h("p", { class: "what" }, `${this.keys.join(", ")} `, select),
      ...parts.map((part) => part ?? onItsWay()),
    );
  }
}
