"""What the report of a sweep says of repetition: how much is said again, what takes that away, and what it costs."""

from collections.abc import Callable, Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr

from .metrics import INTERPOLATE, VALIDATION_LOSS, repetition
from .settings import by_setting, estimate, mean
from .sweeps import Trial, aligned

# Knobs against it, and what they are when they are off.
OFF = {"unlikelihood": 0, "sequence_unlikelihood": 0, "repetition_penalty": 1, "no_repeat_ngram": 0}

REPEATED = repetition("seq_rep_4_written")
FIGURES = {
    "seq-rep-4": (REPEATED, ".1%"),
    "unique sentences": (repetition("unique_sentences_written"), ".1%"),
    "distinct-2": (repetition("distinct_2_written"), ".3f"),
    "zlib ratio": (repetition("zlib_ratio_written"), ".3f"),
}

SAID = (
    "What a model writes of its own accord, the likeliest token each time, after openings of its corpus. seq-rep-4 is "
    "the share of runs of four tokens that it has written before in the same text; unique sentences, distinct-2 and "
    "the zlib ratio are the higher, the less is repeated. Intervals are over seeds (Student's t); cost is the "
    "validation loss against the trial of the same seed without mitigation: rules of decoding have none, for they "
    "leave the model as it is. Answers to questions are never under such rules, and digits and operators are never "
    "held against a model: exact match shows what is left of its sums."
)


def measured(trials: Sequence[Trial]) -> list[Trial]:
    """The trials of a sweep that tries something against repetition."""
    return [trial for trial in trials if REPEATED in trial.summary and any(name in OFF for name in trial.knobs)]


def blocks(trials: Sequence[Trial], grid: Callable[..., Any]) -> list[Any]:
    """The section: each setting in figures, and repetition against loss."""
    return [
        wr.H1(text="Repetition, and what saying less twice costs"),
        wr.MarkdownBlock(text=SAID),
        wr.CodeBlock(code=table(trials), language=None),
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


def table(trials: Sequence[Trial]) -> str:
    """Every setting with its figures, for people."""
    found = sorted(by_setting(measured(trials), OFF), key=lambda setting: [str(value) for value in setting[0].values()])
    knobs = list(dict.fromkeys(name for setting, _, _ in found for name in setting))
    rows = []
    for setting, same, pairs in found:
        cost = estimate([with_[VALIDATION_LOSS] / without[VALIDATION_LOSS] - 1 for with_, without in pairs])
        rows.append(
            [
                *(str(setting.get(name, "")) for name in knobs),
                str(len(same)),
                *(mean(same, name).text(form) for name, form in FIGURES.values()),
                f"{mean(same, VALIDATION_LOSS).value:.4f}",
                cost.text("+.1%") if cost else "-",
                f"{mean(same, INTERPOLATE).value:.1%}",
            ]
        )
    return aligned([*knobs, "trials", *FIGURES, VALIDATION_LOSS, "cost", INTERPOLATE], rows)
