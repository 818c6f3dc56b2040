"""Where a model errs: exact match by what a question is like, and the mistakes themselves, each with its kind."""

import re
from collections.abc import Callable, Sequence

from .exact_match import Sample
from .statistics import wilson_interval

Results = Sequence[tuple[str, str, Sequence[Sample]]]
"""Split, name of the evaluation set, and its samples."""

TABLE_COLUMNS = ("split", "set", "by", "value", "exact match", "low", "high", "questions")
MISTAKE_COLUMNS = ("set", "question", "answer", "prediction", "mistake")
MISTAKES_SHOWN = 20  # of each set

_NUMBERS = re.compile(r"\d+")
_DEFINITIONS = re.compile(r"(?:^|(?<=[.?!] ))(?:Let|Suppose)\b")


def digits(sample: Sample) -> int | None:
    """Of the longest number in the question."""
    return max(map(len, _NUMBERS.findall(sample.question)), default=None)


def carries(sample: Sample) -> int | None:
    """In the sum of the question's two numbers; None where the question is no sum of two natural numbers."""
    found = _NUMBERS.findall(sample.question)
    # Digits summed, one is lost to nine more at each carry (Kummer 1852, for base 10).
    if len(found) != 2 or "-" in sample.question or sample.answer != str(int(found[0]) + int(found[1])):
        return None
    before = sum(map(int, "".join(found)))
    return (before - sum(map(int, sample.answer))) // 9


def depth(sample: Sample) -> int:
    """How deep the question is composed: itself, and each "Let" or "Suppose", of which a module has one or two."""
    return 1 + len(_DEFINITIONS.findall(sample.question))


def answer_length(sample: Sample) -> int:
    """Characters of the answer."""
    return len(sample.answer)


BY: dict[str, Callable[[Sample], int | None]] = {
    "digits": digits,
    "carries": carries,
    "depth": depth,
    "answer length": answer_length,
}


def table(results: Results) -> list[tuple]:
    """Exact match with its 95% interval for every value of every property, one row each (`TABLE_COLUMNS`).

    Values from 10 on share a row by tens. A property that is the same in all of a set's questions says nothing that the
    set's own figure does not, and has no row.
    """
    rows = []
    for split, name, samples in results:
        for by, measure in BY.items():
            counts: dict[int, list[int]] = {}
            for sample in samples:
                value = measure(sample)
                if value is not None:
                    count = counts.setdefault(value if value < 10 else value // 10 * 10, [0, 0])
                    count[0] += sample.prediction == sample.answer
                    count[1] += 1
            if len(counts) < 2:
                continue
            for value, (right, asked) in sorted(counts.items()):
                label = str(value) if value < 10 else f"{value}-{value + 9}"
                rows.append((split, name, by, label, right / asked, *wilson_interval(right, asked), asked))
    return rows


def mistakes(results: Results, equivalent: Callable[[str, str], bool]) -> list[tuple]:
    """The first mistakes of each set with what kind of mistake it is, one row each (`MISTAKE_COLUMNS`)."""
    return [
        (f"{split}/{name}", sample.question, sample.answer, sample.prediction, kind(sample, equivalent))
        for split, name, samples in results
        for sample in [sample for sample in samples if sample.prediction != sample.answer][:MISTAKES_SHOWN]
    ]


def kind(sample: Sample, equivalent: Callable[[str, str], bool]) -> str:
    """What is wrong with a prediction that is not the answer to the character."""
    answer, said = sample.answer, sample.prediction
    if not said:
        return "nothing said"
    if equivalent(answer, said):
        return "equivalent"
    if answer.lstrip("-") == said.lstrip("-"):
        return "sign"
    if len(answer) == len(said):
        wrong = sum(a != b for a, b in zip(answer, said, strict=True))
        return "one character" if wrong == 1 else "several characters"
    if said.startswith(answer) or answer.startswith(said):
        return "goes on too long" if len(said) > len(answer) else "stops too early"
    return "too long" if len(said) > len(answer) else "too short"
