"""Compiled programs, called or only made ready: one that is given shapes in place of arrays is compiled for them."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import jax


def shapes_of(tree: Any) -> Any:
    """The shapes of a tree's arrays."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def of_shapes(tree: Any) -> bool:
    """Whether some of a tree's arrays are shapes alone."""
    return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(tree))


def call(program: Any, *arguments: Any) -> Any:
    """What a jitted function returns; of shapes, the shapes of that: a later call with such arrays is compiled then."""
    if not of_shapes(arguments):
        return program(*arguments)
    lowered = program.lower(*arguments)
    compiled(lowered)
    return lowered.out_info


def compiled(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Of a program that is compiled to be called later; see `checked`."""
    _check.get()()
    return lowered.compile()


@contextlib.contextmanager
def checked(check: Callable[[], None]) -> Iterator[None]:
    """`check` is called before each program that this thread makes ready meanwhile, and may raise."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


_check: ContextVar[Callable[[], None]] = ContextVar("check", default=lambda: None)
