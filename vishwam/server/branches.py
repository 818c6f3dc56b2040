"""Runs that begin inside a history: forks take a copy of another run's, a rewound run forgets what came after."""

import json
import sqlite3
from typing import Any

from vishwam.server import history
from vishwam.server.web import Refused

Row = dict[str, Any]


def branch_point(config: str | None) -> tuple[str, int] | None:
    """(name of the run, last step of it) that a configuration says its run begins at; None when it says nothing.

    The client writes {"branch_point": {"run_id": ..., "step": ...}} into its own part, for forks and rewinds.
    """
    inner = json.loads(config or "{}").get("_wandb")
    value = inner.get("value") if isinstance(inner, dict) else None
    point = value.get("branch_point") if isinstance(value, dict) else None
    if not isinstance(point, dict):
        return None
    name, step = point.get("run_id"), history.number(point.get("step"))
    if not isinstance(name, str) or step is None or not -1 <= step < 1 << 53:
        raise Refused(400, "a branch point needs a run_id and a step")
    return name, int(step)


def fork(db: sqlite3.Connection, source: Row, run: Row, step: int) -> None:
    """Gives the new `run` the history of `source` up to `step`; inside a transaction."""
    line = history.first_line_after(db, source["id"], step)
    history.copy(db, source["id"], run["id"], line)
    db.execute("UPDATE runs SET inherited_lines = ? WHERE id = ?", (line, run["id"]))
    _begin_at(db, run["id"], line, source["summary_json"])


def rewind(db: sqlite3.Connection, run: Row, step: int) -> None:
    """Makes the run what it was at `step`; inside a transaction."""
    line = history.first_line_after(db, run["id"], step)
    history.truncate(db, run["id"], history.HISTORY, line)
    # Console and system metrics begin anew: the client sends both from their first line on.
    history.truncate(db, run["id"], history.EVENTS, 0)
    db.execute("DELETE FROM console WHERE run_id = ?", (run["id"],))
    db.execute(
        "UPDATE runs SET event_lines = 0, log_lines = 0, inherited_lines = min(inherited_lines, ?) WHERE id = ?",
        (line, run["id"]),
    )
    _begin_at(db, run["id"], line, run["summary_json"])


def _begin_at(db: sqlite3.Connection, run_id: int, line: int, summary_before: str) -> None:
    """The run's counts at `line`; its summary has the last value of every key that `summary_before` has."""
    wanted = set(json.loads(summary_before))
    summary: Row = {}
    for (text,) in db.execute("SELECT data_json FROM history WHERE run_id = ? ORDER BY line DESC", (run_id,)):
        for key, value in json.loads(text).items():
            if key in wanted:
                summary.setdefault(key, value)
        if len(summary) == len(wanted):
            break
    db.execute(
        "UPDATE runs SET history_lines = ?, summary_json = ?, "
        "last_step = (SELECT coalesce(max(step), -1) FROM history WHERE run_id = ?) WHERE id = ?",
        (line, json.dumps(summary), run_id, run_id),
    )
