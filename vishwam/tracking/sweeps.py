"""Reading a sweep back from W&B: its state, its trials and the best of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import wandb

from vishwam.evaluation.statistics import wilson_interval
from vishwam.sizes import size

from .metrics import (
    EXTRAPOLATE,
    HEADROOM,
    INTERPOLATE,
    LARGEST_BATCH,
    MEASURED_PEAK,
    MEMORY_LIMIT,
    PREDICTED_PEAK,
    VALIDATION_LOSS,
)

SCORES = (INTERPOLATE, EXTRAPOLATE)


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: the knobs the sweep varies, the last metrics, seconds of run time."""

    id: str
    state: str
    knobs: dict[str, Any]
    summary: dict[str, Any]
    seconds: float


def state(path: str) -> str | None:
    """PENDING, RUNNING, PAUSED, FINISHED, ...; None where the server in use does not have this sweep."""
    try:
        return wandb.Api().sweep(path).state
    except (wandb.errors.CommError, ValueError):
        return None


def url(path: str) -> str:
    return wandb.Api().sweep(path).url


def trials(path: str) -> list[Trial]:
    """The trials of a sweep in the order in which they began."""
    sweep = wandb.Api().sweep(path)
    varied = [
        name
        for name, spec in sweep.config.get("parameters", {}).items()
        if "value" not in spec and len(spec.get("values", (0, 0))) > 1
    ]
    runs = sorted(sweep.runs, key=lambda run: run.created_at)
    return [
        Trial(
            run.id,
            run.state,
            {name: run.config[name] for name in varied if name in run.config},
            dict(run.summary),
            run.summary.get("_wandb", {}).get("runtime") or run.summary.get("_runtime", 0.0),
        )
        for run in runs
    ]


def best(trials: Sequence[Trial]) -> Trial | None:
    """The trial with the highest exact match in range and beyond, ties broken by loss; None where none has one."""

    def score(trial: Trial) -> tuple[float, ...]:
        values = [_number(trial.summary, name, -1.0) for name in SCORES]
        return (*values, -_number(trial.summary, VALIDATION_LOSS, float("inf")))

    finished = [trial for trial in trials if SCORES[0] in trial.summary]
    return max(finished, key=score, default=None)


def table(trials: Sequence[Trial]) -> str:
    """The trials as text: knobs, exact match with its 95% interval, validation loss, seconds, and how each ended."""
    if not trials:
        return "no trial has begun"
    knobs = list(dict.fromkeys(name for trial in trials for name in trial.knobs))
    # Not all data can be asked beyond the range of training.
    scores = [name for name in SCORES if name == INTERPOLATE or any(name in trial.summary for trial in trials)]
    head = [*knobs, *(name.partition("/")[0] for name in scores), VALIDATION_LOSS, "time", ""]
    rows = [
        [
            *(str(trial.knobs.get(name, "")) for name in knobs),
            *(_percent(trial.summary, name) for name in scores),
            f"{_number(trial.summary, VALIDATION_LOSS, float('nan')):.4f}".replace("nan", "-"),
            f"{trial.seconds:.0f} s",
            _ending(trial),
        ]
        for trial in trials
    ]
    return aligned(head, rows)


def memory_table(trials: Sequence[Trial]) -> str:
    """Predicted and measured peak of each trial's step, the limit, and the largest batch; "" where no trial has any."""
    known = [trial for trial in trials if PREDICTED_PEAK in trial.summary]
    if not known:
        return ""
    knobs = list(dict.fromkeys(name for trial in trials for name in trial.knobs))

    def cell(trial: Trial, name: str) -> str:
        value = _number(trial.summary, name, -1.0)
        return size(value) if value >= 0 else "-"

    def off(trial: Trial) -> str:
        predicted, measured = (_number(trial.summary, name, 0.0) for name in (PREDICTED_PEAK, MEASURED_PEAK))
        return f"{measured / predicted - 1:+.0%}" if predicted and measured else "-"

    head = ["trial", *knobs, "predicted", "measured", "off by", "limit", "headroom", "largest batch"]
    rows = [
        [
            trial.id,
            *(str(trial.knobs.get(name, "")) for name in knobs),
            cell(trial, PREDICTED_PEAK),
            cell(trial, MEASURED_PEAK),
            off(trial),
            cell(trial, MEMORY_LIMIT),
            f"{_number(trial.summary, HEADROOM, float('nan')):.0%}",
            f"{_number(trial.summary, LARGEST_BATCH, 0.0):,.0f}",
        ]
        for trial in known
    ]
    return aligned(head, rows)


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _percent(summary: dict[str, Any], name: str) -> str:
    value, count = summary.get(name), summary.get(f"{name}_count")
    if not isinstance(value, (int, float)):
        return "-"
    if not count:
        return f"{value:.1%}"
    low, high = wilson_interval(round(value * count), int(count))
    return f"{value:6.1%} [{low:.1%}, {high:.1%}]"


def _number(summary: dict[str, Any], name: str, default: float) -> float:
    value = summary.get(name, default)
    return float(value) if isinstance(value, (int, float)) else default


def _ending(trial: Trial) -> str:
    if trial.summary.get("failure"):
        return f"failed: {trial.summary['failure']}"
    if trial.summary.get("stopped_early"):
        return "stopped early"
    return trial.state
