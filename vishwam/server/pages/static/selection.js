// Which runs the reader has chosen, by brushing a graph or by ticks in a table: one set for the whole page.

let chosen = null;
const changes = new EventTarget();

/** A set of ids; null when nothing is chosen, which shows everything. */
export const selected = () => chosen;
export const isShown = (id) => chosen === null || chosen.has(id);

/** `from` tells listeners who chose, so that a brushed graph is not drawn anew under the pointer. */
export function select(ids, from = null) {
  chosen = ids?.size ? new Set(ids) : null;
  changes.dispatchEvent(new CustomEvent("selected", { detail: from }));
}
export const onSelect = (callback) => changes.addEventListener("selected", (event) => callback(event.detail));
