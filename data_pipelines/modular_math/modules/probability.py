"""Letters picked from a bag without replacement: probability__swr_p_sequence, probability__swr_p_level_set."""

from math import comb

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, fraction
from data_pipelines.modular_math.words import in_words

_TEMPLATES = (
    "{picked_capital}. What is prob of {event}?",
    "{picked_capital}. Give prob of {event}.",
    "What is prob of {event} when {picked}?",
    "Calculate prob of {event} when {picked}.",
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MOST_LETTERS, _MOST_DIFFERENT, _MOST_ALIKE = 20, 6, 10
MOST_TRAIN_PICKED = 4
# Up to just below 5, which is four letters.
_TRAIN, _EXTRAPOLATE = (2, 5), (5, 5)
_BEYOND = ("more_samples", f"5 letters picked, in training at most {MOST_TRAIN_PICKED}")
_SIZES = "letters picked, rounded down"


@module(
    "probability__swr_p_sequence",
    train=_TRAIN,
    interpolate=_TRAIN,
    extrapolate=_EXTRAPOLATE,
    beyond=_BEYOND,
    sizes=_SIZES,
)
def sequence(context: Context, entropy: int) -> tuple[str, str]:
    """The probability of a sequence of letters picked from a bag of up to 20, one time in ten possibly 0 or 1."""
    trivial = context.below(10) == 0
    while True:
        count, letters, counts = _bag(context, entropy)
        places = [context.below(len(letters)) for _ in range(count)]
        left = list(counts)
        above = below = 1
        for turn, place in enumerate(places):
            above *= left[place]
            below *= sum(counts) - turn
            left[place] -= 1
        if trivial or 0 < above < below:
            break
    event = f"sequence {''.join([letters[place] for place in places])}"
    return _asked(context, count, letters, counts, event), fraction(above, below).text


@module(
    "probability__swr_p_level_set",
    train=_TRAIN,
    interpolate=_TRAIN,
    extrapolate=_EXTRAPOLATE,
    beyond=_BEYOND,
    sizes=_SIZES,
)
def level_set(context: Context, entropy: int) -> tuple[str, str]:
    """The probability of so many of each letter picked from a bag of up to 20, one time in ten possibly 0 or 1."""
    trivial = context.below(10) == 0
    while True:
        count, letters, counts = _bag(context, entropy)
        # All ways to share the picks among the letters are equally likely.
        bars = sorted(context.shuffled(range(count + len(letters) - 1))[: len(letters) - 1])
        picks = [high - low - 1 for low, high in zip([-1, *bars], [*bars, count + len(letters) - 1], strict=True)]
        above, below = 1, comb(sum(counts), count)
        for pick, many in zip(picks, counts, strict=True):
            above *= comb(many, pick)
        if trivial or 0 < above < below:
            break
    parts = [f"{pick} {letter}" for pick, letter in context.shuffled(list(zip(picks, letters, strict=True))) if pick]
    series = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return _asked(context, count, letters, counts, f"picking {series}"), fraction(above, below).text


def _bag(context: Context, entropy: int) -> tuple[int, list[str], list[int]]:
    """How many are picked, the different letters and how many of each."""
    count = entropy // DIGIT if context.extrapolates else min(MOST_TRAIN_PICKED, entropy // DIGIT)
    different = context.between(1, _MOST_DIFFERENT)
    total = context.between(max(different, count), min(_MOST_LETTERS, different * _MOST_ALIKE))
    cuts = sorted(context.shuffled(range(1, total))[: different - 1])
    counts = [high - low for low, high in zip([0, *cuts], [*cuts, total], strict=True)]
    # The same numbers of letters in any order and by any name are the same question.
    context.group = " ".join(map(str, sorted(counts)))
    return count, context.shuffled(_LETTERS)[:different], counts


def _asked(context: Context, count: int, letters: list[str], counts: list[int], event: str) -> str:
    if context.below(2):
        bag = "".join(
            context.shuffled([x for letter, many in zip(letters, counts, strict=True) for x in letter * many])
        )
    else:
        bag = "{" + ", ".join([f"{letter}: {many}" for letter, many in zip(letters, counts, strict=True)]) + "}"
    picked = f"{in_words(count)} letters picked without replacement from {bag}"
    template = context.choice(_TEMPLATES)
    return template.format(picked=picked, picked_capital=picked[0].upper() + picked[1:], event=event)
