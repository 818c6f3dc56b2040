"""Questions made of several modules: one module's output, defined under a letter, is another's input.

Composition goes from the answer inwards, as in Saxton et al.: a question settles the values that it speaks about and
has each of them written. A value is written as itself, or a *maker* is drawn among those that can produce a value of
that kind ("Let k = 3 + 4.", "Suppose 2*k - 3 = 11."), whose own inputs are written the same way, until the modules to
place run out.
"""

from collections.abc import Callable
from typing import Any

from data_pipelines.modular_math.random import Stream
from data_pipelines.modular_math.values import Value, integer

# Without e, which means Euler's number to many a reader.
LETTERS = "abcdfghijklmnopqrstuvwxyz"


class Context(Stream):
    """One question in the making: its random numbers, free letters, definitions so far and modules still to place."""

    __slots__ = (
        "_definitions",
        "_letters",
        "_longest_answer",
        "_room",
        "child_entropy",
        "children",
        "composed",
        "extrapolates",
        "group",
        "settings",
    )

    def __init__(self, key: bytes, index: int, settings, extrapolates: bool):
        super().__init__(key, index)
        self.settings = settings
        self.extrapolates = extrapolates

    def start(self, children: int, child_entropy: int, longest_question: int, longest_answer: int) -> None:
        """Begins a new candidate with `children` modules besides the one that asks."""
        self._room = longest_question
        self._longest_answer = longest_answer
        self._letters = LETTERS
        self._definitions: list[str] = []
        self.children = children
        self.child_entropy = child_entropy
        self.composed = children > 0
        # What decides the split in place of the question's numbers, where a module knows better.
        self.group: str | None = None

    def letter(self) -> str:
        """A letter that nothing else in the question uses. Raises Redraw."""
        if not self._letters:
            raise Redraw
        letter = self.choice(self._letters)
        self._letters = self._letters.replace(letter, "")
        return letter

    def reserve(self, letters: str) -> None:
        """Keeps `letters`, which the question uses otherwise, from being drawn."""
        for letter in letters:
            self._letters = self._letters.replace(letter, "")

    def define(self, sentence: str) -> None:
        """Adds a sentence in front of the question; it may use only what was defined before it. Raises Redraw."""
        self._definitions.append(sentence)
        self._room -= len(sentence) + 1
        if self._room < 0:
            raise Redraw

    def answer(self, text: str) -> str:
        """`text`. Raises Redraw if it is too long for an answer, which saves making the question."""
        if len(text) > self._longest_answer:
            raise Redraw
        return text

    def write(self, *values: Any, inline: bool = False) -> list[str]:
        """How the question refers to `values`, integers among them: the number itself, or a letter that some module has
        just defined.

        With `inline`, a module that can write its value as an expression, 3*(4 - 2) or f(3), does not define a letter.
        """
        children = self.children
        if not children:
            return [
                str(value) if type(value) is int else value.text if type(value) is Value else value.define(self)
                for value in values
            ]
        handles = []
        for value, count in zip(values, self._counts(len(values)), strict=True):
            if type(value) is int:
                value = integer(value)
            if count:
                self.children = count - 1
                make = self.choice(_MAKERS[_kind(value)])
                handles.append((_INLINE.get(make, make) if inline else make)(self, value, self.child_entropy))
            else:
                handles.append(value.text if type(value) is Value else value.define(self))
        self.children = 0
        return handles

    def write_polynomial(self, value: Any) -> tuple[str, str]:
        """A polynomial in some variable as the text of an expression, and the variable: 2*x + 1 or f(x)."""
        if not self.children:
            variable = self.letter()
            return value.text(variable), variable
        self.children -= 1
        make = self.choice(_MAKERS[_kind(value)])
        if make in _INLINE:
            return _INLINE[make](self, value, self.child_entropy)
        function = make(self, value, self.child_entropy)
        variable = self.letter()
        return f"{function}({variable})", variable

    def _counts(self, count: int) -> list[int]:
        """How many of the modules to place each of `count` values gets."""
        counts = [0] * count
        for place in self.draws((count,) * self.children):
            counts[place] += 1
        return counts

    def compose(self, question: str) -> str:
        """The definitions followed by `question`."""
        return " ".join([*self._definitions, question]) if self._definitions else question


FRACTION, DECIMAL, NEGATIVE, ZERO, SINGLE_DIGIT, LARGER, INTEGER_FUNCTION, FRACTION_FUNCTION = range(8)
"""What an entity may be: no integer, in either writing; an integer below 0, 0, up to 9, above; a polynomial function
with integer coefficients, with fractions among them.
"""

POSITIVE_INTEGERS = (SINGLE_DIGIT, LARGER)
INTEGERS = (NEGATIVE, ZERO, *POSITIVE_INTEGERS)
FRACTIONS_OR_INTEGERS = (FRACTION, *INTEGERS)
NUMBERS = (DECIMAL, *FRACTIONS_OR_INTEGERS)
FUNCTIONS = (INTEGER_FUNCTION, FRACTION_FUNCTION)

Maker = Callable[[Context, Any, int], Any]
_MAKERS: dict[int, list[Maker]] = {kind: [] for kind in (*NUMBERS, *FUNCTIONS)}
_INLINE: dict[Maker, Maker] = {}


class Redraw(Exception):
    """A question that needs more letters than there are, or gets too long; another is drawn in its place."""


def maker(*kinds: int, inline: Maker | None = None, weight: int = 3):
    """Registers a function (context, value, entropy) -> letter that can define any value of these kinds.

    Makers are drawn by their weights: those that Saxton et al. do not have come up a third as often. `inline` takes the
    same and writes the value without defining a letter: the text of an expression for a number, (the text, its
    variable) for a polynomial.
    """

    def register(make: Maker) -> Maker:
        for kind in kinds:
            _MAKERS[kind] += [make] * weight
        if inline:
            _INLINE[make] = inline
        return make

    return register


def _kind(value: Any) -> int:
    if type(value) is not Value:
        return INTEGER_FUNCTION if value.denominator == 1 else FRACTION_FUNCTION
    if value.places:
        return DECIMAL if value.places > 0 else FRACTION
    number = value.numerator
    return NEGATIVE if number < 0 else LARGER if number > 9 else SINGLE_DIGIT if number else ZERO
