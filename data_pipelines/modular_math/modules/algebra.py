"""Linear equations in one variable: algebra__linear_1d."""

from data_pipelines.modular_math.composition import INTEGERS, Context, maker
from data_pipelines.modular_math.expressions import signed_sum
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_nonzero, draw_signed, integer


@module("algebra__linear_1d", composed=(2, 4))
def linear_1d(context: Context, entropy: int) -> tuple[str, str]:
    """The integer that solves a linear equation with terms on both sides."""
    own = context.between(DIGIT, DIGIT + entropy // 3)
    solution = draw_signed(context, own)
    variable = context.letter()
    equation = _equation(context, variable, solution, max(DIGIT, entropy - own))
    return context.compose(f"Solve {equation} for {variable}."), str(solution)


@maker(*INTEGERS)
def solution_of(context: Context, value: Value, entropy: int) -> str:
    """Suppose an equation in k."""
    variable = context.letter()
    equation = _equation(context, variable, value.numerator, entropy)
    context.define(f"Suppose {equation}.")
    return variable


def _equation(context: Context, variable: str, solution: int, entropy: int) -> str:
    """slope * variable = slope * solution, both cut into terms that are thrown on either side."""
    upper = max(DIGIT // 2, entropy // 2)
    slope = draw_nonzero(context, upper)
    terms = [(number, variable) for number in _cut(context, slope, entropy - upper)]
    terms += [(number, "") for number in _cut(context, -slope * solution, entropy - upper)]
    terms = context.shuffled(terms)
    sides = [context.below(2) for _ in terms]
    signed = [-number if side else number for (number, _), side in zip(terms, sides, strict=True)]
    handles = context.write(*map(integer, signed))
    left, right = (
        signed_sum(
            [(handle, factor) for handle, (_, factor), at in zip(handles, terms, sides, strict=True) if at == side]
        )
        for side in (0, 1)
    )
    return f"{left} = {right}"


def _cut(context: Context, total: int, entropy: int) -> list[int]:
    """One to three integers with that sum, none of them 0."""
    parts = [
        draw_nonzero(context, max(DIGIT // 2, entropy // 3))
        for _ in range(context.below(min(3, 1 + entropy // (2 * DIGIT))))
    ]
    return [part for part in [*parts, total - sum(parts)] if part]
