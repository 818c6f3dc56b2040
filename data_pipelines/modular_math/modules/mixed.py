"""Expressions of sums, differences, products and quotients: arithmetic__mixed, arithmetic__add_sub_multiple,
arithmetic__mul_div_multiple.

An expression grows from its value: a leaf is replaced by two whose sum, difference, product or quotient it is, until
there are enough operations. A fraction among the leaves is one quotient short of being written with integers.
"""

from math import comb, gcd, log10

from data_pipelines.modular_math.composition import FRACTIONS_OR_INTEGERS, Context, maker
from data_pipelines.modular_math.expressions import OPERATIONS, Written, leaf
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import (
    DIGIT,
    Value,
    draw_fraction,
    draw_nonzero,
    draw_signed,
    fraction,
    integer,
)

_TEMPLATES = ("{}", "What is {}?", "Evaluate {}.", "Calculate {}.", "What is the value of {}?")
_TRAIN = (3, 10)
_FEWEST_OPERATIONS = 3
MOST_TRAIN_OPERATIONS = _FEWEST_OPERATIONS + _TRAIN[1] // 2
_LONGER = 3
_SIZES = f"{_FEWEST_OPERATIONS} operations and one more for every two digits"
_BEYOND = ("longer", f"1 to {_LONGER} operations more than the {MOST_TRAIN_OPERATIONS} of training")
_SUM, _DIFFERENCE, _PRODUCT, _QUOTIENT = range(4)
_ALL = (_SUM, _DIFFERENCE, _PRODUCT, _QUOTIENT)

# By operations: the entropy of the shape of an expression, log10 of the Catalan number in sixteenths of a digit.
_TREES = [round(DIGIT * log10(comb(2 * count, count) // (count + 1))) for count in range(16)]

# [sign, left, right], or a Value until it is replaced by its text.
Node = list


@module("arithmetic__mixed", train=_TRAIN, interpolate=(8, 8), extrapolate=(10, 12), beyond=_BEYOND, sizes=_SIZES)
def mixed(context: Context, entropy: int) -> tuple[str, str]:
    """The value of an expression with the four operations, an integer or a fraction."""
    return _question(context, entropy, _ALL)


@module(
    "arithmetic__add_sub_multiple",
    train=_TRAIN,
    interpolate=(8, 8),
    extrapolate=(10, 12),
    beyond=_BEYOND,
    sizes=_SIZES,
)
def add_sub_multiple(context: Context, entropy: int) -> tuple[str, str]:
    """The value of an expression of sums and differences of integers."""
    return _question(context, entropy, (_SUM, _DIFFERENCE))


@module(
    "arithmetic__mul_div_multiple",
    train=_TRAIN,
    interpolate=(8, 8),
    extrapolate=(10, 12),
    beyond=_BEYOND,
    sizes=_SIZES,
)
def mul_div_multiple(context: Context, entropy: int) -> tuple[str, str]:
    """The value of an expression of products and quotients, an integer or a fraction."""
    return _question(context, entropy, (_PRODUCT, _QUOTIENT))


def _question(context: Context, entropy: int, kinds: tuple[int, ...]) -> tuple[str, str]:
    own = max(DIGIT, entropy // 4)
    if context.extrapolates:
        operations = MOST_TRAIN_OPERATIONS + context.between(1, _LONGER)
    else:
        operations = _FEWEST_OPERATIONS + context.below((entropy - own) // (2 * DIGIT) + 1)
    # Longer expressions have integer values, in Saxton et al., too.
    whole = _QUOTIENT not in kinds or context.extrapolates
    value = integer(draw_signed(context, own)) if whole or context.below(2) else draw_fraction(context, own)
    written = _expression(context, value, operations, entropy - own, kinds)
    return context.choice(_TEMPLATES).format(written), value.text


def _few_operations(context: Context, value: Value, entropy: int) -> str:
    return _expression(context, value, context.between(1, 3), entropy, _ALL)


@maker(*FRACTIONS_OR_INTEGERS, inline=_few_operations)
def expression(context: Context, value: Value, entropy: int) -> str:
    """Let k be an expression of one to three operations."""
    written = _few_operations(context, value, entropy)
    letter = context.letter()
    context.define(f"Let {letter} be {written}.")
    return letter


def _expression(context: Context, value: Value, operations: int, entropy: int, kinds: tuple[int, ...]) -> str:
    entropy += _TREES[operations]
    # Sums carry the largest number to all the others: there every operation gets the same.
    same = _QUOTIENT not in kinds
    shares = [entropy // operations] * operations if same else context.shares(entropy, operations)
    root: Node = [value]
    leaves: list[tuple[Node, int]] = [(root, 0)]
    fractions = 1 if value.places else 0
    for left in range(operations, 0, -1):
        place = context.below(len(leaves))
        if fractions == left:
            # Each operation that is left must end a fraction.
            place = next(place for place, (node, slot) in enumerate(leaves) if node[slot].places)
        node, slot = leaves[place]
        whole = node[slot]
        share = max(DIGIT // 2, shares[left - 1])
        sign, first, second = _split(context, whole, share, kinds, fractions < left, left > fractions + 1)
        node[slot] = branch = [sign, first, second]
        leaves[place] = (branch, 1)
        leaves.append((branch, 2))
        fractions += bool(first.places) + bool(second.places) - bool(whole.places)
    texts = context.write(*[node[slot] for node, slot in leaves])
    for (node, slot), text in zip(leaves, texts, strict=True):
        node[slot] = leaf(text)
    return _written(root[0]).text


def _split(
    context: Context, whole: Value, share: int, kinds: tuple[int, ...], free: bool, roomy: bool
) -> tuple[str, Value, Value]:
    """Two values and the sign between them that give `whole`: of integers unless `free`, with a new fraction only if
    `roomy`.
    """
    numerator, denominator = whole.numerator, whole.denominator
    kind = context.choice(kinds)
    if denominator > 1 and (kind == _QUOTIENT or not free):
        factor = draw_nonzero(context, share)
        return "/", integer(numerator * factor), integer(denominator * factor)
    if kind == _SUM:
        first = draw_signed(context, share)
        return "+", integer(first), fraction(numerator - first * denominator, denominator)
    if kind == _DIFFERENCE:
        first = draw_signed(context, share)
        if context.below(2):
            return "-", integer(first), fraction(first * denominator - numerator, denominator)
        return "-", fraction(numerator + first * denominator, denominator), integer(first)
    factor = draw_nonzero(context, share)
    if kind == _PRODUCT:
        if not roomy:
            # Only what divides the numerator makes no new fraction.
            factor = gcd(numerator, factor) if factor > 0 else -gcd(numerator, factor)
        other = fraction(numerator, denominator * factor)
        return ("*", other, integer(factor)) if context.below(2) else ("*", integer(factor), other)
    return "/", integer(numerator * factor), integer(factor)


def _written(node: Node | Written) -> Written:
    if isinstance(node, Written):
        return node
    sign, left, right = node
    return OPERATIONS[sign](_written(left), _written(right))
