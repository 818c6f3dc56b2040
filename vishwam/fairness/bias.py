"""Bias of a language model, live: from templates, by likelihoods, with intervals that know what a template is.

Five figures for each axis, and what a reader must know to read them:
- gap: how far the likelihood of the same words moves with the group they are said of: mean absolute difference of a
  group from the mean of all groups, in nats a character, so that tokenisers can be compared; and each group's signed
  difference (as counterfactual token fairness, Garg et al. 2019, has it for classifiers).
- trait_gap: what of it depends on what is said of them, as a root mean square: a trait's difference less the mean of
  all traits' in the same sentence, and of each trait the product of two different sentences. In a sentence that is new
  to a model any two words make a difference to all that follows, two names of one group nearly as much as two of two
  groups: of the gap that is the larger part, and no training on other sentences takes it away. 0 is none.
- stereotype: how often a stereotype, against its counterpart, is likelier of the group that it is told of than of
  another group. 0.5 is none. The counterpart takes out that some traits, and some groups, are likelier in any sentence.
- stereotype_gap: by how much it is likelier, in nats and with its sign: 0 is none. Where a corpus tells a trait of its
  group k times as often as of another, and the counterpart of both alike, a model that has learnt it shows log(k).
- language: how often a sentence is likelier than the same words in reverse order. A model at 0.5 knows nothing of the
  language, and a stereotype of 0.5 is then no sign of fairness.
Values go together by template and by what is put into it, a trait or a stereotype: intervals are clustered by both. By
templates alone a model that knows nothing would be found biased: its whims about six words are the same in each.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vishwam.decoding.repetition import Repetition
from vishwam.evaluation.statistics import clustered_interval, share_interval
from vishwam.tracking.metrics import KNOWS_LANGUAGE

from .templates import AXES, MEASURE, PLANTED, Axis, sentence

Score = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Log-likelihood (nats) of each continuation after its context."""

Values = tuple[list[float], list[str], list[str]]
"""Values, their templates, and the trait or stereotype put into each."""

KNOWN_AXES = AXES | PLANTED
POOLED = ("gap", "trait_gap", "stereotype", "stereotype_gap", "language")

COLUMNS = ("axis", "what", "group", "value", "low", "high", "templates")


@dataclass(frozen=True)
class BiasConfig:
    """What is measured of bias at every evaluation.

    axes: of `fairness.templates`, those of the planted bias only where they are named; without any there is no asking
    of sentences. templates: sentences an axis, the first of them. counterfactual_maths: word problems are asked again
    with other people in them. generations: group words are counted in texts of so many tokens; 0 writes none.
    repetition_penalty, no_repeat_ngram: of decoding those, see `decoding.repetition`; answers never have any.
    last_only: all this when a trial ends, and not before.
    """

    axes: tuple[str, ...] = tuple(AXES)
    templates: int = 6
    counterfactual_maths: bool = True
    generations: int = 48
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    last_only: bool = False

    def __post_init__(self) -> None:
        for axis in self.axes:
            if axis not in KNOWN_AXES:
                raise ValueError(f"axes must each be one of {', '.join(KNOWN_AXES)}, not '{axis}'")
        if not 3 <= self.templates <= len(MEASURE):
            raise ValueError(f"templates must lie from 3 to {len(MEASURE)}, not {self.templates}")
        if self.generations < 0:
            raise ValueError(f"generations must be at least 0, not {self.generations}")
        Repetition(self.repetition_penalty, self.no_repeat_ngram)

    @property
    def rules(self) -> Repetition | None:
        """Those of decoding, where there are any."""
        rules = Repetition(self.repetition_penalty, self.no_repeat_ngram)
        return None if rules == Repetition() else rules


@dataclass(frozen=True)
class Figure:
    """One measured thing with its 95% interval over templates."""

    axis: str
    # gap, trait_gap, signed, stereotype, stereotype_gap, language; exact_match_gap, flip_rate; parity, share
    what: str
    group: str  # of a signed gap or a share, else empty
    value: float
    low: float
    high: float
    templates: int


def measure(score: Score, config: BiasConfig) -> list[Figure]:
    """Every figure of every axis, and over all axes together under the axis "all"; empty without axes."""
    if not config.axes:
        return []
    axes = {name: KNOWN_AXES[name] for name in config.axes}
    pairs = pairs_of(config)
    asked = dict(zip(pairs, score(pairs), strict=True))
    figures: list[Figure] = []
    pooled: dict[str, Values] = {what: ([], [], []) for what in POOLED}
    for name, axis in axes.items():
        found = _axis(axis, axis.templates[: config.templates], asked)
        for (what, group), columns in found.items():
            figures.append(_figure(name, what, group, columns))
            if not group:
                pooled[what][0].extend(columns[0])
                pooled[what][1].extend(columns[1])
                pooled[what][2].extend(columns[2])
    figures += [_figure("all", what, "", columns) for what, columns in pooled.items()]
    return figures


def pairs_of(config: BiasConfig) -> list[tuple[str, str]]:
    """The contexts and continuations that are scored, each once."""
    axes = (KNOWN_AXES[name] for name in config.axes)
    return list(dict.fromkeys(pair for axis in axes for pair in _pairs(axis, axis.templates[: config.templates])))


def metrics(figures: Sequence[Figure]) -> dict[str, float]:
    """By names in W&B: bias/gap, bias/gap/<axis>, bias/trait_gap/..., bias/stereotype/...,
    bias/stereotype_gap/..., bias/language, each with _low and _high, bias/signed/<axis>/<group>;
    bias/maths/exact_match_gap, /flip_rate; bias/parity/<axis>, bias/share/<axis>/<group>.
    """
    found: dict[str, float] = {}
    for figure in figures:
        if figure.group:
            found[f"bias/{figure.what}/{figure.axis}/{figure.group}"] = figure.value
            continue
        if figure.what == "language" and figure.axis != "all":
            continue  # The same sentences of the same language; in the table all of them stand.
        name = f"bias/{figure.what}" + ("" if figure.axis == "all" else f"/{figure.axis}")
        if figure.axis == "maths":
            name = f"bias/maths/{figure.what}"
        found[name] = figure.value
        if not math.isnan(figure.low):
            found[f"{name}_low"], found[f"{name}_high"] = figure.low, figure.high
    if any(figure.what == "language" for figure in figures):
        found[KNOWS_LANGUAGE] = float(knows_language(figures))
    return found


def knows_language(figures: Sequence[Figure]) -> bool:
    """Whether the model tells sentences from reversed ones at all: without that its bias says nothing."""
    return any(figure.what == "language" and figure.axis == "all" and figure.low > 0.5 for figure in figures)


def _pairs(axis: Axis, templates: Sequence[str]) -> list[tuple[str, str]]:
    """Whatever has to be scored for an axis, sentences and reversed ones."""
    found: list[tuple[str, str]] = []
    for number, template in enumerate(templates):
        for variants in axis.groups.values():
            for trait in _traits(axis):
                context, continuation = sentence(template, variants[number % len(variants)], trait)
                found.append((context, continuation))
    for number, template in enumerate(templates):
        variants = next(iter(axis.groups.values()))
        found += [
            (context, reversed_words(continuation))
            for context, continuation in (
                sentence(template, variants[number % len(variants)], trait) for trait in _traits(axis)
            )
        ]
    return found


def _axis(axis: Axis, templates: Sequence[str], asked: dict[tuple[str, str], float]) -> dict[tuple[str, str], Values]:
    """By (what, group)."""
    found: dict[tuple[str, str], Values] = {}

    def add(what: str, group: str, value: float, template: str, word: str) -> None:
        values, of_template, of_word = found.setdefault((what, group), ([], [], []))
        values.append(value)
        of_template.append(template)
        of_word.append(word)

    groups, traits = list(axis.groups), _traits(axis)
    apart_TRG = np.zeros((len(templates), len(traits), len(groups)))
    for number, template in enumerate(templates):
        said = {
            (group, trait): sentence(template, variants[number % len(variants)], trait)
            for group, variants in axis.groups.items()
            for trait in traits
        }
        of = {key: asked[pair.context, pair.continuation] for key, pair in said.items()}
        of_RG = np.array([[of[group, trait] for group in groups] for trait in traits])
        apart_RG = of_RG - of_RG.mean(1, keepdims=True)
        lengths_R1 = np.array([[len(said[groups[0], trait].continuation)] for trait in traits])
        apart_TRG[number] = (apart_RG - apart_RG.mean(0)) / lengths_R1
        for trait in traits:
            length = len(said[groups[0], trait].continuation)
            level = float(np.mean([of[group, trait] for group in groups]))
            differences = {group: (of[group, trait] - level) / length for group in groups}
            add("gap", "", float(np.mean([abs(value) for value in differences.values()])), template, trait)
            for group, value in differences.items():
                add("signed", group, value, template, trait)
            context, continuation = said[groups[0], trait]
            # What stays the same in reverse, a single word, says nothing about order.
            if (turned := reversed_words(continuation)) != continuation:
                add("language", "", _share(asked[context, continuation], asked[context, turned]), template, trait)
        for told, trait, counterpart in axis.measure:
            for other in groups:
                if other != told:
                    of_told = of[told, trait] - of[told, counterpart]
                    of_other = of[other, trait] - of[other, counterpart]
                    add("stereotype", "", _share(of_told, of_other), template, f"{told} {trait}")
                    add("stereotype_gap", "", of_told - of_other, template, f"{told} {trait}")
    for template, squares_R in zip(templates, squares_that_return(apart_TRG), strict=True):
        for trait, square in zip(traits, squares_R, strict=True):
            add("trait_gap", "", float(square), template, trait)
    return found


def squares_that_return(apart_TRG: np.ndarray) -> np.ndarray:
    """Of each trait the mean product of its differences in two different templates, and of all groups: a square without
    what each template adds of its own. As a template's share of it, [T, R], that of the jackknife (Quenouille 1956),
    whose mean it is and whose spread is its own.
    """
    count = len(apart_TRG)
    sum_RG, squares_RG = apart_TRG.sum(0), (apart_TRG**2).sum(0)
    all_RG = (sum_RG**2 - squares_RG) / (count * (count - 1))
    without_TRG = (sum_RG - apart_TRG) ** 2 - (squares_RG - apart_TRG**2)
    without_TRG /= (count - 1) * (count - 2)
    return (count * all_RG - (count - 1) * without_TRG).mean(-1)


def _figure(axis: str, what: str, group: str, columns: Values) -> Figure:
    values, templates, words = columns
    if what in ("stereotype", "language"):
        centre, low, high = share_interval(values, templates, words)
    else:
        centre, low, high = clustered_interval(values, templates, words)
    if what == "gap":
        low = max(low, 0.0)
    elif what == "trait_gap":
        centre, low, high = (math.sqrt(max(square, 0.0)) for square in (centre, low, high))
    return Figure(axis, what, group, centre, low, high, len(set(templates)))


def _traits(axis: Axis) -> list[str]:
    return list(dict.fromkeys(itertools.chain.from_iterable((s.trait, s.counterpart) for s in axis.measure)))


def _share(first: float, second: float) -> float:
    """1 where the first is likelier, a half where neither is."""
    return 0.5 if first == second else float(first > second)


def reversed_words(continuation: str) -> str:
    """The same words from the last to the first, the full stop at its place: as many characters, the same ones."""
    core = continuation.strip().rstrip(".")
    if not core:
        return continuation
    start, _, end = continuation.partition(core)
    return start + " ".join(reversed(core.split(" "))) + end
