// The page's elements. Text reaches the page as text nodes only, so nothing stored can become markup.

export const page = JSON.parse(document.getElementById("page").textContent);

export const $ = (selector, root = document) => root.querySelector(selector);

/** h("td", {class: "number"}, "3"): strings become text nodes, functions listeners, null nothing. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** A small two-way switch: [["step", "Step"], ["time", "Time"]]. */
export function segmented(label, options, chosen, onChange) {
  const buttons = options.map(([value, name]) =>
    h(
      "button",
      { type: "button", "data-value": value, "aria-pressed": String(value === chosen), click: () => choose(value) },
      name,
    ),
  );
  function choose(value) {
    options.forEach(([option], i) => buttons[i].setAttribute("aria-pressed", String(option === value)));
    onChange(value);
  }
  return h("div", { class: "segmented", role: "group", "aria-label": label }, buttons);
}

/** The cards of charts on a page and what they show follow one set of switches. */
export function chartControls(host, settings, redraw, reload) {
  const smoothing = h("input", {
    type: "range",
    min: 0,
    max: 0.98,
    step: 0.02,
    value: settings.smoothing,
    "aria-label": "Smoothing",
    input: (event) => {
      settings.smoothing = Number(event.target.value);
      redraw();
    },
  });
  host.append(
    segmented(
      "Horizontal axis",
      [
        ["step", "Step"],
        ["time", "Time"],
        ["tokens", "Tokens"],
      ],
      settings.x,
      (x) => {
        settings.x = x;
        reload();
      },
    ),
    segmented(
      "Vertical axis",
      [
        ["linear", "Linear"],
        ["log", "Log"],
      ],
      settings.log ? "log" : "linear",
      (scale) => {
        settings.log = scale === "log";
        redraw();
      },
    ),
    h("label", { class: "smoothing" }, "Smoothing ", smoothing),
  );
  offerTokens(settings, []);
}

/** Tokens are an axis where some metric counts them. */
export function offerTokens(settings, metrics) {
  settings.tokens = metrics.find((key) => /(^|\/)tokens(_seen)?$/.test(key));
  $("#controls [data-value=tokens]").hidden = !settings.tokens;
}

/** The axis as the server knows it: step, time, or a metric. */
export const axisFor = ({ x, tokens }) => (x === "tokens" ? (tokens ?? "step") : x);

const STATES = {
  pending: "pending",
  running: "running",
  finished: "finished",
  failed: "failed",
  crashed: "crashed",
  killed: "killed",
  preempting: "preempting",
  preempted: "preempted",
};

export function badge(state, earlyStopped = false) {
  if (earlyStopped) return h("span", { class: "badge stopped" }, "stopped early");
  const name = String(state || "").toLowerCase();
  return h("span", { class: `badge ${STATES[name] || name.replace(/[^a-z]/g, "")}` }, name);
}
