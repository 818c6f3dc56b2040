"""Numbers in bases 2 to 16: arithmetic__add_or_sub_in_base, numbers__base_conversion."""

from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.registry import module
from data_pipelines.modular_math.values import DIGIT, draw_signed

_DIGITS = "0123456789abcdef"
_CONVERT = (
    "{number} (base {old}) to base {new}",
    "Convert {number} (base {old}) to base {new}.",
    "What is {number} (base {old}) in base {new}?",
)
_MOST_BASE = 16
# The two bases are a choice among 240, 2.4 digits.
_OF_BASES = 38


@module("arithmetic__add_or_sub_in_base", sizes="the two integers share the digits, each has one at least")
def add_or_sub_in_base(context: Context, entropy: int) -> tuple[str, str]:
    """p + q or p - q of integers in a base from 2 to 16."""
    share = DIGIT + context.below(entropy - 2 * DIGIT + 1)
    p, q = draw_signed(context, share), draw_signed(context, entropy - share)
    base = context.between(2, _MOST_BASE)
    adds = context.below(2)
    # Rephrased in another base it is another question.
    context.group = f"{base} {abs(p)} {abs(q)}"
    question = f"In base {base}, what is {in_base(p, base)} {'+' if adds else '-'} {in_base(q, base)}?"
    return question, in_base(p + q if adds else p - q, base)


@module("numbers__base_conversion", sizes="2.4 digits of it are the choice of bases")
def base_conversion(context: Context, entropy: int) -> tuple[str, str]:
    """An integer from one base to another, both from 2 to 16."""
    old = context.between(2, _MOST_BASE)
    new = context.between(2, _MOST_BASE - 1)
    new += new >= old
    number = draw_signed(context, entropy - _OF_BASES)
    context.group = f"{old} {new} {abs(number)}"
    return context.choice(_CONVERT).format(number=in_base(number, old), old=old, new=new), in_base(number, new)


def in_base(number: int, base: int) -> str:
    """`number` with the digits of `base`, a to f for 10 to 15."""
    digits = ""
    rest = abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    return f"-{digits}" if number < 0 else digits
