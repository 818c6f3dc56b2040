"""Polynomials to be rearranged: polynomials__collect, polynomials__coefficient_named, polynomials__expand."""

from typing import NamedTuple

from data_pipelines.modular_math.composition import FUNCTIONS, Context, maker
from data_pipelines.modular_math.expressions import (
    Polynomial,
    draw_coefficients,
    joined,
    polynomial,
    power,
    signed_sum,
    uncollected,
)
from data_pipelines.modular_math.modules.polynomials import product
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, fraction

_NAMED = (
    "Express {} as {} and give {}.",
    "Rearrange {} to {} and give {}.",
    "Express {} in the form {} and give {}.",
    "Rearrange {} to the form {} and give {}.",
)


@module("polynomials__collect", sizes="two fifths of the digits are the polynomial's")
def collect(context: Context, entropy: int) -> tuple[str, str]:
    """A polynomial of degree 1 to 3 with several terms of the same power, collected."""
    own = entropy * 2 // 5
    coefficients = draw_coefficients(context, context.between(1, 3), own)
    variable = context.letter()
    text = _summed(uncollected(context, coefficients, entropy - own), variable)
    return f"Collect the terms in {text}.", polynomial(coefficients).text(variable)


@module(
    "polynomials__coefficient_named", sizes="half of the digits are the polynomial's, or all are the bracketed one's"
)
def coefficient_named(context: Context, entropy: int) -> tuple[str, str]:
    """One coefficient of a polynomial of degree 1 to 4 that stands uncollected or in brackets."""
    variable = context.letter()
    degree = context.between(1, 4)
    if context.below(2):
        fewest = context.between(degree - 1, degree)
        coefficients = draw_coefficients(context, degree, entropy // 2, fewest)
        text = _summed(uncollected(context, coefficients, entropy // 2), variable)
    else:
        bracketed = _bracketed(context, variable, degree, entropy)
        text, coefficients = bracketed.text, bracketed.coefficients
    names = [context.letter() for _ in coefficients]
    form = signed_sum([(name, power(variable, k)) for k, name in context.shuffled(list(enumerate(names)))])
    # One time in five any coefficient is asked for, else one that is not 0.
    if context.below(5) == 0:
        asked = context.below(degree + 1)
    else:
        asked = context.choice([k for k, coefficient in enumerate(coefficients) if coefficient])
    return context.choice(_NAMED).format(text, form, names[asked]), str(coefficients[asked])


@module("polynomials__expand", sizes="shared by the terms in brackets")
def expand(context: Context, entropy: int) -> tuple[str, str]:
    """A polynomial of degree 1 to 5 in products of sums, expanded."""
    variable = context.letter()
    degree = context.between(1, 5)
    # Choosing the degree is 0.7 digits.
    bracketed = _bracketed(context, variable, degree, max(0, entropy - 11))
    return f"Expand {bracketed.text}.", polynomial(bracketed.coefficients).text(variable)


class _Bracketed(NamedTuple):
    text: str
    is_product: bool
    coefficients: list[int]

    def factor(self) -> str:
        return self.text if self.is_product else f"({self.text})"


def _bracketed(context: Context, variable: str, degree: int, entropy: int) -> _Bracketed:
    """Sums and products of polynomials, at least two of them, of exactly that degree."""
    return _grown(context, variable, degree, entropy, 3 + context.below(entropy // (2 * DIGIT) + 1), True)


def _grown(context: Context, variable: str, degree: int, entropy: int, length: int, brackets: bool) -> _Bracketed:
    if not brackets and (length < 2 or context.below(2)):
        coefficients = draw_coefficients(context, degree, entropy // 2)
        text = _summed(uncollected(context, coefficients, entropy // 2), variable)
        return _Bracketed(text, False, coefficients)
    left_length = context.between(1, max(1, length - 1))
    lengths = (left_length, max(1, length - left_length))
    share = context.below(entropy + 1)
    entropies = (share, entropy - share)
    if context.below(2):
        return _sum(context, variable, degree, entropies, lengths)
    # Each factor's degree, less often at the ends.
    if degree <= 1 or context.below(2):
        first = context.between(0, degree)
    else:
        first = context.between(1, degree - 1)
    left = _grown(context, variable, first, entropies[0], lengths[0], False)
    right = _grown(context, variable, degree - first, entropies[1], lengths[1], False)
    return _Bracketed(f"{left.factor()}*{right.factor()}", True, product(left.coefficients, right.coefficients))


def _sum(
    context: Context, variable: str, degree: int, entropies: tuple[int, int], lengths: tuple[int, int]
) -> _Bracketed:
    left = _grown(context, variable, degree, entropies[0], lengths[0], True)
    while True:
        right = _grown(context, variable, degree, entropies[1], lengths[1], False)
        coefficients = [a + b for a, b in zip(left.coefficients, right.coefficients, strict=True)]
        if coefficients[degree]:
            break
    texts = [left.text, right.text] if context.below(2) else [right.text, left.text]
    return _Bracketed(joined(texts), False, coefficients)


def _summed(terms: list[tuple[int, int]], variable: str) -> str:
    return signed_sum([(str(number), power(variable, exponent)) for number, exponent in terms])


def _unsimplified(context: Context, value: Polynomial, entropy: int) -> tuple[str, str]:
    """A polynomial with several terms of the same power, some of the numbers defined by other modules; its letter."""
    variable = context.letter()
    if value.denominator == 1:
        terms = uncollected(context, list(value.coefficients), entropy)
        handles = context.write(*[number for number, _ in terms])
    else:
        # With fractions it is only shuffled, and says 0 of the powers that it lacks.
        terms = context.shuffled([(number, k) for k, number in enumerate(value.coefficients)])
        handles = context.write(*[fraction(number, value.denominator) for number, _ in terms])
    written = [(handle, power(variable, k)) for handle, (_, k) in zip(handles, terms, strict=True)]
    return signed_sum(written), variable


@maker(*FUNCTIONS, inline=_unsimplified)
def unsimplified(context: Context, value: Polynomial, entropy: int) -> str:
    """Let f(x) be a polynomial with several terms of the same power."""
    text, variable = _unsimplified(context, value, entropy)
    function = context.letter()
    context.define(f"Let {function}({variable}) = {text}.")
    return function
