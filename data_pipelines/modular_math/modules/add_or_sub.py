"""Sums and differences of two numbers: arithmetic__add_or_sub."""

import dataclasses

from data_pipelines.modular_math import lengths
from data_pipelines.modular_math.composition import NUMBERS, Context, maker
from data_pipelines.modular_math.registry import Settings, module
from data_pipelines.modular_math.values import (
    DIGIT,
    Value,
    add,
    decimal,
    draw_integer_or_decimal,
    draw_number,
    draw_signed,
    integer,
)

_ADD: tuple[str, ...] = (
    "{p} + {q}",
    "{p}+{q}",
    "Work out {p} + {q}.",
    "Add {p} and {q}.",
    "Put together {p} and {q}.",
    "Sum {p} and {q}.",
    "Total of {p} and {q}.",
    "Add together {p} and {q}.",
    "What is {p} plus {q}?",
    "Calculate {p} + {q}.",
    "What is {p} + {q}?",
)
_SUBTRACT: tuple[str, ...] = (
    "{p} - {q}",
    "Work out {p} - {q}.",
    "What is {p} minus {q}?",
    "What is {p} take away {q}?",
    "What is {q} less than {p}?",
    "Subtract {q} from {p}.",
    "Calculate {p} - {q}.",
    "What is {p} - {q}?",
)
# Only where p >= q, so that the distance is the difference.
_SUBTRACT_OR_DISTANCE: tuple[str, ...] = (
    *_SUBTRACT,
    "What is the distance between {p} and {q}?",
    "What is the distance between {q} and {p}?",
    "What is the difference between {p} and {q}?",
    "What is the difference between {q} and {p}?",
)
# An operand of training has at most 16 digits, one of extrapolation at least 17.
_TRAIN_DIGITS = 16


@dataclasses.dataclass(frozen=True)
class AddOrSub(Settings):
    """Settings of arithmetic__add_or_sub.

    Attributes:
      operations: 'add', 'sub' or 'both'.
      phrasing: 'saxton', their sentences, or 'bare', "123+456".
      max_digits: 0 draws sizes as Saxton et al. do; n draws non-negative integers of 1 to n digits, every length in
        use.
      extrapolate_digits: with max_digits, one extrapolation set for each, both operands exactly that long.
      exact_digits: with max_digits, both operands have exactly so many digits; 0 leaves their lengths free.
    """

    operations: str = "both"
    phrasing: str = "saxton"
    max_digits: int = 0
    extrapolate_digits: tuple[int, ...] = ()
    exact_digits: int = 0

    def __post_init__(self):
        super().__post_init__()
        self.one_of("operations", ("add", "sub", "both"))
        self.one_of("phrasing", ("saxton", "bare"))
        lengths.check(self)

    def limits(self, split: str) -> tuple[int, int]:
        return (1 << 30, 1 << 30) if self.max_digits else super().limits(split)

    def extrapolations(self) -> dict[str, Settings] | None:
        return lengths.extrapolations(self)


@module(
    "arithmetic__add_or_sub",
    train=(4, _TRAIN_DIGITS),
    interpolate=(12, 12),
    extrapolate=(17, 20),
    beyond=("big", f"one operand has more than the {_TRAIN_DIGITS} digits of training"),
    sizes="shared by the operands, each has one digit at least",
    settings=AddOrSub,
)
def add_or_sub(context: Context, entropy: int) -> tuple[str, str]:
    """The sum or the difference of two integers or decimals."""
    settings = context.settings
    p, q = _operands(context, entropy)
    adds = settings.operations == "add" or (settings.operations == "both" and context.below(2) == 0)
    answer = add(p, q, 1 if adds else -1).text
    if settings.phrasing == "bare":
        return f"{p.text}{'+' if adds else '-'}{q.text}", answer
    templates = _ADD if adds else _SUBTRACT if answer.startswith("-") else _SUBTRACT_OR_DISTANCE
    return context.choice(templates).format(p=p.text, q=q.text), answer


def _operands(context: Context, entropy: int) -> tuple[Value, Value]:
    settings = context.settings
    if settings.exact_digits:
        return _of_length(context, settings.exact_digits), _of_length(context, settings.exact_digits)
    if settings.max_digits:
        p, q = (_of_length(context, length) for length in _lengths(context, settings.max_digits))
    elif context.extrapolates:
        p = _longer_than_training(context, entropy)
        q = draw_integer_or_decimal(context, DIGIT + context.below(entropy - DIGIT))
    else:
        share = DIGIT + context.below(entropy - 2 * DIGIT + 1)
        p, q = draw_integer_or_decimal(context, share), draw_integer_or_decimal(context, entropy - share)
    return (p, q) if context.below(2) else (q, p)


def _lengths(context: Context, most: int) -> tuple[int, int]:
    """The longer operand's, and the other's up to it, half of them equal."""
    longer = lengths.weighted(context, most)
    return longer, longer if context.below(2) else context.between(1, longer)


def _of_length(context: Context, digits: int) -> Value:
    return integer(lengths.of_length(context, digits))


def _longer_than_training(context: Context, entropy: int) -> Value:
    digits = context.between(_TRAIN_DIGITS + 1, entropy // DIGIT)
    number = context.between(10 ** (digits - 1), 10**digits - 1)
    # Its last digit is not 0, so that no digit is lost behind the point.
    number = number - number % 10 + context.between(1, 9)
    if context.below(2):
        number = -number
    return decimal(number, context.between(1, digits)) if context.below(2) else integer(number)


@maker(*NUMBERS)
def sum_or_difference(context: Context, value: Value, entropy: int) -> str:
    """Let k = p + q, for any number k."""
    if value.places < 0:
        p = draw_number(context, entropy)
        if p.places > 0:
            p = integer(draw_signed(context, entropy))
    else:
        p = draw_integer_or_decimal(context, entropy) if value.places else integer(draw_signed(context, entropy))
    adds = context.below(2) == 0
    q = add(value, p, -1) if adds else add(p, value, -1)
    left, right = context.write(p, q)
    letter = context.letter()
    context.define(f"Let {letter} = {left} {'+' if adds else '-'} {right}.")
    return letter
