"""What a run counts by: the last, the best, or the mean of the last few values of a metric, as the reader chooses."""

import json
import math
import sqlite3
from collections.abc import Sequence

import numpy as np

from vishwam.server import history

LAST, BEST, MEAN = "last", "best", "mean"


def scores(
    db: sqlite3.Connection, rows: Sequence[sqlite3.Row], metric: str, how: str, count: int, maximize: bool
) -> dict[str, float]:
    """{run: value} of the runs that have one. `last` is the run's summary; `mean` is over the last `count` values."""
    found = {}
    for row in rows:
        value = history.number(history.lookup(json.loads(row["summary_json"] or "{}"), metric))
        if how != LAST or value is None:
            _, values = history.series(db, row["id"], [metric]).get(metric, ((), ()))
            known = np.asarray(values)
            known = known[np.isfinite(known)]
            if not len(known):
                continue
            if how == BEST:
                value = float(known.max() if maximize else known.min())
            else:
                value = float(known[-count:].mean() if how == MEAN else known[-1])
        if value is not None and math.isfinite(value):
            found[row["name"]] = value
    return found
