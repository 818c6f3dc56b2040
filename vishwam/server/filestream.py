"""POST /files/{entity}/{project}/{run}/file_stream: the hot path, which carries what a running trial reports."""

import json
import math
import re
import sqlite3
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from vishwam.server import history, hyperband, trials
from vishwam.server.store import Store
from vishwam.server.web import Refused, json_response, read_body, user_of

MAX_BYTES = 32 << 20  # the client sends 10 MB at most
ENDED = ("finished", "failed", "crashed", "killed", "preempted")
_RUN = """SELECT runs.*, sweeps.config_json AS sweep_config FROM runs JOIN projects ON projects.id = runs.project_id
LEFT JOIN sweeps ON sweeps.id = sweep_id
WHERE entity = ? AND projects.name = ? AND runs.name = ? AND deleted_at IS NULL"""
_CONSOLE_LINE = re.compile(r"(ERROR )?(\d{4}-\d\d-\d\dT[0-9:.]+Z?) (.*)", re.DOTALL)


class Endpoint:
    def __init__(self, store: Store) -> None:
        self.store = store

    async def __call__(self, request: Request) -> Response:
        user_of(self.store, request)
        body = await read_body(request, MAX_BYTES)
        try:
            message = json.loads(str(body, "utf-8"))
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        path = request.path_params
        stopped = receive(self.store, (path["entity"], path["project"], path["run"]), message)
        return json_response({"exitcode": None, "limits": {}, "stopped": stopped})


def receive(store: Store, path: tuple[str, str, str], message: Any) -> bool:
    """Stores one message of a run, whole or not at all; returns whether the run has been asked to stop."""
    files = message.get("files") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(files, (dict, type(None))):
        raise Refused(400, "the body is not a file stream message")
    with store.transaction() as db:
        found = db.execute(_RUN, path).fetchone()
        if found is None:
            raise Refused(404, f"no run {'/'.join(path)}")
        run = dict(found)
        stop = bool(run["stop_requested"])
        for name, chunk in (files or {}).items():
            offset, lines = _chunk(chunk)
            if name == "wandb-history.jsonl":
                rows = history.append(db, run["id"], history.HISTORY, run["history_lines"], offset, lines)
                stop = _measured(db, run, rows) or stop
            elif name == "wandb-events.jsonl":
                history.append(db, run["id"], history.EVENTS, run["event_lines"], offset, lines)
            elif name == "wandb-summary.json" and lines:
                history.parse_line(lines[-1])
                db.execute("UPDATE runs SET summary_json = ? WHERE id = ?", (lines[-1], run["id"]))
            elif name == "output.log":
                _console(db, run, offset, lines)
        _advance(db, run, message)
    store.changes.publish(run["project_id"], run["id"])
    return stop


def _chunk(chunk: Any) -> tuple[int, list[Any]]:
    if isinstance(chunk, dict):
        offset, lines = chunk.get("offset"), chunk.get("content")
        if isinstance(offset, int) and isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            return offset, lines
    raise Refused(400, "a file of the stream needs an integer offset and a list of lines")


def _console(db: sqlite3.Connection, run: dict[str, Any], offset: int, lines: list[str]) -> None:
    if not 0 <= offset < history.MAX_LINE:
        raise Refused(400, f"offset {offset} is not a line number")
    rows = []
    for number, line in enumerate(lines, offset):
        match = _CONSOLE_LINE.fullmatch(line)
        level, when, text = (match[1] or "", match[2], match[3]) if match else ("", None, line)
        rows.append((run["id"], number, "error" if level else "", when, text.rstrip("\n")))
    # Terminal emulation rewrites lines already sent: progress bars.
    db.executemany("INSERT OR REPLACE INTO console VALUES (?, ?, ?, ?, ?)", rows)
    db.execute("UPDATE runs SET log_lines = max(log_lines, ?) WHERE id = ?", (offset + len(lines), run["id"]))


def _advance(db: sqlite3.Connection, run: dict[str, Any], message: dict[str, Any]) -> None:
    """Heartbeat, and the run's state as the message has it."""
    now = time.time()
    state, ended, code = run["state"], run["ended_at"], message.get("exitcode")
    if message.get("complete"):
        code = code if isinstance(code, int) and abs(code) < 1 << 31 else 0
        ended = now
        if code == 0 or run["early_stopped"]:
            state = "finished"
        elif state == "preempting":
            state = "preempted"
        else:
            state = "killed" if run["stop_requested"] else "failed"
        db.execute("UPDATE runs SET exit_code = ? WHERE id = ?", (code, run["id"]))
    elif message.get("preempting"):
        state = "preempting"
    elif state in ("pending", "crashed", "preempted"):
        # It speaks, so it lives: the reaper had given it up too early.
        state, ended = "running", None
    db.execute("UPDATE runs SET heartbeat_at = ?, state = ?, ended_at = ? WHERE id = ?", (now, state, ended, run["id"]))
    if run["sweep_id"] is None:
        return
    if message.get("complete"):
        trials.take_summary(db, run["id"], json.loads(run["sweep_config"]))
    if state != run["state"]:
        from vishwam.server.scheduler import settle

        settle(db, run["sweep_id"])


def _measured(db: sqlite3.Connection, run: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Follows the sweep's metric through new rows; returns whether early stopping ends the run."""
    if rows:
        last = max(history.step_of(row, run["last_step"]) for row in rows)
        db.execute("UPDATE runs SET last_step = max(last_step, ?) WHERE id = ?", (last, run["id"]))
    if run["sweep_config"] is None:
        return False
    config = json.loads(run["sweep_config"])
    metric = config.get("metric") or {}
    settings = config.get("early_terminate")
    if not metric.get("name"):
        return False
    sign = -1.0 if metric.get("goal") == "maximize" else 1.0
    marks = hyperband.bands(settings) if settings else []
    count, best = run["metric_count"], run["metric_best"]
    stop = False
    for row in rows:
        value = history.number(history.lookup(row, metric["name"]))
        if value is None or not math.isfinite(value):
            continue
        count += 1
        best = value if best is None or sign * value < sign * best else best
        if count in marks:
            db.execute("INSERT OR REPLACE INTO bands VALUES (?, ?, ?)", (run["id"], count, value))
        reached = max((mark for mark in marks if mark <= count), default=None)
        if reached is not None and not run["early_stopped"] and not stop:
            stop = _judge(db, run, reached, sign, best, settings)
    if count != run["metric_count"]:
        db.execute("UPDATE runs SET metric_count = ?, metric_best = ? WHERE id = ?", (count, best, run["id"]))
    if stop:
        db.execute("UPDATE runs SET early_stopped = 1, stop_requested = 1 WHERE id = ?", (run["id"],))
    return stop


def _judge(
    db: sqlite3.Connection, run: dict[str, Any], band: int, sign: float, best: float, settings: dict[str, Any]
) -> bool:
    values = {
        run_id: sign * value
        for run_id, value in db.execute(
            "SELECT run_id, value FROM bands JOIN runs ON runs.id = run_id WHERE sweep_id = ? AND iteration = ?",
            (run["sweep_id"], band),
        )
    }
    eta = float(settings.get("eta", 3))
    strict = settings.get("strict") is True
    at_band = values.get(run["id"], sign * best)
    return hyperband.stops(sign * best, at_band, list(values.values()), eta, strict)
