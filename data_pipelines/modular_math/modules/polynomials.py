"""Polynomial functions: polynomials__evaluate, polynomials__add, polynomials__compose."""

from math import gcd

from data_pipelines.modular_math.composition import INTEGER_FUNCTION, INTEGERS, Context, maker
from data_pipelines.modular_math.expressions import Polynomial, draw_coefficients, joined, polynomial, term
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_nonzero, draw_signed

_TEMPLATES = ("What is {}?", "Calculate {}.", "Give {}.", "Determine {}.")


@module("polynomials__evaluate", composed=(2, 4), sizes="the value, the point and the coefficients share the digits")
def evaluate(context: Context, entropy: int) -> tuple[str, str]:
    """A polynomial function at an integer."""
    own = context.between(DIGIT, DIGIT + entropy // 3)
    value = draw_signed(context, own)
    applied = _applied(context, value, max(DIGIT, entropy - own))
    return context.compose(context.choice(_TEMPLATES).format(applied)), str(value)


def _function_value(context: Context, value: Value, entropy: int) -> str:
    return _applied(context, value.numerator, entropy)


@maker(*INTEGERS, inline=_function_value)
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
    function, at = context.write(Polynomial((rest, *reversed(coefficients))), point)
    return f"{function}({at})"


def _nearest_quotient(number: int, divisor: int) -> int:
    if divisor < 0:
        number, divisor = -number, -divisor
    return (2 * number + divisor) // (2 * divisor)


@module("polynomials__add", modules=(1, 4), sizes="half of the digits are the sum's")
def add(context: Context, entropy: int) -> tuple[str, str]:
    """a*f(x) + b*g(x) of two polynomial functions, as a polynomial of degree 1 to 3."""
    # Choosing the degree is half a digit.
    entropy = max(DIGIT, entropy - DIGIT // 2)
    degree = context.between(1, 3)
    total = draw_coefficients(context, degree, entropy // 2, context.between(1, 3))
    answer = polynomial(total)
    context.answer(answer.text("x"))
    text, variable = _combination(context, total, entropy // 2)
    return context.compose(context.choice(_TEMPLATES).format(text)), answer.text(variable)


@maker(INTEGER_FUNCTION)
def combination(context: Context, value: Polynomial, entropy: int) -> str:
    """Let f(x) = a*g(x) + b*h(x)."""
    text, variable = _combination(context, list(value.coefficients), entropy)
    function = context.letter()
    context.define(f"Let {function}({variable}) = {text}.")
    return function


def _combination(context: Context, total: list[int], entropy: int) -> tuple[str, str]:
    """a*f(x) + b*g(x), which is `total`, and x."""
    a, b, first, second = _split(context, total, entropy)
    handles = context.write(a, b, polynomial(first), polynomial(second))
    variable = context.letter()
    terms = []
    for number, handle, function in zip((a, b), handles[:2], handles[2:], strict=True):
        applied = f"{function}({variable})"
        # Where a letter stands for the number, that term comes first.
        written = f"{handle}*{applied}" if handle.isalpha() else term(number, 1, applied)
        terms.append((not handle.isalpha(), handle if handle.isalpha() else function, written))
    return joined([written for *_, written in sorted(terms)]), variable


def _split(context: Context, total: list[int], entropy: int) -> tuple[int, int, list[int], list[int]]:
    """a, b and two lists of coefficients, each not all 0, with a * first + b * second = total."""
    shares = [max(DIGIT, context.below(entropy // 3 + 1)) for _ in range(2)]
    rest = max(0, entropy - sum(shares))
    a = draw_nonzero(context, shares[0])
    b = draw_nonzero(context, shares[1])
    while gcd(a, b) > 1:
        b //= gcd(a, b)
    # b may share a factor with a as long as all of `total` do.
    b *= gcd(gcd(*total), context.between(1, 12))
    if context.below(2):
        a, b = b, a
    common = gcd(a, b)
    inverse = pow(a // common, -1, abs(b // common))
    first, second = [], []
    for coefficient, share in zip(total, context.shares(rest, len(total)), strict=True):
        # The solution nearest to 0, moved by a random multiple.
        step = b // common
        x = coefficient // common * inverse % step
        if 2 * abs(x) > abs(step):
            x -= step
        x += draw_signed(context, share) * step
        first.append(x)
        second.append((coefficient - a * x) // b)
    while not any(first) or not any(second):
        place, sign = context.below(len(total)), context.choice((-1, 1))
        first[place] += sign * b
        second[place] -= sign * a
    return a, b, first, second


@module("polynomials__compose", modules=(1, 4), sizes="the two functions share the digits")
def compose(context: Context, entropy: int) -> tuple[str, str]:
    """f(g(x)) of two polynomial functions of degree 1 or 2, as a polynomial."""
    share = context.below(entropy + 1)
    outer = draw_coefficients(context, context.between(1, 2), share)
    inner = draw_coefficients(context, context.between(1, 2), entropy - share)
    composed = [0]
    for coefficient in reversed(outer):
        composed = product(composed, inner)
        composed[0] += coefficient
    answer = polynomial(composed)
    context.answer(answer.text("x"))
    f, g = context.write(polynomial(outer), polynomial(inner))
    variable = context.letter()
    question = context.choice(_TEMPLATES).format(f"{f}({g}({variable}))")
    return context.compose(question), answer.text(variable)


def product(first: list[int], second: list[int]) -> list[int]:
    """The coefficients of the product of two polynomials."""
    result = [0] * (len(first) + len(second) - 1)
    for place, coefficient in enumerate(first):
        if coefficient:
            for other, factor in enumerate(second):
                result[place + other] += coefficient * factor
    return result
