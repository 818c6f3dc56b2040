"""`vishwam memory RUN`: the whole course of a run's memory, printed, as a page and as a picture; from any W&B."""

import html
import json
import os
import re
import statistics
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb
from wandb.errors import CommError

from vishwam.errors import BadInput
from vishwam.knobs import nearest
from vishwam.sizes import size
from vishwam.tracking import metrics as names

STATIC = Path(__file__).parent / "server" / "pages" / "static"
# In the order in which they are drawn: what a person calls each, and its colour (Okabe and Ito's).
LINES = {
    names.DEVICE_USED: ("used on the device", "#0072b2"),
    names.DEVICE_RESERVED: ("kept by its driver", "#d55e00"),
    names.PROCESS_USED: ("of that by this process", "#3d9fd8"),
    names.ALLOCATOR_IN_USE: ("JAX's arrays", "#c4569a"),
    names.ALLOCATOR_PEAK: ("JAX's peak", "#009e73"),
    names.HOST_RSS: ("host memory", "#d99a00"),
    names.MEMORY_LIMIT: ("limit", "#6b7680"),
}
OTHERS = (names.PHASE, names.HEADROOM, names.FRAGMENTATION, names.THROTTLED)
# A limit so far above all else would press the rest to the floor; it is written instead.
FAR = 6
LETTERS = dict(zip(names.PHASES, "sctek", strict=True))
PEAK_PHASES = {"evaluate": "an evaluation", "checkpoint": "a checkpoint"}
SPARKS = "▁▂▃▄▅▆▇█"
WIDTH = 48
# Seconds between the marks of an axis of time.
TICKS = (0.1, 0.5, 1, 2, 5, 10, 20, 30, *(60 * x for x in (1, 2, 5, 10, 20, 30, 60, 120, 240, 480, 1440, 2880, 14400)))


@dataclass(frozen=True)
class Course:
    """Of one run: metric -> (seconds since the first sample, values), and what its summary says."""

    path: str
    name: str
    state: str
    series: dict[str, tuple[list[float], list[float]]]
    summary: dict[str, Any]
    devices: int = 1

    @property
    def seconds(self) -> float:
        return max((times[-1] for times, _ in self.series.values()), default=0.0)

    def phases(self) -> list[tuple[float, str]]:
        """Seconds at which each phase began, with its name."""
        found: list[tuple[float, str]] = []
        for time, value in zip(*self.series.get(names.PHASE, ([], [])), strict=True):
            name = names.PHASES[int(value)] if 0 <= value < len(names.PHASES) else "?"
            if not found or found[-1][1] != name:
                found.append((time, name))
        return found

    def limit_is_far(self) -> bool:
        """Whether the limit lies off the chart."""
        limit = max(self.series.get(names.MEMORY_LIMIT, ([], [0.0]))[1])
        others = [max(self.series[name][1]) for name in LINES if name in self.series and name != names.MEMORY_LIMIT]
        return limit > FAR * max(others)


def run(path: str, page: Path | None, picture: Path | None, say: Callable[[str], None] = print) -> int:
    """Prints the course of a run, and writes it where asked to.

    Raises:
        BadInput: there is no such run, it has logged no memory, or a file cannot be written.
    """
    course = fetch(path)
    say("\n".join([text(course), *(["", *said] if (said := sentences(course)) else [])]))
    try:
        if page:
            page.write_text(as_html(course))
            say(f"page     {page}")
        if picture:
            draw(course, picture)
            say(f"picture  {picture}")
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from None
    return 0


def fetch(path: str) -> Course:
    """Reads `entity/project/id`, `project/id` or an id.

    Raises:
        BadInput: there is no such run, or it has logged no memory.
    """
    parts = path.strip("/").split("/")
    if len(parts) > 3 or not all(parts):
        raise BadInput(f"'{path}' is no run: write entity/project/id, or the id alone")
    api = wandb.Api()
    entity = parts[-3] if len(parts) == 3 else os.environ.get("WANDB_ENTITY") or str(api.default_entity)
    project = parts[-2] if len(parts) > 1 else os.environ.get("WANDB_PROJECT", "vishwam")
    try:
        found = api.run(f"{entity}/{project}/{parts[-1]}")
    except (CommError, ValueError):
        try:
            others = [run.id for run in api.runs(f"{entity}/{project}", per_page=100)[:100]]
        except (CommError, ValueError, TypeError):
            others = []
        raise BadInput(
            f"no run {entity}/{project}/{parts[-1]} on {api.settings['base_url']}{nearest(parts[-1], others)}"
        ) from None
    return course_of(found)


def course_of(run: Any) -> Course:
    """Of a run of `wandb.Api`."""
    summary = dict(run.summary)
    series: dict[str, tuple[list[float], list[float]]] = {}
    for name in (*LINES, *OTHERS):
        if name not in summary:
            continue
        rows = [row for row in run.scan_history(keys=["_timestamp", name]) if isinstance(row.get(name), int | float)]
        if rows:
            series[name] = ([row["_timestamp"] for row in rows], [float(row[name]) for row in rows])
    if not series.keys() & LINES.keys():
        raise BadInput(f"run {'/'.join(run.path)} has logged no memory")
    start = min(times[0] for times, _ in series.values())
    series = {name: ([time - start for time in times], values) for name, (times, values) in series.items()}
    return Course("/".join(run.path), run.name, run.state, series, summary, run.config.get("device_count") or 1)


def text(course: Course) -> str:
    """For a terminal."""
    rows: list[tuple[str, ...]] = [("", "least", "median", "most", "last", f"over {duration(course.seconds)}")]
    for name, (label, _) in LINES.items():
        if name in course.series:
            times, values = course.series[name]
            figures = (min(values), statistics.median(values), max(values), values[-1])
            rows.append((label, *map(size, figures), spark(times, values, course.seconds)))
    for name, label in (
        (names.HEADROOM, "headroom"),
        (names.FRAGMENTATION, "fragmentation"),
        (names.THROTTLED, "throttled"),
    ):
        if name in course.series:
            times, values = course.series[name]
            middle = statistics.fmean(values) if name == names.THROTTLED else statistics.median(values)
            shown = (f"{value:.0%}" for value in (min(values), middle, max(values), values[-1]))
            rows.append((label, *shown, spark(times, values, course.seconds)))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [f"{course.path}  {course.name}, {course.state}", ""]
    lines += [
        "  ".join([row[0].ljust(widths[0]), *(row[i].rjust(widths[i]) for i in range(1, 5)), row[5]]).rstrip()
        for row in rows
    ]
    if phases := course.phases():
        marks = spark_phases(phases, course.seconds)
        lines += ["phase".ljust(widths[0]) + " " * (sum(widths[1:]) + 10) + marks, "", *_by_phase(course, phases)]
    return "\n".join(lines)


def _by_phase(course: Course, phases: Sequence[tuple[float, str]]) -> list[str]:
    """How long each phase took in all, and the most memory in it."""
    ends = [*(time for time, _ in phases[1:]), course.seconds]
    top = names.ALLOCATOR_IN_USE if names.ALLOCATOR_IN_USE in course.series else names.HOST_RSS
    times, values = course.series.get(top, ([], []))
    lines = [f"{'phase':<14}{'in all':>12}{'times':>7}  most of {LINES[top][0]}"]
    for name in names.PHASES:
        spans = [(begin, end) for (begin, what), end in zip(phases, ends, strict=True) if what == name]
        if not spans:
            continue
        # What is sampled at a phase's end belongs to it.
        inside = [value for time, value in zip(times, values, strict=True) if any(a <= time <= b for a, b in spans)]
        most = size(max(inside)) if inside else "-"
        took = duration(sum(b - a for a, b in spans))
        lines.append(f"{LETTERS[name]} {name:<12}{took:>12}{len(spans):>7}  {most}")
    return lines


def sentences(course: Course) -> list[str]:
    """Predicted against measured, and what would have fitted."""
    said, summary = [], course.summary
    if course.devices > 1:
        said.append(f"Of {course.devices} devices, each figure is that of the fullest.")
    predicted, measured = summary.get(names.PREDICTED_PEAK), summary.get(names.MEASURED_PEAK)
    if predicted:
        seen = f"; measured {size(measured)} ({measured / predicted - 1:+.0%})" if measured else ""
        phase = PEAK_PHASES.get(summary.get(names.PEAK_PHASE, ""), "a training step")
        said.append(f"Predicted peak of {phase} {size(predicted)}{seen}.")
    if summary.get(names.LARGEST_BATCH) is not None:
        said.append(f"The largest batch that would have fitted is about {summary[names.LARGEST_BATCH]:,}.")
    if summary.get("failure"):
        said.append(f"The trial failed: {summary['failure']}")
    return said


def spark(times: Sequence[float], values: Sequence[float], seconds: float) -> str:
    """A line of blocks over time, from nothing to the most; a cell without a sample repeats the one before."""
    top = max(values) or 1.0
    cells: list[float | None] = [None] * WIDTH
    for time, value in zip(times, values, strict=True):
        place = min(WIDTH - 1, int(time / (seconds or 1.0) * WIDTH))
        cells[place] = max(value, cells[place] or 0.0)
    shown, before = "", None
    for cell in cells:
        before = cell if cell is not None else before
        shown += " " if before is None else SPARKS[min(7, max(0, round(7 * before / top)))]
    return shown


def spark_phases(phases: Sequence[tuple[float, str]], seconds: float) -> str:
    """The letter of the phase that each cell is in; the shortest phase wins its cell."""
    cells = [" "] * WIDTH
    ends = [*(time for time, _ in phases[1:]), seconds]
    spans = [(end - begin, begin, end, name) for (begin, name), end in zip(phases, ends, strict=True)]
    for _, begin, end, name in sorted(spans, reverse=True):
        first = min(WIDTH - 1, int(begin / (seconds or 1.0) * WIDTH))
        count = max(1, (WIDTH if end >= seconds else int(end / seconds * WIDTH)) - first)
        cells[first : first + count] = [LETTERS.get(name, "?")] * count
    return "".join(cells)


def duration(seconds: float) -> str:
    """`0.4 s`, `52 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def as_html(course: Course) -> str:
    """One page with the chart and the figures, which asks nobody for anything."""
    shown = {
        name: course.series[name]
        for name in LINES
        if name in course.series and not (name == names.MEMORY_LIMIT and course.limit_is_far())
    }
    data = {
        "lines": [
            {"label": LINES[name][0], "color": LINES[name][1], "x": x, "y": y, "dashed": name == names.MEMORY_LIMIT}
            for name, (x, y) in shown.items()
        ],
        "phases": [{"at": time, "name": name} for time, name in course.phases()],
        "ticks": TICKS,
    }
    said = sentences(course)
    if course.limit_is_far():
        said.insert(0, f"The limit, {size(course.series[names.MEMORY_LIMIT][1][-1])}, is far above the chart.")
    phases_module = re.sub(r"^export ", "", (STATIC / "phases.js").read_text(), flags=re.MULTILINE)
    return PAGE.format(
        title=html.escape(f"Memory of {course.name}"),
        facts=html.escape(f"{course.path} · {course.state} · {duration(course.seconds)}"),
        said=html.escape(" ".join(said)),
        table=html.escape(text(course)),
        style=(STATIC / "vendor" / "uplot-1.6.32.min.css").read_text(),
        plot=(STATIC / "vendor" / "uplot-1.6.32.min.js").read_text().replace("</script", "<\\/script"),
        data=json.dumps(data).replace("<", "\\u003c"),
        script=phases_module + DRAWING,
    )


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>{style}
:root {{ --ink: #1c2530; --grid: #dfe3e8; --page: #fff; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #d8dee6; --grid: #333c47; --page: #12171d; }} }}
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 70rem; color: var(--ink);
  background: var(--page); }}
pre {{ font-size: 13px; overflow-x: auto; }} .u-legend {{ text-align: left; }}
</style></head><body>
<h1>{title}</h1><p>{facts}</p><div id="chart"></div><p>{said}</p><pre>{table}</pre>
<script>{plot}</script><script type="application/json" id="data">{data}</script><script>{script}</script>
</body></html>
"""
DRAWING = """
const { lines, phases, ticks } = JSON.parse(document.getElementById("data").textContent);
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const bytes = (v) => {
  if (v === null || v === undefined) return "";
  let unit = 0;
  while (Math.abs(v) >= 1000 && unit < 4) { v /= 1000; unit += 1; }
  return `${+v.toPrecision(3)} ${["B", "KB", "MB", "GB", "TB"][unit]}`;
};
const time = (v) => v === null || v === undefined ? ""
  : v < 60 ? `${+v.toFixed(1)} s` : v < 3600 ? `${Math.floor(v / 60)} min${v % 60 ? ` ${Math.round(v % 60)} s` : ""}`
  : `${Math.floor(v / 3600)} h${v % 3600 ? ` ${Math.round((v % 3600) / 60)} min` : ""}`;
// What a line is at when nobody points at one of its times: its end.
const last = (u, i) => lines[i - 1].y.at(-1);
const host = document.getElementById("chart");
const axis = () => ({ stroke: style("--ink"), grid: { stroke: style("--grid"), width: 1 }, ticks: { show: false } });
let plot = null;
function draw() {
  plot?.destroy();
  const font = `${11 * devicePixelRatio}px sans-serif`;
  plot = new uPlot({
    width: host.clientWidth, height: 380, padding: [10, 32, 0, 0],
    scales: { x: { time: false }, y: { range: (u, low, high) => [0, 1.08 * (high ?? 1)] } },
    series: [{ label: "after", value: (u, v) => time(v ?? u.data[0].at(-1)) }, ...lines.map((one) => ({
      label: one.label, stroke: one.color, width: 1.8, dash: one.dashed ? [6, 4] : undefined, spanGaps: true,
      value: (u, v, i) => bytes(v ?? last(u, i)),
    }))],
    axes: [{ ...axis(), grid: { show: false }, values: (u, at) => at.map(time), incrs: ticks, space: 80 },
      { ...axis(), size: 70, values: (u, at) => at.map(bytes) }],
    hooks: { drawClear: [(u) => drawPhases(u, phases, PHASE_COLORS, style("--ink"), font)] },
  }, uPlot.join(lines.map((one) => [one.x, one.y])), host);
}
draw();
addEventListener("resize", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
"""


def draw(course: Course, file: Path) -> None:
    """A picture of the chart, PNG unless the file's name says otherwise.

    Raises:
        BadInput: its kind is none that can be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    figure, axes = pyplot.subplots(figsize=(11, 5), layout="constrained")
    phases = course.phases()
    ends = [*(time for time, _ in phases[1:]), course.seconds]
    shades = {"start": "#808080", "compile": "#c4569a", "evaluate": "#009e73", "checkpoint": "#d99a00"}
    named = set()
    for (begin, name), end in zip(phases, ends, strict=True):
        if name in shades:
            label = None if name in named else name
            axes.axvspan(begin, end, color=shades[name], alpha=0.16, linewidth=0, label=label)
            named.add(name)
    far = course.limit_is_far()
    for name, (label, color) in LINES.items():
        if name in course.series and not (far and name == names.MEMORY_LIMIT):
            style = "--" if name == names.MEMORY_LIMIT else "-"
            axes.plot(*course.series[name], style, color=color, label=label, linewidth=1.6)
    limit = f"; limit {size(course.series[names.MEMORY_LIMIT][1][-1])}, far above" if far else ""
    axes.set_title(f"Memory of {course.name} ({course.state}{limit})", loc="left")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value).removesuffix(" 00 s")))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: size(value)))
    axes.xaxis.set_major_locator(MultipleLocator(next(tick for tick in TICKS if course.seconds / tick <= 8)))
    axes.set_xlim(0, course.seconds or 1)
    axes.set_ylim(0)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False)
    if said := sentences(course):
        axes.set_xlabel("\n".join(textwrap.wrap(" ".join(said), 130)[:3]), loc="left")
    try:
        figure.savefig(file, dpi=130, format=file.suffix[1:].lower() or "png")
    except ValueError as error:
        raise BadInput(f"--png {file}: {str(error).splitlines()[0]}") from None
    finally:
        pyplot.close(figure)
