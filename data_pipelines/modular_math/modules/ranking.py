"""One number among several: comparison__kth_biggest, comparison__closest."""

from math import gcd, lcm

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.expressions import ORDINALS
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, Value, draw_number

_TRAIN = (3, 10)
_FEWEST = 3
MOST_TRAIN_RANKED = _FEWEST + _TRAIN[1] // 2
MOST_TRAIN_NEAR = _FEWEST + _TRAIN[1] // 3
_MORE = 2
_CHOICES = "abcdefghijklmnopqrstuvwxyz"


@module(
    "comparison__kth_biggest",
    train=_TRAIN,
    extrapolate=(12, 12),
    beyond=("more", f"1 or {_MORE} numbers more than the {MOST_TRAIN_RANKED} of training"),
    composed=(2, 4),
    sizes=f"shared by {_FEWEST} numbers and one more for every two digits",
)
def kth_biggest(context: Context, entropy: int) -> tuple[str, str]:
    """The biggest, second smallest, ... of a list, half of the time by the letter of a choice."""
    values = _different(context, entropy, _count(context, entropy, 2))
    lettered = _reserve(context, len(values))
    handles = context.write(*values)
    order = sorted(range(len(values)), key=_over_common(values).__getitem__)
    place = context.between(1, len(values))
    nth = f"{ORDINALS[place]} " if place > 1 else ""
    if context.below(2):
        what, found = f"{nth}biggest value", order[-place]
    else:
        what, found = f"{nth}smallest value", order[place - 1]
    return _asked(context, what, handles, found, lettered)


@module(
    "comparison__closest",
    train=_TRAIN,
    extrapolate=(12, 12),
    beyond=("more", f"1 or {_MORE} numbers more than the {MOST_TRAIN_NEAR} of training"),
    composed=(2, 4),
    sizes=f"shared by a target, {_FEWEST} numbers and one more for every three digits",
)
def closest(context: Context, entropy: int) -> tuple[str, str]:
    """The number of a list that is closest to another, half of the time by the letter of a choice."""
    count = _count(context, entropy, 3)
    lettered = _reserve(context, count)
    own, *shares = context.shares(entropy, count + 1)
    target = draw_number(context, own)
    while True:
        values = [draw_number(context, max(DIGIT, share)) for share in shares]
        scaled = _over_common([target, *values])
        distances = [abs(number - scaled[0]) for number in scaled[1:]]
        if len(set(distances)) == count:
            break
    to, *handles = context.write(target, *values)
    what = f"{context.choice(('closest', 'nearest'))} to {to}"
    return _asked(context, what, handles, distances.index(min(distances)), lettered)


def _count(context: Context, entropy: int, digits_each: int) -> int:
    most = _FEWEST + entropy // (digits_each * DIGIT)
    if context.extrapolates:
        return _FEWEST + _TRAIN[1] // digits_each + context.between(1, _MORE)
    return context.between(_FEWEST, most)


def _reserve(context: Context, count: int) -> bool:
    """Whether the numbers are lettered choices; their letters then mean nothing else in the question."""
    lettered = bool(context.below(2))
    if lettered:
        context.reserve(_CHOICES[:count])
    return lettered


def _asked(context: Context, what: str, handles: list[str], found: int, lettered: bool) -> tuple[str, str]:
    if not lettered:
        return context.compose(f"What is the {what} in {', '.join(handles)}?"), handles[found]
    choices = "".join([f"  ({_CHOICES[place]}) {handle}" for place, handle in enumerate(handles)])
    return context.compose(f"Which is the {what}?{choices}"), _CHOICES[found]


def _different(context: Context, entropy: int, count: int) -> list[Value]:
    values: list[Value] = []
    seen = set()
    for share in context.shares(entropy, count):
        while True:
            value = draw_number(context, max(DIGIT, share))
            common = gcd(value.numerator, value.denominator)
            key = (value.numerator // common, value.denominator // common)
            if key not in seen:
                break
        seen.add(key)
        values.append(value)
    return values


def _over_common(values: list[Value]) -> list[int]:
    """The numerators over a common denominator."""
    scale = lcm(*[value.denominator for value in values])
    return [value.numerator * (scale // value.denominator) for value in values]
