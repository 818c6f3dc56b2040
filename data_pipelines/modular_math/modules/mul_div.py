"""Products and quotients of two numbers: arithmetic__mul, arithmetic__div."""

import dataclasses

from data_pipelines import BadInput
from data_pipelines.modular_math import lengths
from data_pipelines.modular_math.composition import FRACTIONS_OR_INTEGERS, Context, maker
from data_pipelines.modular_math.registry import Settings, module
from data_pipelines.modular_math.values import (
    DIGIT,
    POWERS,
    Value,
    draw_integer_or_decimal,
    draw_nonzero,
    draw_signed,
    fraction,
    integer,
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


@dataclasses.dataclass(frozen=True)
class Mul(Settings):
    """Settings of arithmetic__mul.

    Attributes:
      phrasing: 'saxton', their sentences, or 'bare', "123*4".
      max_digits: 0 draws sizes as Saxton et al. do; n draws non-negative integers, one factor of 1 to n digits, every
        length in use, and a short one.
      factor_digits: with max_digits, the short factor has so many digits at most.
      extrapolate_digits: with max_digits, one extrapolation set for each, the long factor exactly that long.
      exact_digits: with max_digits, the long factor has exactly so many digits; 0 leaves its length free.
    """

    phrasing: str = "saxton"
    max_digits: int = 0
    factor_digits: int = 1
    extrapolate_digits: tuple[int, ...] = ()
    exact_digits: int = 0

    def __post_init__(self):
        super().__post_init__()
        self.one_of("phrasing", ("saxton", "bare"))
        lengths.check(self)
        if not 1 <= self.factor_digits <= (self.max_digits or 1):
            raise BadInput(f"factor_digits lies from 1 to max_digits ({self.max_digits}), not {self.factor_digits}")

    def limits(self, split: str) -> tuple[int, int]:
        return (1 << 30, 1 << 30) if self.max_digits else super().limits(split)

    def extrapolations(self) -> dict[str, Settings] | None:
        return lengths.extrapolations(self)


@module(
    "arithmetic__mul",
    train=_TRAIN,
    interpolate=(8, 8),
    extrapolate=(10.5, 12),
    beyond=("big", f"the product, its point left out, is above the largest of training, {TRAIN_PRODUCT}"),
    sizes="shared by the factors, each has one digit at least",
    settings=Mul,
)
def mul(context: Context, entropy: int) -> tuple[str, str]:
    """The product of two integers or decimals."""
    settings = context.settings
    while True:
        if settings.max_digits:
            p, q = _by_length(context, settings)
            break
        share = _share(context, entropy)
        p, q = draw_integer_or_decimal(context, share), draw_integer_or_decimal(context, entropy - share)
        if not context.extrapolates or abs(p.numerator * q.numerator) > TRAIN_PRODUCT:
            break
    template = "{p}*{q}" if settings.phrasing == "bare" else context.choice(_MULTIPLY)
    return template.format(p=p.text, q=q.text), multiply(p, q).text


def _by_length(context: Context, settings: Mul) -> tuple[Value, Value]:
    """A long factor and a short one, in either order."""
    digits = settings.exact_digits or lengths.weighted(context, settings.max_digits)
    long = integer(lengths.of_length(context, digits))
    short = integer(lengths.of_length(context, context.between(1, settings.factor_digits)))
    return (long, short) if context.below(2) else (short, long)


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
