"""Bayesian search: Optuna's TPE over the sweep's parameters, one study a sweep kept in memory, off the event loop."""

import math
import threading
from typing import Any

from vishwam.server.search import Parameter

Observation = tuple[int, dict[str, Any], float | None, bool]


class Studies:
    """`suggest` blocks (Optuna's import takes 0.3 s, an ask about 15 ms): call it on a worker thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._studies: dict[int, tuple[Any, dict[int, int]]] = {}

    def suggest(
        self, sweep_id: int, parameters: list[Parameter], maximize: bool, observations: list[Observation]
    ) -> tuple[list[Any], dict[str, Any], int]:
        """The next point: its values, its coordinates for the database, and the number of the trial, for `bind`.

        An observation is (run's row id, coordinates, result or None, whether it ended). A trial that ended without a
        finite result counts as failed; one under way keeps others away from its place.
        """
        with self._lock:
            study, numbers = self._studies.get(sweep_id) or self._new(sweep_id, maximize)
            distributions = {parameter.name: _distribution(parameter) for parameter in parameters if _varies(parameter)}
            for run_id, coordinates, result, ended in observations:
                self._observe(study, numbers, distributions, run_id, coordinates, result, ended)
            trial = study.ask(distributions)
            coordinates = dict(trial.params)
            values = [_value(parameter, coordinates.get(parameter.name)) for parameter in parameters]
            return values, coordinates, trial.number

    def bind(self, sweep_id: int, trial: int, run_id: int) -> None:
        """The trial became this run; its result is told by a later `suggest`."""
        self._studies[sweep_id][1][run_id] = trial

    def _new(self, sweep_id: int, maximize: bool) -> tuple[Any, dict[int, int]]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=sweep_id, multivariate=True, constant_liar=True)
        study = optuna.create_study(sampler=sampler, direction="maximize" if maximize else "minimize")
        self._studies[sweep_id] = (study, {})
        return self._studies[sweep_id]

    def _observe(
        self,
        study: Any,
        numbers: dict[int, int],
        distributions: dict[str, Any],
        run_id: int,
        coordinates: dict[str, Any],
        result: float | None,
        ended: bool,
    ) -> None:
        import optuna

        states = optuna.trial.TrialState
        good = result is not None and math.isfinite(result)
        state = (states.COMPLETE if good else states.FAIL) if ended else states.RUNNING
        if run_id not in numbers:
            # The server was restarted: the run comes back from the database.
            known = {name: value for name, value in coordinates.items() if name in distributions}
            study.add_trial(
                optuna.trial.create_trial(
                    state=state,
                    params=known,
                    distributions={name: distributions[name] for name in known},
                    value=result if state == states.COMPLETE else None,
                )
            )
            numbers[run_id] = len(study.trials) - 1
        elif ended and study.trials[numbers[run_id]].state == states.RUNNING:
            study.tell(numbers[run_id], result if good else None, state=state)


def _varies(parameter: Parameter) -> bool:
    return parameter.levels is None or len(parameter.levels) > 1


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if parameter.levels is not None and parameter.weights is None:
        return CategoricalDistribution(tuple(range(len(parameter.levels))))
    return FloatDistribution(1e-9, 1 - 1e-9)


def _value(parameter: Parameter, coordinate: Any) -> Any:
    if parameter.levels is not None and parameter.weights is None:
        return parameter.levels[coordinate or 0]
    return parameter.value(coordinate)
