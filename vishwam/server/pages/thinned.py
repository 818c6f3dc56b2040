"""The curves of ended runs, thinned once and kept, so that a page of hundreds of long runs opens at once.

Kept in `series` under a kind of their own: `lines` holds x (each metric's own step) and `vals` y, float64 both;
`first_line` is how many lines the run had, so that a run that went on is told from one that did not.
"""

import json
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from starlette.concurrency import run_in_threadpool

from vishwam.server import history
from vishwam.server.pages import curves
from vishwam.server.store import Store

KIND = history.THINNED
POINTS = curves.POINTS // 2
LONG = 2 * POINTS  # shorter ones are read as they are


async def keep(store: Store) -> None:
    """Thins the runs that have ended since, one after the other; the reading, which may be long, off the event loop."""
    for row in _ended(store.reader()):
        found = await run_in_threadpool(_thin, store, row)
        with store.transaction() as db:
            _write(db, row, found)


def _ended(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute(
        "SELECT runs.* FROM runs LEFT JOIN series_end s ON s.run_id = runs.id AND s.kind = ? "
        "WHERE runs.state NOT IN ('pending', 'running', 'preempting') AND runs.deleted_at IS NULL "
        "AND history_lines > ? AND coalesce(s.line, 0) != history_lines",
        (KIND, LONG),
    ).fetchall()


def _thin(store: Store, row: sqlite3.Row) -> list[tuple[str, np.ndarray, np.ndarray]]:
    db = store.reader()
    known = "SELECT DISTINCT key FROM series WHERE run_id = ? AND kind = ?"
    keys = [key for (key,) in db.execute(known, (row["id"], history.HISTORY))]
    return curves.curve(db, row, keys, "step", points=POINTS)


def _write(db: sqlite3.Connection, row: sqlite3.Row, found: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Inside a transaction. A run deleted meanwhile has no place for it."""
    if not db.execute("SELECT 1 FROM runs WHERE id = ?", (row["id"],)).fetchone():
        return
    db.execute("DELETE FROM series WHERE run_id = ? AND kind = ?", (row["id"], KIND))
    db.executemany(
        "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (row["id"], KIND, key, row["history_lines"], len(x), *(part.astype("<f8").tobytes() for part in (x, y)))
            for key, x, y in found
        ],
    )
    db.execute("INSERT OR REPLACE INTO series_end VALUES (?, ?, ?)", (row["id"], KIND, row["history_lines"]))


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
