"""Exact numbers with the way they are written, and how large ones are drawn.

Sizes follow Saxton et al. 2019: an *entropy* of e means about 10**e equally likely values. Here an entropy is a whole
number of sixteenths of a decimal digit, and powers of ten at sixteenths come from integer roots, so no floating point
decides what a question says.
"""

from math import gcd, isqrt
from typing import NamedTuple

from data_pipelines.modular_math.random import Stream

DIGIT = 16
"""One decimal digit of entropy."""

# floor(10 ** (k / 16)): four nested integer square roots are the integer sixteenth root.
POWERS = tuple(isqrt(isqrt(isqrt(isqrt(10**k)))) for k in range(32 * DIGIT))


class Value(NamedTuple):
    """numerator / denominator (denominator > 0) and its text; `places` after the point, 0 for an integer, -1 for a
    fraction.
    """

    numerator: int
    denominator: int
    places: int
    text: str


def integer(number: int, _new=tuple.__new__) -> Value:
    """`number` as itself."""
    # The named tuple's own constructor takes twice as long, eight times a question.
    return _new(Value, (number, 1, 0, str(number)))


def fraction(numerator: int, denominator: int) -> Value:
    """numerator / denominator in lowest terms, written `-3/4`, or as an integer where it is one. Raises
    ZeroDivisionError.
    """
    common = gcd(numerator, denominator)
    if denominator < 0:
        common = -common
    numerator //= common
    denominator //= common
    if denominator == 1:
        return integer(numerator)
    return Value(numerator, denominator, -1, f"{numerator}/{denominator}")


def decimal(number: int, places: int) -> Value:
    """number / 10**places without trailing zeros, written `-0.25`, or as an integer where it is one."""
    while places and not number % 10:
        number //= 10
        places -= 1
    if not places:
        return integer(number)
    digits = str(abs(number)).rjust(places + 1, "0")
    return Value(number, 10**places, places, f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}")


def add(left: Value, right: Value, sign: int = 1) -> Value:
    """left + sign * right: a fraction if either is one, else a decimal or integer."""
    if left.places < 0 or right.places < 0:
        numerator = left.numerator * right.denominator + sign * right.numerator * left.denominator
        return fraction(numerator, left.denominator * right.denominator)
    if not left.places and not right.places:
        return integer(left.numerator + sign * right.numerator)
    places = max(left.places, right.places)
    return decimal(
        left.numerator * 10 ** (places - left.places) + sign * right.numerator * 10 ** (places - right.places), places
    )


def multiply(left: Value, right: Value) -> Value:
    """left * right: a fraction if either is one, else a decimal or integer."""
    if left.places < 0 or right.places < 0:
        return fraction(left.numerator * right.numerator, left.denominator * right.denominator)
    return decimal(left.numerator * right.numerator, left.places + right.places)


def draw_signed(stream: Stream, entropy: int) -> int:
    """An integer of either sign, about 10**entropy of them, around 0."""
    half = POWERS[entropy] // 2 + 1
    return stream.below(2 * half + 1) - half


def draw_positive(stream: Stream, entropy: int, least: int = 1) -> int:
    """An integer from `least` on, about 10**entropy of them."""
    return least + stream.below(POWERS[entropy] + 1)


def draw_nonzero(stream: Stream, entropy: int) -> int:
    """An integer of either sign that is not 0."""
    half = POWERS[entropy] // 2 + 1
    number = stream.below(2 * half) - half
    return number if number < 0 else number + 1


def draw_decimal(stream: Stream, entropy: int) -> Value:
    """A decimal that is not an integer: a signed integer of that entropy shifted behind the point."""
    while True:
        value = decimal(draw_signed(stream, entropy), stream.between(1, max(1, -(-entropy // DIGIT))))
        if value.places:
            return value


def draw_fraction(stream: Stream, entropy: int) -> Value:
    """A fraction that is not an integer; the entropy is shared between numerator and denominator."""
    upper = stream.below(entropy + 1)
    while True:
        value = fraction(draw_nonzero(stream, upper), draw_positive(stream, entropy - upper, 2))
        if value.places:
            return value


def draw_integer_or_decimal(stream: Stream, entropy: int) -> Value:
    """An integer or a decimal, half and half."""
    return draw_decimal(stream, entropy) if stream.below(2) else integer(draw_signed(stream, entropy))


def draw_number(stream: Stream, entropy: int) -> Value:
    """An integer (half), a decimal or a fraction (a quarter each)."""
    kind = stream.below(4)
    if kind < 2:
        return integer(draw_signed(stream, entropy))
    return draw_decimal(stream, entropy) if kind == 2 else draw_fraction(stream, entropy)
