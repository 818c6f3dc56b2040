"""The modules by name. A module is one decorated function; its file in `modules/` is found by itself."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from data_pipelines import BadInput
from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.values import DIGIT

DEEPEST = 8
"""Most modules in one question: more would need more letters than there are."""

_THIRDS = {"easy": (0, 1), "medium": (1, 2), "hard": (2, 3), "all": (0, 3)}
_MODULES: dict[str, "Module"] = {}


def nearest(word: str, known) -> str:
    """', did you mean X?' or the empty string: the tail of an error message."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]!r}?" if close else ""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What can be set for any module.

    Attributes:
      difficulty: 'easy', 'medium' or 'hard' trains on that third of the module's range of sizes, and interpolates
        within it; 'all' on the whole of it. Extrapolation lies beyond the whole range in any case.
      depth: how many modules a question is composed of, 0 for as many as in Saxton et al.; of the modules that compose.
    """

    difficulty: str = "all"
    depth: int = 0

    def __post_init__(self):
        self.one_of("difficulty", _THIRDS)
        if self.depth and not 2 <= self.depth <= DEEPEST:
            raise BadInput(f"depth is 0 or from 2 to {DEEPEST}, not {self.depth}")

    def one_of(self, name: str, allowed) -> None:
        """Raises BadInput unless the setting `name` is among `allowed`."""
        value = getattr(self, name)
        if value not in allowed:
            raise BadInput(f"{name} is one of {', '.join(allowed)}, not {value!r}{nearest(str(value), allowed)}")

    def changed(self) -> list[tuple[str, Any]]:
        """What differs from the defaults. Only this enters the random stream, so new settings move no question."""
        values = ((field.name, getattr(self, field.name), field.default) for field in dataclasses.fields(self))
        return [(name, value) for name, value, default in values if value != default]

    def limits(self, split: str) -> tuple[int, int]:
        """Longest question and answer of `split` in characters, as in Saxton et al., with more room for deep ones."""
        return 160 + 50 * max(0, self.depth - 4), 30

    def extrapolations(self) -> dict[str, "Settings"] | None:
        """Extrapolation sets by name that these settings have instead of the module's own; None leaves it that."""
        return None


@dataclasses.dataclass(frozen=True)
class Module:
    """One kind of question.

    Attributes:
      generate: (context, entropy in sixteenths of a digit) -> (question, answer). It sees the settings as
        `context.settings`, and `context.extrapolates` says that it must leave the training range. Its docstring is the
        module's line in the table of modules.
      train, interpolate, extrapolate: lowest and highest entropy of a split, in digits; extrapolate is None where there
        is none.
      composed: fewest and most modules in one question; (1, 1) where nothing is composed.
      sizes: what grows with the entropy, where that is not the number of digits.
      beyond: what the module's extrapolation set adds to its name, and what in it lies outside the training range.
    """

    name: str
    generate: Callable[[Context, int], tuple[str, str]]
    train: tuple[float, float]
    interpolate: tuple[float, float]
    extrapolate: tuple[float, float] | None
    composed: tuple[int, int]
    settings: type[Settings]
    sizes: str = ""
    beyond: tuple[str, str] = ("", "")

    @property
    def extrapolation_name(self) -> str:
        """The name of the module's own extrapolation set in Saxton et al., arithmetic__mul_big."""
        return f"{self.name}_{self.beyond[0]}" if self.beyond[0] else self.name

    def modules(self, settings: Settings) -> tuple[int, int]:
        """Fewest and most modules in one question under `settings`."""
        return (settings.depth, settings.depth) if settings.depth else self.composed

    def entropies(self, split: str, settings: Settings) -> tuple[int, int]:
        """Lowest and highest entropy of `split`, in sixteenths of a digit."""
        if split == "extrapolate":
            low, high = self.extrapolate or self.train
            return int(low * DIGIT), int(high * DIGIT)
        first, last = (int(end * DIGIT) for end in self.train)
        below, above = _THIRDS[settings.difficulty]
        low, high = first + (last - first) * below // 3, first + (last - first) * above // 3
        if split != "interpolate":
            return low, high
        # As far along the trained part as Saxton et al.'s interpolation lies along the whole.
        inner = [low + (int(end * DIGIT) - first) * (high - low) // (last - first) for end in self.interpolate]
        return inner[0], inner[1]

    def extrapolations(self, settings: Settings) -> dict[str, Settings]:
        """The module's extrapolation sets by name: its own under its name in Saxton et al., or those of `settings`."""
        named = settings.extrapolations()
        if named is not None:
            return named
        return {} if self.extrapolate is None else {self.extrapolation_name: settings}

    def configure(self, given: Mapping[str, Any]) -> Settings:
        """The module's settings, `given` in place of defaults. Raises BadInput for an unknown name or wrong value."""
        known = {field.name: field.default for field in dataclasses.fields(self.settings)}
        changed: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise BadInput(f"module {self.name} has no setting {name!r}{nearest(name, known)}")
            if isinstance(known[name], tuple) and isinstance(value, list):
                value = tuple(value)
            if type(value) is not type(known[name]):
                expected = type(known[name]).__name__
                raise BadInput(f"module {self.name}: setting {name} takes {expected}, not {value!r}")
            changed[name] = value
        if changed.get("depth") and self.composed == (1, 1):
            raise BadInput(f"module {self.name} is not composed of others, so it has no depth")
        try:
            return self.settings(**changed)
        except BadInput as error:
            raise BadInput(f"module {self.name}: {error}") from None


def module(
    name: str,
    *,
    train: tuple[float, float] = (3, 10),
    interpolate: tuple[float, float] = (8, 8),
    extrapolate: tuple[float, float] | None = None,
    beyond: tuple[str, str] = ("", ""),
    modules: tuple[int, int] = (1, 1),
    composed: tuple[int, int] | None = None,
    settings: type[Settings] = Settings,
    sizes: str = "",
):
    """Registers a generating function under its name in Saxton et al.; with `composed` also as `<name>_composed`.

    `modules` and `composed` are the fewest and most modules in a question of the one and of the other; the rest is as
    in Module.
    """

    def register(generate):
        for full_name, count, outside in ((name, modules, extrapolate), (f"{name}_composed", composed, None)):
            if count is not None:
                far = beyond if outside else ("", "")
                _MODULES[full_name] = Module(
                    full_name, generate, train, interpolate, outside, count, settings, sizes, far
                )
        return generate

    return register


def names() -> tuple[str, ...]:
    """All modules, sorted."""
    return tuple(sorted(_MODULES))


def saxton() -> tuple[str, ...]:
    """The 56 modules of Saxton et al. 2019, sorted."""
    return tuple(name for name in names() if not name.startswith(("words__", "chains__")))


def find(name: str) -> Module:
    """The module of that name. Raises BadInput, naming the nearest."""
    if name not in _MODULES:
        raise BadInput(f"no module {name!r}{nearest(name, _MODULES)}")
    return _MODULES[name]
