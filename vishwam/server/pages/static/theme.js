// Colours: Okabe and Ito's set, which people with colour-blindness tell apart, tuned for a light and a dark page.

const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#c4569a", "#d99a00", "#3d9fd8", "#7a5bc7", "#8c6d31", "#6b7680"];
const DARK = ["#4fa8e0", "#f0814a", "#2fc79a", "#e39cc5", "#f0b93a", "#8ccbf2", "#a58bea", "#c9ab68", "#a3afba"];
const DASHES = [undefined, [7, 3], [2, 3], [9, 3, 2, 3]];

const query = matchMedia("(prefers-color-scheme: dark)");
export const isDark = () => query.matches;
export const onThemeChange = (redraw) => query.addEventListener("change", redraw);

/** Colour and dash of the i-th run of a page; after nine colours the dashes change. */
export function styleOf(i) {
  const palette = isDark() ? DARK : LIGHT;
  return { color: palette[i % palette.length], dash: DASHES[Math.floor(i / palette.length) % DASHES.length] };
}

/** A colour of the stylesheet, so that canvases follow the page. */
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// From cividis, which reads the same with and without colour-blindness; its faint end is cut for each background.
const RAMP_LIGHT = ["#c9b35a", "#9b9476", "#6c7a7d", "#3d5a80", "#0b2a6b"];
const RAMP_DARK = ["#4a5a86", "#77797a", "#a49a72", "#d3be5c", "#fde73f"];
export const ramp = () => (isDark() ? RAMP_DARK : RAMP_LIGHT);

/** Whether less of a metric is better, by its goal in the sweep or else by its name. */
export const lessIsBetter = (name, goal) => (goal ? goal === "minimize" : /loss|error|perplexity/i.test(name));

/** More runs than this are told apart by how well they did, not each by a colour of its own. */
export const MANY_RUNS = 12;

/** One colour a value, by its rank: the strong end of the ramp is the best; grey where there is no number. */
export function shades(values, less) {
  const order = values
    .filter((value) => typeof value === "number" && Number.isFinite(value))
    .sort((a, b) => (less ? b - a : a - b));
  const stops = ramp();
  return values.map((value) => {
    const rank = order.indexOf(value);
    if (rank < 0) return css("quiet");
    const place = (rank / Math.max(1, order.length - 1)) * (stops.length - 1);
    const [low, high] = [stops[Math.floor(place)], stops[Math.ceil(place)]];
    const mixed = [1, 3, 5].map((i) => {
      const [a, b] = [low, high].map((color) => parseInt(color.slice(i, i + 2), 16));
      return Math.round(a + (b - a) * (place % 1));
    });
    return `rgb(${mixed.join(" ")})`;
  });
}
