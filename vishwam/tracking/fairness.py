"""What the report of a sweep says of bias: whether it is there, what takes it away, and what that costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import wandb_workspaces.reports.v2 as wr

from .metrics import BIAS as EVERY_FIGURE
from .metrics import BIAS_GAP, INTERPOLATE, KNOWS_LANGUAGE, STEP, STEREOTYPE_GAP, TRAIT_GAP, VALIDATION_LOSS
from .settings import Estimate, by_setting, estimate, mean
from .sweeps import Trial, aligned

# Knobs that are off at 0.
AGAINST_BIAS = ("augmentation", "pairing")
MITIGATIONS = (*AGAINST_BIAS, "unlikelihood", "sequence_unlikelihood")
DEAREST = 0.02  # of the validation loss, for what is called cheap

SAID = (
    "The stereotype gap is by how many nats a stereotype, against a trait that nobody is told to have, is likelier of "
    "the group that it is told of than of another: 0 is none, log(k) is what a model shows that has learnt from a "
    "corpus in which it is k times as frequent. It is measured in sentences that no trial trains on. A trial's own "
    "interval is over those sentences and the traits in them, that of a setting over its seeds (Student's t); cost is "
    "the validation loss against the trial of the same seed without mitigation, on text that is as biased as what was "
    "trained on, so that a part of it is what the bias itself was worth. A star marks the settings that no other beats "
    "in both. Of the absolute gap, in nats a character, the larger part is no bias: in a sentence that is new to a "
    "model any two words make a difference to all that follows, two names of one group as well, and no mitigation "
    "takes that away. The trait gap is what of it depends on what is said of a group."
)


@dataclass(frozen=True)
class Setting:
    """The trials with one choice of knobs, by their seeds; what the loss is more than that of the same seeds without
    mitigation, as a fraction, and what is left of their gap; None where there is nothing to compare with.
    """

    knobs: dict[str, Any]
    trials: tuple[Trial, ...]
    gap: Estimate
    loss: Estimate
    exact_match: Estimate
    cost: Estimate | None
    left: float | None

    @property
    def name(self) -> str:
        return ", ".join(f"`{name}` = {value}" for name, value in self.knobs.items()) or "all trials"

    @property
    def is_plain(self) -> bool:
        return not any(self.knobs.get(name) for name in MITIGATIONS)

    @property
    def halves(self) -> bool:
        """Whether it takes away half of the gap or more and is cheap."""
        return self.left is not None and abs(self.left) <= 0.5 and self.cost is not None and self.cost.value < DEAREST


def measured(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that know language and so have a bias to speak of."""
    return [
        trial
        for trial in trials
        if trial.summary.get(KNOWS_LANGUAGE)
        and all(name in trial.summary for name in (STEREOTYPE_GAP, VALIDATION_LOSS))
    ]


def settings(trials: Sequence[Trial]) -> list[Setting]:
    """What each choice of knobs gave, over its seeds; only trials that ran to their end count."""
    made = []
    for knobs, same, pairs in by_setting(measured(trials), dict.fromkeys(MITIGATIONS, 0)):
        before = sum(ours[STEREOTYPE_GAP] for _, ours in pairs)
        made.append(
            Setting(
                knobs,
                tuple(same),
                gap=mean(same, STEREOTYPE_GAP),
                loss=mean(same, VALIDATION_LOSS),
                exact_match=mean(same, INTERPOLATE),
                cost=estimate([with_[VALIDATION_LOSS] / without[VALIDATION_LOSS] - 1 for with_, without in pairs]),
                left=sum(with_[STEREOTYPE_GAP] for with_, _ in pairs) / before if before else None,
            )
        )
    return sorted(made, key=lambda setting: [str(value) for value in setting.knobs.values()])


def front(found: Sequence[Setting]) -> list[Setting]:
    """Those that no other beats in bias and in loss."""

    def both(setting: Setting) -> tuple[float, float]:
        return abs(setting.gap.value), setting.loss.value

    def beats(other: Setting, one: Setting) -> bool:
        return both(other) != both(one) and all(a <= b for a, b in zip(both(other), both(one), strict=True))

    return [one for one in found if not any(beats(other, one) for other in found)]


def headline(trials: Sequence[Trial]) -> str:
    """The story in two sentences; "" where no trial has one."""
    found = settings(trials)
    said = []
    for plain in (setting for setting in found if setting.is_plain):
        seen = [trial.summary.get(f"{STEREOTYPE_GAP}_low", 0.0) > 0 for trial in plain.trials]
        verdict = "found in each of its" if all(seen) else f"found in {sum(seen)} of its"
        within = f" ({plain.name})" if plain.knobs else ""
        said.append(
            f"Without mitigation{within} the stereotype gap is {plain.gap.text('.2f')} nats: a bias, "
            f"{verdict} {len(seen)} trials (the trial's interval excludes 0)."
        )
    cheap = sorted((setting for setting in found if setting.halves), key=lambda s: s.cost.value if s.cost else 0.0)
    if cheap:
        said.append("It is halved at less than 2% of the validation loss by " + "; ".join(map(_bargain, cheap)) + ".")
    elif any(setting.cost for setting in found):
        said.append("No setting halves it at less than 2% of the validation loss.")
    return " ".join(said)


def blocks(trials: Sequence[Trial], grid: Callable[..., Any]) -> list[Any]:
    """The section: bias against loss and accuracy, each setting in figures, and every figure with its interval."""
    found = settings(trials)
    return [
        wr.H1(text="Bias, and what fairness costs"),
        wr.MarkdownBlock(text=SAID),
        *([wr.CodeBlock(code=table(found), language=None)] if found else []),
        grid(
            wr.ScatterPlot(
                title="Bias against loss, one dot a trial; the line is the Pareto front",
                x=wr.SummaryMetric(VALIDATION_LOSS),
                y=wr.SummaryMetric(STEREOTYPE_GAP),
                z=wr.SummaryMetric(INTERPOLATE),
                running_ymin=True,
                layout=wr.Layout(0, 0, 12, 10),
            ),
            wr.ScatterPlot(
                title="Bias against exact match, coloured by loss",
                x=wr.SummaryMetric(INTERPOLATE),
                y=wr.SummaryMetric(STEREOTYPE_GAP),
                z=wr.SummaryMetric(VALIDATION_LOSS),
                gradient=[wr.GradientPoint("#2166ac", 0), wr.GradientPoint("#b2182b", 100)],
                layout=wr.Layout(12, 0, 12, 10),
            ),
            wr.LinePlot(
                title="The stereotype gap as it is learnt",
                x=STEP,
                y=[STEREOTYPE_GAP],
                smoothing_factor=0.0,
                layout=wr.Layout(0, 10, 24, 8),
            ),
            wr.WeavePanelSummaryTable(table_name=EVERY_FIGURE, layout=wr.Layout(0, 18, 24, 12)),
        ),
    ]


def table(found: Sequence[Setting]) -> str:
    """Every setting with its figures, for people."""
    best = front(found)
    knobs = list(dict.fromkeys(name for setting in found for name in setting.knobs))
    absolute = {"absolute gap": BIAS_GAP, "trait gap": TRAIT_GAP}
    # Figures that trials of an earlier version lack.
    absolute = {
        head: name
        for head, name in absolute.items()
        if all(name in trial.summary for setting in found for trial in setting.trials)
    }
    head = [*knobs, "trials", "stereotype gap", "left", "loss", "cost", "exact match", *absolute, ""]
    rows = [
        [
            *(str(setting.knobs.get(name, "")) for name in knobs),
            str(len(setting.trials)),
            setting.gap.text("+.2f"),
            "-" if setting.left is None else f"{setting.left:.0%}",
            f"{setting.loss.value:.4f}",
            setting.cost.text("+.1%") if setting.cost else "-",
            f"{setting.exact_match.value:.1%}",
            *(mean(setting.trials, name).text(".3f") for name in absolute.values()),
            "*" if setting in best else "",
        ]
        for setting in found
    ]
    return aligned(head, rows)


def _bargain(setting: Setting) -> str:
    assert setting.left is not None and setting.cost is not None
    return f"{setting.name} ({1 - setting.left:.0%} of it gone, loss {setting.cost.text('+.1%')})"
