"""What the report of a sweep says of repetition: how much is said again, what takes that away, and what it costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

import wandb_workspaces.reports.v2 as wr

from .metrics import INTERPOLATE, VALIDATION_LOSS, repetition
from .settings import Estimate, by_setting, estimate, mean
from .sweeps import Trial, aligned

# Knobs against it, and what they are when they are off.
OFF = {"unlikelihood": 0, "sequence_unlikelihood": 0, "repetition_penalty": 1, "no_repeat_ngram": 0}

REPEATED = repetition("seq_rep_4_written")
UNIQUE = repetition("unique_sentences_written")
OTHERS = {"distinct-2": repetition("distinct_2_written"), "zlib": repetition("zlib_ratio_written")}

SAID = (
    "What a model writes of its own accord, the likeliest token each time, after openings of its corpus. seq-rep-4 is "
    "the share of runs of four tokens that it has written before in the same text; unique sentences, distinct-2 and "
    "zlib (compressed over plain size) are the higher, the less is repeated. Intervals are over seeds (Student's t); "
    "cost is the validation loss against the trial of the same seed without mitigation: rules of decoding have none, "
    "for they leave the model as it is. Answers to questions are never under such rules, and digits and operators are "
    "never held against a model: exact match shows what is left of its sums."
)


@dataclass(frozen=True)
class Setting:
    """The trials with one choice of knobs; cost and share of the repetition that is left, as fractions, are against the
    same seeds without mitigation, None where there are none.
    """

    knobs: dict[str, Any]
    trials: tuple[Trial, ...]
    repeated: Estimate
    cost: Estimate | None
    left: float | None

    @property
    def changed(self) -> list[str]:
        """The knobs that are not off."""
        return [name for name, off in OFF.items() if self.knobs.get(name, off) != off]


def settings(trials: Sequence[Trial]) -> list[Setting]:
    """What each choice of knobs gave, over its seeds."""
    found = []
    for knobs, same, pairs in by_setting([trial for trial in trials if REPEATED in trial.summary], OFF):
        before = sum(without[REPEATED] for _, without in pairs)
        cost = estimate([with_[VALIDATION_LOSS] / without[VALIDATION_LOSS] - 1 for with_, without in pairs])
        left = sum(with_[REPEATED] for with_, _ in pairs) / before if before else None
        found.append(Setting(knobs, same, mean(same, REPEATED), cost, left))
    return sorted(found, key=lambda setting: [str(value) for value in setting.knobs.values()])


def headline(trials: Sequence[Trial]) -> str:
    """The story in two sentences: what there is, and what is left by each knob alone; "" where no trial has one,
    or where other knobs are varied, too.
    """
    found = settings(trials)
    if any(set(setting.knobs) - set(OFF) for setting in found):
        return ""  # What else is varied may be against repetition, too: the table tells.
    said = [
        f"Without mitigation {setting.repeated.value:.1%} of the runs of four tokens that a model writes it has "
        f"written before{_within(setting.repeated)}."
        for setting in found
        if not setting.changed
    ]
    alone = [
        f"{setting.left:.0%} with `{knob}` = {setting.knobs[knob]} (loss {setting.cost.value:+.1%})"
        for setting in found
        for knob in setting.changed
        if len(setting.changed) == 1 and setting.left is not None and setting.cost
    ]
    if alone:
        said.append("Of that is left " + "; ".join(alone) + ".")
    return " ".join(said)


def _plain(share: Estimate) -> str:
    return "-" if isnan(share.value) else f"{share.value:.3f}"


def _within(share: Estimate) -> str:
    """The interval of a share, which ends at 0 and 1."""
    return "" if isnan(share.low) else f" [{max(share.low, 0):.1%}, {min(share.high, 1):.1%}]"


def blocks(trials: Sequence[Trial], grid: Callable[..., Any]) -> list[Any]:
    """The section: each setting in figures, and repetition against loss."""
    return [
        wr.H1(text="Repetition, and what saying less twice costs"),
        wr.MarkdownBlock(text=SAID),
        *([wr.CodeBlock(code=table(found), language=None)] if (found := settings(trials)) else []),
        grid(
            wr.ScatterPlot(
                title="Repetition against loss, one dot a trial, coloured by exact match; the line is the front",
                x=wr.SummaryMetric(VALIDATION_LOSS),
                y=wr.SummaryMetric(REPEATED),
                z=wr.SummaryMetric(INTERPOLATE),
                running_ymin=True,
                layout=wr.Layout(0, 0, 24, 10),
            )
        ),
    ]


def table(found: Sequence[Setting]) -> str:
    """Every setting with its figures, for people."""
    knobs = list(dict.fromkeys(name for setting in found for name in setting.knobs))
    rows = []
    for setting in found:
        unique = mean(setting.trials, UNIQUE)
        rows.append(
            [
                *(str(setting.knobs.get(name, "")) for name in knobs),
                f"{setting.repeated.value:.1%}{_within(setting.repeated)}",
                "-" if isnan(unique.value) else f"{unique.value:.1%}{_within(unique)}",
                *(_plain(mean(setting.trials, name)) for name in OTHERS.values()),
                f"{mean(setting.trials, VALIDATION_LOSS).value:.4f}",
                setting.cost.text("+.1%") if setting.cost else "-",
                f"{mean(setting.trials, INTERPOLATE).value:.1%}",
                str(len(setting.trials)),
            ]
        )
    names = [*knobs, "seq-rep-4", "unique sentences", *OTHERS, "loss", "cost", "exact match", "trials"]
    return aligned(names, rows)
