"""POST /files/{entity}/{project}/{run}/file_stream: the hot path, which carries what a running trial reports."""

import json
import math
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from vishwam.server import history, hyperband, trials
from vishwam.server.store import Store
from vishwam.server.together import Together
from vishwam.server.web import Refused, check_key, read_body

MAX_BYTES = 32 << 20  # the client sends 10 MB at most
ENDED = ("finished", "failed", "crashed", "killed", "preempted")
# The columns that a message needs: a run's configuration and summary may be long, and messages are many.
_RUN = """SELECT runs.id, runs.project_id, runs.state, ended_at, history_lines, event_lines, log_lines, last_step,
inherited_lines, stop_requested, early_stopped, sweep_id, metric_count, metric_best, sweeps.config_json AS sweep_config
FROM runs JOIN projects ON projects.id = runs.project_id
LEFT JOIN sweeps ON sweeps.id = sweep_id
WHERE entity = ? AND projects.name = ? AND runs.name = ? AND deleted_at IS NULL"""
_GO_ON, _STOP = (json.dumps({"exitcode": None, "limits": {}, "stopped": stopped}).encode() for stopped in (False, True))
_JSON = (b"content-type", b"application/json")
_CONSOLE_LINE = re.compile(r"(ERROR )?(\d{4}-\d\d-\d\dT[0-9:.]+Z?) (.*)", re.DOTALL)


class Endpoint:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.together = Together(store)

    async def __call__(self, request: Request) -> Response:
        path = request.path_params
        body = await self.answer(request, (path["entity"], path["project"], path["run"]))
        return Response(body, media_type="application/json")

    async def answer(self, request: Request, names: tuple[str, str, str]) -> bytes:
        check_key(self.store, request)
        body = await read_body(request, MAX_BYTES)
        try:
            message = json.loads(str(body, "utf-8"))
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        run, stopped = await self.together.commit(lambda db: receive(db, names, message))
        self.store.changes.publish(run["project_id"], run["id"])
        return _STOP if stopped else _GO_ON


class Shortcut:
    """Around the application: a message of the stream passes neither router nor the layers above it, half its time.

    `refusals(request, error)` is the answer to what an endpoint raises; it raises what is no refusal.
    """

    def __init__(self, app: ASGIApp, endpoint: Endpoint, refusals: Callable[..., Awaitable[Response]]) -> None:
        self.app, self.endpoint, self.refusals = app, endpoint, refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/") if scope["type"] == "http" and scope["method"] == "POST" else []
        if len(parts) != 6 or parts[5] != "file_stream" or parts[1] != "files":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await self.endpoint.answer(request, (parts[2], parts[3], parts[4]))
        except Exception as error:
            refusal = await self.refusals(request, error)
            await refusal(scope, receive, send)
        else:
            length = (b"content-length", str(len(body)).encode())
            await send({"type": "http.response.start", "status": 200, "headers": [_JSON, length]})
            await send({"type": "http.response.body", "body": body})


def receive(db: sqlite3.Connection, path: tuple[str, str, str], message: Any) -> tuple[dict[str, Any], bool]:
    """Stores one message of a run, inside a transaction; returns the run, and whether it has been asked to stop."""
    files = message.get("files") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(files, (dict, type(None))):
        raise Refused(400, "the body is not a file stream message")
    found = db.execute(_RUN, path).fetchone()
    if found is None:
        raise Refused(404, f"no run {'/'.join(path)}")
    run = dict(found)
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
    _advance(db, run, message, changes)
    return run, stop


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


def _advance(db: sqlite3.Connection, run: dict[str, Any], message: dict[str, Any], changes: dict[str, Any]) -> None:
    """Heartbeat, the run's state as the message has it, and `changes` of its other columns."""
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
        changes["exit_code"] = code
    elif message.get("preempting"):
        state = "preempting"
    elif state in ("pending", "crashed", "preempted"):
        # It speaks, so it lives: the reaper had given it up too early.
        state, ended = "running", None
    changes |= {"heartbeat_at": now, "state": state, "ended_at": ended}
    assignments = ", ".join(f"{column} = ?" for column in changes)
    db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*changes.values(), run["id"]))
    if run["sweep_id"] is None:
        return
    if message.get("complete"):
        trials.take_summary(db, run["id"], json.loads(run["sweep_config"]))
    if state != run["state"]:
        from vishwam.server.scheduler import settle

        settle(db, run["sweep_id"])


def _measured(db: sqlite3.Connection, run: dict[str, Any], rows: list[dict[str, Any]], changes: dict[str, Any]) -> bool:
    """Follows the sweep's metric through new rows; returns whether early stopping ends the run."""
    if rows:
        changes["last_step"] = max(run["last_step"], *(history.step_of(row, run["last_step"]) for row in rows))
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
        changes |= {"metric_count": count, "metric_best": best}
    if stop:
        changes |= {"early_stopped": 1, "stop_requested": 1}
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
