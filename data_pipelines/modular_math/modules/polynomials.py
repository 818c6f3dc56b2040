"""Polynomial functions: polynomials__evaluate."""

from data_pipelines.modular_math.composition import FUNCTION, INTEGERS, Context, maker
from data_pipelines.modular_math.expressions import Polynomial, power, signed_sum
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_nonzero, draw_signed, integer

_TEMPLATES = ("What is {}?", "Calculate {}.", "Give {}.", "Determine {}.")


@module("polynomials__evaluate", composed=(2, 4))
def evaluate(context: Context, entropy: int) -> tuple[str, str]:
    """A polynomial function at an integer."""
    own = context.between(DIGIT, DIGIT + entropy // 3)
    value = draw_signed(context, own)
    applied = _applied(context, value, max(DIGIT, entropy - own))
    return context.compose(context.choice(_TEMPLATES).format(applied)), str(value)


@maker(*INTEGERS)
def function_value(context: Context, value: Value, entropy: int) -> str:
    """Let k be f(p)."""
    applied = _applied(context, value.numerator, entropy)
    letter = context.letter()
    context.define(f"Let {letter} be {applied}.")
    return letter


def _applied(context: Context, value: int, entropy: int) -> str:
    """f(p), with f of degree 1 to 3 such that it equals `value`."""
    own = context.between(DIGIT // 2, DIGIT + entropy // 3)
    point = draw_signed(context, own)
    degree = context.between(1, 3)
    shares = context.shares(max(DIGIT, entropy - own), degree)
    coefficients = []
    rest = value
    for exponent, share in zip(range(degree, 0, -1), shares, strict=True):
        scale = point**exponent
        # What brings the rest near 0 keeps the constant term small.
        coefficient = draw_signed(context, share) + (_nearest_quotient(rest, scale) if scale else 0)
        if exponent == degree and not coefficient:
            coefficient = context.choice((-1, 1))
        coefficients.append(coefficient)
        rest -= coefficient * scale
    function, at = context.write(Polynomial((rest, *reversed(coefficients))), integer(point))
    return f"{function}({at})"


def _nearest_quotient(number: int, divisor: int) -> int:
    if divisor < 0:
        number, divisor = -number, -divisor
    return (2 * number + divisor) // (2 * divisor)


@maker(FUNCTION)
def uncollected(context: Context, value: Polynomial, entropy: int) -> str:
    """Let f(x) be a sum with two terms of the same power."""
    function, variable = context.letter(), context.letter()
    split = context.below(len(value.coefficients))
    part = draw_nonzero(context, entropy)
    numbers = [(number, exponent) for exponent, number in enumerate(value.coefficients) if number and exponent != split]
    numbers.append((part, split))
    if value.coefficients[split] != part:
        numbers.append((value.coefficients[split] - part, split))
    numbers = context.shuffled(numbers)
    handles = context.write(*[integer(number) for number, _ in numbers])
    terms = [(handle, power(variable, exponent)) for handle, (_, exponent) in zip(handles, numbers, strict=True)]
    context.define(f"Let {function}({variable}) = {signed_sum(terms)}.")
    return function
