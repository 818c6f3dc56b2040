// What the page asks the server for: JSON, curves in binary columns, and the stream of changes.

import { h, page, $ } from "./dom.js";

function address(name, parameters) {
  const query = new URLSearchParams({ entity: page.entity, project: page.project });
  for (const [key, value] of Object.entries(parameters))
    for (const item of Array.isArray(value) ? value : [value])
      if (item !== undefined && item !== null) query.append(key, item);
  return `/-/data/${name}?${query}`;
}

// A report in one file holds the server's answers itself.
const { saved } = page;
function kept(name, asked) {
  const parts = [name, asked.grid ?? asked.metric, asked.run ?? asked.runs?.join(","), asked.key ?? asked.name];
  const found = saved.answers[parts.filter((part) => part !== undefined && part !== null).join(" ")];
  if (!found) throw new Error(`${name} is not in this file`);
  return found;
}

async function answer(name, parameters) {
  const response = await fetch(address(name, parameters));
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response;
}

export async function json(name, parameters = {}) {
  if (saved) return kept(name, parameters);
  return (await answer(name, parameters)).json();
}

/** The same for a question too long for an address. */
export async function post(name, question) {
  if (saved) return kept(name, question);
  const response = await fetch(address(name, {}), { method: "POST", body: JSON.stringify(question) });
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  return response.json();
}

/** Asks the server to do something: `sweep` with {act}, or `run`. Throws what it says when it refuses. */
export async function act(what, values) {
  const body = JSON.stringify({ entity: page.entity, project: page.project, ...values });
  const response = await fetch(`/-/act/${what}`, { method: "POST", body });
  if (!response.ok) throw new Error((await response.text()).slice(0, 200));
  return response.json();
}

/**
 * Curves of runs and metrics: [{run, key, x, y}], x and y Float64Array (y holds NaN where the metric did).
 * The body is a header's length (uint32), the header as JSON padded to 8 bytes, then the columns; curves over the same
 * axis share it.
 */
export async function curves(runs, keys, x, kind = "history") {
  if (!runs.length || !keys.length) return [];
  if (saved) return unpack(bytesOf(saved.curves[x])).filter((one) => runs.includes(one.run) && keys.includes(one.key));
  const response = await fetch(address("curves", {}), {
    method: "POST",
    body: JSON.stringify({ runs, keys, x, kind }),
  });
  if (!response.ok) throw new Error(`curves: the server answered ${response.status}`);
  return unpack(await response.arrayBuffer());
}

/** The curves that this page draws first; the browser has asked for them before this script was here. */
export async function firstCurves(asked) {
  return unpack(await (await answer("first", asked)).arrayBuffer());
}

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;

function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let offset = Math.ceil((4 + length) / 8) * 8;
  const column = (count) => {
    offset += 8 * count;
    return new Float64Array(buffer, offset - 8 * count, count);
  };
  const found = [];
  for (const { run, key, count, as } of header)
    found.push({ run, key, x: as === undefined ? column(count) : found[as].x, y: column(count) });
  return found;
}

const AGAIN = 3000;

/** Says above the page what is wrong with it; null when all is well again. */
function trouble(words) {
  const note = $("#trouble") ?? h("p", { id: "trouble", class: "alert error", role: "alert" });
  note.textContent = words ?? "";
  if (words) $("main").prepend(note);
  else note.remove();
}

/**
 * Loads the page through `callback(null)`, then calls it with the ids of the runs that changed, at most once a `pause`;
 * with null again after an interruption. The dot on the page shows whether it is live.
 */
export async function live(callback, pause = 500) {
  if (saved) {
    await callback(null);
    return;
  }
  const dot = $("#live");
  let changed = new Set();
  let everything = false;
  let timer = null;
  let busy = true;
  let source = null;
  let interrupted = false;
  let silent = null;

  async function flush() {
    timer = null;
    if (busy) return;
    const runs = everything ? null : changed;
    changed = new Set();
    everything = false;
    busy = true;
    await load(runs);
    busy = false;
    if (changed.size || everything) timer ??= setTimeout(flush, pause);
  }
  /** What cannot be read is said, and read again later. */
  async function load(runs) {
    try {
      await callback(runs);
      document.body.classList.add("read");
      trouble(null);
    } catch (error) {
      console.error(error);
      trouble(`Not all of this page could be read: ${error.message}. Trying again.`);
      everything = true;
      timer ??= setTimeout(flush, AGAIN);
    }
  }
  function connect() {
    source = new EventSource(address("changes", {}));
    source.onmessage = (event) => {
      for (const run of JSON.parse(event.data)) changed.add(run);
      timer ??= setTimeout(flush, pause);
    };
    source.onopen = () => {
      if (interrupted) {
        everything = true;
        timer ??= setTimeout(flush, 0);
      }
      clearTimeout(silent);
      interrupted = false;
      dot.className = "on";
      dot.title = "New points appear by themselves";
    };
    source.onerror = () => {
      if (!interrupted) silent = setTimeout(() => trouble("The server does not answer. This is as of a moment ago."), AGAIN);
      interrupted = true;
      dot.className = "off";
      dot.title = "The server does not answer; trying again";
    };
  }
  // A browser opens six connections to one server: a page nobody looks at gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source.close();
      interrupted = true;
    } else if (source.readyState === EventSource.CLOSED) connect();
  });
  addEventListener("pagehide", () => source.close());
  connect();
  await load(null);
  busy = false;
  if (changed.size) timer ??= setTimeout(flush, 0);
}
