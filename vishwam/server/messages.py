"""What a message of a run's stream does to the run, inside a transaction."""

import functools
import json
import math
import re
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from vishwam.server import history, hyperband, trials
from vishwam.server.database import update
from vishwam.server.scheduler import settle
from vishwam.server.web import Refused

Names = tuple[str, str, str]  # entity, project, run
Run = dict[str, Any]

MAX_REMEMBERED = 10_000
# The columns that a message needs: a run's configuration and summary may be long, and messages are many.
_RUN = """SELECT runs.id, runs.project_id, runs.state, ended_at, history_lines, event_lines, log_lines, last_step,
inherited_lines, stop_requested, early_stopped, sweep_id, metric_count, metric_best, sweeps.config_json AS sweep_config
FROM runs JOIN projects ON projects.id = runs.project_id
LEFT JOIN sweeps ON sweeps.id = sweep_id
WHERE entity = ? AND projects.name = ? AND runs.name = ? AND deleted_at IS NULL"""
_CONSOLE_LINE = re.compile(r"(ERROR )?(\d{4}-\d\d-\d\dT[0-9:.]+Z?) (.*)", re.DOTALL)


class Memory:
    """Runs as their last messages left them, for as long as the writer changes nothing else.

    Other processes write to the folder, too (a new key, a collection), but to no run that may still speak.
    """

    def __init__(self) -> None:
        self._runs: dict[Names, Run] = {}
        self._changes = -1

    def find(self, db: sqlite3.Connection, names: Names) -> Run:
        """The columns of _RUN; raises 404."""
        if db.total_changes != self._changes or len(self._runs) > MAX_REMEMBERED:
            self._runs.clear()
            self._changes = db.total_changes
        run = self._runs.get(names)
        if run is None:
            found = db.execute(_RUN, names).fetchone()
            if found is None:
                raise Refused(404, f"no run {'/'.join(names)}")
            run = self._runs[names] = dict(found)
        return run

    def write(self, db: sqlite3.Connection, run: Run, changes: dict[str, Any]) -> None:
        update(db, "runs", run["id"], changes)
        for column, value in changes.items():
            if column in run:
                run[column] = value
        self._changes = db.total_changes

    def forget(self) -> None:
        """A transaction was undone."""
        self._runs.clear()


def receive(db: sqlite3.Connection, memory: Memory, names: Names, message: Any) -> tuple[Run, bool]:
    """Stores one message of a run; returns the run, and whether it has been asked to stop."""
    files = message.get("files") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(files, (dict, type(None))):
        raise Refused(400, "the body is not a file stream message")
    run = memory.find(db, names)
    stop = bool(run["stop_requested"])
    changes: dict[str, Any] = {}
    for name, chunk in (files or {}).items():
        offset, lines = _chunk(chunk)
        if name == "wandb-history.jsonl":
            offset += run["inherited_lines"]
            rows, count = history.append(db, run["id"], history.HISTORY, run["history_lines"], offset, lines)
            changes["history_lines"] = count
            stop = _measured(db, run, rows, changes) or stop
        elif name == "wandb-events.jsonl":
            _, changes["event_lines"] = history.append(db, run["id"], history.EVENTS, run["event_lines"], offset, lines)
        elif name == "wandb-summary.json" and lines:
            history.parse_line(lines[-1])
            changes["summary_json"] = lines[-1]
        elif name == "output.log":
            _console(db, run, offset, lines)
            changes["log_lines"] = max(run["log_lines"], offset + len(lines))
    _advance(db, memory, run, message, changes)
    return run, stop


def _chunk(chunk: Any) -> tuple[int, list[Any]]:
    if isinstance(chunk, dict):
        offset, lines = chunk.get("offset"), chunk.get("content")
        if isinstance(offset, int) and isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            return offset, lines
    raise Refused(400, "a file of the stream needs an integer offset and a list of lines")


def _console(db: sqlite3.Connection, run: Run, offset: int, lines: list[str]) -> None:
    if not 0 <= offset < history.MAX_LINE:
        raise Refused(400, f"offset {offset} is not a line number")
    rows = []
    for number, line in enumerate(lines, offset):
        match = _CONSOLE_LINE.fullmatch(line)
        level, when, text = (match[1] or "", match[2], match[3]) if match else ("", None, line)
        rows.append((run["id"], number, "error" if level else "", when, text.rstrip("\n")))
    # Terminal emulation rewrites lines already sent: progress bars.
    db.executemany("INSERT OR REPLACE INTO console VALUES (?, ?, ?, ?, ?)", rows)


def _advance(
    db: sqlite3.Connection, memory: Memory, run: Run, message: dict[str, Any], changes: dict[str, Any]
) -> None:
    """Heartbeat, the run's state as the message has it, and `changes` of its other columns."""
    changes["heartbeat_at"] = now = time.time()
    state, complete = run["state"], message.get("complete")
    if complete:
        code = message.get("exitcode")
        changes["exit_code"] = code = code if isinstance(code, int) and abs(code) < 1 << 31 else 0
        changes["ended_at"] = now
        if code == 0 or run["early_stopped"]:
            state = "finished"
        elif state == "preempting":
            state = "preempted"
        else:
            state = "killed" if run["stop_requested"] else "failed"
    elif message.get("preempting"):
        state = "preempting"
    elif state in ("pending", "crashed", "preempted"):
        # It speaks, so it lives: the reaper had given it up too early.
        state, changes["ended_at"] = "running", None
    before = run["state"]
    if state != before:
        changes["state"] = state  # indexed: not written for nothing
    memory.write(db, run, changes)
    if run["sweep_id"] is None:
        return
    if complete:
        trials.take_summary(db, run["id"], json.loads(run["sweep_config"]))
    if state != before:
        settle(db, run["sweep_id"])


@dataclass(frozen=True)
class _Metric:
    """What a sweep looks for: 1 to minimise and -1 to maximise, and the settings and bands of early stopping."""

    name: str
    sign: float
    settings: dict[str, Any]
    marks: list[int]


@functools.lru_cache(maxsize=64)
def _metric(sweep_config: str) -> _Metric | None:
    config = json.loads(sweep_config)
    name = (config.get("metric") or {}).get("name")
    settings = config.get("early_terminate")
    marks = hyperband.bands(settings) if settings else []
    return _Metric(name, trials.direction(config), settings, marks) if name else None


def _measured(db: sqlite3.Connection, run: Run, rows: list[dict[str, Any]], changes: dict[str, Any]) -> bool:
    """Follows the sweep's metric through new rows; returns whether early stopping ends the run."""
    if rows:
        changes["last_step"] = max(run["last_step"], *(history.step_of(row, run["last_step"]) for row in rows))
    metric = _metric(run["sweep_config"]) if run["sweep_config"] is not None else None
    if metric is None:
        return False
    count, best = run["metric_count"], run["metric_best"]
    stop = False
    for row in rows:
        value = history.number(history.lookup(row, metric.name))
        if value is None or not math.isfinite(value):
            continue
        count += 1
        best = value if best is None or metric.sign * value < metric.sign * best else best
        if count in metric.marks:
            db.execute("INSERT OR REPLACE INTO bands VALUES (?, ?, ?)", (run["id"], count, value))
        reached = max((mark for mark in metric.marks if mark <= count), default=None)
        if reached is not None and not run["early_stopped"] and not stop:
            stop = _judge(db, run, reached, best, metric)
    if count != run["metric_count"]:
        changes |= {"metric_count": count, "metric_best": best}
    if stop:
        changes |= {"early_stopped": 1, "stop_requested": 1}
    return stop


def _judge(db: sqlite3.Connection, run: Run, band: int, best: float, metric: _Metric) -> bool:
    values = {
        run_id: metric.sign * value
        for run_id, value in db.execute(
            "SELECT run_id, value FROM bands JOIN runs ON runs.id = run_id WHERE sweep_id = ? AND iteration = ?",
            (run["sweep_id"], band),
        )
    }
    eta = float(metric.settings.get("eta", 3))
    strict = metric.settings.get("strict") is True
    at_band = values.get(run["id"], metric.sign * best)
    return hyperband.stops(metric.sign * best, at_band, list(values.values()), eta, strict)
