"""Questions about single integers: numbers__gcd, numbers__place_value, numbers__round_number."""

from math import gcd as greatest_common_divisor

from data_pipelines.modular_math.composition import POSITIVE_INTEGERS, SINGLE_DIGIT, ZERO, Context, maker
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, decimal, draw_positive, draw_signed, integer

_ADJECTIVES = tuple(
    f"{adjective} common {noun}" for adjective in ("greatest", "highest") for noun in ("divisor", "factor")
)
_THOUSANDS = ("thousands", "millions", "billions", "trillions")
_TENS = ("", "ten ", "hundred ")
_PLACES = ("units", "tens", "hundreds", *(f"{ten}{name}" for name in _THOUSANDS for ten in _TENS))
_POWERS_OF_TEN = ("one", "ten", "one hundred", "one thousand", "ten thousand", "one hundred thousand", "one million")
_NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven")
_TRAIN = (3, 10)
# Training integers end at 10**10 + 1.
_TRAIN_DIGITS = _TRAIN[1] + 1


def _pair_with_divisor(context: Context, divisor: int, entropy: int) -> tuple[int, int]:
    share = context.below(entropy + 1)
    p, q = draw_positive(context, share), draw_positive(context, entropy - share)
    common = greatest_common_divisor(p, q)
    return divisor * p // common, divisor * q // common


@module("numbers__gcd", train=_TRAIN, composed=(2, 4), sizes="a third at most for the divisor")
def gcd(context: Context, entropy: int) -> tuple[str, str]:
    """The greatest common divisor of two positive integers."""
    own = min(entropy, DIGIT + context.below(entropy // 3 + 1))
    divisor = draw_positive(context, own)
    p, q = context.write(*_pair_with_divisor(context, divisor, max(DIGIT, entropy - own)))
    what = f"the {context.choice(_ADJECTIVES)} of {p} and {q}"
    return context.compose(f"What is {what}?" if context.below(2) else f"Calculate {what}."), str(divisor)


@maker(*POSITIVE_INTEGERS, weight=1)
def common_divisor(context: Context, value: Value, entropy: int) -> str:
    """Let k be the greatest common divisor of p and q."""
    p, q = context.write(*_pair_with_divisor(context, value.numerator, entropy))
    letter = context.letter()
    context.define(f"Let {letter} be the {context.choice(_ADJECTIVES)} of {p} and {q}.")
    return letter


@module(
    "numbers__place_value",
    train=_TRAIN,
    extrapolate=(12, 12),
    beyond=("big", f"integers of more than the {_TRAIN_DIGITS} digits of training"),
    composed=(2, 4),
)
def place_value(context: Context, entropy: int) -> tuple[str, str]:
    """One digit of a positive integer."""
    if context.extrapolates:
        number = context.between(10**_TRAIN_DIGITS, 10 ** (entropy // DIGIT) - 1)
    else:
        number = draw_positive(context, entropy)
    digits = str(number)
    place = context.below(len(digits))
    (handle,) = context.write(number, inline=True)
    return context.compose(f"What is the {_PLACES[place]} digit of {handle}?"), digits[-1 - place]


@maker(ZERO, SINGLE_DIGIT, weight=1)
def digit_of(context: Context, value: Value, entropy: int) -> str:
    """Let k be the tens digit of p."""
    lower = context.below(max(1, entropy // DIGIT))
    above = draw_positive(context, max(0, entropy - lower * DIGIT))
    number = (above * 10 + value.numerator) * 10**lower + context.below(10**lower)
    (handle,) = context.write(number)
    letter = context.letter()
    context.define(f"Let {letter} be the {_PLACES[lower]} digit of {handle}.")
    return letter


@module(
    "numbers__round_number",
    train=_TRAIN,
    extrapolate=(12, 12),
    beyond=("big", f"more than the {_TRAIN_DIGITS} significant digits of training"),
    composed=(2, 4),
    sizes="shared by the rounded number and what is cut off",
)
def round_number(context: Context, entropy: int) -> tuple[str, str]:
    """A number rounded to a power of ten from 10**-7 to 10**6, never from half-way."""
    exponent = context.between(-7, 6)
    own = DIGIT + context.below(entropy // 2 + 1)
    cut = -(-max(DIGIT, entropy - own) // DIGIT)
    while True:
        rounded = draw_signed(context, own)
        half = 10**cut // 2
        number = rounded * 10**cut + context.between(1 - half, half - 1)
        # A last digit that is not 0 makes all the digits significant.
        if not context.extrapolates or (abs(number) >= 10**_TRAIN_DIGITS and number % 10):
            break
    (handle,) = context.write(_shifted(number, cut - exponent))
    goal = _goal(context, exponent)
    question = f"Round {handle} to {goal}." if context.below(2) else f"What is {handle} rounded to {goal}?"
    return context.compose(question), _shifted(rounded, -exponent).text


def _shifted(number: int, places: int) -> Value:
    return decimal(number, places) if places > 0 else integer(number * 10**-places)


def _goal(context: Context, exponent: int) -> str:
    in_words = context.below(2)
    if exponent > 0:
        return f"the nearest {_POWERS_OF_TEN[exponent] if in_words else 10**exponent}"
    if not exponent and context.below(2):
        return "the nearest integer"
    unit = context.choice(("decimal place", "dp")) + ("" if exponent == -1 else "s")
    return f"{_NUMERALS[-exponent] if in_words else -exponent} {unit}"
