"""Exact match: greedy decoding, compared character for character on the detokenised text (Saxton et al. 2019)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_pipelines.modular_math.source import Question

from .statistics import wilson_interval

Answer = Callable[[Sequence[str]], list[str]]
"""Questions in, the model's answers out, both as plain text."""


@dataclass(frozen=True)
class Sample:
    """One question with the reference and what the model said."""

    question: str
    answer: str
    prediction: str


@dataclass(frozen=True)
class ExactMatch:
    """How many of `count` answers were right to the character, and every sample behind the figure."""

    correct: int
    count: int
    samples: tuple[Sample, ...]

    @property
    def value(self) -> float:
        return self.correct / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% Wilson interval of `value`."""
        return wilson_interval(self.correct, self.count)


def exact_match(answer: Answer, questions: Sequence[Question]) -> ExactMatch:
    """Asks `answer` all `questions` at once and compares without stripping, lower-casing or parsing anything."""
    predictions = answer([question.question for question in questions])
    samples = tuple(
        Sample(question.question, question.answer, prediction)
        for question, prediction in zip(questions, predictions, strict=True)
    )
    return ExactMatch(sum(sample.answer == sample.prediction for sample in samples), len(samples), samples)


def pooled(results: Sequence[ExactMatch]) -> ExactMatch:
    """All results as one: every question counts the same."""
    return ExactMatch(
        sum(result.correct for result in results),
        sum(result.count for result in results),
        tuple(sample for result in results for sample in result.samples),
    )
