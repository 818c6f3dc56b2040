"""How sums, polynomials and functions are written."""

from typing import NamedTuple

from data_pipelines.modular_math.composition import Context


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


def power(variable: str, exponent: int) -> str:
    """`x**3`, `x`, or nothing for exponent 0."""
    return "" if not exponent else variable if exponent == 1 else f"{variable}**{exponent}"


class Polynomial(NamedTuple):
    """A function of one variable: coefficients[k] is the integer before the variable to the power k."""

    coefficients: tuple[int, ...]

    def define(self, context: Context) -> str:
        """Defines the function as it stands and returns its letter."""
        function, variable = context.letter(), context.letter()
        terms = [(str(c), power(variable, k)) for k, c in enumerate(self.coefficients) if c]
        context.define(f"Let {function}({variable}) = {signed_sum(terms[::-1])}.")
        return function
