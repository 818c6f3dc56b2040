"""Numbers by their length, for modules whose settings have `max_digits`, `extrapolate_digits` and `exact_digits`.

Their settings share no base class: the order of a class's fields enters its module's random stream.
"""

import dataclasses
from typing import Any

from data_pipelines import BadInput
from data_pipelines.modular_math.random import Stream

# Python writes no integer of more than 4,300 digits.
_MOST_DIGITS = 4_000


def check(settings: Any) -> None:
    """Raises BadInput unless the lengths in `settings` fit together."""
    most, exact, beyond = settings.max_digits, settings.exact_digits, settings.extrapolate_digits
    if min(most, exact) < 0:
        raise BadInput("max_digits and exact_digits cannot be negative")
    if (beyond or exact) and not most:
        raise BadInput("extrapolate_digits and exact_digits need max_digits")
    if max(most, exact, *beyond) > _MOST_DIGITS:
        raise BadInput(f"numbers end at {_MOST_DIGITS} digits")
    for digits in beyond:
        if type(digits) is not int or digits <= most:
            raise BadInput(f"extrapolate_digits {digits!r} is not beyond max_digits {most}")


def extrapolations(settings: Any) -> dict[str, Any] | None:
    """One set for each length beyond `max_digits`, by name; None where sizes are Saxton et al.'s."""
    if not settings.max_digits:
        return None
    if settings.exact_digits:
        exact = settings.exact_digits
        return {f"{exact}_digits": settings} if exact > settings.max_digits else {}
    return {
        f"{digits}_digits": dataclasses.replace(settings, exact_digits=digits, extrapolate_digits=())
        for digits in settings.extrapolate_digits
    }


def weighted(stream: Stream, most: int) -> int:
    """A length n from 1 to `most` with weight n, since the short ones are few questions."""
    ticket = stream.below(most * (most + 1) // 2)
    length = 1
    while ticket >= length:
        ticket -= length
        length += 1
    return length


def of_length(stream: Stream, digits: int) -> int:
    """A non-negative integer of so many digits."""
    return stream.between(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)
