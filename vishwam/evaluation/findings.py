"""What the answers of one evaluation tell beside exact match: metrics by their names in W&B, and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data_pipelines.tokenizer import MathTokenizer
from vishwam.tracking import metrics as names

from . import errors, repetition
from .equivalence import Judge
from .exact_match import ExactMatch
from .statistics import wilson_interval

Results = Sequence[tuple[str, str, ExactMatch]]
"""Split, name of the evaluation set and what it gave."""


@dataclass(frozen=True)
class Findings:
    """metrics: by name; tables: by name, columns and rows."""

    metrics: dict[str, float]
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence]]]


def find(results: Results, tokenizer: MathTokenizer, last: bool, check: Callable[[], None] = lambda: None) -> Findings:
    """Equivalence, error tables, mistakes and repetition of `results`.

    last: also what is too dear for every evaluation, self-BLEU. check: called between them; raises to end.
    """
    said = [(split, name, result.samples) for split, name, result in results]
    with Judge() as judge:
        metrics = equivalence(results, judge, check)
        check()
        mistakes = errors.mistakes(said, judge.equivalent)
    metrics |= repetitions(results, tokenizer, last)
    tables = {
        names.ERRORS: (errors.TABLE_COLUMNS, errors.table(said)),
        names.CONFUSIONS: (errors.MISTAKE_COLUMNS, mistakes),
    }
    # A table without rows is no table: W&B draws an empty panel for it.
    return Findings(metrics, {name: table for name, table in tables.items() if table[1]})


def equivalence(results: Results, judge: Judge, check: Callable[[], None] = lambda: None) -> dict[str, float]:
    """The share of answers that mean what the reference does: each set, and each split with its 95% interval."""
    found: dict[str, float] = {}
    splits: dict[str, list[int]] = {}
    for split, name, result in results:
        check()
        right = sum(judge.equivalent(sample.answer, sample.prediction) for sample in result.samples)
        found[names.equivalent(split, name)] = right / result.count
        whole = splits.setdefault(split, [0, 0])
        whole[0] += right
        whole[1] += result.count
    for split, (right, count) in splits.items():
        found[f"{split}/equivalent"] = right / count
        found[f"{split}/equivalent_low"], found[f"{split}/equivalent_high"] = wilson_interval(right, count)
    return found | ({names.UNDECIDED: judge.undecided} if judge.undecided else {})


def repetitions(results: Results, tokenizer: MathTokenizer, last: bool) -> dict[str, float]:
    """Repetition in all answers together, and in the right ones."""
    found: dict[str, float] = {}
    samples = [sample for _, _, result in results for sample in result.samples]
    for ending, plain in (
        ("", [sample.prediction for sample in samples]),
        ("_reference", [sample.answer for sample in samples]),
    ):
        texts = [tokens.tolist() for tokens in tokenizer.encode_batch(plain)]
        figures = repetition.figures(texts, plain)
        if last and (alike := repetition.self_bleu(texts)) is not None:
            figures["self_bleu"] = alike
        found |= {names.repetition(name + ending): value for name, value in figures.items()}
    return found
