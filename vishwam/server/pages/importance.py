"""Which knobs matter for a metric: PED-ANOVA importance (Watanabe et al. 2023, by Optuna) and rank correlation."""

import json
import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

FEWEST_TRIALS = 10


def importance(found: Sequence[dict], knobs: Sequence[str], scores: Mapping[str, float], maximize: bool) -> dict:
    """Of the runs that ended and have a score, by their ids.

    {'trials': n, 'rows': [{knob, value, importance (share, or None), correlation in [-1, 1] or None}]}, the strongest
    first.

    Below FEWEST_TRIALS finished trials importance is None: the method compares the best tenth with the rest, and
    there is no tenth. Correlation is Spearman's; of a knob of words it is that of being `value`, the word with the
    strongest, and of two as strong the better one. None where nothing differs.
    """
    scored = [run for run in found if run["id"] in scores and not run["live"]]
    values = [scores[run["id"]] for run in scored]
    rows: list[dict] = []
    for knob in knobs:
        value, correlation = _correlation(scored, knob, values, maximize)
        rows.append({"knob": knob, "value": value, "importance": None, "correlation": correlation})
    if len(scored) >= FEWEST_TRIALS:
        shares = _ped_anova(scored, knobs, values, maximize)
        for row in rows:
            row["importance"] = shares.get(str(row["knob"]))

    def strength(row: dict) -> float:
        return row["importance"] if row["importance"] is not None else abs(row["correlation"] or 0)

    return {"trials": len(scored), "fewest": FEWEST_TRIALS, "rows": sorted(rows, key=strength, reverse=True)}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _correlation(
    found: Sequence[dict], knob: str, values: Sequence[float], maximize: bool
) -> tuple[str | None, float | None]:
    """(None, correlation) of numbers, (word, correlation of having it) of words."""
    settings = [run["config"].get(knob) for run in found]
    known = [(setting, value) for setting, value in zip(settings, values, strict=True) if setting is not None]
    if all(_is_number(setting) or isinstance(setting, bool) for setting, _ in known):
        return None, _spearman([(float(setting), value) for setting, value in known])
    said = [
        (setting if isinstance(setting, str) else json.dumps(setting, default=str), value) for setting, value in known
    ]
    by_word = {word: _spearman([(float(own == word), value) for own, value in said]) for word, _ in sorted(said)}
    sign = 1 if maximize else -1
    of_words = [(word, correlation) for word, correlation in by_word.items() if correlation is not None]
    return max(of_words, key=lambda one: (abs(one[1]), sign * one[1]), default=(None, None))


def _spearman(known: Sequence[tuple[float, float]]) -> float | None:
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
