"""Products and quotients of two numbers: arithmetic__mul, arithmetic__div."""

from data_pipelines.modular_math.composition import FRACTIONS_OR_INTEGERS, Context, maker
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import (
    DIGIT,
    POWERS,
    Value,
    draw_integer_or_decimal,
    draw_nonzero,
    draw_signed,
    fraction,
    multiply,
)

_MULTIPLY = (
    "{p}*{q}",
    "{p} * {q}",
    "Calculate {p}*{q}.",
    "Work out {p} * {q}.",
    "Multiply {p} and {q}.",
    "Product of {p} and {q}.",
    "What is the product of {p} and {q}?",
    "{p} times {q}",
    "What is {p} times {q}?",
)
_DIVIDE = (
    "Divide {p} by {q}.",
    "{p} divided by {q}",
    "What is {p} divided by {q}?",
    "Calculate {p} divided by {q}.",
)
_TRAIN = (3, 10)
_MOST = _TRAIN[1] * DIGIT
# No two operands of training, their points left out, have a larger product: the entropy is shared between them.
TRAIN_PRODUCT = max((POWERS[e] // 2 + 1) * (POWERS[_MOST - e] // 2 + 1) for e in range(DIGIT, _MOST - DIGIT + 1))


def _share(context: Context, entropy: int) -> int:
    """One operand's part of the entropy, such that both get a digit at least."""
    return DIGIT + context.below(entropy - 2 * DIGIT + 1)


@module(
    "arithmetic__mul",
    train=_TRAIN,
    interpolate=(8, 8),
    extrapolate=(10.5, 12),
    beyond=("big", f"the product, its point left out, is above the largest of training, {TRAIN_PRODUCT}"),
    sizes="shared by the factors, each has one digit at least",
)
def mul(context: Context, entropy: int) -> tuple[str, str]:
    """The product of two integers or decimals."""
    while True:
        share = _share(context, entropy)
        p, q = draw_integer_or_decimal(context, share), draw_integer_or_decimal(context, entropy - share)
        if not context.extrapolates or abs(p.numerator * q.numerator) > TRAIN_PRODUCT:
            return context.choice(_MULTIPLY).format(p=p.text, q=q.text), multiply(p, q).text


@module(
    "arithmetic__div",
    train=_TRAIN,
    interpolate=(8, 8),
    extrapolate=(10.5, 12),
    beyond=("big", f"the dividend is above the largest of training, {TRAIN_PRODUCT}"),
    sizes="shared by quotient and divisor, or dividend and divisor",
)
def div(context: Context, entropy: int) -> tuple[str, str]:
    """The quotient of two integers, half of the time an integer, else a fraction."""
    while True:
        share = _share(context, entropy)
        q = draw_nonzero(context, share)
        if context.below(2):
            p = draw_signed(context, entropy - share) * q
        else:
            p = draw_signed(context, entropy if context.extrapolates else entropy - share)
        if not context.extrapolates or abs(p) > TRAIN_PRODUCT:
            return context.choice(_DIVIDE).format(p=p, q=q), fraction(p, q).text


@maker(*FRACTIONS_OR_INTEGERS, weight=1)
def quotient(context: Context, value: Value, entropy: int) -> str:
    """Let k be p divided by q."""
    factor = draw_nonzero(context, entropy // 2)
    p, q = context.write(value.numerator * factor, value.denominator * factor)
    letter = context.letter()
    context.define(f"Let {letter} be {p} divided by {q}.")
    return letter
