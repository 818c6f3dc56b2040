"""W&B's sweep vocabulary: what a parameter may be, the points of a grid, random draws.

Every distribution is its quantile function over (0, 1), so that one uniform number makes a value, and a sampler that
only knows uniform numbers (Optuna's) can drive them all. Nested `parameters` give nested values. No database, no clock.
"""

import difflib
import json
import math
import random
from bisect import bisect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any

METHODS = ("grid", "random", "bayes")
_BOUNDS, _BELL, _SHAPE = ("min", "max"), ("mu", "sigma"), ("a", "b")
# Distribution -> what it takes.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "constant": ("value",),
    "categorical": ("values", "probabilities"),
    "categorical_w_probabilities": ("values", "probabilities"),
    "int_uniform": _BOUNDS,
    **dict.fromkeys(("uniform", "log_uniform", "log_uniform_values"), _BOUNDS),
    **dict.fromkeys(("inv_log_uniform", "inv_log_uniform_values"), _BOUNDS),
    **dict.fromkeys(("q_uniform", "q_log_uniform", "q_log_uniform_values"), (*_BOUNDS, "q")),
    **dict.fromkeys(("normal", "log_normal"), _BELL),
    **dict.fromkeys(("q_normal", "q_log_normal"), (*_BELL, "q")),
    "beta": _SHAPE,
    "q_beta": (*_SHAPE, "q"),
}
MAX_GRID_LEVELS = 100_000


@dataclass(frozen=True)
class Parameter:
    """One knob: its path (nested ones have several parts), and either levels to choose from or a quantile function."""

    path: tuple[str, ...]
    levels: tuple[Any, ...] | None = None
    weights: tuple[float, ...] | None = None
    quantile: Callable[[float], Any] | None = None
    steps: int = 0  # of a quantile function that is a staircase of so many equal steps
    tails: bool = False  # unbounded: the quantile function has no value at 0 or 1

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def value(self, unit: float) -> Any:
        """The value at `unit` in (0, 1)."""
        if self.levels is None:
            assert self.quantile is not None
            return self.quantile(unit)
        if self.weights is None:
            return self.levels[min(int(unit * len(self.levels)), len(self.levels) - 1)]
        return self.levels[min(bisect(list(accumulate(self.weights)), unit), len(self.levels) - 1)]

    def unit(self, value: Any) -> float | None:
        """The inverse of a quantile function, by bisection; None for a value that is not in its range."""
        assert self.quantile is not None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        low, high = (1e-9, 1 - 1e-9)
        least, most = self.quantile(low), self.quantile(high)
        slack = 1e-6 * (most - least)
        if not least - slack <= value <= most + slack:
            return None
        # The first unit that reaches the value, then the last: the middle of its step where there are steps.
        ends = []
        for reached in (lambda found: found >= value, lambda found: found > value):
            below, above = low, high
            for _ in range(50):
                middle = (below + above) / 2
                below, above = (below, middle) if reached(self.quantile(middle)) else (middle, above)
            ends.append(below)
        return sum(ends) / 2


def key(value: Any) -> str:
    """Equal for values that are equal to W&B: 2 and 2.0 are, 1 and true are not."""
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value, sort_keys=True)


def space(config: dict[str, Any]) -> list[Parameter]:
    """The sweep's parameters in their order; raises ValueError with the parameter's name."""
    parameters = config.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise ValueError("a sweep needs parameters")
    found = _space(parameters, (), config.get("method") == "grid")
    names: set[str] = set()
    for parameter in found:
        if parameter.name in names:
            raise ValueError(f"parameter {parameter.name}: there are two of that name, one of them nested")
        names.add(parameter.name)
    return found


def _space(parameters: dict[str, Any], prefix: tuple[str, ...], grid: bool) -> list[Parameter]:
    found: list[Parameter] = []
    for name, settings in parameters.items():
        path = (*prefix, str(name))
        if not isinstance(settings, dict):
            raise ValueError(f"parameter {'.'.join(path)}: expected a mapping such as value: or values:")
        if "parameters" in settings:
            nested = settings["parameters"]
            if not isinstance(nested, dict) or not nested or len(settings) > 1:
                raise ValueError(f"parameter {'.'.join(path)}: parameters must be a mapping of parameters, alone")
            found += _space(nested, path, grid)
            continue
        try:
            parameter = _parameter(path, settings)
            if grid:
                parameter = _as_levels(parameter, settings)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"parameter {'.'.join(path)}: {error}") from None
        found.append(parameter)
    return found


def _parameter(path: tuple[str, ...], settings: dict[str, Any]) -> Parameter:
    distribution = settings.get("distribution") or _infer(settings)
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"unknown distribution {distribution!r}{nearest(distribution, DISTRIBUTIONS)}")
    for name in settings:
        if name != "distribution" and name not in DISTRIBUTIONS[distribution]:
            takes = ", ".join(DISTRIBUTIONS[distribution]) or "nothing"
            raise ValueError(f"{name} has no meaning for distribution {distribution}, which takes {takes}")
    if distribution == "constant":
        return Parameter(path, levels=(settings["value"],) if "value" in settings else _missing("value"))
    if distribution.startswith("categorical"):
        values = settings.get("values")
        if not isinstance(values, list) or not values:
            raise ValueError("values must be a list that is not empty")
        weights = settings.get("probabilities")
        if weights is None and distribution == "categorical":
            return Parameter(path, levels=tuple(values))
        if not isinstance(weights, list) or len(weights) != len(values):
            raise ValueError("probabilities must be a list as long as values")
        numbers = tuple(_number(weight, "probability") for weight in weights)
        if min(numbers) < 0 or not math.isclose(sum(numbers), 1.0, rel_tol=1e-6):
            raise ValueError("probabilities must be positive and sum to 1")
        return Parameter(path, levels=tuple(values), weights=numbers)
    quantile = _quantile(distribution, settings)
    if distribution.startswith("q_"):
        quantile = _rounded(quantile, settings.get("q", 1.0))
    steps = settings["max"] - settings["min"] + 1 if distribution == "int_uniform" else 0
    return Parameter(path, quantile=quantile, steps=steps, tails=distribution.endswith("normal"))


def nearest(word: Any, known: Iterable[str], likeness: float = 0.6) -> str:
    """ "; did you mean ...?" when something is near."""
    found = difflib.get_close_matches(str(word)[:100], list(known), 1, likeness)
    return f"; did you mean {found[0]}?" if found else ""


def _missing(name: str) -> Any:
    raise ValueError(f"{name} is missing")


def _infer(settings: dict[str, Any]) -> str:
    if "value" in settings:
        return "constant"
    if "values" in settings:
        return "categorical"
    if "min" in settings and "max" in settings:
        whole = isinstance(settings["min"], int) and isinstance(settings["max"], int)
        return "int_uniform" if whole else "uniform"
    if "mu" in settings or "sigma" in settings:
        return "normal"
    raise ValueError("give value, values, or min and max")


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        hint = " (YAML reads 1e-5 as text; write 1.0e-5)" if isinstance(value, str) else ""
        raise ValueError(f"{name} must be a number, not {value!r}{hint}")
    return float(value)


def _range(settings: dict[str, Any], positive: bool = False) -> tuple[float, float]:
    low, high = (_number(settings.get(name), name) for name in ("min", "max"))
    if low >= high:
        raise ValueError(f"min {low:g} is not less than max {high:g}")
    if positive and low <= 0:
        raise ValueError(f"min must be positive, not {low:g}")
    return low, high


def _quantile(distribution: str, settings: dict[str, Any]) -> Callable[[float], Any]:
    kind = distribution.removeprefix("q_")
    if kind == "int_uniform":
        first, last = settings.get("min"), settings.get("max")
        if not isinstance(first, int) or not isinstance(last, int) or first > last:
            raise ValueError("int_uniform needs integers min and max, min not above max")
        return lambda unit: min(first + int(unit * (last - first + 1)), last)
    if kind == "uniform":
        low, high = _range(settings)
        return lambda unit: low + unit * (high - low)
    if kind in ("log_uniform", "log_uniform_values"):
        low, high = _logs(settings, kind.endswith("_values"))
        return lambda unit: math.exp(low + unit * (high - low))
    if kind in ("inv_log_uniform", "inv_log_uniform_values"):
        # min and max are those of log(1/x), or of x; either way log(1/x) is uniform.
        low, high = _logs(settings, kind.endswith("_values"))
        if kind.endswith("_values"):
            low, high = -high, -low
        return lambda unit: math.exp(-(low + (1 - unit) * (high - low)))
    if kind in ("normal", "log_normal"):
        sigma = _number(settings.get("sigma", 1.0), "sigma")
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma:g}")
        inverse = NormalDist(_number(settings.get("mu", 0.0), "mu"), sigma).inv_cdf
        return inverse if kind == "normal" else lambda unit: math.exp(inverse(unit))
    if kind == "beta":
        return _beta(_number(settings.get("a", 1), "a"), _number(settings.get("b", 1), "b"))
    raise AssertionError(distribution)


def _logs(settings: dict[str, Any], values: bool) -> tuple[float, float]:
    low, high = _range(settings, positive=values)
    if values:
        return math.log(low), math.log(high)
    if high > 700:
        raise ValueError(f"max is an exponent of e; {high:g} overflows (log_uniform_values takes plain values)")
    return low, high


def _beta(a: float, b: float) -> Callable[[float], float]:
    if a <= 0 or b <= 0:
        raise ValueError("a and b must be positive")
    from scipy.special import betaincinv  # half a second that few sweeps need

    return lambda unit: float(betaincinv(a, b, unit))


def _rounded(quantile: Callable[[float], Any], q: Any) -> Callable[[float], Any]:
    step = _number(q, "q")
    if step <= 0:
        raise ValueError(f"q must be positive, not {step:g}")
    if isinstance(q, int):
        return lambda unit: round(quantile(unit) / q) * q
    # round() again, so that q = 0.1 gives 0.3 and not 0.30000000000000004
    digits = max(0, 12 - math.floor(math.log10(step)))
    return lambda unit: round(round(quantile(unit) / step) * step, digits)


def _as_levels(parameter: Parameter, settings: dict[str, Any]) -> Parameter:
    """A grid takes categories, constants, ranges of integers and q_uniform."""
    if parameter.weights is not None:
        raise ValueError("probabilities have no place in a grid")
    if parameter.levels is not None:
        unique: dict[str, Any] = {}  # a value that is listed twice is one point
        for level in parameter.levels:
            unique.setdefault(key(level), level)
        return Parameter(parameter.path, levels=tuple(unique.values()))
    distribution = settings.get("distribution") or _infer(settings)
    if distribution == "int_uniform":
        low, high = settings["min"], settings["max"]
        if high - low >= MAX_GRID_LEVELS:
            raise ValueError(f"{high - low + 1} levels are too many for a grid")
        return Parameter(parameter.path, levels=tuple(range(low, high + 1)))
    if distribution == "q_uniform":
        low, high = _range(settings)
        q = settings.get("q", 1.0)
        count = math.ceil((high - low) / _number(q, "q"))
        if count > MAX_GRID_LEVELS:
            raise ValueError(f"{count} levels are too many for a grid")
        return Parameter(parameter.path, levels=tuple(low + index * q for index in range(count)))
    raise ValueError(f"distribution {distribution} has no grid; use values, int_uniform or q_uniform")


def grid_size(parameters: list[Parameter]) -> int:
    return math.prod(len(parameter.levels or ()) for parameter in parameters)


def grid_point(parameters: list[Parameter], index: int) -> list[Any]:
    """Values of the grid's point `index`; the first parameter varies slowest."""
    values = []
    for parameter in reversed(parameters):
        assert parameter.levels is not None
        index, level = divmod(index, len(parameter.levels))
        values.append(parameter.levels[level])
    return values[::-1]


def grid_index(parameters: list[Parameter], values: list[Any]) -> int | None:
    """The inverse of `grid_point`; None for values that are not on the grid."""
    index = 0
    for parameter, value in zip(parameters, values, strict=True):
        keys = [key(level) for level in parameter.levels or ()]
        if key(value) not in keys:
            return None
        index = index * len(keys) + keys.index(key(value))
    return index


def random_point(parameters: list[Parameter], seed: str) -> list[Any]:
    """An independent draw; the same seed gives the same point."""
    generator = random.Random(seed)
    # Never exactly 0, where the normal quantile has no value.
    return [parameter.value(max(generator.random(), 1e-12)) for parameter in parameters]


def arguments(parameters: list[Parameter], values: list[Any]) -> dict[str, Any]:
    """What the agent is sent: {knob: {"value": ...}}, nested parameters as nested values."""
    found: dict[str, Any] = {}
    for parameter, value in zip(parameters, values, strict=True):
        inner = found.setdefault(parameter.path[0], {})
        for part in ("value", *parameter.path[1:])[:-1]:
            inner = inner.setdefault(part, {})
        inner[("value", *parameter.path[1:])[-1]] = value
    return found


def values_of(parameters: list[Parameter], given: dict[str, Any]) -> list[Any] | None:
    """The inverse of `arguments`, from a run's configuration; None when a parameter is missing there."""
    values = []
    for parameter in parameters:
        found: Any = given
        for part in (parameter.path[0], "value", *parameter.path[1:]):
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        values.append(found)
    return values
