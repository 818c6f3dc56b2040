"""Generated maths questions in the manner of Saxton et al. 2019, by index, with true composition. Integers and
fractions only.
"""

from data_pipelines.modular_math.source import ModularMath, Question, QuestionSource

__all__ = ["ModularMath", "Question", "QuestionSource"]
