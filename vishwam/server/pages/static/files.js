// Lists of files, with a look into what can be shown as text or as a picture.

import { h, page } from "./dom.js";
import { bytes } from "./format.js";

const PEEK = 64 * 1024;
const TEXTS = /\.(txt|log|json|jsonl|ya?ml|py|gin|md|csv|tsv|patch|diff|toml|cfg|ini|sh)$/i;
const PICTURES = /\.(png|jpe?g|gif|webp)$/i;

/** Where a file of an artifact's version is read: {name, version}. */
export const artifactFile = ({ name, version }, path) =>
  `${page.origin ?? ""}/-/artifact/${[page.entity, page.project, name, `v${version}`, ...path.split("/")].map(encodeURIComponent).join("/")}`;

/** The files in `host`, drawn again when they changed; what the reader looks into stays open. */
export function showFiles(host, files, addressOf) {
  const state = JSON.stringify([files, files.map((file) => addressOf(file.name))]);
  if (state === host.state) return;
  host.state = state;
  const opened = [...host.querySelectorAll("tr.peek:not([hidden])")];
  const open = new Map(opened.map((row) => [row.dataset.address, row.firstElementChild]));
  host.replaceChildren(filesTable(files, addressOf, open));
}

/** files: [{name, size, ref}]; addressOf(name); open: what is shown of a file already, by its address. */
export function filesTable(files, addressOf, open = new Map()) {
  if (!files.length) return h("p", { class: "empty" }, "None");
  return h(
    "table",
    { class: "files" },
    h(
      "tbody",
      {},
      files.flatMap((file) => {
        if (file.ref)
          return [h("tr", {}, h("td", {}, file.name, " ", h("span", { class: "muted" }, file.ref)), h("td"), h("td"))];
        const address = addressOf(file.name);
        // A report in one file asks nobody for what is in them.
        const look = !page.saved && (TEXTS.test(file.name) || PICTURES.test(file.name));
        const shown = open.get(address);
        const row = h("tr", { class: "peek", "data-address": address, hidden: !shown }, shown ?? h("td", { colspan: 3 }));
        const button = h(
          "button",
          {
            type: "button",
            class: "link",
            "aria-expanded": String(Boolean(shown)),
            click: () => toggle(file, address, row, button),
          },
          shown ? "close" : "look",
        );
        return [
          h(
            "tr",
            {},
            h("td", {}, h("a", { href: address }, file.name)),
            h("td", {}, look ? button : null),
            h("td", { class: "n" }, bytes(file.size)),
          ),
          row,
        ];
      }),
    ),
  );
}

async function toggle(file, address, row, button) {
  row.hidden = !row.hidden;
  button.setAttribute("aria-expanded", String(!row.hidden));
  button.textContent = row.hidden ? "look" : "close";
  const cell = row.firstElementChild;
  if (row.hidden || cell.childElementCount) return;
  if (PICTURES.test(file.name)) {
    cell.append(h("img", { src: address, alt: file.name }));
    return;
  }
  try {
    const response = await fetch(address, { headers: { Range: `bytes=0-${PEEK - 1}` } });
    // An empty file has no first byte.
    const text = response.ok ? await response.text() : file.size ? `The server answered ${response.status}` : "";
    cell.replaceChildren(h("pre", { class: "code", tabindex: 0 }, pretty(file, text)));
  } catch (error) {
    cell.replaceChildren(h("p", { class: "empty" }, error.message));
  }
  if (file.size > PEEK) cell.append(h("p", { class: "note" }, `The first ${bytes(PEEK)} of ${bytes(file.size)}.`));
}

function pretty(file, text) {
  if (!/\.json$/i.test(file.name) || file.size > PEEK) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

/** A text with a button that copies it. */
export function copyable(text) {
  const button = h(
    "button",
    {
      type: "button",
      class: "button copy",
      click: async () => {
        await navigator.clipboard?.writeText(text);
        button.textContent = "Copied";
        setTimeout(() => (button.textContent = "Copy"), 1500);
      },
    },
    "Copy",
  );
  return h("div", { class: "copyable" }, button, h("pre", { class: "code", tabindex: 0 }, h("code", {}, text)));
}
