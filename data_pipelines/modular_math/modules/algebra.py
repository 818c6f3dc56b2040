"""Linear equations: algebra__linear_1d, algebra__linear_2d."""

from data_pipelines.modular_math.composition import INTEGERS, Context, maker
from data_pipelines.modular_math.expressions import cut_up, signed_sum
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_nonzero, draw_signed

# (number, the letter it stands before or nothing).
Term = tuple[int, str]


@module("algebra__linear_1d", composed=(2, 4), sizes="the solution and the equation share the digits")
def linear_1d(context: Context, entropy: int) -> tuple[str, str]:
    """The integer that solves a linear equation with terms on both sides."""
    own = max(DIGIT, entropy // 4)
    solution = draw_signed(context, own)
    variable = context.letter()
    equation = _equation(context, variable, solution, max(DIGIT, entropy - own))
    return context.compose(f"Solve {equation} for {variable}."), str(solution)


@module("algebra__linear_2d", composed=(2, 4), sizes="the solutions and the equations share the digits")
def linear_2d(context: Context, entropy: int) -> tuple[str, str]:
    """One of the two integers that solve a system of two linear equations."""
    own = max(DIGIT, context.below(entropy // 4 + 1))
    other = max(DIGIT, entropy // 4 - own)
    solution = draw_signed(context, own)
    equations, variable = _system(context, solution, draw_signed(context, other), max(DIGIT, entropy - own - other))
    return context.compose(f"Solve {equations} for {variable}."), str(solution)


@maker(*INTEGERS)
def solution_of(context: Context, value: Value, entropy: int) -> str:
    """Suppose an equation in k."""
    variable = context.letter()
    equation = _equation(context, variable, value.numerator, entropy)
    context.define(f"Suppose {equation}.")
    return variable


@maker(*INTEGERS)
def solution_of_system(context: Context, value: Value, entropy: int) -> str:
    """Suppose two equations in k and another."""
    equations, variable = _system(context, value.numerator, draw_signed(context, DIGIT), entropy)
    context.define(f"Suppose {equations}.")
    return variable


def _equation(context: Context, variable: str, solution: int, entropy: int) -> str:
    """slope * variable = slope * solution, both cut into terms that are thrown on either side."""
    upper = entropy // 3 + context.below(entropy // 3 + 1)
    slope = draw_nonzero(context, max(DIGIT, upper))
    totals = [slope, -slope * solution]
    more = context.between(1, max(1, 2 + entropy // (2 * DIGIT) - sum(map(bool, totals))))
    terms = [(number, "" if place else variable) for number, place in cut_up(context, totals, more, entropy - upper)]
    terms, sides = _thrown(context, terms)
    return _assembled(context.write(*_signed(terms, sides)), terms, sides)


def _system(context: Context, solution: int, other: int, entropy: int) -> tuple[str, str]:
    """Two equations, and the letter whose value is `solution`; neither has that letter alone."""
    first, second = context.letter(), context.letter()
    upper = entropy // 3 + context.below(entropy // 3 + 1)
    while True:
        p, q, r, s = (draw_signed(context, max(DIGIT, share)) for share in context.shares(upper, 4))
        if q and s and p * s != q * r:
            break
    totals = [p, q, -p * solution - q * other, r, s, -r * solution - s * other]
    more = context.between(1, max(1, 3 + entropy // DIGIT - sum(map(bool, totals))))
    factors = (first, second, "")
    pieces: tuple[list[Term], list[Term]] = ([], [])
    for number, place in cut_up(context, totals, more, entropy - upper):
        pieces[place // 3].append((number, factors[place % 3]))
    one, one_sides = _thrown(context, pieces[0])
    two, two_sides = _thrown(context, pieces[1])
    handles = context.write(*_signed(one, one_sides), *_signed(two, two_sides))
    left, right = _assembled(handles[: len(one)], one, one_sides), _assembled(handles[len(one) :], two, two_sides)
    return f"{left}, {right}", first


def _thrown(context: Context, terms: list[Term]) -> tuple[list[Term], list[int]]:
    """The terms in random order, and for each the side of the equation where it ends up."""
    terms = context.shuffled(terms)
    return terms, [context.below(2) for _ in terms]


def _signed(terms: list[Term], sides: list[int]) -> list[int]:
    return [-number if side else number for (number, _), side in zip(terms, sides, strict=True)]


def _assembled(handles: list[str], terms: list[Term], sides: list[int]) -> str:
    both: tuple[list[tuple[str, str]], list[tuple[str, str]]] = ([], [])
    for handle, (_, factor), side in zip(handles, terms, sides, strict=True):
        both[side].append((handle, factor))
    return f"{signed_sum(both[0])} = {signed_sum(both[1])}"
