"""A W&B sweep file, read strictly: what W&B's vocabulary allows, with the line of everything.

W&B itself accepts much that cannot work and drops what it does not know. The vocabulary is that of its sweep schema
(https://github.com/wandb/sweeps).
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from vishwam.errors import BadInput
from vishwam.knobs import nearest

METHODS = ("grid", "random", "bayes")
GOALS = ("minimize", "maximize")
KEYS = (
    "name", "description", "project", "entity", "program", "command", "method", "metric", "parameters",
    "early_terminate", "run_cap", "apiVersion", "kind",
)  # fmt: skip
METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
HYPERBAND_KEYS = ("type", "min_iter", "max_iter", "s", "eta", "strict")

# Distribution -> the keys it needs, the keys it may have.
DISTRIBUTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "constant": (("value",), ()),
    "categorical": (("values",), ()),
    "categorical_w_probabilities": (("values", "probabilities"), ()),
    "int_uniform": (("min", "max"), ()),
    "uniform": (("min", "max"), ()),
    "q_uniform": (("min", "max"), ("q",)),
    "log_uniform": (("min", "max"), ()),
    "log_uniform_values": (("min", "max"), ()),
    "inv_log_uniform": (("min", "max"), ()),
    "inv_log_uniform_values": (("min", "max"), ()),
    "q_log_uniform": (("min", "max"), ("q",)),
    "q_log_uniform_values": (("min", "max"), ("q",)),
    "normal": ((), ("mu", "sigma")),
    "q_normal": ((), ("mu", "sigma", "q")),
    "log_normal": ((), ("mu", "sigma")),
    "q_log_normal": ((), ("mu", "sigma", "q")),
    "beta": ((), ("a", "b")),
    "q_beta": ((), ("a", "b", "q")),
}
PARAMETER_KEYS = ("value", "values", "probabilities", "distribution", "min", "max", "mu", "sigma", "q", "a", "b")
GRIDDABLE = ("constant", "categorical", "categorical_w_probabilities", "int_uniform", "q_uniform")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """What a sweep says of one knob."""

    name: str
    distribution: str
    values: tuple[Any, ...]  # every value of a constant or categorical one; of others the ends of their range
    places: tuple[str, ...]  # file:line of each value
    place: str
    count: int | None  # how many values a grid takes; None where there is no end of them

    @property
    def is_choice(self) -> bool:
        return self.distribution in ("constant", "categorical", "categorical_w_probabilities")

    @property
    def is_whole(self) -> bool:
        """Whether a range draws whole numbers alone."""
        if self.distribution.startswith("q_"):
            return all(float(value).is_integer() for value in self.values)
        return self.distribution == "int_uniform"


@dataclasses.dataclass(frozen=True)
class SweepFile:
    """A sweep as its file says it."""

    file: str
    method: str
    metric: str | None
    goal: str
    metric_place: str
    parameters: dict[str, Parameter]
    command: tuple[str, ...]
    command_place: str
    first_stop: int | None  # at which value of the metric hyperband first compares trials
    run_cap: int | None

    @property
    def trials(self) -> int | None:
        """How many trials there will be; None where nothing but a person or `run_cap` ends the sweep."""
        counts = [parameter.count for parameter in self.parameters.values()]
        total = math.prod(count or 1 for count in counts) if self.method == "grid" else None
        return min(filter(None, (total, self.run_cap)), default=None)

    def combinations(self, most: int) -> Iterable[dict[str, Any]]:
        """The corners of the space; where there are more than `most`, each value beside the first of all others."""
        names = list(self.parameters)
        choices = [parameter.values for parameter in self.parameters.values()]
        if math.prod(map(len, choices)) <= most:
            for values in itertools.product(*choices):
                yield dict(zip(names, values, strict=True))
            return
        first = {name: values[0] for name, values in zip(names, choices, strict=True)}
        yield first
        yield {name: values[-1] for name, values in zip(names, choices, strict=True)}
        for name, values in zip(names, choices, strict=True):
            for value in values[1:]:
                yield first | {name: value}


def read(path: Path) -> SweepFile:
    """Reads and checks a sweep file on its own, without the experiment it searches.

    Raises:
        BadInput: one line with file and line.
    """
    return _Document(path).sweep()


class _Document:
    """A YAML file as Python values, and the line of every key and item."""

    def __init__(self, path: Path):
        self.file = str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            near = nearest(path.name, (p.name for p in path.parent.glob("*.y*ml"))) if path.parent.is_dir() else ""
            raise BadInput(
                f"cannot read '{path}': {getattr(error, 'strerror', None) or 'not UTF-8 text'}{near}"
            ) from None
        self._lines: dict[tuple[Any, ...], int] = {(): 1}
        try:
            loader = yaml.SafeLoader(text)
            node = loader.get_single_node()
            self._walk(loader, node, ())
            self.content = loader.construct_document(node) if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 1
            raise BadInput(f"{self.file}:{line}: not YAML: {error.problem}") from None
        except (yaml.YAMLError, ValueError) as error:
            raise BadInput(f"{self.file}: not YAML: {str(error).splitlines()[0]}") from None

    def _walk(self, loader: yaml.SafeLoader, node: yaml.Node | None, path: tuple[Any, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = (*path, key.value)
                line = key.start_mark.line + 1
                if name in self._lines:
                    raise BadInput(f"{self.file}:{line}: '{key.value}' is already on line {self._lines[name]}")
                self._lines[name] = line
                self._walk(loader, value, name)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._lines[(*path, index)] = item.start_mark.line + 1
                self._walk(loader, item, (*path, index))

    def at(self, *path: Any) -> str:
        """file:line of a key or item, or of the nearest thing above it."""
        while path not in self._lines:
            path = path[:-1]
        return f"{self.file}:{self._lines[path]}"

    def fail(self, path: Iterable[Any], message: str) -> BadInput:
        return BadInput(f"{self.at(*path)}: {message}")

    def known(self, path: tuple[Any, ...], content: Any, keys: Iterable[str]) -> dict[str, Any]:
        """`content` as a mapping with no other keys than these."""
        what = path[-1] if path else "a sweep"
        if not isinstance(content, dict):
            raise self.fail(path, f"{what} is a mapping of {', '.join(keys)}")
        for key in content:
            if key not in keys:
                raise self.fail((*path, key), f"W&B knows no '{key}' in {what}{nearest(str(key), keys)}")
        return content

    def choice(self, path: tuple[Any, ...], value: Any, choices: Iterable[str]) -> str:
        if value not in choices:
            hint = nearest(str(value), choices)
            raise self.fail(path, f"{path[-1]} is one of {', '.join(choices)}, not {value!r}{hint}")
        return value

    def sweep(self) -> SweepFile:
        content = self.known((), self.content, KEYS)
        if "method" not in content:
            raise self.fail((), f"a sweep needs a method: {', '.join(METHODS)}")
        method = self.choice(("method",), content["method"], METHODS)
        metric, goal = self._metric(content, method)
        parameters = content.get("parameters")
        if not isinstance(parameters, dict) or not parameters:
            raise self.fail(("parameters",), "a sweep needs parameters: knob, then its value, values, or min and max")
        read = {str(name): self._parameter(name, spec, method) for name, spec in parameters.items()}
        command = content.get("command", [])
        if not isinstance(command, list):
            raise self.fail(("command",), "command is a list of words, one a line")
        run_cap = content.get("run_cap")
        if run_cap is not None and (type(run_cap) is not int or run_cap < 1):
            raise self.fail(("run_cap",), f"run_cap is a whole number above 0, not {run_cap!r}")
        return SweepFile(
            file=self.file,
            method=method,
            metric=metric,
            goal=goal,
            metric_place=self.at("metric", "name"),
            parameters=read,
            command=tuple(map(str, command)),
            command_place=self.at("command"),
            first_stop=self._hyperband(content),
            run_cap=run_cap,
        )

    def _metric(self, content: dict[str, Any], method: str) -> tuple[str | None, str]:
        if "metric" not in content:
            for key in ("early_terminate", "method"):
                if key in content and (key == "early_terminate" or method == "bayes"):
                    raise self.fail((key,), f"{content[key] if key == 'method' else key} needs a metric: name and goal")
            return None, "minimize"
        metric = self.known(("metric",), content["metric"], METRIC_KEYS)
        if not isinstance(metric.get("name"), str):
            raise self.fail(("metric",), "metric needs a name")
        return metric["name"], self.choice(("metric", "goal"), metric.get("goal", "minimize"), GOALS)

    def _hyperband(self, content: dict[str, Any]) -> int | None:
        if "early_terminate" not in content:
            return None
        path = ("early_terminate",)
        rule = self.known(path, content["early_terminate"], HYPERBAND_KEYS)
        self.choice((*path, "type"), rule.get("type"), ("hyperband",))
        for key in ("min_iter", "max_iter", "s"):
            if key in rule and (type(rule[key]) is not int or rule[key] < 1):
                raise self.fail((*path, key), f"{key} is a whole number of at least 1, not {rule[key]!r}")
        if type(rule.get("eta", 3)) not in (int, float) or rule.get("eta", 3) <= 1:
            raise self.fail((*path, "eta"), f"eta is a number above 1, not {rule['eta']!r}")
        if "min_iter" in rule:
            return rule["min_iter"]
        if "max_iter" in rule and "s" in rule:
            return max(1, int(rule["max_iter"] / rule.get("eta", 3) ** rule["s"]))
        raise self.fail(path, "hyperband needs min_iter, or max_iter and s")

    def _parameter(self, name: Any, spec: Any, method: str) -> Parameter:
        path = ("parameters", name)
        if isinstance(spec, dict) and "parameters" in spec:
            raise self.fail(path, f"'{name}' holds parameters of its own; knobs are flat names")
        if not isinstance(spec, dict):
            raise self.fail(path, f"'{name}' needs 'value: {spec}', or values, or min and max")
        self.known(path, spec, PARAMETER_KEYS)
        distribution = spec.get("distribution", self._implied(spec))
        if distribution is None:
            raise self.fail(path, f"'{name}' needs value, values, or min and max")
        self.choice((*path, "distribution"), distribution, tuple(DISTRIBUTIONS))
        needed, allowed = DISTRIBUTIONS[distribution]
        for key in needed:
            if key not in spec:
                raise self.fail(path, f"'{name}': {distribution} needs {' and '.join(needed)}")
        for key in spec:
            if key not in (*needed, *allowed, "distribution"):
                raise self.fail((*path, key), f"'{name}': {distribution} takes no {key}")
        if method == "grid" and distribution not in GRIDDABLE:
            raise self.fail(path, f"'{name}': a grid needs values, but {distribution} has no end of them")
        if distribution == "constant":
            return Parameter(name, distribution, (spec["value"],), (self.at(*path, "value"),), self.at(*path), 1)
        if "values" in spec:
            return self._categorical(name, distribution, spec)
        ends = self._ends(path, distribution, spec)
        places = (self.at(*path, "min"), self.at(*path, "max"))
        count = int((ends[1] - ends[0]) / spec.get("q", 1)) + 1 if distribution in GRIDDABLE else None
        return Parameter(name, distribution, ends, places, self.at(*path), count)

    def _categorical(self, name: Any, distribution: str, spec: dict[str, Any]) -> Parameter:
        path = ("parameters", name)
        values = spec["values"]
        if not isinstance(values, list) or not values:
            raise self.fail((*path, "values"), f"'{name}': values is a list, such as [1, 2]")
        if len(spec.get("probabilities", values)) != len(values):
            raise self.fail((*path, "probabilities"), f"'{name}': {len(values)} values need as many probabilities")
        places = tuple(self.at(*path, "values", index) for index in range(len(values)))
        return Parameter(name, distribution, tuple(values), places, self.at(*path), len(values))

    def _implied(self, spec: dict[str, Any]) -> str | None:
        """The distribution W&B takes where none is named."""
        if "value" in spec:
            return "constant"
        if "values" in spec:
            return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
        if "min" in spec or "max" in spec:
            whole = all(type(spec.get(key)) is int for key in ("min", "max"))
            return "int_uniform" if whole else "uniform"
        return None

    def _ends(self, path: tuple[Any, ...], distribution: str, spec: dict[str, Any]) -> tuple[Any, Any]:
        """The smallest and largest value drawn; of bell curves those three standard deviations away."""
        name = path[-1]
        for key in ("min", "max", "mu", "sigma", "q", "a", "b"):
            if key in spec and (isinstance(spec[key], bool) or not isinstance(spec[key], int | float)):
                raise self.fail((*path, key), f"'{name}': {key} is a number, not {spec[key]!r}{number_hint(spec[key])}")
        if distribution.endswith("normal"):
            mu, sigma = spec.get("mu", 0.0), spec.get("sigma", 1.0)
            low, high = mu - 3 * sigma, mu + 3 * sigma
            if "log" in distribution:
                low, high = math.exp(low), math.exp(high)
        elif distribution.endswith("beta"):
            low, high = 0.0, 1.0
        else:
            low, high = spec["min"], spec["max"]
            if low >= high:
                raise self.fail((*path, "min"), f"'{name}': min {low} is not below max {high}")
            if distribution == "int_uniform" and not (type(low) is type(high) is int):
                raise self.fail((*path, "min"), f"'{name}': int_uniform takes whole numbers")
            if distribution.endswith("log_uniform_values") and low <= 0:
                raise self.fail((*path, "min"), f"'{name}': {distribution} needs a min above 0")
            if distribution.endswith("log_uniform"):
                if 0 < low < high <= 1:
                    drawn = f"{math.exp(low):.6g} to {math.exp(high):.6g}"
                    hint = f"{distribution} takes exponents and draws {drawn}; write {distribution}_values"
                    raise self.fail((*path, "distribution"), f"'{name}': {hint}")
                low, high = math.exp(low), math.exp(high)
        if distribution.startswith("q_"):
            step = spec.get("q", 1)
            low, high = (round(end / step) * step for end in (low, high))
        return low, high


def number_hint(value: Any) -> str:
    """What to write where YAML took a number for text: it reads 1e-5 so, for want of a point."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return ""
    if isinstance(value, bool) or not math.isfinite(number):
        return ""
    return f" (YAML reads it as text; write {_yaml_number(number)})"


def _yaml_number(number: float) -> str:
    """`number` so that YAML 1.1 reads a number: 1e-5 lacks the point that it wants."""
    mantissa, e, exponent = f"{number:g}".partition("e")
    if not e:
        return mantissa
    return f"{mantissa}{'' if '.' in mantissa else '.0'}e{exponent[0]}{exponent[1:].lstrip('0')}"
