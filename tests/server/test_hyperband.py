"""Bands and thresholds against numbers worked by hand from the rules in hyperband.py."""

import math

import pytest

from vishwam.server.hyperband import bands, stops, threshold


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # W&B's documentation: s=2, eta=3, max_iter=27 gives brackets at 9 and 3.
        ({"max_iter": 27, "s": 2, "eta": 3}, [3, 9]),
        ({"max_iter": 27, "s": 2}, [3, 9]),
        ({"max_iter": 5, "s": 2, "eta": 2}, [1, 2]),
        # 10 / 3 / 3 / 3 falls below one iteration: only two bands are left of s=5.
        ({"max_iter": 10, "s": 5, "eta": 3}, [1, 3]),
    ],
)
def test_bands_from_max_iter(settings: dict, expected: list[int]) -> None:
    assert bands(settings) == expected


def test_bands_from_min_iter_grow_by_eta() -> None:
    assert bands({"min_iter": 3})[:4] == [3, 9, 27, 81]
    assert bands({"min_iter": 1, "eta": 1.5})[:5] == [1, 2, 3, 5, 7]  # 1, 1.5, 2.25, 3.375, 5.06, 7.59


@pytest.mark.parametrize(
    "settings",
    [{}, {"min_iter": 0}, {"min_iter": 3, "eta": 1}, {"max_iter": 9}, {"max_iter": 9, "s": 0}, {"min_iter": math.nan}],
)
def test_settings_without_bands_are_refused(settings: dict) -> None:
    with pytest.raises(ValueError, match="early_terminate"):
        bands(settings)


def test_threshold_is_the_value_at_rank_n_over_eta() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0, 6.0]
    assert threshold(values, 2) == 4.0  # rank int(6/2) = 3 of 1 2 3 4 5 6
    assert threshold(values, 3) == 3.0
    assert threshold([7.0], 3) == 7.0
    assert threshold([], 3) == math.inf


def test_the_worked_example_of_the_sweeps_package() -> None:
    """Its docstring: max_iter 5, s 2, eta 2; losses by iteration; only b stops."""
    history = {"a": [10, 9], "b": [10, 10], "c": [10, 8, 8], "d": [10, 7, 7], "e": [10, 6, 6]}
    assert bands({"max_iter": 5, "s": 2, "eta": 2}) == [1, 2]
    at_two = [float(values[1]) for values in history.values()]  # 9 10 8 7 6: rank int(5/2) = 2 is 8
    assert threshold(at_two, 2) == 8.0
    verdicts = {name: stops(min(v), v[1], at_two, 2, strict=False) for name, v in history.items()}
    assert verdicts == {"a": True, "b": True, "c": False, "d": False, "e": False}  # a has ended, b is the one to stop


def test_a_trial_is_judged_by_its_best_value_unless_strict() -> None:
    others = [1.0, 2.0, 3.0, 9.0]  # eta 4: rank 1, threshold 2
    assert not stops(best=0.5, at_band=9.0, values=others, eta=4, strict=False)
    assert stops(best=0.5, at_band=9.0, values=others, eta=4, strict=True)


def test_equal_to_the_threshold_stays() -> None:
    assert not stops(best=2.0, at_band=2.0, values=[1.0, 2.0, 2.0], eta=3, strict=True)
