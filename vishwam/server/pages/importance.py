"""Which knobs matter for a metric: PED-ANOVA importance (Watanabe et al. 2023, by Optuna) and rank correlation."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

FEWEST_TRIALS = 10


def importance(found: Sequence[dict], knobs: Sequence[str], scores: Mapping[str, float], maximize: bool) -> dict:
    """Of the runs that ended and have a score, by their ids.

    {'trials': n, 'rows': [{knob, importance (share, or None), correlation in [-1, 1] or None}]}, strongest first.

    Below FEWEST_TRIALS finished trials importance is None: the method compares the best tenth with the rest, and
    there is no tenth. Correlation is Spearman's; None for a knob without an order.
    """
    scored = [run for run in found if run["id"] in scores and not run["live"]]
    values = [scores[run["id"]] for run in scored]
    rows = [{"knob": knob, "importance": None, "correlation": _spearman(scored, knob, values)} for knob in knobs]
    if len(scored) >= FEWEST_TRIALS:
        shares = _ped_anova(scored, knobs, values, maximize)
        for row in rows:
            row["importance"] = shares.get(str(row["knob"]))

    def strength(row: dict) -> float:
        return row["importance"] if row["importance"] is not None else abs(row["correlation"] or 0)

    return {"trials": len(scored), "fewest": FEWEST_TRIALS, "rows": sorted(rows, key=strength, reverse=True)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _spearman(found: Sequence[dict], knob: str, values: Sequence[float]) -> float | None:
    pairs = [(run["config"].get(knob), value) for run, value in zip(found, values, strict=True)]
    known = [(float(a), float(b)) for a, b in pairs if _is_number(a) or isinstance(a, bool)]
    if len(known) < 3:
        return None
    ranks = np.array([_ranks(np.array(column)) for column in zip(*known, strict=True)])
    if (np.ptp(ranks, axis=1) == 0).any():
        return None
    return round(float(np.corrcoef(ranks)[0, 1]), 3)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, equal values sharing their mean rank. values [N] -> [N]."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[place]


def _ped_anova(
    found: Sequence[dict], knobs: Sequence[str], scored: Sequence[float], maximize: bool
) -> dict[str, float]:
    # Half a second and 50 MB, so only when somebody looks.
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spaces: dict[str, optuna.distributions.BaseDistribution] = {}
    for knob in knobs:
        values = [run["config"].get(knob) for run in found]
        if all(_is_number(value) for value in values) and len(set(values)) > 1:
            low, high = float(min(values)), float(max(values))  # type: ignore[type-var, arg-type]
            spaces[knob] = optuna.distributions.FloatDistribution(low, high, log=low > 0 and high / low >= 20)
        elif len({json.dumps(value, default=str) for value in values}) > 1:
            choices = sorted({json.dumps(value, default=str) for value in values})
            spaces[knob] = optuna.distributions.CategoricalDistribution(choices)
    if not spaces:
        return {}
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    for run, value in zip(found, scored, strict=True):
        parameters = {
            knob: float(run["config"][knob])
            if isinstance(space, optuna.distributions.FloatDistribution)
            else json.dumps(run["config"].get(knob), default=str)
            for knob, space in spaces.items()
        }
        study.add_trial(optuna.trial.create_trial(params=parameters, distributions=spaces, value=value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {knob: round(share, 4) for knob, share in shares.items() if math.isfinite(share)}
