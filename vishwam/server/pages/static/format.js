// Numbers, times and values as a person reads them.

const DASH = "–";

/** Four significant digits; exponents only where zeros would have to be counted. */
export function number(value) {
  if (value === null || value === undefined || value === "") return DASH;
  if (typeof value !== "number") return text(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e15) return exponent(value);
  if (Number.isInteger(value)) return value.toLocaleString("en").replaceAll(",", " ");
  if (size >= 1e9) return exponent(value);
  if (size >= 1e4) return Math.round(value).toLocaleString("en").replaceAll(",", " ");
  return trim(value.toPrecision(4));
}

/** Short enough for an axis: 3e-4, 0.25, 12k, 3.4M. */
export function tick(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e12) return exponent(value);
  for (const [unit, letter] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])
    if (size >= unit) return trim((value / unit).toPrecision(3)) + letter;
  return trim(value.toPrecision(3));
}

function exponent(value) {
  const [mantissa, power] = value.toExponential(2).split("e");
  return `${trim(mantissa)}e${Number(power)}`;
}

function trim(digits) {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

export function bytes(value) {
  if (typeof value !== "number") return DASH;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let i = 0;
  while (Math.abs(value) >= 1024 && i < units.length - 1) {
    value /= 1024;
    i += 1;
  }
  return `${i ? trim(value.toPrecision(3)) : value} ${units[i]}`;
}

export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return DASH;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
  return `${Math.floor(s / 86400)}d ${Math.floor((s % 86400) / 3600)}h`;
}

const pad = (n) => String(n).padStart(2, "0");

export function ago(timestamp) {
  if (!timestamp) return DASH;
  const seconds = Date.now() / 1000 - timestamp;
  if (seconds < 5) return "just now";
  if (seconds < 86400 * 2) return `${duration(seconds).split(" ")[0]} ago`;
  return new Date(timestamp * 1000).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

/** Any value of a configuration or summary. */
export function text(value) {
  if (value === null || value === undefined) return DASH;
  if (typeof value === "number") return number(value);
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}

/** How the values of this metric are written: bytes for memory, plain numbers otherwise. */
export function formatterOf(key) {
  return /^memory\/(?!headroom)|Bytes$|_bytes$/.test(key) ? bytes : number;
}
export function tickFormatterOf(key) {
  return formatterOf(key) === bytes ? bytes : tick;
}
