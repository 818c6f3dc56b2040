"""Values of knobs: from the text of a command line to the type that an experiment declares.

A type is what `typing` says: `bool`, `int`, `float`, `str`, `None`, `Literal[...]`, unions of them, and tuples, lists
and mappings of them. Gin checks none of this: `steps=1e3` would reach the code as 1000.0 and `flag=0` as 0.
"""

import ast
import collections.abc
import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from typing import Any

from vishwam.errors import BadInput

_UNIONS = (typing.Union, types.UnionType)
_SEQUENCES = (list, tuple, collections.abc.Sequence)
_MAPPINGS = (dict, collections.abc.Mapping)


@dataclasses.dataclass(frozen=True)
class Knob:
    """One macro at the top of a Gin file: what a sweep may set."""

    name: str
    default: Any
    kind: Any  # the type of its values, as `typing` writes it
    file: str
    line: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def read(self, text: str) -> Any:
        """The value that `text` stands for, as W&B's `${args_no_hyphens}` or a person writes it.

        Raises:
            BadInput: `text` is no value of this knob's type.
        """
        try:
            return convert(read_text(text, self.kind), self.kind)
        except ValueError as error:
            raise BadInput(f"{self.name}={text}: {error} (its default is {self.default!r}, {self.place})") from None


def nearest(name: str, names: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing when no name is near; to be put behind a message."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def unknown(name: str, knobs: Iterable[str]) -> str:
    """The complaint about `name`, with the nearest knob or, when none is near, all of them."""
    known = list(knobs)
    return f"unknown knob '{name}'" + (nearest(name, known) or f"; the knobs are {', '.join(known)}")


def read_text(text: str, kind: Any) -> Any:
    """The Python value that `text` spells: itself where `kind` takes text, else a literal.

    Raises:
        ValueError: `text` is no literal, with what was expected.
    """
    if _takes_text(kind):
        if text == "None" and type(None) in typing.get_args(kind):
            return None
        return text
    # W&B writes True and False; people, and YAML, write true and false.
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError(f"expected {describe(kind)}, got '{text}'") from None


def convert(value: Any, kind: Any) -> Any:
    """`value` as `kind`: integral floats become integers, integers floats, lists tuples where `kind` says so.

    Raises:
        ValueError: `value` is not of this type, with what was expected.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or kind is object:
        return value
    if origin in _UNIONS:
        return _convert_union(value, kind)
    if origin is typing.Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        hint = nearest(value, (a for a in arguments if isinstance(a, str))) if isinstance(value, str) else ""
        raise ValueError(f"expected {describe(kind)}, got {value!r}{hint}")
    if kind is None or kind is type(None):
        matches = value is None
    elif kind is bool:
        matches = isinstance(value, bool)
    elif kind is int:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        matches = isinstance(value, int) and not isinstance(value, bool)
    elif kind is float:
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        matches = False
    elif (origin or kind) in _SEQUENCES:
        if isinstance(value, list | tuple):
            return _convert_sequence(value, kind)
        matches = False
    elif (origin or kind) in _MAPPINGS:
        if isinstance(value, collections.abc.Mapping):
            if not arguments:
                return dict(value)
            return {convert(key, arguments[0]): convert(item, arguments[1]) for key, item in value.items()}
        matches = False
    else:
        # Classes, and constructs of `typing` that no knob uses, such as callables.
        matches = not isinstance(kind, type) or isinstance(value, kind)
    if not matches:
        raise ValueError(f"expected {describe(kind)}, got {value!r}")
    return value


def kind_of(value: Any) -> Any:
    """The type that a default shows: of a tuple or list also that of its items, where they share one."""
    if value is None:
        return Any
    if isinstance(value, list | tuple):
        kinds = {kind_of(item) for item in value}
        item = float if kinds == {int, float} else kinds.pop() if len(kinds) == 1 else Any
        return tuple[item, ...] if isinstance(value, tuple) else list[item]  # type: ignore[valid-type]
    return type(value)


def describe(kind: Any) -> str:
    """`kind` in words for the person at the keyboard."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    words = {bool: "True or False", int: "a whole number", float: "a number", str: "text", type(None): "None"}
    if kind in words:
        return words[kind]
    if origin in _UNIONS:
        return " or ".join(describe(argument) for argument in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, arguments))
    if (origin or kind) in _SEQUENCES:
        items = [argument for argument in arguments if argument is not ...]
        return "a list" + (f" whose items are each {describe(items[0])}" if len(items) == 1 else "")
    if (origin or kind) in _MAPPINGS:
        return "a mapping such as {'name': value}"
    return "any value" if kind is Any else getattr(kind, "__name__", str(kind))


def _takes_text(kind: Any) -> bool:
    if typing.get_origin(kind) in _UNIONS:
        return all(_takes_text(argument) or argument is type(None) for argument in typing.get_args(kind))
    if typing.get_origin(kind) is typing.Literal:
        return all(isinstance(argument, str) for argument in typing.get_args(kind))
    return kind is str


def _convert_union(value: Any, kind: Any) -> Any:
    choices = typing.get_args(kind)
    # A whole number stays one in `int | float`, and True stays a bool in `bool | int`.
    for choice in sorted(choices, key=lambda choice: choice is not type(value)):
        try:
            return convert(value, choice)
        except ValueError:
            continue
    raise ValueError(f"expected {describe(kind)}, got {value!r}")


def _convert_sequence(values: Any, kind: Any) -> Any:
    make = list if (typing.get_origin(kind) or kind) is list else tuple
    arguments = typing.get_args(kind)
    if not arguments:
        return make(values)
    if make is tuple and arguments[-1] is not ... and (typing.get_origin(kind) is tuple):
        if len(values) != len(arguments):
            raise ValueError(f"expected a list of {len(arguments)} items, got {values!r}")
        return tuple(convert(value, argument) for value, argument in zip(values, arguments, strict=True))
    return make(convert(value, arguments[0]) for value in values)
