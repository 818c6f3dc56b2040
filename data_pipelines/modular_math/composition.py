"""Questions made of several modules: one module's output, defined under a letter, is another's input.

Composition goes from the answer inwards, as in Saxton et al.: a question settles the values that it speaks about and
has each of them written. A value is written as itself, or a *maker* is drawn among those that can produce a value of
that kind ("Let k = 3 + 4.", "Suppose 2*k - 3 = 11."), whose own inputs are written the same way, until the modules to
place run out.
"""

from collections.abc import Callable
from typing import Any

from data_pipelines.modular_math.random import Stream
from data_pipelines.modular_math.values import Value

# Without e, which means Euler's number to many a reader.
_LETTERS = "abcdfghijklmnopqrstuvwxyz"


class Context(Stream):
    """One question in the making: its random numbers, free letters, definitions so far and modules still to place."""

    __slots__ = ("_definitions", "_letters", "child_entropy", "children", "extrapolates", "settings")

    def __init__(self, key: bytes, index: int, settings, extrapolates: bool):
        super().__init__(key, index)
        self.settings = settings
        self.extrapolates = extrapolates

    def start(self, children: int, child_entropy: int) -> None:
        """Begins a new candidate with `children` modules besides the one that asks."""
        self._letters = _LETTERS
        self._definitions: list[str] = []
        self.children = children
        self.child_entropy = child_entropy

    def letter(self) -> str:
        """A letter that nothing else in the question uses."""
        place = self.below(len(self._letters))
        letter = self._letters[place]
        self._letters = self._letters[:place] + self._letters[place + 1 :]
        return letter

    def define(self, sentence: str) -> None:
        """Adds a sentence in front of the question; it may use only what was defined before it."""
        self._definitions.append(sentence)

    def write(self, *values: Any) -> list[str]:
        """How the question refers to `values`: the number itself, or a letter that some module has just defined."""
        children = self.children
        if not children:
            return [value.text if type(value) is Value else value.define(self) for value in values]
        counts = [0] * len(values)
        for _ in range(children):
            counts[self.below(len(values))] += 1
        handles = []
        for value, count in zip(values, counts, strict=True):
            if count:
                self.children = count - 1
                handles.append(self.choice(_MAKERS[_kind(value)])(self, value, self.child_entropy))
            else:
                handles.append(value.text if type(value) is Value else value.define(self))
        self.children = 0
        return handles

    def compose(self, question: str) -> str:
        """The definitions followed by `question`."""
        return " ".join([*self._definitions, question]) if self._definitions else question


FRACTION, DECIMAL, NEGATIVE, ZERO, SINGLE_DIGIT, LARGER, FUNCTION = range(7)
"""What an entity may be: no integer, in either writing; an integer below 0, 0, up to 9, above; a function."""

POSITIVE_INTEGERS = (SINGLE_DIGIT, LARGER)
INTEGERS = (NEGATIVE, ZERO, *POSITIVE_INTEGERS)
FRACTIONS_OR_INTEGERS = (FRACTION, *INTEGERS)
NUMBERS = (DECIMAL, *FRACTIONS_OR_INTEGERS)

Maker = Callable[[Context, Any, int], str]
_MAKERS: dict[int, list[Maker]] = {kind: [] for kind in (*NUMBERS, FUNCTION)}


def maker(*kinds: int):
    """Registers a function (context, value, entropy) -> letter that can define any value of these kinds."""

    def register(make: Maker) -> Maker:
        for kind in kinds:
            _MAKERS[kind].append(make)
        return make

    return register


def _kind(value: Any) -> int:
    if type(value) is not Value:
        return FUNCTION
    if value.places:
        return DECIMAL if value.places > 0 else FRACTION
    number = value.numerator
    return NEGATIVE if number < 0 else LARGER if number > 9 else SINGLE_DIGIT if number else ZERO
