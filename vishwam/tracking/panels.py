"""The panels of a sweep's report, and the sections that consist of them."""

from collections.abc import Sequence
from typing import Any, Literal

import wandb_workspaces.reports.v2 as wr

from vishwam.tracking import metrics, repetition, sweeps

# Prefix of the metrics, the section's title, and what a reader must know.
OPTIONAL = (
    ("bias/", "Bias", "A model that knows nothing scores as unbiased: read these beside the exact match above."),
    ("repetition/", "Repetition", "How much of what a model writes it has written before."),
    (
        metrics.BENCHMARK,
        "Benchmarks",
        "Public test sets, by `vishwam evaluate --tasks`. Dashed is what guessing gets: a bar whose 95% interval holds "
        "it is at chance.",
    ),
)
KNOWS_NOTHING = (
    "No trial tells sentences from the same words in reverse order: these models know nothing of the language, and "
    "figures of their bias would say nothing, fair or unfair."
)
WATCHED = {
    metrics.STEREOTYPE_GAP: "Lowest stereotype gap, nats (0 is none)",
    repetition.REPEATED: "Least repetition, seq-rep-4",
}
# W&B's grid is 24 columns wide.
THIRD, HALF, FULL = 8, 12, 24


def search(knobs: Sequence[str], watched: str | None = None) -> list[Any]:
    targets = [metrics.INTERPOLATE, metrics.VALIDATION_LOSS, *([watched] if watched else [])]
    width = FULL // len(targets)
    columns_of = (metrics.VALIDATION_LOSS, watched or metrics.EXTRAPOLATE)
    columns = [wr.ParallelCoordinatesPlotColumn(metric=wr.Config(knob), display_name=knob) for knob in knobs]
    columns += [
        wr.ParallelCoordinatesPlotColumn(metric=wr.SummaryMetric(name), display_name=name)
        for name in (*columns_of, metrics.INTERPOLATE)
    ]
    return [
        wr.ParallelCoordinatesPlot(
            title="From knobs to what they do" if watched else "From knobs to exact match",
            columns=columns,
            layout=wr.Layout(0, 0, FULL, 10),
        ),
        *(
            wr.ParameterImportancePlot(with_respect_to=name, layout=wr.Layout(width * i, 10, width, 8))
            for i, name in enumerate(targets)
        ),
    ]


def headlines(extrapolates: bool, watched: str | None) -> list[Any]:
    """The best of all trials, in figures."""
    shown: list[tuple[str, str, Literal["max", "min"]]] = [("Best exact match in range", metrics.INTERPOLATE, "max")]
    if extrapolates:
        shown.append(("Best exact match beyond it", metrics.EXTRAPOLATE, "max"))
    shown.append(("Lowest validation loss", metrics.VALIDATION_LOSS, "min"))
    if watched:
        shown.append((WATCHED[watched], watched, "min"))
    return [
        wr.ScalarChart(
            title=title,
            metric=wr.SummaryMetric(name),
            groupby_aggfunc=how,
            layout=wr.Layout(FULL // len(shown) * i, 0, FULL // len(shown), 4),
        )
        for i, (title, name, how) in enumerate(shown)
    ]


def when_logged(trials: Sequence[sweeps.Trial], grid: Any) -> list[Any]:
    """Sections for bias and benchmarks, where trials log such metrics."""
    logged = sorted(
        {name for trial in trials for name, value in trial.summary.items() if isinstance(value, int | float)}
    )
    blocks: list[Any] = []
    for prefix, title, caution in OPTIONAL:
        # Bounds are drawn with what they bound; signed gaps of every group stand in the table with theirs.
        names = [
            name
            for name in logged
            if name.startswith(prefix)
            and not name.endswith(("_low", "_high", "_chance"))
            and not name.startswith(("bias/signed/", metrics.KNOWS_LANGUAGE))
        ]
        if not names:
            continue
        knows = [trial.summary[metrics.KNOWS_LANGUAGE] for trial in trials if metrics.KNOWS_LANGUAGE in trial.summary]
        if prefix == "bias/" and knows and not any(knows):
            blocks += [wr.H1(text=title), wr.P(text=KNOWS_NOTHING)]
            continue
        height = max(8, len(names))
        bars = wr.BarPlot(title=f"{title}, last value", metrics=[*names], layout=wr.Layout(0, 0, FULL, height))
        curves = [
            curve(name, name.removeprefix(prefix), THIRD * (i % 3), height + 6 * (i // 3), size=(THIRD, 6))
            for i, name in enumerate(names)
        ]
        blocks += [wr.H1(text=title), wr.P(text=caution), grid(bars, *curves)]
    return blocks


def by_set(exact: Sequence[str], grid: Any) -> list[Any]:
    """Exact match of every evaluation set: their last values side by side, and each one's curve."""
    if len(exact) < 2:
        return []
    # Names of many sets stand beside their bars, where there is room for them.
    many = len(exact) > 12
    height = len(exact) // 2 if many else 8
    bars = wr.BarPlot(
        title="Exact match by evaluation set, last value",
        metrics=list(exact),
        orientation="h" if many else "v",
        range_x=(0.0, 1.0),
        layout=wr.Layout(0, 0, FULL, height),
    )
    by_digits = curve(
        metrics.BY_DIGITS,
        "Exact match by digits, one line a trial that ended",
        0,
        height,
        top=1.0,
        over=metrics.DIGITS,
        size=(FULL, 8),
    )
    lengths = [by_digits] if any(metrics.digits_of(name) for name in exact) else []
    below = height + 8 * len(lengths)
    curves = lengths + [
        curve(name, name.removeprefix("exact_match/"), THIRD * (i % 3), below + 6 * (i // 3), top=1.0, size=(THIRD, 6))
        for i, name in enumerate(exact)
    ]
    caution = "A trial that has not learnt the range it trained on says nothing about what it could do beyond it."
    return [wr.H1(text="Every evaluation set"), wr.P(text=caution), grid(bars, *curves)]


def curve(
    name: str,
    title: str,
    x: int,
    y: int,
    *,
    log: bool = False,
    top: float | None = None,
    over: str = metrics.STEP,
    size: tuple[int, int] = (HALF, 8),
) -> Any:
    return wr.LinePlot(
        title=title,
        x=over,
        y=[name],
        log_y=log or None,
        range_y=(None if top is None else 0.0, top),
        smoothing_factor=0.0,
        layout=wr.Layout(x, y, *size),
    )


def resources(on_device: bool) -> list[Any]:
    since_start = "RelativeTime(Process)"
    shown = [
        (metrics.TOKENS_PER_SECOND, "Tokens a second", metrics.STEP),
        (metrics.HOST_RSS, "Host memory of each trial, bytes", since_start),
        (metrics.HEADROOM, "Memory never used, fraction", since_start),
    ]
    device = [metrics.DEVICE_USED, metrics.DEVICE_RESERVED, metrics.ALLOCATOR_PEAK] if on_device else []
    # The phase is no amount of memory: the embedded server's page draws it as bands behind the others.
    course = wr.LinePlot(
        title="Memory of the best trial, bytes",
        x=since_start,
        y=[*device, metrics.HOST_RSS, metrics.MEMORY_LIMIT, metrics.PHASE],
        max_runs_to_show=1,
        smoothing_factor=0.0,
        layout=wr.Layout(0, 0, FULL, 9),
    )
    return [course] + [
        curve(name, title, THIRD * i, 9, over=over, size=(THIRD, 6)) for i, (name, title, over) in enumerate(shown)
    ]
