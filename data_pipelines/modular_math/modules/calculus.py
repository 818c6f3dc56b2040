"""Derivatives of polynomials: calculus__differentiate."""

from math import lcm, perm
from string import ascii_lowercase

from data_pipelines.modular_math.composition import FUNCTIONS, Context, maker
from data_pipelines.modular_math.expressions import (
    ORDINALS,
    Polynomial,
    draw_coefficients,
    joined,
    polynomial,
    power,
    term,
)
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, draw_nonzero

_TEMPLATES: tuple[str, ...] = (
    "Find the {nth} derivative of {what} wrt {variable}.",
    "What is the {nth} derivative of {what} wrt {variable}?",
)
_FIRST: tuple[str, ...] = (
    "Differentiate {what} with respect to {variable}.",
    "Differentiate {what} wrt {variable}.",
    "What is the derivative of {what} wrt {variable}?",
)
# Where only one variable can be meant.
_CLEAR: tuple[str, ...] = ("Find the {nth} derivative of {what}.", "What is the {nth} derivative of {what}?")
_CLEAR_FIRST: tuple[str, ...] = ("Differentiate {what}.", "What is the derivative of {what}?")
_MOST_ORDER = 3
# Each letter's powers; no exponent is above three and the order.
_POWERS = {letter: tuple(power(letter, k) for k in range(3 + _MOST_ORDER + 1)) for letter in ascii_lowercase}

# Exponents of the variables -> coefficient.
_Terms = dict[tuple[int, ...], int]


@module("calculus__differentiate", composed=(2, 4), sizes="the derivative's coefficients share the digits")
def differentiate(context: Context, entropy: int) -> tuple[str, str]:
    """The first, second or third derivative of a polynomial, in one to four variables where nothing is composed."""
    order = context.between(1, _MOST_ORDER)
    # Choosing the order is half a digit.
    entropy = max(0, entropy - DIGIT // 2)
    if context.composed:
        what, variable, answer = _of_one(context, entropy, order)
        count = 1
    else:
        count = context.between(1, 4)
        what, variable, answer = _of_several(context, entropy, order, count)
    templates = _TEMPLATES + _FIRST * (order == 1)
    if count == 1 and not context.composed:
        templates += _CLEAR + _CLEAR_FIRST * (order == 1)
    question = context.choice(templates).format(nth=ORDINALS[order], what=what, variable=variable)
    return context.compose(question), answer


def _of_one(context: Context, entropy: int, order: int) -> tuple[str, str, str]:
    """A polynomial that other modules define, its variable and its derivative."""
    coefficients = draw_coefficients(context, order - 1, entropy)
    coefficients += draw_coefficients(context, context.below(4), entropy)
    derivative = polynomial([c * perm(k, order) for k, c in enumerate(coefficients)][order:])
    context.answer(derivative.text("x"))
    text, variable = context.write_polynomial(polynomial(coefficients))
    return text, variable, derivative.text(variable)


def _of_several(context: Context, entropy: int, order: int, count: int) -> tuple[str, str, str]:
    """A polynomial in `count` variables, the one to differentiate by, and the derivative."""
    # In alphabetical order, since that is how they are printed.
    variables = sorted([context.letter() for _ in range(count)])
    axis = context.below(count)
    degrees = [context.between(1, 3) for _ in variables]
    degrees[axis] = context.below(4)
    terms: _Terms = {}
    derivative: _Terms = {}
    for exponents, number in _draw_terms(context, degrees, entropy).items():
        exponent = exponents[axis] + order
        terms[(*exponents[:axis], exponent, *exponents[axis + 1 :])] = number
        derivative[exponents] = number * perm(exponent, order)
    answer = context.answer(_text(derivative, variables))
    # Of too low a degree to leave anything.
    degrees[axis] = order - 1
    terms |= _draw_terms(context, degrees, entropy)
    return _text(terms, variables), variables[axis], answer


def _draw_terms(context: Context, degrees: list[int], entropy: int) -> _Terms:
    """Terms that reach each variable's degree; the more entropy, the more there may be beside those."""
    below = context.below
    # A dictionary for its order.
    places: dict[tuple[int, ...], None] = {}
    room = 1
    for axis, degree in enumerate(degrees):
        room *= degree + 1
        if degree:
            place = [below(most + 1) for most in degrees]
            place[axis] = degree
            places[tuple(place)] = None
    fewest = max(1, len(places))
    count = context.between(fewest, min(room, fewest + entropy // (2 * DIGIT)))
    while len(places) < count:
        places[tuple([below(most + 1) for most in degrees])] = None
    shares = context.shares(entropy, count)
    return {place: draw_nonzero(context, share) for place, share in zip(places, shares, strict=True)}


def _text(terms: _Terms, variables: list[str]) -> str:
    """The sum by falling powers of the first variable, then of the next."""
    powers = [_POWERS[variable] for variable in variables]
    written = []
    for exponents in sorted(terms, reverse=True):
        factor = "*".join([of[k] for of, k in zip(powers, exponents, strict=True) if k])
        written.append(term(terms[exponents], 1, factor))
    return joined(written)


@maker(*FUNCTIONS)
def derivative_of(context: Context, value: Polynomial, entropy: int) -> str:
    """Let f(x) be the second derivative of a polynomial."""
    order = context.between(1, _MOST_ORDER)
    # Integrated: x**k / perm(k, order) differentiates to x**(k - order) / (k - order)!.
    divisors = [perm(k + order, order) for k in range(len(value.coefficients))]
    scale = lcm(*divisors)
    lower = draw_coefficients(context, order - 1, min(entropy, 3 * DIGIT))
    coefficients = [c * scale * value.denominator for c in lower]
    coefficients += [c * (scale // divisor) for c, divisor in zip(value.coefficients, divisors, strict=True)]
    text, variable = context.write_polynomial(polynomial(coefficients, scale * value.denominator))
    function = context.letter()
    context.define(f"Let {function}({variable}) be the {ORDINALS[order]} derivative of {text}.")
    return function
