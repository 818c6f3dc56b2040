"""Sums and differences of which each is an operand of the next: chains__add_or_sub."""

import dataclasses

from data_pipelines import BadInput
from data_pipelines.modular_math.composition import LETTERS, Context
from data_pipelines.modular_math.registry import Settings, module
from data_pipelines.modular_math.values import POWERS

_SIGNS = {"add": (1,), "sub": (-1,), "both": (-1, 1)}

# "Let f = 10000 + 10000. " for every definition, "What is f?" once.
_CHARACTERS = 24


@dataclasses.dataclass(frozen=True)
class Chain(Settings):
    """Settings of chains__add_or_sub.

    Attributes:
      max_definitions: a question has 1 to so many definitions, each number equally often.
      extrapolate_definitions: one extrapolation set for each, of questions with exactly so many.
      exact_definitions: a question has exactly so many definitions; 0 leaves their number free.
      operations: 'add', 'sub' or 'both'.
      max_digits: numbers are uniform below ten to that power; 0 leaves their sizes to the split, up to 4 digits.
    """

    max_definitions: int = 3
    extrapolate_definitions: tuple[int, ...] = (4, 6)
    exact_definitions: int = 0
    operations: str = "both"
    max_digits: int = 0

    def __post_init__(self):
        super().__post_init__()
        self.one_of("operations", _SIGNS)
        most = self.max_definitions
        if not 1 <= most <= len(LETTERS):
            raise BadInput(f"max_definitions lies from 1 to {len(LETTERS)}, the letters there are, not {most}")
        if not 0 <= self.exact_definitions <= len(LETTERS):
            raise BadInput(f"exact_definitions lies from 0 to {len(LETTERS)}, not {self.exact_definitions}")
        if not 0 <= self.max_digits <= 4:
            raise BadInput(f"max_digits lies from 0 to 4, not {self.max_digits}")
        for count in self.extrapolate_definitions:
            if type(count) is not int or not most < count <= len(LETTERS):
                raise BadInput(
                    f"extrapolate_definitions lie beyond max_definitions ({most}), up to {len(LETTERS)}, not {count!r}"
                )

    def limits(self, split: str) -> tuple[int, int]:
        return _CHARACTERS * ((self.exact_definitions or self.max_definitions) + 1), 30

    def extrapolations(self) -> dict[str, Settings]:
        if exact := self.exact_definitions:
            return {f"{exact}_definitions": self} if exact > self.max_definitions else {}
        return {
            f"{count}_definitions": dataclasses.replace(self, exact_definitions=count, extrapolate_definitions=())
            for count in self.extrapolate_definitions
        }


@module("chains__add_or_sub", train=(1, 4), interpolate=(3, 3), settings=Chain, sizes="digits of each number")
def add_or_sub(context: Context, entropy: int) -> tuple[str, str]:
    """The last of 1 to 3 sums and differences, each but the first of the one before and a number."""
    settings = context.settings
    value = _number(context, entropy)
    told = str(value)
    for _ in range(settings.exact_definitions or context.between(1, settings.max_definitions)):
        number = _number(context, entropy)
        operands = [(value, told), (number, str(number))]
        signs = _SIGNS[settings.operations]
        sign = signs[context.below(len(signs))]
        (left, p), (right, q) = operands if context.below(2) else reversed(operands)
        value = left + sign * right
        told = context.letter()
        context.define(f"Let {told} = {p} {'+' if sign > 0 else '-'} {q}.")
    return context.compose(f"What is {told}?"), str(value)


def _number(context: Context, entropy: int) -> int:
    digits = context.settings.max_digits
    return context.below(10**digits if digits else POWERS[entropy])
