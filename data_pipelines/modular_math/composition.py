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

    def reserve(self, letters: str) -> None:
        """Keeps `letters` from being drawn, because the question uses them for something else."""
        self._letters = "".join(letter for letter in self._letters if letter not in letters)

    def define(self, sentence: str) -> None:
        """Adds a sentence in front of the question; it may use only what was defined before it."""
        self._definitions.append(sentence)

    def write(self, *values: Any) -> list[str]:
        """How the question refers to `values`: the number itself, or a letter that some module has just defined."""
        children = self.children
        if not children:
            return [value.text if type(value) is Value else _make(self, value, 0) for value in values]
        counts = [0] * len(values)
        for _ in range(children):
            counts[self.below(len(values))] += 1
        handles = [
            value.text if not count and type(value) is Value else _make(self, value, count)
            for value, count in zip(values, counts, strict=True)
        ]
        self.children = 0
        return handles

    def compose(self, question: str) -> str:
        """The definitions followed by `question`."""
        return " ".join([*self._definitions, question]) if self._definitions else question


Maker = Callable[[Context, Any, int], str]
_MAKERS: list[tuple[Callable[[Any], bool], Maker]] = []


def maker(accepts: Callable[[Any], bool]):
    """Registers a function (context, value, entropy) -> letter that defines a value which `accepts`."""

    def register(make: Maker) -> Maker:
        _MAKERS.append((accepts, make))
        return make

    return register


def _make(context: Context, value: Any, modules: int) -> str:
    context.children = max(0, modules - 1)
    able = [make for accepts, make in _MAKERS if accepts(value)]
    return context.choice(able)(context, value, context.child_entropy)


def is_number(value: Any) -> bool:
    """Any integer, decimal or fraction."""
    return type(value) is Value


def is_fraction_or_integer(value: Any) -> bool:
    """An integer or a fraction, not a decimal."""
    return type(value) is Value and value.places <= 0


def is_integer(value: Any) -> bool:
    """An integer."""
    return type(value) is Value and not value.places


def is_positive_integer(value: Any) -> bool:
    """An integer above 0."""
    return type(value) is Value and not value.places and value.numerator > 0
