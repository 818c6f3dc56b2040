"""How sums, products and polynomials are written: signs, brackets and the order of terms as in the released data.

There an answer is what sympy 1.3 printed: terms by falling power, `-2*x + 5` and not `5 - 2*x`, fractions as
`3*x**2/5`. A question's expression keeps the order in which it was made, and brackets a negative number only under a
quotient or a power.
"""

from math import gcd
from typing import NamedTuple

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.random import Stream
from data_pipelines.modular_math.values import DIGIT, POWERS, draw_nonzero

ORDINALS = ("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")

_LEAST = DIGIT // 2  # entropy of a term

# How tightly an expression holds together; what binds less tightly than its surroundings needs brackets.
ATOM, POWER, PRODUCT, SUM, DIFFERENCE = range(5)


class Written(NamedTuple):
    """The text of an expression and how tightly it binds."""

    text: str
    rank: int

    def inside(self, loosest: int) -> str:
        """The text, in brackets if it binds less tightly than `loosest`."""
        return self.text if self.rank <= loosest else f"({self.text})"


def leaf(text: str) -> Written:
    """A number or letter; a negative number binds like a product."""
    return Written(text, PRODUCT if text[0] == "-" else ATOM)


def plus(left: Written, right: Written) -> Written:
    """left + right; sums in it lose their brackets."""
    return Written(f"{left.inside(SUM)} + {right.inside(SUM)}", SUM)


def minus(left: Written, right: Written) -> Written:
    """left - right."""
    return Written(f"{left.text} - {right.inside(PRODUCT)}", DIFFERENCE)


def times(left: Written, right: Written) -> Written:
    """left*right."""
    return Written(f"{left.inside(PRODUCT)}*{right.inside(PRODUCT)}", PRODUCT)


def over(left: Written, right: Written) -> Written:
    """left/right."""
    return Written(f"{left.inside(POWER)}/{right.inside(POWER)}", PRODUCT)


def to_the(base: Written, exponent: Written) -> Written:
    """base**exponent."""
    return Written(f"{base.inside(ATOM)}**{exponent.inside(ATOM)}", POWER)


OPERATIONS = {"+": plus, "-": minus, "*": times, "/": over}


def signed_sum(terms: list[tuple[str, str]]) -> str:
    """`3*x**2 - x + 7` from (coefficient, factor) texts, the factor empty for a constant; `0` without terms."""
    written = ""
    for coefficient, factor in terms:
        if not factor:
            term = coefficient
        elif coefficient in ("1", "-1"):
            term = coefficient[:-1] + factor
        else:
            term = f"{coefficient}*{factor}"
        if not written:
            written = term
        elif term[0] == "-":
            written += f" - {term[1:]}"
        else:
            written += f" + {term}"
    return written or "0"


def term(numerator: int, denominator: int, factor: str) -> str:
    """`-3*x**2/5` of a fraction in lowest terms and a factor, which is empty for a constant."""
    if not factor:
        text = str(numerator)
    elif numerator == 1:
        text = factor
    elif numerator == -1:
        text = f"-{factor}"
    else:
        text = f"{numerator}*{factor}"
    return text if denominator == 1 else f"{text}/{denominator}"


def joined(terms: list[str]) -> str:
    """The sum of `terms`, `0` without any: a term's leading minus is the sign before it."""
    if not terms:
        return "0"
    return " + ".join(terms).replace("+ -", "- ")


def power(variable: str, exponent: int) -> str:
    """`x**3`, `x`, or nothing for exponent 0."""
    return "" if not exponent else variable if exponent == 1 else f"{variable}**{exponent}"


class Polynomial(NamedTuple):
    """A function of one variable: coefficients[k] / denominator is what stands before the variable to the power k.

    `denominator` is positive and divides not all coefficients, so it is 1 where all of them are integers.
    """

    coefficients: tuple[int, ...]
    denominator: int = 1

    def text(self, variable: str) -> str:
        """The polynomial by falling powers."""
        if self.denominator == 1:
            terms = [(str(c), power(variable, k)) for k, c in enumerate(self.coefficients) if c]
            return signed_sum(terms[::-1])
        numbers = [lowest(c, self.denominator) for c in self.coefficients]
        return joined([term(*number, power(variable, k)) for k, number in enumerate(numbers) if number[0]][::-1])

    def define(self, context: Context) -> str:
        """Defines the function as it stands and returns its letter."""
        function, variable = context.letter(), context.letter()
        context.define(f"Let {function}({variable}) = {self.text(variable)}.")
        return function


def lowest(numerator: int, denominator: int) -> tuple[int, int]:
    """A fraction of positive denominator in lowest terms."""
    common = gcd(numerator, denominator)
    return numerator // common, denominator // common


def polynomial(coefficients: list[int], denominator: int = 1) -> Polynomial:
    """`coefficients` / `denominator`, reduced, without leading zeros."""
    end = len(coefficients)
    while end > 1 and not coefficients[end - 1]:
        end -= 1
    if denominator > 1 and (common := gcd(denominator, *coefficients)) > 1:
        return Polynomial(tuple([c // common for c in coefficients[:end]]), denominator // common)
    return Polynomial(tuple(coefficients[:end]), denominator)


def draw_coefficients(stream: Stream, degree: int, entropy: int, fewest: int = 1) -> list[int]:
    """Coefficients of a polynomial of exactly that degree; `fewest` of them or more are not 0."""
    fewest = min(max(1, fewest), degree + 1)
    count = stream.between(fewest, min(fewest + entropy // (2 * DIGIT), degree + 1))
    coefficients = [0] * (degree + 1)
    if count == 1:
        coefficients[degree] = draw_nonzero(stream, entropy)
        return coefficients
    places = stream.shuffled(range(degree))[: count - 1]
    for place, share in zip([degree, *places], stream.shares(entropy, count), strict=True):
        coefficients[place] = draw_nonzero(stream, share)
    return coefficients


def uncollected(stream: Stream, coefficients: list[int], entropy: int) -> list[tuple[int, int]]:
    """(number, exponent) of terms in random order, two more of them than `coefficients` needs or further, that add up
    to the polynomial.
    """
    more = 2 + stream.below(entropy // (2 * DIGIT) + 2)
    return stream.shuffled(cut_up(stream, coefficients, more, entropy))


def cut_up(stream: Stream, totals: list[int], more: int, entropy: int) -> list[tuple[int, int]]:
    """(number, place) such that the numbers of a place add up to totals[place]: `more` than one for each that is not 0,
    sizes of `entropy` shared by all. A number may be 0.
    """
    needed = [1 if total else 0 for total in totals]
    for place in stream.draws((len(needed),) * more):
        needed[place] += 1
    free = 0
    for place, total in enumerate(totals):
        if needed[place] == 1 and not total:
            # A single term cannot add up to 0; where it is the only one, nothing is said.
            needed[place] = 0
            if others := [other for other, many in enumerate(needed) if many]:
                needed[stream.choice(others)] += 1
    for many in needed:
        if many > 1:
            free += many - 1
    # The last term of a place follows from the others.
    shares = stream.shares(entropy, free) if free else []
    terms = []
    for place, total in enumerate(totals):
        many = needed[place]
        if many == 1:
            terms.append((total, place))
        elif many:
            rest = many - 1
            own = shares.pop() if rest == 1 else sum([shares.pop() for _ in range(rest)])
            terms += _cut(stream, total, stream.shares(own * many // rest, many), place)
    return terms


def _cut(stream: Stream, total: int, sizes: list[int], place: int) -> list[tuple[int, int]]:
    """Terms of that place, drawn with those entropies and then moved alike, so that their numbers add up to `total`."""
    halves = [POWERS[size if size > _LEAST else _LEAST] // 2 + 1 for size in sizes]
    parts = stream.draws([2 * half + 1 for half in halves])
    rest, count = total - sum(parts) + sum(halves), len(parts)
    return [
        (part - half + (rest + number) // count, place)
        for number, (part, half) in enumerate(zip(parts, halves, strict=True))
    ]
