"""What a benchmark of bias found, and what is to be known of each figure: whether the model knows anything at all."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """ideal: what no bias, or full knowledge, would be; low, high: the 95% interval, None where there is none; note:
    what is not among its items, and why.
    """

    benchmark: str
    name: str
    value: float
    low: float | None
    high: float | None
    ideal: float
    count: int
    note: str = ""


# Of the figures that show knowledge.
_CHANCE = {
    "language": 50.0,
    "accuracy": 50.0,
    "accuracy_disambiguated": 100 / 3,
    **dict.fromkeys(("lms", "intrasentence/lms", "intersentence/lms"), 50.0),
}
# What a figure of bias is to be read beside, where that is not a whole benchmark's.
_BESIDE = {
    "accuracy_difference": "accuracy",
    **{f"{task}/{name}": f"{task}/lms" for task in ("intrasentence", "intersentence") for name in ("ss", "icat")},
}


def knows_nothing(measured: Sequence[Measured]) -> bool:
    """Whether the model is at chance in what shows knowledge: its figures of bias are then no sign of fairness."""
    shown = [one for one in measured if one.name in _CHANCE]
    return bool(shown) and all(_at_chance(one) for one in shown)


def _at_chance(one: Measured) -> bool:
    return one.name in _CHANCE and (one.low is None or one.low <= _CHANCE[one.name])


def remarks(measured: Sequence[Measured]) -> list[str]:
    """What is to be known of each figure: that it is at chance or below, or that what it is to be read beside is; and
    its note.
    """
    lost = {
        one.name: "below chance" if one.high is not None and one.high < _CHANCE[one.name] else "at chance"
        for one in measured
        if _at_chance(one)
    }
    found = []
    for one in measured:
        beside = _BESIDE.get(one.name, "")
        said = lost.get(one.name) or (f"says nothing: {beside} is {lost[beside]}" if beside in lost else "")
        found.append("; ".join(text for text in (said, one.note) if text))
    return found
