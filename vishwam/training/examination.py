"""All that is asked of a model when a trial evaluates it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from data_pipelines.modular_math.source import QuestionSource
from vishwam.evaluation import repetition
from vishwam.evaluation.exact_match import Sample
from vishwam.evaluation.findings import Results, find
from vishwam.evaluation.suite import SPLITS, Suite, figures
from vishwam.fairness import bias, live
from vishwam.fairness.bias import BiasConfig
from vishwam.tracking import metrics as names
from vishwam.tracking.metrics import BIAS

SAMPLES_SHOWN = 20  # of each set


@dataclass(frozen=True)
class Examination:
    """metrics: by name; tables: by name, columns and rows; samples: the first answers of each set."""

    results: Results
    metrics: dict[str, float]
    tables: dict[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]

    @property
    def samples(self) -> dict[str, Sequence[Sample]]:
        return {f"{split}/{name}": result.samples[:SAMPLES_SHOWN] for split, name, result in self.results}


def examine(
    suite: Suite, params: Any, questions: int, last: bool, asked_of_bias: BiasConfig, say: Callable[[str], None]
) -> Examination:
    """Exact match over `questions` of every set, what the answers tell beside it, and bias.

    last: the trial ends with this one, so it is worth what is too dear for every evaluation.
    """
    results = list(suite.exact_match(params, questions))
    findings = find(results, suite.tokenizer, last, suite.check)
    metrics, tables = figures(results) | findings.metrics, dict(findings.tables)
    if last or not asked_of_bias.last_only:
        written = live.write(asked_of_bias, suite, params)
        found = live.measure(asked_of_bias, suite, params, answered(suite, results), written, say)
        metrics |= bias.metrics(found) | repetition_in(written, suite)
        tables |= {BIAS: live.table(found)} if found else {}
    return Examination(results, metrics, tables)


def rehearse(suite: Suite, shapes: Any, questions: int, last: bool, asked_of_bias: BiasConfig) -> None:
    """Compiles what `examine` takes of the model, for parameters of such shapes."""
    results = list(suite.exact_match(shapes, questions))
    if last or not asked_of_bias.last_only:
        live.rehearse(asked_of_bias, suite, shapes, answered(suite, results))


def answered(suite: Suite, results: Results) -> dict[str, tuple[QuestionSource, Sequence[Sample]]]:
    """By evaluation set, its source, its first questions and what was answered."""
    sets = {split: suite.data.sets(split) for split in SPLITS}
    return {f"{split}/{name}": (sets[split][name], result.samples) for split, name, result in results}


def repetition_in(written: Sequence[str], suite: Suite) -> dict[str, float]:
    """How much of what the model wrote of its own accord it had written before."""
    texts = [tokens.tolist() for tokens in suite.tokenizer.encode_batch(written)]
    return {names.repetition(f"{name}_written"): value for name, value in repetition.figures(texts, written).items()}
