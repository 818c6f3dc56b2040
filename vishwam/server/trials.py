"""What the trials of a sweep have come to, as its database has it: results, places in the space, what is left to begin.

A trial's value is the best it logged of the sweep's metric (`metric_best`). Failed, crashed and killed trials are no
results: they end no sweep and lead no ranking. To a bayes search they count as bad as the worst result, or as
`metric.impute` has it (W&B's rules), so that it neither forgets them nor comes back to them.
"""

import json
import math
import sqlite3
from typing import Any

from vishwam.server import bayes, history, hyperband, search

Row = dict[str, Any]

BAD_ENDS = ("failed", "crashed", "killed")
BURNT_SECONDS, BURNT_TRIALS = 60.0, 5


def begun(db: sqlite3.Connection, sweep_id: int) -> int:
    """Trials begun by the scheduler; deleted ones count."""
    query = "SELECT count(*) FROM runs WHERE sweep_id = ? AND suggestion_json IS NOT NULL"
    return db.execute(query, (sweep_id,)).fetchone()[0]


def exhausted(db: sqlite3.Connection, sweep: Row, config: Row) -> bool:
    """Whether no new trial is to begin: `run_cap` or the metric's `target` reached, or the grid done."""
    cap = config.get("run_cap")
    if cap is not None and begun(db, sweep["id"]) >= cap:
        return True
    if sweep["grid_size"] is not None and _grid_points(db, sweep["id"]) >= sweep["grid_size"]:
        return True
    metric = config.get("metric") or {}
    if metric.get("target") is None:
        return False
    value = best(db, sweep["id"], config)
    return value is not None and direction(config) * (value - metric["target"]) <= 0


def direction(config: Row) -> float:
    """1 for a metric to be minimised, -1 for one to be maximised."""
    return -1.0 if (config.get("metric") or {}).get("goal") == "maximize" else 1.0


def best(db: sqlite3.Connection, sweep_id: int, config: Row) -> float | None:
    """The best value of a trial that did not end badly."""
    function = "min" if direction(config) > 0 else "max"
    query = f"SELECT {function}(metric_best) FROM runs WHERE sweep_id = ? AND deleted_at IS NULL AND state NOT IN "
    return db.execute(query + str(BAD_ENDS), (sweep_id,)).fetchone()[0]


def _grid_points(db: sqlite3.Connection, sweep_id: int) -> int:
    query = "SELECT count(*) FROM runs WHERE sweep_id = ? AND grid_index IS NOT NULL"
    return db.execute(query, (sweep_id,)).fetchone()[0]


def next_grid_index(db: sqlite3.Connection, sweep_id: int) -> int:
    """The first point that no run has: the points of deleted and of prior runs leave gaps."""
    query = (
        "SELECT min(gap) FROM (SELECT 0 AS gap UNION ALL SELECT grid_index + 1 FROM runs WHERE sweep_id = :sweep AND "
        "grid_index IS NOT NULL) WHERE gap NOT IN (SELECT grid_index FROM runs WHERE sweep_id = :sweep AND "
        "grid_index IS NOT NULL)"
    )
    return db.execute(query, {"sweep": sweep_id}).fetchone()[0]


def burnt(db: sqlite3.Connection, agent_id: int) -> list[str]:
    """Names of the agent's last trials, when each failed within its first minute; else none."""
    rows = db.execute(
        "SELECT name, state, ended_at - created_at AS seconds FROM runs WHERE agent_id = ? ORDER BY id DESC LIMIT ?",
        (agent_id, BURNT_TRIALS),
    ).fetchall()
    failed = [
        row["name"] for row in rows if row["state"] in ("failed", "crashed") and (row["seconds"] or 0) < BURNT_SECONDS
    ]
    return failed if len(failed) == BURNT_TRIALS else []


# What a bayes search learns from


def observations(db: sqlite3.Connection, sweep_id: int, config: Row) -> list[bayes.Observation]:
    """Every trial that has a place in the space, in order."""
    sign, metric = direction(config), config.get("metric") or {}
    rows = db.execute(
        "SELECT state, search_json, summary_json, metric_best FROM runs "
        "WHERE sweep_id = ? AND search_json IS NOT NULL AND deleted_at IS NULL ORDER BY id",
        (sweep_id,),
    ).fetchall()
    results = [row["metric_best"] for row in rows if row["state"] == "finished" and row["metric_best"] is not None]
    worst = max(results, key=lambda value: sign * value, default=None)
    return [bayes.Observation(json.loads(row["search_json"]), _result(row, metric, worst)) for row in rows]


def _result(row: sqlite3.Row, metric: Row, worst: float | None) -> float | None:
    """A trial's result, or what W&B's `impute` and `impute_while_running` put in its place; None while it has none."""
    own = row["metric_best"]
    if row["state"] == "finished":
        return worst if own is None else own
    if row["state"] in BAD_ENDS:
        strategy = metric.get("impute") or "worst"
    elif row["state"] == "running" and own is not None:
        strategy = metric.get("impute_while_running") or "false"
    else:
        return None
    if strategy == "latest":
        last = history.number(history.lookup(json.loads(row["summary_json"]), metric["name"]))
        own = last if last is not None and math.isfinite(last) else own
    if strategy == "false":
        return None
    return worst if strategy == "worst" or own is None else own


# Runs that the scheduler did not begin, and sweeps whose configuration changes


def place(db: sqlite3.Connection, sweep_id: int, config: Row) -> None:
    """Puts every run of the sweep where its configuration lies in the sweep's space, or nowhere."""
    parameters = search.space(config)
    db.execute("UPDATE runs SET grid_index = NULL, search_json = NULL WHERE sweep_id = ?", (sweep_id,))
    rows = db.execute(
        "SELECT id, coalesce(suggestion_json, config_json) AS given FROM runs "
        "WHERE sweep_id = ? AND deleted_at IS NULL ORDER BY id",
        (sweep_id,),
    ).fetchall()
    taken = set()
    for row in rows:
        values = search.values_of(parameters, json.loads(row["given"]))
        if values is None:
            continue
        if config["method"] == "grid":
            index = search.grid_index(parameters, values)
            if index is not None and index not in taken:
                taken.add(index)
                db.execute("UPDATE runs SET grid_index = ? WHERE id = ?", (index, row["id"]))
        elif config["method"] == "bayes":
            coordinates = bayes.coordinates_of(parameters, values)
            if coordinates is not None:
                db.execute("UPDATE runs SET search_json = ? WHERE id = ?", (json.dumps(coordinates), row["id"]))


def measure(db: sqlite3.Connection, sweep_id: int, config: Row) -> None:
    """Reads the sweep's metric from the history of all its runs again."""
    name = (config.get("metric") or {}).get("name")
    settings = config.get("early_terminate")
    marks = hyperband.bands(settings) if settings else []
    for (run_id,) in db.execute("SELECT id FROM runs WHERE sweep_id = ?", (sweep_id,)).fetchall():
        _, logged = history.series(db, run_id, [name]).get(name, ((), ())) if name else ((), ())
        values = [value for value in logged if math.isfinite(value)]
        found = min(values, key=lambda value: direction(config) * value, default=None)
        db.execute("UPDATE runs SET metric_count = ?, metric_best = ? WHERE id = ?", (len(values), found, run_id))
        db.execute("DELETE FROM bands WHERE run_id = ?", (run_id,))
        passed = [(run_id, mark, values[mark - 1]) for mark in marks if mark <= len(values)]
        db.executemany("INSERT INTO bands VALUES (?, ?, ?)", passed)
        take_summary(db, run_id, config)


def take_summary(db: sqlite3.Connection, run_id: int, config: Row) -> None:
    """The value of a run that never logged the metric but wrote it to its summary."""
    name = (config.get("metric") or {}).get("name")
    row = db.execute("SELECT metric_best, summary_json FROM runs WHERE id = ?", (run_id,)).fetchone()
    if not name or row["metric_best"] is not None:
        return
    value = history.number(history.lookup(json.loads(row["summary_json"]), name))
    if value is not None and math.isfinite(value):
        db.execute("UPDATE runs SET metric_best = ? WHERE id = ?", (value, run_id))
