// What a run printed, followed while it goes on.

import { $, h, page } from "./dom.js";
import { json } from "./api.js";
import { number } from "./format.js";

const MOST_LINES = 5000;
let next = 0;

export function followConsole() {
  $("#console").addEventListener("scroll", (event) => {
    const box = event.target;
    $("#follow").checked = box.scrollTop + box.clientHeight > box.scrollHeight - 30;
  });
  $("#follow").addEventListener("change", (event) => event.target.checked && toEnd());
}

const toEnd = () => {
  $("#console").scrollTop = $("#console").scrollHeight;
};

/** lines: how many the server has. */
export async function loadConsole(lines) {
  if (lines === next && next) return;
  const box = $("#console");
  const found = await json("console", { run: page.run, after: Math.max(0, next - 1) });
  // The last line is asked for again: a progress bar rewrites it.
  if (next) box.lastElementChild?.remove();
  if (!next && found.first > 0)
    box.append(h("span", { class: "note" }, `${number(found.first)} earlier lines are in the file output.log\n`));
  for (const line of found.lines) box.append(h("span", { class: line.error ? "error" : null }, `${line.text}\n`));
  while (box.childElementCount > MOST_LINES) box.firstElementChild.remove();
  next = found.next;
  if (!next) box.replaceChildren();
  if ($("#follow").checked) toEnd();
}
