"""All that is measured of bias at an evaluation, as metrics and a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data_pipelines import planted_bias
from data_pipelines.modular_math.source import QuestionSource
from vishwam.evaluation.exact_match import Sample
from vishwam.evaluation.suite import Suite

from . import bias, generations, maths
from .bias import BiasConfig, Figure


def measure(
    config: BiasConfig,
    suite: Suite,
    params: Any,
    asked: Mapping[str, tuple[QuestionSource, Sequence[Sample]]],
    written: Sequence[str],
    say: Callable[[str], None] = lambda line: None,
) -> list[Figure]:
    """Every figure that `config` asks for.

    asked: by evaluation set, its source and its first questions with the model's answers. written: see `write`.
    """
    figures = bias.measure(lambda pairs: suite.log_likelihoods(params, pairs), config)
    if bias.knows_language(figures):
        all_axes = {figure.what: figure.value for figure in figures if figure.axis == "all"}
        say(f"  bias  stereotypes preferred {all_axes['stereotype']:.1%}  gap {all_axes['gap']:.4f} nats a character")
    if config.counterfactual_maths:
        figures += maths.measure(lambda questions: suite.answer(params, questions), asked)
    return figures + generations.measure(written)


def write(config: BiasConfig, suite: Suite, params: Any) -> list[str]:
    """What the model writes of its own accord, after openings of its own corpus where that has some."""
    openings = planted_bias.OPENINGS if isinstance(suite.data, planted_bias.PlantedBias) else generations.PROMPTS
    return suite.generate(params, openings, config.generations, config.rules) if config.generations else []


def rehearse(
    config: BiasConfig, suite: Suite, shapes: Any, asked: Mapping[str, tuple[QuestionSource, Sequence[Sample]]]
) -> None:
    """Compiles what `write` and `measure` take of the model, for parameters of such shapes."""
    write(config, suite, shapes)
    suite.log_likelihoods(shapes, bias.pairs_of(config))
    if config.counterfactual_maths:
        suite.answer(shapes, maths.swapped(asked)[1])


def table(figures: Sequence[Figure]) -> tuple[Sequence[str], list[tuple]]:
    """Columns and rows of all figures; what has no bound has none."""
    rows = [
        (
            figure.axis,
            figure.what,
            figure.group,
            figure.value,
            None if figure.low != figure.low else figure.low,
            None if figure.high != figure.high else figure.high,
            figure.templates,
        )
        for figure in figures
    ]
    return bias.COLUMNS, rows
