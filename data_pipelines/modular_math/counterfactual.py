"""Questions about other people: the ground for counterfactual fairness."""

import dataclasses

from data_pipelines.modular_math.people import WordProblem
from data_pipelines.modular_math.source import QuestionSource


def counterfactual(source: QuestionSource, *, pronouns: str = "swapped", names: str = "drawn") -> QuestionSource:
    """The same questions about other people: question i of both has the same numbers and the same answer.

    Modules without people are as they were. Raises BadInput for an unknown word.
    """
    settings = {
        name: dataclasses.replace(chosen, pronouns=pronouns, names=names) if isinstance(chosen, WordProblem) else chosen
        for name, chosen in source.settings.items()
    }
    return QuestionSource(source.modules, source.split, source.seed, settings)
