"""Sequences that a polynomial makes: algebra__sequence_next_term, algebra__sequence_nth_term."""

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.expressions import Polynomial
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import draw_nonzero, draw_signed

_NEXT = ("What is next in {}?", "What comes next: {}?", "What is the next term in {}?")
# For each degree, by how much more entropy a coefficient gets, constant first, so that all terms weigh about the same.
_MORE = ((), (4, -4), (10, 0, -10), (17, 6, -6, -17))


@module("algebra__sequence_next_term", sizes="the polynomial's coefficients share the digits")
def next_term(context: Context, entropy: int) -> tuple[str, str]:
    """The next of the values of a polynomial of degree 1 to 3 at 1, 2, 3 and so on."""
    coefficients = _polynomial(context, entropy)
    *shown, last = _terms(context, coefficients, 1)
    return context.choice(_NEXT).format(", ".join(shown)), last


@module("algebra__sequence_nth_term", sizes="the polynomial's coefficients share the digits")
def nth_term(context: Context, entropy: int) -> tuple[str, str]:
    """The polynomial of degree 1 to 3 whose values at 1, 2, 3, ... are given."""
    coefficients = _polynomial(context, entropy)
    variable = context.letter()
    shown = ", ".join(_terms(context, coefficients, 0))
    return f"What is the {variable}'th term of {shown}?", Polynomial(coefficients).text(variable)


def _polynomial(context: Context, entropy: int) -> tuple[int, ...]:
    degree = context.between(1, 3)
    shares = [
        max(0, share + more) for share, more in zip(context.shares(entropy, degree + 1), _MORE[degree], strict=True)
    ]
    return (*[draw_signed(context, share) for share in shares[:-1]], draw_nonzero(context, shares[-1]))


def _terms(context: Context, coefficients: tuple[int, ...], more: int) -> list[str]:
    """One term more than determines the polynomial, up to four more than that, and `more`."""
    count = len(coefficients) + 1 + context.below(4) + more
    terms = []
    for place in range(1, count + 1):
        value = 0
        for coefficient in reversed(coefficients):
            value = value * place + coefficient
        terms.append(str(value))
    return terms
