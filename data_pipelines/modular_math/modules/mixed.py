"""Expressions of sums, differences, products and quotients: arithmetic__mixed.

An expression grows from its value: a leaf is replaced by two whose sum, difference, product or quotient it is, until
there are enough operations. A fraction among the leaves is one quotient short of being written with integers.
"""

from data_pipelines.modular_math.composition import FRACTIONS_OR_INTEGERS, Context, maker
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

# [sign, left, right], or a Value until it is replaced by its text.
Node = list


@module("arithmetic__mixed", train=_TRAIN, interpolate=(8, 8), extrapolate=(10, 12))
def mixed(context: Context, entropy: int) -> tuple[str, str]:
    """An expression's value; extrapolation to more operations."""
    if context.extrapolates:
        operations = MOST_TRAIN_OPERATIONS + context.between(1, _LONGER)
    else:
        operations = _FEWEST_OPERATIONS + context.below(entropy // (2 * DIGIT) + 1)
    own = max(DIGIT, entropy // 4)
    value = draw_fraction(context, own) if context.below(2) else integer(draw_signed(context, own))
    return context.choice(_TEMPLATES).format(_expression(context, value, operations, entropy - own)), value.text


@maker(*FRACTIONS_OR_INTEGERS)
def expression(context: Context, value: Value, entropy: int) -> str:
    """Let k be an expression of one to three operations."""
    written = _expression(context, value, context.between(1, 3), entropy)
    letter = context.letter()
    context.define(f"Let {letter} be {written}.")
    return letter


def _expression(context: Context, value: Value, operations: int, entropy: int) -> str:
    share = max(DIGIT // 2, entropy // (operations + 1))
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
        sign, first, second = _split(context, whole, share, fractions < left, left > fractions + 1)
        node[slot] = branch = [sign, first, second]
        leaves[place] = (branch, 1)
        leaves.append((branch, 2))
        fractions += bool(first.places) + bool(second.places) - bool(whole.places)
    texts = context.write(*[node[slot] for node, slot in leaves])
    for (node, slot), text in zip(leaves, texts, strict=True):
        node[slot] = text
    return _written(root[0])


def _split(context: Context, whole: Value, share: int, free: bool, roomy: bool) -> tuple[str, Value, Value]:
    """Two values and the sign between them that give `whole`: of integers unless `free`, with a new fraction only if
    `roomy`.
    """
    numerator, denominator = whole.numerator, whole.denominator
    kind = context.below(4)
    if denominator > 1 and (kind == 3 or not free):
        factor = draw_nonzero(context, share // 2)
        return "/", integer(numerator * factor), integer(denominator * factor)
    if kind == 0:
        first = draw_signed(context, share)
        return "+", integer(first), fraction(numerator - first * denominator, denominator)
    if kind == 1:
        first = draw_signed(context, share)
        if context.below(2):
            return "-", integer(first), fraction(first * denominator - numerator, denominator)
        return "-", fraction(numerator + first * denominator, denominator), integer(first)
    factor = draw_nonzero(context, share)
    if kind == 2:
        if not roomy and numerator % factor:
            factor = 1 if factor > 0 else -1
        other = fraction(numerator, denominator * factor)
        return ("*", other, integer(factor)) if context.below(2) else ("*", integer(factor), other)
    return "/", integer(numerator * factor), integer(factor)


def _written(node: Node | str) -> str:
    if isinstance(node, str):
        return node
    sign, left, right = node
    left_text, right_text = _written(left), _written(right)
    if sign in "+-":
        if type(right) is list and right[0] in "+-":
            right_text = f"({right_text})"
        return f"{left_text} {sign} {right_text}"
    if (type(left) is list and left[0] != "*") or left_text[0] == "-":
        left_text = f"({left_text})"
    if type(right) is list or right_text[0] == "-":
        right_text = f"({right_text})"
    return f"{left_text}{sign}{right_text}"
