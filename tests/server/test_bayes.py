"""Bayesian search finds a minimum, and takes a failed trial for no result."""

from typing import Any

from vishwam.server.bayes import Observation, Studies
from vishwam.server.search import random_point, space

SPACE = space({"method": "bayes", "parameters": {"x": {"min": -5.0, "max": 5.0}, "kind": {"values": ["good", "bad"]}}})


def loss(values: list[Any]) -> float:
    return (values[0] - 3.0) ** 2 + (0.0 if values[1] == "good" else 5.0)


def search(trials: int, restart_every: int = 0) -> list[float]:
    studies = Studies()
    observations: list[Observation] = []
    losses: list[float] = []
    for run_id in range(1, trials + 1):
        if restart_every and run_id % restart_every == 0:
            studies = Studies()
        values, coordinates, trial = studies.suggest(1, SPACE, False, observations)
        studies.bind(1, trial, run_id)
        losses.append(loss(values))
        observations.append((run_id, coordinates, losses[-1], True))
    return losses


def test_it_beats_random_draws() -> None:
    found = search(40)
    random_best = min(loss(random_point(SPACE, f"s/{index}")) for index in range(40))
    assert min(found) < 0.05
    assert sum(found[20:]) / 20 < sum(found[:10]) / 10 / 2, "later trials are better than the first, random ones"
    assert min(found) <= random_best


def test_a_restarted_server_carries_on() -> None:
    assert min(search(40, restart_every=7)) < 0.1


def test_failed_and_running_trials_are_no_results() -> None:
    studies = Studies()
    _, coordinates, trial = studies.suggest(1, SPACE, False, [])
    studies.bind(1, trial, 1)
    studies.suggest(1, SPACE, False, [(1, coordinates, float("nan"), True), (2, coordinates, None, False)])
    study = studies._studies[1][0]
    assert [trial.state.name for trial in study.trials] == ["FAIL", "RUNNING", "RUNNING"]
