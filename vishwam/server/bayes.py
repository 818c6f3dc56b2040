"""Bayesian search: the point of a sweep's space that is most likely to improve on its best trial.

A few points spread evenly, then the largest expected improvement under a Gaussian process over the trials so far. A
suggestion is a function of its arguments alone: nothing is kept between two, so a restarted server goes on as before.
Coordinates (`search_json` in the database) are {knob: position in (0, 1), or for lists of values the index}.
Measured beside Optuna's TPE and W&B's own search in tests/benchmarks/bayes.py.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from vishwam.server.search import Parameter, key

SPREAD = 8  # results before the process is trusted
MAX_POINTS = 1000  # that the process is over: its time and memory grow with their square
CANDIDATES, KEPT, COPIES, SCALES = 1024, 8, 32, (0.1, 0.03, 0.01, 0.003)
_OUTERMOST = 1e-3  # of an unbounded distribution: 3.1 deviations

Point = Any  # positions in [0, 1], one an axis; NumPy arrays of them have one row a point


# What the process can carry within a second and some tens of megabytes.
MAX_AXES, MAX_CATEGORIES, _MAX_STEPS = 200, 200, 1 << 20


@dataclass(frozen=True)
class Observation:
    """A trial: where it is, and its result; None while there is none."""

    coordinates: dict[str, Any]
    result: float | None


def check(parameters: list[Parameter]) -> None:
    """Raises ValueError for a space that is too wide."""
    axes = _axes(parameters)
    if len(axes) > MAX_AXES:
        raise ValueError(f"method bayes: {len(axes)} varying parameters are more than {MAX_AXES}; use random")
    for axis in axes:
        if axis.category and axis.steps > MAX_CATEGORIES:
            raise ValueError(
                f"parameter {axis.name}: {axis.steps} categories are more than {MAX_CATEGORIES}; method bayes learns "
                "nothing from so many, use random"
            )


def suggest(
    parameters: list[Parameter], maximize: bool, observations: list[Observation], seed: int
) -> tuple[list[Any], dict[str, Any]]:
    """The next point: its values in the order of the parameters, and its coordinates.

    Blocks for as long as the Gaussian process takes, some tenths of a second at 500 trials: call it on a worker thread.
    """
    axes = _axes(parameters)
    known = [seen for seen in observations if all(axis.holds(seen.coordinates.get(axis.name)) for axis in axes)]
    results = [seen for seen in known if seen.result is not None]
    if len(results) < SPREAD or not axes:
        point = _spread(axes, len(observations), seed)
    else:
        sign = -1.0 if maximize else 1.0
        pending = [seen for seen in known if seen.result is None][-MAX_POINTS // 4 :]
        generator = np.random.default_rng([seed, len(observations)])
        point = _best(axes, results, pending, sign, generator)
    coordinates = {axis.name: axis.coordinate(position) for axis, position in zip(axes, point, strict=True)}
    return [_value(parameter, coordinates.get(parameter.name)) for parameter in parameters], coordinates


def coordinates_of(parameters: list[Parameter], values: list[Any]) -> dict[str, Any] | None:
    """Where a point of these values is; None when it is not in the space."""
    found: dict[str, Any] = {}
    for parameter, value in zip(parameters, values, strict=True):
        if parameter.levels is not None:
            keys = [key(level) for level in parameter.levels]
            if key(value) not in keys:
                return None
            coordinate: float = keys.index(key(value))
        else:
            inverse = parameter.unit(value)
            if inverse is None:
                return None
            coordinate = inverse
        if _varies(parameter):
            found[parameter.name] = coordinate
    return found


@dataclass(frozen=True)
class _Axis:
    """One varying parameter as a position in [0, 1]: of `steps` equal steps, or continuous when they are 0."""

    parameter: Parameter
    steps: int
    order: tuple[int, ...] = ()  # of a list of values: the index at each step
    weights: tuple[float, ...] | None = None
    category: bool = False

    @property
    def name(self) -> str:
        return self.parameter.name

    def holds(self, coordinate: Any) -> bool:
        return coordinate in self.order if self.order else isinstance(coordinate, float)

    def coordinate(self, position: float) -> Any:
        return self.order[int(position * self.steps)] if self.order else float(position)

    def position(self, coordinate: Any) -> float:
        if self.order:
            return (self.order.index(coordinate) + 0.5) / self.steps
        return float(self.snap(np.array([coordinate]))[0])

    def snap(self, positions: Point) -> Point:
        """The nearest positions that are values: the middles of the steps."""
        if not self.steps:
            edge = _OUTERMOST if self.parameter.tails else 0.0
            return np.clip(positions, edge, 1 - edge)
        return (np.clip((positions * self.steps).astype(int), 0, self.steps - 1) + 0.5) / self.steps

    def draw(self, uniform: Point) -> Point:
        """Positions as a random search draws them."""
        if self.weights is None:
            return self.snap(uniform)
        step = np.searchsorted(np.cumsum(self.weights) / sum(self.weights), uniform, "right")
        return (np.minimum(step, self.steps - 1) + 0.5) / self.steps

    def columns(self, positions: Point) -> Any:
        """What the process sees of them: two different categories are at distance 1."""
        if not self.category:
            return positions[:, None]
        return np.eye(self.steps)[(positions * self.steps).astype(int)] / math.sqrt(2)


def _varies(parameter: Parameter) -> bool:
    return parameter.levels is None or len(parameter.levels) > 1


def _axes(parameters: list[Parameter]) -> list[_Axis]:
    """Numbers in a list are steps in their order; anything else in a list is a category."""
    found = []
    for parameter in filter(_varies, parameters):
        if parameter.levels is None:
            found.append(_Axis(parameter, parameter.steps if parameter.steps < _MAX_STEPS else 0))
            continue
        levels = parameter.levels
        numbers = all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in levels)
        ordered = numbers and len(levels) > 2
        order = sorted(range(len(levels)), key=lambda index: levels[index]) if ordered else range(len(levels))
        weights = parameter.weights and tuple(parameter.weights[index] for index in order)
        found.append(_Axis(parameter, len(levels), tuple(order), weights, category=not ordered))
    return found


def _value(parameter: Parameter, coordinate: Any) -> Any:
    return parameter.value(coordinate) if parameter.levels is None else parameter.levels[coordinate or 0]


def _spread(axes: list[_Axis], index: int, seed: int) -> Point:
    """Point `index` of Roberts's sequence (2018), shifted by the seed: even in any number of dimensions."""
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (len(axes) + 1))
    shifts = np.random.default_rng(seed).random(len(axes))
    uniform = [(shift + (index + 1) / root**number) % 1 for number, shift in enumerate(shifts, 1)]
    return [float(axis.draw(np.array([unit]))[0]) for axis, unit in zip(axes, uniform, strict=True)]


def _best(
    axes: list[_Axis],
    results: list[Observation],
    pending: list[Observation],
    sign: float,
    generator: np.random.Generator,
) -> Point:
    from vishwam.server import gaussian_process  # SciPy takes half a second, which only a bayes sweep need pay

    losses = sign * np.array([seen.result for seen in results])
    chosen = gaussian_process.telling(losses, MAX_POINTS)
    results, losses = [results[index] for index in chosen], losses[chosen]
    taken = np.array([[axis.position(seen.coordinates[axis.name]) for axis in axes] for seen in [*results, *pending]])
    columns = _columns(axes, taken)
    groups = np.repeat(np.arange(len(axes)), [axis.steps if axis.category else 1 for axis in axes])
    y = gaussian_process.levelled(losses)
    process = gaussian_process.fit(columns[: len(results)], y, groups).with_believed(columns[len(results) :])
    best = float(process.predict(columns[: len(results)])[0].min())

    def sorted_by_gain(points: Point) -> Point:
        return points[np.argsort(-gaussian_process.log_expected_improvement(process, _columns(axes, points), best))]

    uniform = generator.random((CANDIDATES, len(axes)))
    drawn = np.column_stack([axis.draw(uniform[:, number]) for number, axis in enumerate(axes)])
    good = taken[np.argsort(y, kind="stable")[:KEPT]]
    points = np.vstack([drawn, _near(axes, good, SCALES[0], generator)])
    for scale in SCALES:
        kept = sorted_by_gain(points)[:KEPT]
        points = np.vstack([kept, _near(axes, kept, scale, generator)])
    ranked = sorted_by_gain(np.vstack([points, drawn]))
    before = {tuple(point) for point in taken}
    # The same point again only when there is no other left, as far as the process remembers.
    return next((point for point in ranked if tuple(point) not in before), ranked[0])


def _columns(axes: list[_Axis], points: Point) -> Any:
    return np.hstack([axis.columns(points[:, number]) for number, axis in enumerate(axes)])


def _near(axes: list[_Axis], centres: Point, scale: float, generator: np.random.Generator) -> Point:
    """Copies of each centre with some of its coordinates moved a little; a category is drawn anew."""
    points = np.repeat(centres, COPIES, axis=0)
    moved = generator.random(points.shape) < 0.4
    moved[np.arange(len(points)), generator.integers(len(axes), size=len(points))] = True
    for number, axis in enumerate(axes):
        if axis.category:
            positions = axis.draw(generator.random(len(points)))
        else:
            width = max(scale, 0.7 / axis.steps if axis.steps else 0.0)
            positions = axis.snap(points[:, number] + generator.normal(0.0, width, len(points)))
        points[:, number] = np.where(moved[:, number], positions, points[:, number])
    return points
