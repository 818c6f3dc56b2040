"""The curves of ended runs, thinned once and kept, so that a page of hundreds of long runs opens at once.

Kept in `series` under a kind of their own: `lines` holds x (each metric's own step) and `vals` y, float64 both;
`first_line` is how many lines the run had, so that a run that went on is told from one that did not.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np

from vishwam.server import history
from vishwam.server.pages import curves

KIND = 2
POINTS = curves.POINTS // 2
LONG = 2 * POINTS  # shorter ones are read as they are


def keep(db: sqlite3.Connection, limit: int) -> int:
    """Thins up to `limit` runs that have ended; returns how many it found. Inside a transaction."""
    rows = db.execute(
        "SELECT runs.* FROM runs LEFT JOIN series_end s ON s.run_id = runs.id AND s.kind = ? "
        "WHERE runs.state NOT IN ('pending', 'running', 'preempting') AND runs.deleted_at IS NULL "
        "AND history_lines > ? AND coalesce(s.line, 0) != history_lines LIMIT ?",
        (KIND, LONG, limit),
    ).fetchall()
    for row in rows:
        known = "SELECT DISTINCT key FROM series WHERE run_id = ? AND kind = ?"
        keys = [key for (key,) in db.execute(known, (row["id"], history.HISTORY))]
        found = curves.curve(db, row, keys, "step", points=POINTS)
        db.execute("DELETE FROM series WHERE run_id = ? AND kind = ?", (row["id"], KIND))
        db.executemany(
            "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    row["id"],
                    KIND,
                    key,
                    row["history_lines"],
                    len(x),
                    x.astype("<f8").tobytes(),
                    y.astype("<f8").tobytes(),
                )
                for key, x, y in found
            ],
        )
        db.execute("INSERT OR REPLACE INTO series_end VALUES (?, ?, ?)", (row["id"], KIND, row["history_lines"]))
    return len(rows)


def read(
    db: sqlite3.Connection, rows: Sequence[sqlite3.Row], keys: Iterable[str]
) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
    """{(run's name, key): (x, y)} of those that are kept and still true."""
    found = db.execute(
        "SELECT r.name, s.key, s.lines, s.vals FROM runs r JOIN series s ON s.run_id = r.id AND s.kind = ? "
        "WHERE r.id IN (SELECT value FROM json_each(?)) AND s.key IN (SELECT value FROM json_each(?)) "
        "AND s.first_line = r.history_lines",
        (KIND, json.dumps([row["id"] for row in rows]), json.dumps(list(keys))),
    )
    return {(name, key): (np.frombuffer(x, "<f8"), np.frombuffer(y, "<f8")) for name, key, x, y in found}
