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
