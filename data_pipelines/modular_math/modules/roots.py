"""Polynomials with rational roots: algebra__polynomial_roots."""

from math import lcm, prod

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.expressions import Polynomial, lowest, polynomial, power, term
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_fraction, draw_nonzero, draw_signed, integer

_SOLVE = (
    "Let {equation}. What is {variable}?",
    "Let {equation}. Calculate {variable}.",
    "Suppose {equation}. What is {variable}?",
    "Suppose {equation}. Calculate {variable}.",
    "What is {variable} in {equation}?",
    "Solve {equation} for {variable}.",
    "Find {variable} such that {equation}.",
    "Find {variable}, given that {equation}.",
    "Determine {variable} so that {equation}.",
    "Determine {variable}, given that {equation}.",
    "Solve {equation}.",
)
# Of training: the numerators and denominators of all different roots multiply to no more.
MOST_TRAIN_ROOTS = 10**9


@module(
    "algebra__polynomial_roots",
    extrapolate=(12, 12),
    beyond=("big", "the product of the different roots is above 10**9, in training it is at most that"),
    composed=(2, 4),
    sizes="the roots share all digits but one",
)
def polynomial_roots(context: Context, entropy: int) -> tuple[str, str]:
    """The roots of a polynomial of degree 2 to 5, or the polynomial factored; a tenth of the roots are fractions."""
    scale_entropy = min(entropy // 2, DIGIT)
    while True:
        roots = _roots(context, entropy - scale_entropy)
        size = prod([max(1, abs(root.numerator)) * root.denominator for root in roots])
        if (size > MOST_TRAIN_ROOTS) == context.extrapolates:
            break
    number, parts = _scale(context, scale_entropy)
    coefficients = [number]
    for root, multiplicity in roots.items():
        for _ in range(multiplicity):
            coefficients = _times_root(coefficients, root)
    if context.below(2):
        # Ascending: over a common denominator the order is that of the numerators.
        scale = lcm(*[root.denominator for root in roots])
        ordered = sorted(roots, key=lambda root: root.numerator * (scale // root.denominator))
        answer = context.answer(", ".join([root.text for root in ordered]))
        text, variable = context.write_polynomial(polynomial(coefficients, parts))
        question = context.choice(_SOLVE).format(equation=f"{text} = 0", variable=variable)
        return context.compose(question), answer
    context.answer(_factored(roots, number, parts, "x"))
    text, variable = context.write_polynomial(polynomial(coefficients, parts))
    return context.compose(f"Factor {text}."), _factored(roots, number, parts, variable)


def _roots(context: Context, entropy: int) -> dict[Value, int]:
    """The roots with their multiplicities; each root past the first repeats another with probability 1/5."""
    count = context.between(2, 5)
    repeated = sum([context.below(5) == 0 for _ in range(count - 1)])
    if entropy > 4 * DIGIT:
        # Large numbers repeated would make coefficients that fill the question.
        repeated = min(repeated, count // 2)
    roots: dict[Value, int] = {}
    for share in context.shares(entropy, count - repeated):
        root = draw_fraction(context, share) if context.below(10) == 0 else integer(draw_signed(context, share))
        roots[root] = roots.get(root, 0) + 1
    different = list(roots)
    for _ in range(repeated):
        roots[context.choice(different)] += 1
    return roots


def _scale(context: Context, entropy: int) -> tuple[int, int]:
    """What all coefficients are multiplied with: an integer or, half of the time, a fraction."""
    if context.below(2):
        return draw_nonzero(context, entropy), 1
    value = draw_fraction(context, entropy)
    return value.numerator, value.denominator


def _times_root(coefficients: list[int], root: Value) -> list[int]:
    """The polynomial times (denominator * x - numerator)."""
    higher = [0, *[c * root.denominator for c in coefficients]]
    lower = [*[-c * root.numerator for c in coefficients], 0]
    return [a + b for a, b in zip(higher, lower, strict=True)]


def _factored(roots: dict[Value, int], numerator: int, denominator: int, variable: str) -> str:
    factors = []
    # A bare variable first, then by the coefficients from left to right.
    for root in sorted(roots, key=lambda root: (root.numerator != 0, root.denominator, -root.numerator)):
        if root.numerator:
            base = f"({Polynomial((-root.numerator, root.denominator)).text(variable)})"
        else:
            base = variable
        factors.append(power(base, roots[root]))
    return term(*lowest(numerator, denominator), "*".join(factors))
