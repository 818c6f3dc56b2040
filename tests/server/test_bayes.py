"""Bayesian search: finds minima that are known, repeats nothing, and takes no failure for a result."""

import math
from statistics import NormalDist, median
from typing import Any

import numpy as np
import pytest

from tests.benchmarks._functions import FUNCTIONS
from vishwam.server import gaussian_process
from vishwam.server.bayes import Observation, coordinates_of, suggest
from vishwam.server.search import random_point, space

MIXED = {"x": {"min": -5.0, "max": 5.0}, "kind": {"values": ["good", "bad"]}, "n": {"min": 1, "max": 4}}


def parameters(given: dict[str, Any]) -> list:
    return space({"method": "bayes", "parameters": given})


def search(given: dict[str, Any], loss: Any, trials: int, maximize: bool = False) -> list[tuple[list[Any], float]]:
    """Point and loss of each trial, one after the other."""
    knobs, seen, found = parameters(given), [], []
    for _ in range(trials):
        values, coordinates = suggest(knobs, maximize, seen, seed=1)
        found.append((values, loss(*values)))
        seen.append(Observation(coordinates, found[-1][1]))
    return found


@pytest.mark.parametrize("name", ["Branin", "training"])
def test_it_beats_random_draws_by_far(name: str) -> None:
    given, function, minimum = FUNCTIONS[name]
    ours = min(loss for _, loss in search(given, function, 30)) - minimum
    draws = [function(*random_point(parameters(given), f"s/{index}")) for index in range(30)]
    assert ours < (min(draws) - minimum) / 5


def test_a_metric_to_be_maximised_is() -> None:
    found = search(MIXED, lambda x, kind, n: 3.0 * (kind == "good") - (x - 2) ** 2 - abs(n - 3), 30, maximize=True)
    (x, kind, n), value = max(found, key=lambda trial: trial[1])
    assert (kind, n) == ("good", 3) and value > 2.9 and x == pytest.approx(2, abs=0.3)


def test_a_small_space_is_searched_without_repeats_and_then_again() -> None:
    given = {"a": {"values": [1, 2, 3]}, "b": {"values": ["x", "y"]}, "c": {"min": 0, "max": 1}, "d": {"value": 7}}
    found = [tuple(values) for values, _ in search(given, lambda a, b, c, d: a + c + (b == "x"), 20)]
    unseen = [values for index, values in enumerate(found) if values not in found[:index]]
    assert len(unseen) == 12 and set(found[8:]) >= set(unseen) - set(found[:8])
    spread = len(set(found[:8]))
    assert len(set(found[: 8 + 12 - spread])) == 12, "after the first eight, no point again while another is left"


def test_eight_agents_at_once_get_eight_places() -> None:
    """Trials under way keep others away from where they are; unaware of each other they would come within 0.0002."""
    given, function, _ = FUNCTIONS["Branin"]
    knobs, seen, points = parameters(given), [], []
    for index in range(12):
        values, coordinates = suggest(knobs, False, seen, seed=index)
        seen.append(Observation(coordinates, function(*values)))
    for _ in range(8):
        coordinates = suggest(knobs, False, seen, seed=3)[1]
        points.append(tuple(coordinates.values()))
        seen.append(Observation(coordinates, None))
    gaps = [math.dist(a, b) for index, a in enumerate(points) for b in points[:index]]
    assert min(gaps) > 0.005 and median(gaps) > 0.3


def test_the_first_points_are_spread_evenly() -> None:
    knobs = parameters({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    points = [suggest(knobs, False, [Observation({}, None)] * index, seed=5)[0] for index in range(8)]
    for axis in (0, 1):
        assert {int(point[axis] * 4) for point in points} == {0, 1, 2, 3}, "every quarter of every axis is visited"


def test_improbable_categories_are_rare_and_impossible_ones_never_come() -> None:
    given = {"k": {"values": ["a", "b", "c"], "probabilities": [0.5, 0.0, 0.5]}, "x": {"min": 0.0, "max": 1.0}}
    kinds = {values[0] for values, _ in search(given, lambda k, x: {"a": 1, "b": 0, "c": 2}[k] + x, 20)}
    assert kinds == {"a", "c"}


def test_unbounded_distributions_stay_where_they_mean_something() -> None:
    found = search({"z": {"distribution": "normal", "mu": 10, "sigma": 2}}, lambda z: z, 20)
    lowest = min(values[0] for values, _ in found)
    assert lowest == pytest.approx(NormalDist(10, 2).inv_cdf(1e-3)), "as far as it goes: 3.1 deviations"


def test_thousands_of_trials_are_thinned_to_the_telling_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    fit = gaussian_process.fit
    monkeypatch.setattr(gaussian_process, "fit", lambda x, y, groups: sizes.append(len(x)) or fit(x, y, groups))
    seen = [Observation({"x": (index % 997) / 997}, abs((index % 997) / 997 - 0.4)) for index in range(5000)]
    values, _ = suggest(parameters({"x": {"min": 0.0, "max": 1.0}}), False, seen, seed=1)
    assert sizes == [1000] and values[0] == pytest.approx(0.4, abs=0.01)


def test_a_wide_space_is_searched_too() -> None:
    """Two hundred knobs, a range of integers that no array can index, a list of a thousand numbers."""
    given = {f"x{index}": {"min": 0.0, "max": 1.0} for index in range(198)}
    given |= {"n": {"min": 0, "max": 10**30}, "l": {"values": list(range(1000))}}
    found = search(given, lambda *values: sum(values[:4]) + values[198] / 1e30 + values[199] / 1e3, 12)
    assert all(0 <= values[198] <= 10**30 and isinstance(values[198], int) for values, _ in found)


def test_a_suggestion_depends_on_what_it_is_given_alone() -> None:
    """A server that was started again goes on as the old one would have."""
    given, function, _ = FUNCTIONS["Branin"]
    seen = [
        Observation(coordinates_of(parameters(given), values) or {}, loss)
        for values, loss in search(given, function, 12)
    ]
    assert suggest(parameters(given), False, seen, 9) == suggest(parameters(given), False, seen, 9)


def test_coordinates_are_the_inverse_of_values() -> None:
    given = {
        **MIXED, "rate": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0}, "l": {"values": [1, 10, 100]},
        "q": {"distribution": "q_normal", "mu": 0, "sigma": 10, "q": 5}, "fixed": {"value": "v"},
    }  # fmt: skip
    knobs = parameters(given)
    for index in range(50):
        values = random_point(knobs, f"s/{index}")
        coordinates = coordinates_of(knobs, values)
        assert coordinates is not None
        again = [
            knob.levels[coordinates.get(knob.name, 0)] if knob.levels else knob.value(coordinates[knob.name])
            for knob in knobs
        ]
        assert again == pytest.approx(values) if isinstance(values[0], str) else again[1:2] == values[1:2]
        assert [a for a in again if not isinstance(a, str)] == pytest.approx(
            [v for v in values if not isinstance(v, str)]
        )
    assert coordinates_of(knobs, [9.0, "good", 1, 0.1, 10, 0, "v"]) is None, "9 is beyond x's range"
    assert coordinates_of(knobs, [0.0, "ugly", 1, 0.1, 10, 0, "v"]) is None


# The Gaussian process against textbook formulas


def test_the_process_predicts_what_the_textbook_says() -> None:
    generator = np.random.default_rng(0)
    x, y, new = generator.random((9, 2)), generator.normal(size=9), generator.random((4, 2))
    length, amplitude, noise = np.array([0.3, 0.7]), 1.7, 1e-2

    def covariance(a: Any, b: Any) -> Any:
        d = np.sqrt((((a[:, None] - b[None]) / length) ** 2).sum(2))
        return amplitude * (1 + math.sqrt(5) * d + 5 * d**2 / 3) * np.exp(-math.sqrt(5) * d)

    inverse = np.linalg.inv(covariance(x, x) + noise * np.eye(9))
    mean = covariance(new, x) @ inverse @ y
    variance = np.diag(covariance(new, new) - covariance(new, x) @ inverse @ covariance(x, new))
    process = gaussian_process.condition(x, y, length, amplitude, noise)
    assert process.predict(new)[0] == pytest.approx(mean)
    assert process.predict(new)[1] == pytest.approx(np.sqrt(variance))


def test_expected_improvement_is_the_mean_over_draws() -> None:
    process = gaussian_process.condition(np.array([[0.2], [0.8]]), np.array([0.0, 1.0]), np.array([0.3]), 1.0, 1e-4)
    points = np.array([[0.1], [0.5], [0.79]])
    mean, deviation = process.predict(points)
    for index, logarithm in enumerate(gaussian_process.log_expected_improvement(process, points, 0.0)):
        quantiles = [NormalDist().inv_cdf((index + 0.5) / 20_000) for index in range(20_000)]
        draws = mean[index] + deviation[index] * np.array(quantiles)
        assert math.exp(logarithm) == pytest.approx(np.maximum(0.0 - draws, 0).mean(), rel=2e-3, abs=1e-9)
    assert np.isfinite(gaussian_process.log_expected_improvement(process, points, -1e6)).all()


def test_lengths_tell_the_axis_that_matters() -> None:
    x = np.random.default_rng(0).random((40, 2))
    y = gaussian_process.levelled(np.sin(6 * x[:, 0]))
    length = gaussian_process.fit(x, y, np.array([0, 1])).length_D
    assert length[1] > 3 * length[0]


def test_a_long_tail_is_drawn_in_and_keeps_its_order() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e6])
    found = gaussian_process.levelled(values)
    assert (np.diff(found) > 0).all() and found[5] - found[0] > 0.3, "the small ones are told apart"
    assert np.isfinite(gaussian_process.levelled(np.full(5, 3.0))).all()
    assert np.isfinite(gaussian_process.levelled(np.array([1e308, -1e308, 1e-308, 0.0]))).all()
