// What the page asks the server for: JSON, curves in binary columns, and the stream of changes.

import { page, $ } from "./dom.js";

function address(name, parameters) {
  const query = new URLSearchParams({ entity: page.entity, project: page.project });
  for (const [key, value] of Object.entries(parameters))
    for (const item of Array.isArray(value) ? value : [value])
      if (item !== undefined && item !== null) query.append(key, item);
  return `/-/data/${name}?${query}`;
}

async function answer(name, parameters) {
  const response = await fetch(address(name, parameters));
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response;
}

export async function json(name, parameters = {}) {
  return (await answer(name, parameters)).json();
}

/**
 * Curves of runs and metrics: [{run, key, x, y}], x and y Float64Array (y holds NaN where the metric did).
 * The body is a header's length (uint32), the header as JSON padded to 8 bytes, then the columns.
 */
export async function curves(runs, keys, x, kind = "history") {
  if (!runs.length || !keys.length) return [];
  const response = await fetch(address("curves", {}), { method: "POST", body: JSON.stringify({ runs, keys, x, kind }) });
  if (!response.ok) throw new Error(`curves: the server answered ${response.status}`);
  const buffer = await response.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let offset = Math.ceil((4 + length) / 8) * 8;
  return header.map(({ run, key, count }) => {
    const xs = new Float64Array(buffer, offset, count);
    const ys = new Float64Array(buffer, offset + 8 * count, count);
    offset += 16 * count;
    return { run, key, x: xs, y: ys };
  });
}

/** Calls back with the ids of the runs that changed, at most once a `pause`; shows on the page whether it is live. */
export function live(callback, pause = 500) {
  const dot = $("#live");
  let changed = new Set();
  let timer = null;
  let busy = false;
  async function flush() {
    timer = null;
    if (busy) { timer = setTimeout(flush, pause); return; }
    const runs = changed;
    changed = new Set();
    busy = true;
    try { await callback(runs); } catch (error) { console.error(error); } finally { busy = false; }
  }
  const source = new EventSource(address("changes", {}));
  source.onmessage = (event) => {
    for (const run of JSON.parse(event.data)) changed.add(run);
    timer ??= setTimeout(flush, pause);
  };
  source.onopen = () => { dot.className = "on"; dot.title = "New points appear by themselves"; };
  source.onerror = () => { dot.className = "off"; dot.title = "The server does not answer; trying again"; };
  addEventListener("pagehide", () => source.close());
}
