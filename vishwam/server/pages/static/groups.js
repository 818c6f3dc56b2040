// Curves of runs that belong together as one: their mean, and between which values they lie.

import { styleOf } from "./theme.js";

const MOST_POINTS = 250;

/**
 * [{id, label, color, x, y, low, high, members}] of series [{id, x, y}], one a group. groupOf(id): its name; places:
 * a Map from names to their colours' places. A run counts from its first to its last point, between them along
 * straight lines.
 */
export function grouped(series, groupOf, places) {
  const groups = Map.groupBy(series, ({ id }) => groupOf(id));
  return [...groups].map(([name, members]) => {
    const x = gridOf(members);
    const values = members.map((one) => along(one, x));
    const [y, low, high] = [0, 1, 2].map(() => new Float64Array(x.length).fill(NaN));
    for (let i = 0; i < x.length; i += 1) {
      const known = values.map((row) => row[i]).filter(Number.isFinite);
      if (!known.length) continue;
      y[i] = known.reduce((sum, value) => sum + value, 0) / known.length;
      low[i] = Math.min(...known);
      high[i] = Math.max(...known);
    }
    return { id: `group ${name}`, label: name, ...styleOf(places.get(name) ?? 0), x, y, low, high, members: members.length };
  });
}

/** Where the members have points, or an even grid when these are too many. */
function gridOf(members) {
  const own = new Set(members.flatMap(({ x }) => (x.length > 4 * MOST_POINTS ? [] : [...x])));
  if (own.size && own.size <= MOST_POINTS && members.every(({ x }) => x.length <= 4 * MOST_POINTS))
    return Float64Array.from(own).sort();
  const low = Math.min(...members.map(({ x }) => x[0]));
  const high = Math.max(...members.map(({ x }) => x.at(-1)));
  return Float64Array.from({ length: MOST_POINTS }, (_, i) => low + ((high - low) * i) / (MOST_POINTS - 1));
}

function along({ x, y }, grid) {
  let at = 0;
  return Array.from(grid, (place) => {
    if (place < x[0] || place > x.at(-1)) return NaN;
    while (at < x.length - 1 && x[at + 1] <= place) at += 1;
    if (x[at] === place || at === x.length - 1) return y[at];
    return y[at] + ((y[at + 1] - y[at]) * (place - x[at])) / (x[at + 1] - x[at]);
  });
}
