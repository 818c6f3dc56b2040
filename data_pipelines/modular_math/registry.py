"""The modules by name. A module is one decorated function; its file in `modules/` is found by itself."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from data_pipelines import BadInput
from data_pipelines.modular_math.composition import Context
from data_pipelines.modular_math.values import DIGIT

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
    """

    difficulty: str = "all"

    def __post_init__(self):
        self.one_of("difficulty", _THIRDS)

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
        """Longest question and answer of `split` in characters, as in Saxton et al."""
        return 160, 30

    def extrapolations(self) -> dict[str, "Settings"] | None:
        """Extrapolation sets by name that these settings have instead of the module's own; None leaves it that."""
        return None


@dataclasses.dataclass(frozen=True)
class Module:
    """One kind of question.

    Attributes:
      generate: (context, entropy in sixteenths of a digit) -> (question, answer). It sees the settings as
        `context.settings`, and `context.extrapolates` says that it must leave the training range.
      train, interpolate, extrapolate: lowest and highest entropy of a split, in digits; extrapolate is None where there
        is none.
      composed: fewest and most modules in one question; (1, 1) where nothing is composed.
    """

    name: str
    generate: Callable[[Context, int], tuple[str, str]]
    train: tuple[float, float]
    interpolate: tuple[float, float]
    extrapolate: tuple[float, float] | None
    composed: tuple[int, int]
    settings: type[Settings]

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
        """The module's extrapolation sets by name: its own under its own name, or those of `settings`."""
        named = settings.extrapolations()
        if named is not None:
            return named
        return {} if self.extrapolate is None else {self.name: settings}

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
    composed: tuple[int, int] | None = None,
    settings: type[Settings] = Settings,
):
    """Registers a generating function under its name in Saxton et al.; with `composed` also as `<name>_composed`."""

    def register(generate):
        for full_name, count, beyond in ((name, (1, 1), extrapolate), (f"{name}_composed", composed, None)):
            if count is not None:
                _MODULES[full_name] = Module(full_name, generate, train, interpolate, beyond, count, settings)
        return generate

    return register


def names() -> tuple[str, ...]:
    """All modules, sorted."""
    return tuple(sorted(_MODULES))


def find(name: str) -> Module:
    """The module of that name. Raises BadInput, naming the nearest."""
    if name not in _MODULES:
        raise BadInput(f"no module {name!r}{nearest(name, _MODULES)}")
    return _MODULES[name]
