"""Powers of one variable: polynomials__simplify_power."""

from math import gcd
from typing import NamedTuple

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.expressions import ATOM, POWER, Written, leaf, over, times, to_the
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_fraction, draw_signed, fraction, integer


class _Power(NamedTuple):
    """An expression and the exponent that it comes to, numerator and denominator."""

    written: Written
    numerator: int
    denominator: int


@module("polynomials__simplify_power", sizes="the exponents share the digits")
def simplify_power(context: Context, entropy: int) -> tuple[str, str]:
    """Products, quotients and powers of a positive variable as one power of it."""
    variable = context.letter()
    written, numerator, denominator = _messy(context, variable, entropy)
    question = f"Simplify {written.text} assuming {variable} is positive."
    return question, _simple(variable, fraction(numerator, denominator))


def _messy(context: Context, variable: str, entropy: int) -> _Power:
    if entropy <= 0:
        return _Power(Written(variable, ATOM), 1, 1)
    kind = context.below(3)
    if kind == 0:
        own = min(2 * DIGIT, entropy)
        exponent = draw_fraction(context, own) if context.below(2) else integer(draw_signed(context, own))
        base = _messy(context, variable, entropy - own)
        # A fraction binds like a quotient, so that it gets brackets.
        text = leaf(exponent.text) if exponent.denominator == 1 else Written(exponent.text, POWER)
        return _reduced(
            to_the(base.written, text), base.numerator * exponent.numerator, base.denominator * exponent.denominator
        )
    # Below a digit the other side gets all.
    half = entropy // 2 if entropy // 2 >= DIGIT else 0
    shares = (half, entropy - half) if context.below(2) else (entropy - half, half)
    left, right = (_messy(context, variable, share) for share in shares)
    sign = 1 if kind == 1 else -1
    return _reduced(
        (times if kind == 1 else over)(left.written, right.written),
        left.numerator * right.denominator + sign * right.numerator * left.denominator,
        left.denominator * right.denominator,
    )


def _reduced(written: Written, numerator: int, denominator: int) -> _Power:
    common = gcd(numerator, denominator)
    return _Power(written, numerator // common, denominator // common)


def _simple(variable: str, exponent: Value) -> str:
    """The power as sympy writes it."""
    if exponent.denominator == 2 and abs(exponent.numerator) == 1:
        root = f"sqrt({variable})"
        return root if exponent.numerator == 1 else f"1/{root}"
    if exponent.denominator == 1 and exponent.numerator >= 0:
        return {0: "1", 1: variable}.get(exponent.numerator, f"{variable}**{exponent.text}")
    return f"1/{variable}" if exponent.text == "-1" else f"{variable}**({exponent.text})"
