"""Roots: arithmetic__nearest_integer_root, arithmetic__simplify_surd."""

from typing import NamedTuple

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.expressions import (
    ORDINALS,
    POWER,
    Written,
    joined,
    leaf,
    lowest,
    minus,
    over,
    plus,
    term,
    times,
    to_the,
)
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, POWERS, draw_nonzero, draw_positive, draw_signed

_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)
# The choice among them is 0.9 digits.
_OF_PRIME = 14
# What is under a root does not grow past this times a square.
_LARGE = 64
_NAMED_ROOTS = {2: "square", 3: "cube"}


@module("arithmetic__nearest_integer_root")
def nearest_integer_root(context: Context, entropy: int) -> tuple[str, str]:
    """A root, from the second to the tenth, half of them square or cube roots, to the nearest integer."""
    degree = context.between(2, 3) if context.below(2) else context.between(2, 10)
    value = context.below(POWERS[entropy] + 1)
    templates = [f"What is {value} to the power of 1/{degree}, to the nearest integer?"]
    if degree > 2:
        templates.append(f"What is the {ORDINALS[degree]} root of {value} to the nearest integer?")
    if degree in _NAMED_ROOTS:
        templates.append(f"What is the {_NAMED_ROOTS[degree]} root of {value} to the nearest integer?")
    # Either way of asking for the same root is the same question.
    context.group = f"{value} {degree}"
    return context.choice(templates), str(_nearest_root(value, degree))


def _nearest_root(value: int, degree: int) -> int:
    """The largest root such that root - 1/2 is not above the true one, which never lies half-way."""
    low, high = 0, 1 << (value.bit_length() // degree + 2)
    while high - low > 1:
        middle = (low + high) // 2
        if (2 * middle - 1) ** degree <= value << degree:
            low = middle
        else:
            high = middle
    return low


class _Surd(NamedTuple):
    """An expression and its value, (whole + part * sqrt(base)) / parts, for the base that its maker was given."""

    written: Written
    whole: int
    part: int
    parts: int


@module("arithmetic__simplify_surd", sizes="0.9 digits of it are the choice of the prime under the root")
def simplify_surd(context: Context, entropy: int) -> tuple[str, str]:
    """An expression with roots that comes to a + b*sqrt(p), p a prime below 20."""
    base = context.choice(_PRIMES)
    surd = _sample(context, base, entropy - _OF_PRIME, True, False)
    return f"Simplify {surd.written.text}.", _simple(surd, base)


def _simple(surd: _Surd, base: int) -> str:
    whole, part = lowest(surd.whole, surd.parts), lowest(surd.part, surd.parts)
    terms = [term(*whole, "")] if whole[0] else []
    if part[0]:
        root = term(*part, f"sqrt({base})")
        # The smaller of the two first, as sympy has it; parts is positive.
        terms.insert(0 if _below(surd.part, base, surd.whole) else len(terms), root)
    return joined(terms)


def _below(part: int, base: int, whole: int) -> bool:
    """part * sqrt(base) < whole."""
    left, right = part * abs(part) * base, whole * abs(whole)
    return left < right


def _sample(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    """An expression in sqrt(base); with `multiple` its value is a multiple of that, with `powers` it may be squared."""
    if entropy <= 0:
        return _Surd(Written(f"sqrt({base})", POWER), 0, 1, 1)
    kinds = [_added, _multiplied]
    if not multiple:
        kinds.append(_moved)
        if powers:
            kinds.append(_squared)
    if base < _LARGE:
        kinds += [_divided, _square_inside]
    return context.choice(kinds)(context, base, entropy, powers, multiple)


def _halves(context: Context, entropy: int) -> tuple[int, int]:
    left = entropy // 2 if entropy // 2 >= DIGIT else 0
    return (left, entropy - left) if context.below(2) else (entropy - left, left)


def _added(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    left, right = (_sample(context, base, share, powers, multiple) for share in _halves(context, entropy))
    adds = context.below(2)
    sign = 1 if adds else -1
    return _Surd(
        (plus if adds else minus)(left.written, right.written),
        left.whole * right.parts + sign * right.whole * left.parts,
        left.part * right.parts + sign * right.part * left.parts,
        left.parts * right.parts,
    )


def _multiplied(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    own = min(DIGIT, entropy)
    number = draw_nonzero(context, own)
    surd = _sample(context, base, entropy - own, powers, multiple)
    factors = [leaf(str(number)), surd.written]
    if context.below(2):
        factors.reverse()
    return _Surd(times(*factors), number * surd.whole, number * surd.part, surd.parts)


def _moved(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    own = min(DIGIT, entropy)
    number = draw_signed(context, own)
    surd = _sample(context, base, entropy - own, powers, False)
    summands = [leaf(str(number)), surd.written]
    if context.below(2):
        summands.reverse()
    return _Surd(plus(*summands), surd.whole + number * surd.parts, surd.part, surd.parts)


def _squared(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    surd = _sample(context, base, entropy, False, False)
    return _Surd(
        to_the(surd.written, leaf("2")),
        surd.whole * surd.whole + surd.part * surd.part * base,
        2 * surd.whole * surd.part,
        surd.parts * surd.parts,
    )


def _divided(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    """A multiple of sqrt(k * base) by a multiple of sqrt(k)."""
    own = min(DIGIT, entropy)
    k = draw_positive(context, own, 2)
    left, right = _halves(context, entropy - own)
    upper = _sample(context, k * base, left, powers, True)
    while True:
        lower = _sample(context, k, right, powers, True)
        if lower.part:
            break
    sign = 1 if lower.part > 0 else -1
    return _Surd(
        over(upper.written, lower.written),
        0,
        sign * upper.part * lower.parts,
        abs(lower.part) * upper.parts,
    )


def _square_inside(context: Context, base: int, entropy: int, powers: bool, multiple: bool) -> _Surd:
    """A value in sqrt(k * k * base)."""
    own = min(DIGIT, entropy)
    k = draw_positive(context, own, 2)
    surd = _sample(context, k * k * base, entropy - own, powers, multiple)
    return _Surd(surd.written, surd.whole, surd.part * k, surd.parts)
