"""W&B's sweep vocabulary: distributions against SciPy's quantiles, grids counted by hand, refusals by name."""

import math
from statistics import NormalDist, mean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from vishwam.server.search import arguments, grid_index, grid_point, grid_size, random_point, space, values_of


def one(settings: dict) -> list:
    """Values at the quartiles."""
    (parameter,) = space({"method": "random", "parameters": {"p": settings}})
    return [parameter.value(unit) for unit in (0.25, 0.5, 0.75)]


def test_a_grid_varies_its_first_parameter_slowest() -> None:
    parameters = space(
        {"method": "grid", "parameters": {"a": {"values": [1, 2]}, "b": {"value": 7}, "c": {"min": 0, "max": 2}}}
    )
    assert grid_size(parameters) == 6
    points = [tuple(grid_point(parameters, index)) for index in range(6)]
    assert points == [(1, 7, 0), (1, 7, 1), (1, 7, 2), (2, 7, 0), (2, 7, 1), (2, 7, 2)]


def test_q_uniform_in_a_grid_leaves_its_end_out_as_wb_does() -> None:
    parameters = space(
        {"method": "grid", "parameters": {"a": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}}}
    )
    assert [grid_point(parameters, index)[0] for index in range(grid_size(parameters))] == [0, 0.25, 0.5, 0.75]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"min": 0.0, "max": 8.0}, [2, 4, 6]),
        ({"distribution": "uniform", "min": 0, "max": 8}, [2, 4, 6]),
        ({"min": 1, "max": 4}, [2, 3, 4]),
        ({"distribution": "log_uniform_values", "min": 0.01, "max": 100}, [0.1, 1, 10]),
        ({"distribution": "log_uniform", "min": 0, "max": 4}, [math.e, math.e**2, math.e**3]),
        ({"distribution": "inv_log_uniform_values", "min": 0.01, "max": 100}, [0.1, 1, 10]),
        ({"distribution": "normal", "mu": 5, "sigma": 2}, [NormalDist(5, 2).inv_cdf(q) for q in (0.25, 0.5, 0.75)]),
        ({"distribution": "log_normal"}, [math.exp(NormalDist().inv_cdf(q)) for q in (0.25, 0.5, 0.75)]),
        ({"distribution": "q_uniform", "min": 0, "max": 8, "q": 3}, [3, 3, 6]),
        ({"distribution": "q_normal", "mu": 0.5, "sigma": 1e-9, "q": 0.1}, [0.5, 0.5, 0.5]),
        ({"distribution": "q_log_uniform_values", "min": 1, "max": 256, "q": 4}, [4, 16, 64]),
        # Beta(1, 2) has the distribution function 1 - (1 - x)^2.
        ({"distribution": "beta", "a": 1, "b": 2}, [1 - math.sqrt(1 - q) for q in (0.25, 0.5, 0.75)]),
        ({"values": ["a", "b", "c", "d"]}, ["b", "c", "d"]),
        ({"values": ["a", "b"], "probabilities": [0.3, 0.7]}, ["a", "b", "b"]),
        ({"value": [1, 2]}, [[1, 2]] * 3),
    ],
)
def test_quartiles(settings: dict, expected: list) -> None:
    found = one(settings)
    if isinstance(expected[0], float):
        assert found == pytest.approx(expected, abs=1e-3)
    else:
        assert found == pytest.approx(expected) if not isinstance(expected[0], (str, list)) else found == expected


UNITS = np.array([1e-6, 0.01, 0.1, 0.25, 0.5, 0.77, 0.99, 1 - 1e-6])
BOUNDS, SHAPE, BELL = {"min": 0.02, "max": 30.0}, {"a": 0.3, "b": 4.0}, {"mu": 1.5, "sigma": 0.7}


@pytest.mark.parametrize(
    ("settings", "oracle"),
    [
        ({"distribution": "uniform", **BOUNDS}, stats.uniform(0.02, 29.98)),
        ({"distribution": "int_uniform", "min": -3, "max": 9}, stats.randint(-3, 10)),
        ({"distribution": "log_uniform_values", **BOUNDS}, stats.loguniform(0.02, 30)),
        ({"distribution": "log_uniform", "min": -2, "max": 3}, stats.loguniform(math.exp(-2), math.exp(3))),
        # log(1/x) is uniform exactly when log(x) is.
        ({"distribution": "inv_log_uniform_values", **BOUNDS}, stats.loguniform(0.02, 30)),
        ({"distribution": "inv_log_uniform", "min": -2, "max": 3}, stats.loguniform(math.exp(-3), math.exp(2))),
        ({"distribution": "normal", **BELL}, stats.norm(1.5, 0.7)),
        ({"distribution": "normal"}, stats.norm()),
        ({"distribution": "log_normal", **BELL}, stats.lognorm(0.7, scale=math.exp(1.5))),
        ({"distribution": "beta", **SHAPE}, stats.beta(0.3, 4.0)),
        ({"distribution": "beta"}, stats.uniform()),
        ({"values": ["a", "b", "c", "d", "e"]}, stats.randint(0, 5)),
    ],
)
def test_quantiles_are_scipys(settings: dict, oracle: Any) -> None:
    (parameter,) = space({"method": "random", "parameters": {"p": settings}})
    found = [parameter.value(unit) for unit in UNITS]
    if "values" in settings:
        found = [settings["values"].index(value) for value in found]
    assert found == pytest.approx(list(oracle.ppf(UNITS)), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("uniform", BOUNDS), ("log_uniform", {"min": -2.0, "max": 3.0}), ("log_uniform_values", BOUNDS),
        ("normal", BELL), ("log_normal", BELL), ("beta", {"a": 2.0, "b": 2.0}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("q", [None, 2, 0.05])
def test_quantised_values_are_the_nearest_multiples(name: str, settings: dict, q: float | None) -> None:
    (plain,) = space({"method": "random", "parameters": {"p": {"distribution": name, **settings}}})
    given = {"distribution": f"q_{name}", **settings} | ({"q": q} if q else {})
    (parameter,) = space({"method": "random", "parameters": {"p": given}})
    found = [parameter.value(unit) for unit in UNITS]
    step = q or 1.0  # W&B's default
    assert found == pytest.approx(np.round(np.array([plain.value(unit) for unit in UNITS]) / step) * step)
    assert {type(value) for value in found} == {type(step)}, "a whole q makes integers"
    assert all(len(str(value)) < 8 for value in found), "0.3, and not 0.30000000000000004"


def test_draws_have_the_probabilities_that_were_asked_for() -> None:
    given = {"k": {"values": ["a", "b", "c"], "probabilities": [0.2, 0.0, 0.8]}}
    parameters = space({"method": "random", "parameters": given})
    draws = [random_point(parameters, f"s/{index}")[0] for index in range(2000)]
    assert draws.count("b") == 0 and draws.count("a") / 2000 == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    "settings",
    [
        {"min": 0.0, "max": 8.0}, {"min": 1, "max": 4}, {"distribution": "log_normal"},
        {"distribution": "q_normal", "q": 2}, {"distribution": "log_uniform_values", "min": 1e-6, "max": 1.0},
    ],
)  # fmt: skip
def test_the_unit_of_a_value_gives_the_value_again(settings: dict) -> None:
    (parameter,) = space({"method": "bayes", "parameters": {"p": settings}})
    for unit in UNITS:
        value = parameter.value(unit)
        inverse = parameter.unit(value)
        assert inverse is not None and parameter.value(inverse) == pytest.approx(value)
    assert parameter.unit("text") is None and parameter.unit(1e9) is None


def test_a_grids_index_is_the_inverse_of_its_points() -> None:
    given = {"a": {"values": [1, "x", None]}, "b": {"parameters": {"c": {"min": 3, "max": 5}, "d": {"value": 7}}}}
    parameters = space({"method": "grid", "parameters": given})
    for index in range(grid_size(parameters)):
        values = values_of(parameters, arguments(parameters, grid_point(parameters, index)))
        assert values is not None and grid_index(parameters, values) == index
    assert grid_index(parameters, [2, 3, 7]) is None
    assert values_of(parameters, {"a": {"value": 1}}) is None


def test_random_points_are_independent_and_repeatable() -> None:
    parameters = space({"method": "random", "parameters": {"u": {"min": 0.0, "max": 1.0}}})
    draws = [random_point(parameters, f"sweep/{index}")[0] for index in range(2000)]
    assert draws == [random_point(parameters, f"sweep/{index}")[0] for index in range(2000)]
    assert mean(draws) == pytest.approx(0.5, abs=0.03)
    assert len(set(draws)) == 2000


def test_nested_parameters_make_nested_values() -> None:
    parameters = space(
        {
            "method": "grid",
            "parameters": {"x": {"value": 1}, "o": {"parameters": {"lr": {"values": [0.1]}, "d": {"value": 2}}}},
        }
    )
    assert arguments(parameters, grid_point(parameters, 0)) == {"x": {"value": 1}, "o": {"value": {"lr": 0.1, "d": 2}}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"min": "1e-5", "max": 1.0, "distribution": "uniform"},
            "parameter p: min must be a number, not '1e-5' .*1.0e-5",
        ),
        ({"min": 2.0, "max": 1.0}, "parameter p: min 2 is not less than max 1"),
        ({"distribution": "log_uniform_values", "min": 0, "max": 1}, "parameter p: min must be positive"),
        ({"distribution": "log_uniform", "min": 0, "max": 1e6}, "log_uniform_values takes plain values"),
        ({"distribution": "gauss"}, "parameter p: unknown distribution 'gauss'"),
        ({"values": []}, "parameter p: values"),
        ({"values": [1, 2], "probabilities": [0.5, 0.6]}, "sum to 1"),
        ({}, "parameter p: give value"),
        (3, "parameter p: expected a mapping"),
    ],
)
def test_what_is_wrong_is_said_by_name(settings: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        space({"method": "random", "parameters": {"p": settings}})


def test_a_grid_refuses_what_has_no_levels() -> None:
    with pytest.raises(ValueError, match="parameter p: distribution uniform has no grid"):
        space({"method": "grid", "parameters": {"p": {"min": 0.0, "max": 1.0}}})
