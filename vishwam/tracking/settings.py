"""Trials of a sweep by their setting, the choice of knobs that several seeds share, and what a setting gave."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from vishwam.evaluation.statistics import clustered_interval

from .sweeps import Trial

SEED = "seed"

Pairs = list[tuple[dict[str, Any], dict[str, Any]]]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% interval, NaN where there is but one."""

    value: float
    low: float
    high: float

    def text(self, form: str) -> str:
        interval = "" if isnan(self.low) else f" [{self.low:{form}}, {self.high:{form}}]"
        return f"{self.value:{form}}{interval}"


def by_setting(
    trials: Sequence[Trial], off: Mapping[str, Any]
) -> Iterator[tuple[dict[str, Any], tuple[Trial, ...], Pairs]]:
    """Of each setting its knobs and its trials, one a seed, and their summaries, each beside that of the same seed with
    the knobs of `off` at those values, where there is such a trial. Only trials that ran to their end count.
    """
    found: dict[tuple, dict[Any, Trial]] = {}
    for trial in trials:
        if trial.state == "finished" and not trial.summary.get("stopped_early"):
            knobs = tuple((name, value) for name, value in trial.knobs.items() if name != SEED)
            found.setdefault(knobs, {})[trial.knobs.get(SEED)] = trial
    for knobs, by_seed in found.items():
        plain = found.get(tuple((name, off.get(name, value)) for name, value in knobs), {})
        both = [seed for seed in by_seed if seed in plain and plain is not by_seed]
        pairs = [(by_seed[seed].summary, plain[seed].summary) for seed in both]
        yield dict(knobs), tuple(by_seed.values()), pairs


def mean(trials: Iterable[Trial], name: str) -> Estimate:
    """Of a metric over the trials that have it."""
    return estimate([trial.summary[name] for trial in trials if name in trial.summary]) or Estimate(nan, nan, nan)


def estimate(values: Sequence[float]) -> Estimate | None:
    """None without values."""
    return Estimate(*clustered_interval(values, range(len(values)))) if values else None
