"""Comparing and sorting numbers: comparison__pair, comparison__sort."""

from math import gcd, lcm

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.registry import Settings, module
from data_pipelines.modular_math.values import (
    DIGIT,
    Value,
    draw_fraction,
    draw_number,
    draw_signed,
    integer,
)

_BIGGER = ("Which is bigger: {p} or {q}?", "Which is greater: {p} or {q}?")
_SMALLER = ("Which is smaller: {p} or {q}?",)
# For each comparison: its questions, and whether it holds for (less, equal, greater).
_COMPARISONS = (
    (("Is {p} < {q}?", "Is {p} less than {q}?", "Is {p} smaller than {q}?"), (True, False, False)),
    (
        (
            "Is {p} <= {q}?",
            "Is {p} less than or equal to {q}?",
            "Is {p} at most {q}?",
            "Is {p} at most as big as {q}?",
        ),
        (True, True, False),
    ),
    (("Is {p} > {q}?", "Is {p} greater than {q}?", "Is {p} bigger than {q}?"), (False, False, True)),
    (
        (
            "Is {p} >= {q}?",
            "Is {p} greater than or equal to {q}?",
            "Is {p} at least {q}?",
            "Is {p} at least as big as {q}?",
        ),
        (False, True, True),
    ),
    (
        (
            "Does {p} = {q}?",
            "Are {p} and {q} equal?",
            "Is {p} equal to {q}?",
            "Do {p} and {q} have the same value?",
        ),
        (False, True, False),
    ),
    (
        (
            "Is {p} != {q}?",
            "Is {p} not equal to {q}?",
            "Are {p} and {q} unequal?",
            "Are {p} and {q} nonequal?",
            "Are {p} and {q} non-equal?",
            "Do {p} and {q} have different values?",
        ),
        (True, False, True),
    ),
)
_TRAIN = (3, 10)
_FEWEST_SORTED = 3
MOST_TRAIN_SORTED = _FEWEST_SORTED + _TRAIN[1] // 2
_MORE_SORTED = 2


@module("comparison__pair", train=_TRAIN, composed=(2, 4), sizes="shared by the two numbers")
def pair(context: Context, entropy: int) -> tuple[str, str]:
    """Which of two numbers is bigger, or whether they stand in a relation; a third of the pairs close, a third fraction
    and integer.
    """
    p, q = _pair(context, entropy)
    if context.below(2):
        p, q = q, p
    left, right = context.write(p, q)
    difference = p.numerator * q.denominator - q.numerator * p.denominator
    if difference and context.below(2):
        bigger = context.below(2)
        template = context.choice(_BIGGER if bigger else _SMALLER)
        answer = left if (difference > 0) == bool(bigger) else right
    else:
        templates, holds = context.choice(_COMPARISONS)
        template = context.choice(templates)
        answer = str(holds[(difference > 0) - (difference < 0) + 1])
    return context.compose(template.format(p=left, q=right)), answer


def _pair(context: Context, entropy: int) -> tuple[Value, Value]:
    kind = context.below(3)
    if kind == 0:
        near = context.below(entropy // 2 + 1)
        left = draw_signed(context, entropy - near)
        return integer(left), integer(left + draw_signed(context, near))
    if kind == 1:
        value = draw_fraction(context, entropy)
        nearest = (2 * value.numerator + value.denominator) // (2 * value.denominator)
        return value, integer(nearest + context.between(-1, 1))
    share = context.below(entropy + 1)
    return draw_number(context, share), draw_number(context, entropy - share)


class Sort(Settings):
    """Longer lists need longer answers: with 30 characters nine numbers in ten draws would not fit."""

    def limits(self, split: str) -> tuple[int, int]:
        longest_question, longest_answer = super().limits(split)
        return longest_question, 45 if split == "extrapolate" else longest_answer


@module(
    "comparison__sort",
    train=_TRAIN,
    extrapolate=(12, 12),
    beyond=("more", f"1 or {_MORE_SORTED} numbers more than the {MOST_TRAIN_SORTED} of training"),
    composed=(2, 4),
    sizes=f"shared by {_FEWEST_SORTED} numbers and one more for every two digits",
    settings=Sort,
)
def sort(context: Context, entropy: int) -> tuple[str, str]:
    """Numbers in order, half of the lists of integers only."""
    if context.extrapolates:
        count = MOST_TRAIN_SORTED + context.between(1, _MORE_SORTED)
    else:
        count = _FEWEST_SORTED + context.below(entropy // (2 * DIGIT) + 1)
    integers = context.below(2)
    values: list[Value] = []
    seen = set()
    for share in context.shares(entropy, count):
        size = max(DIGIT, share)
        while True:
            value = integer(draw_signed(context, size)) if integers else draw_number(context, size)
            common = gcd(value.numerator, value.denominator)
            key = (value.numerator // common, value.denominator // common)
            if key not in seen:
                break
        seen.add(key)
        values.append(value)
    scale = lcm(*[value.denominator for value in values])
    keys = [value.numerator * (scale // value.denominator) for value in values]
    handles = context.write(*values)
    ascending = context.below(2)
    listed = ", ".join(handles)
    # Ascending is what is meant when no direction is named.
    if ascending and not context.below(3):
        question = f"Sort {listed}."
    else:
        direction = context.choice(("ascending", "increasing") if ascending else ("descending", "decreasing"))
        question = f"{context.choice(('Sort', 'Put'))} {listed} in {direction} order."
    order = sorted(range(count), key=keys.__getitem__, reverse=not ascending)
    return context.compose(question), ", ".join([handles[place] for place in order])
