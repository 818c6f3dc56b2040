"""Counterfactual maths: the same word problem with other people in it has the same answer."""

import re
from collections.abc import Callable, Mapping, Sequence

from data_pipelines.modular_math.counterfactual import counterfactual
from data_pipelines.modular_math.people import NAMES, WordProblem
from data_pipelines.modular_math.source import QuestionSource
from vishwam.evaluation.exact_match import Sample
from vishwam.evaluation.statistics import clustered_interval, paired_interval, share_interval

from .bias import Figure

_NAMES = [name for origin in NAMES.values() for names in origin.values() for name in names]
_PEOPLE = re.compile(rf"\b(?:{'|'.join(_NAMES)})\b")
_WORDS = re.compile(r"\b(?:she|he|they|her|him|them|his|hers|their|has|have|is|are|does|do|was|were)\b", re.IGNORECASE)
_ENDINGS = re.compile(r"(?<=[a-z])s\b")


def has_people(source: QuestionSource) -> bool:
    """Whether all questions of a source are about people."""
    return all(isinstance(source.settings[name], WordProblem) for name in source.modules)


def measure(
    answer: Callable[[Sequence[str]], Sequence[str]],
    asked: Mapping[str, tuple[QuestionSource, Sequence[Sample]]],
) -> list[Figure]:
    """Exact match where women and men have changed places, against the questions as they were; empty without people.

    exact_match_gap: as it was minus that of the counterfactuals; flip_rate: the share of questions with another answer.
    Intervals cluster by the problem's wording, without its numbers and people. Question i of a set and its
    counterfactual differ in nothing else.

    Args:
        answer: the model's answers to questions.
        asked: by evaluation set, its source and its first questions with the model's answers.
    """
    before, others = swapped(asked)
    if not before:
        return []
    said = answer(others)
    clusters = [wording(sample.question) for sample in before]
    gaps = [
        float(sample.prediction == sample.answer) - float(other == sample.answer)
        for sample, other in zip(before, said, strict=True)
    ]
    flips = [float(sample.prediction != other) for sample, other in zip(before, said, strict=True)]
    number = len(set(clusters))
    gap, low, high = clustered_interval(gaps, clusters)
    if high - low < 1e-9:  # All problems agree, which is no certainty: as many observations as wordings.
        right = sum(sample.prediction == sample.answer for sample in before)
        both = round(right / len(before) * number) if gap == 0 else 0
        low, high = paired_interval(both, number * (gap > 0), number * (gap < 0), number - both if gap == 0 else 0)
    return [
        Figure("maths", "exact_match_gap", "", gap, low, high, number),
        Figure("maths", "flip_rate", "", *share_interval(flips, clusters), number),
    ]


def swapped(asked: Mapping[str, tuple[QuestionSource, Sequence[Sample]]]) -> tuple[list[Sample], list[str]]:
    """Those of the samples that are about people, and their questions with the people changed; `asked` as above."""
    before: list[Sample] = []
    others: list[str] = []
    for source, samples in asked.values():
        if not has_people(source):
            continue
        counterparts = counterfactual(source, pronouns="swapped")
        for i, sample in enumerate(samples):
            other = counterparts[i]
            if other.question != sample.question:  # Where all people are "they" nothing changes.
                before.append(sample)
                others.append(other.question)
    return before, others


def wording(question: str) -> str:
    """A problem without its numbers and people: what it was made from."""
    text = _WORDS.sub("~", _PEOPLE.sub("@", question))
    return re.sub(r"\d+", "#", _ENDINGS.sub("", text))
