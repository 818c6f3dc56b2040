// What a trial was at, as bands behind a chart over time. `vishwam memory --html` takes this file as it is.

/** Seconds at which a phase begins, with its name, from the numbers that a trial logs. */
export function phasesOf({ x, y }, names) {
  const found = [];
  for (let i = 0; i < x.length; i += 1) {
    const name = names[y[i]];
    if (name && name !== found.at(-1)?.name) found.push({ at: x[i], name });
  }
  return found;
}

/** Draws the bands; for uPlot's hook `drawClear`. colors: by name; a band has its name where there is room. */
export function drawPhases(u, phases, colors, ink, font) {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.font = font;
  ctx.textBaseline = "top";
  phases.forEach(({ at, name }, i) => {
    const from = Math.max(u.valToPos(at, "x", true), bbox.left);
    const to = i + 1 < phases.length ? u.valToPos(phases[i + 1].at, "x", true) : bbox.left + bbox.width;
    if (to <= bbox.left || from >= bbox.left + bbox.width) return;
    ctx.fillStyle = colors[name] ?? "transparent";
    ctx.fillRect(from, bbox.top, Math.max(to - from, 1), bbox.height);
    if (ctx.measureText(name).width + 8 < to - from) {
      ctx.fillStyle = ink;
      ctx.fillText(name, from + 4, bbox.top + 3);
    }
  });
  ctx.restore();
}

export const PHASES = ["start", "compile", "train", "evaluate", "checkpoint"];
/** Faint enough for a light and a dark page; training, which is most of it, has none. */
export const PHASE_COLORS = {
  start: "rgba(128, 128, 128, 0.16)",
  compile: "rgba(196, 86, 154, 0.18)",
  evaluate: "rgba(0, 158, 115, 0.16)",
  checkpoint: "rgba(217, 154, 0, 0.3)",
};
