"""What the pages read from the database, as plain dictionaries. Times are Unix seconds; nothing here writes."""

import json
import math
import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Any

LIVE_STATES = ("pending", "running", "preempting")
LONGEST_TEXT = 160
AGENT_LOST_SECONDS = 75.0  # an agent speaks every 5 s


def projects(db: sqlite3.Connection, entity: str | None = None) -> list[dict]:
    """Every project (of one entity), the one touched last first."""
    rows = db.execute(
        """SELECT p.entity, p.name, p.created_at AS created,
                  COUNT(r.id) AS runs, COALESCE(SUM(r.state IN ('running', 'preempting')), 0) AS running,
                  (SELECT COUNT(*) FROM sweeps s WHERE s.project_id = p.id) AS sweeps,
                  (SELECT COUNT(*) FROM views v WHERE v.project_id = p.id AND v.type = 'runs') AS reports,
                  MAX(COALESCE(r.heartbeat_at, r.created_at, p.created_at)) AS touched
           FROM projects p LEFT JOIN runs r ON r.project_id = p.id AND r.deleted_at IS NULL
           WHERE ? IS NULL OR p.entity = ? GROUP BY p.id ORDER BY touched DESC""",
        (entity, entity),
    )
    return [dict(row) for row in rows]


def project(db: sqlite3.Connection, entity: str, name: str) -> dict | None:
    row = db.execute("SELECT * FROM projects WHERE entity = ? AND name = ?", (entity, name)).fetchone()
    return dict(row) if row else None


def sweeps(db: sqlite3.Connection, project_id: int, name: str | None = None) -> list[dict]:
    """Sweeps with the number of their trials by state, newest first; only the one called `name` if it is given."""
    found = []
    for row in db.execute(
        "SELECT * FROM sweeps WHERE project_id = ? AND (? IS NULL OR name = ?) ORDER BY created_at DESC",
        (project_id, name, name),
    ):
        config = json.loads(row["config_json"] or "{}")
        counts = {
            state: count
            for state, count in db.execute(
                """SELECT CASE WHEN early_stopped THEN 'stopped early' ELSE state END AS shown, COUNT(*) FROM runs
                   WHERE sweep_id = ? AND deleted_at IS NULL GROUP BY shown""",
                (row["id"],),
            )
        }
        found.append(
            {
                "row": row["id"],
                "id": row["name"],
                "name": row["display_name"] or config.get("name") or row["name"],
                "description": row["description"] or config.get("description") or "",
                "state": row["state"].lower(),
                "method": row["method"],
                "yaml": row["config"],
                "config": config,
                "metric": config.get("metric") or {},
                "created": row["created_at"],
                "counts": counts,
                "trials": sum(counts.values()),
                "expected": config.get("run_cap") or row["grid_size"],
            }
        )
    return found


def reports(db: sqlite3.Connection, project_id: int) -> list[dict]:
    rows = db.execute(
        """SELECT id, name, display_name, description, created_at, updated_at FROM views
           WHERE project_id = ? AND type = 'runs' ORDER BY updated_at DESC""",
        (project_id,),
    )
    return [dict(row) for row in rows]


def report(db: sqlite3.Connection, project_id: int, view_id: int) -> dict | None:
    row = db.execute("SELECT * FROM views WHERE project_id = ? AND id = ?", (project_id, view_id)).fetchone()
    return dict(row) if row else None


def run_rows(
    db: sqlite3.Connection, project_id: int, sweep_id: int | None = None, names: Sequence[str] | None = None
) -> list[sqlite3.Row]:
    """Rows of `runs`, oldest first, with the name of their sweep; of one sweep, or only the named ones."""
    where, values = "r.project_id = ? AND r.deleted_at IS NULL", [project_id]
    if sweep_id is not None:
        where, values = where + " AND r.sweep_id = ?", [*values, sweep_id]
    if names is not None:
        where = where + " AND r.name IN (SELECT value FROM json_each(?))"
        values = [*values, json.dumps(list(names))]  # type: ignore[list-item]
    return db.execute(
        f"""SELECT r.*, s.name AS sweep_name, u.name AS user_name FROM runs r
            LEFT JOIN sweeps s ON s.id = r.sweep_id LEFT JOIN users u ON u.id = r.user_id
            WHERE {where} ORDER BY r.created_at, r.id""",
        values,
    ).fetchall()


def runs(rows: Iterable[sqlite3.Row], sweep_config: dict | None = None) -> list[dict]:
    """Runs as the pages show them: configuration and summary flat, runtime in seconds, labelled by what differs."""
    found = [_run(row) for row in rows]
    knobs = varied_knobs(found, sweep_config)
    for run in found:
        run["label"] = label(run, knobs)
    return found


def _run(row: sqlite3.Row) -> dict:
    config = {
        key: item.get("value") if isinstance(item, dict) and "value" in item else item
        for key, item in json.loads(row["config_json"] or "{}").items()
        if key != "_wandb"
    }
    if not config and row["suggestion_json"]:
        config = {
            key: item.get("value") if isinstance(item, dict) else item
            for key, item in json.loads(row["suggestion_json"]).items()
        }
    summary, media = {}, {}
    for key, value in flatten(json.loads(row["summary_json"] or "{}"), keep_typed=True).items():
        if isinstance(value, dict):
            media[key] = {name: value.get(name) for name in ("_type", "path", "nrows", "ncols", "format", "caption")}
        elif not key.startswith("_wandb"):
            summary[key] = value
    started = row["started_at"] or row["created_at"]
    live = row["state"] in LIVE_STATES
    ended = row["ended_at"] or (time.time() if live and row["started_at"] else row["heartbeat_at"]) or started
    return {
        "id": row["name"],
        "name": row["display_name"] or row["name"],
        "state": row["state"],
        "early": bool(row["early_stopped"]),
        "live": live,
        "created": row["created_at"],
        "runtime": max(0.0, ended - started),
        "sweep": row["sweep_name"],
        "user": row["user_name"],
        "group": row["group_name"],
        "job_type": row["job_type"],
        "host": row["host"],
        "tags": json.loads(row["tags_json"] or "[]"),
        "config": flatten(config),
        "summary": summary,
        "media": media,
    }


def brief(run: dict) -> dict:
    """The run without the long texts in its configuration (a whole Gin file): hundreds of runs are sent at once."""
    config = {
        key: value[:LONGEST_TEXT] + "…" if isinstance(value, str) and len(value) > LONGEST_TEXT else value
        for key, value in run["config"].items()
    }
    return run | {"config": config}


def flatten(value: dict, prefix: str = "", keep_typed: bool = False) -> dict[str, Any]:
    """Nested dictionaries joined by dots; with `keep_typed`, those with a `_type` (tables, images) stay whole."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item and not (keep_typed and "_type" in item):
            flat.update(flatten(item, f"{prefix}{key}.", keep_typed))
        else:
            flat[prefix + key] = item
    return flat


def finite(value: Any) -> Any:
    """What a browser can read as JSON: NaN, infinities and whole numbers beyond 2**53 leave as strings."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and abs(value) > 2**53:
        return str(value)
    return value


def sweep_parameters(config: dict, prefix: str = "") -> dict[str, dict]:
    """The sweep's parameters by flat name; nested ones joined by dots."""
    flat: dict[str, dict] = {}
    for key, item in (config.get("parameters") or {}).items():
        if isinstance(item, dict) and "parameters" in item:
            flat.update(sweep_parameters(item, f"{prefix}{key}."))
        elif isinstance(item, dict):
            flat[prefix + key] = item
    return flat


def varied_knobs(found: list[dict], sweep_config: dict | None = None) -> list[str]:
    """The knobs that tell these runs apart: what the sweep varies, else the scalars in their settings that differ."""
    if sweep_config:
        parameters = sweep_parameters(sweep_config)
        varied = [key for key, item in parameters.items() if "value" not in item and len(item.get("values", "ab")) > 1]
        if varied:
            return varied
    if len(found) < 2:
        return []
    seen: dict[str, set[str]] = {}
    for key in {key for run in found for key in run["config"]}:
        values = {json.dumps(run["config"].get(key), default=str) for run in found}
        if len(values) > 1 and all(len(value) < 40 and value[:1] not in "[{" for value in values):
            seen[key] = values
    order = list(dict.fromkeys(key for run in found for key in run["config"]))
    return sorted(seen, key=order.index)[:8]


def label(run: dict, knobs: list[str]) -> str:
    """`place · learning_rate 0.003`: words alone, numbers with their knob; the run's name when nothing differs."""
    parts = []
    for knob in knobs:
        value = run["config"].get(knob)
        if isinstance(value, str) and value[:1].isalpha():
            parts.append(value)
        elif value is not None:
            parts.append(f"{knob} {short(value)}")
    return " · ".join(parts) or run["name"]


def short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def best(found: list[dict], metric: dict) -> dict | None:
    """The run with the best last value of the sweep's metric; None before any run logged it."""
    name, sign = metric.get("name"), -1 if metric.get("goal") == "maximize" else 1
    values = ((run["summary"].get(name), run) for run in found)
    scored = [(sign * value, run) for value, run in values if isinstance(value, int | float) and math.isfinite(value)]
    return min(scored, key=lambda pair: pair[0])[1] if scored else None


def agents(db: sqlite3.Connection, sweep_id: int) -> list[dict]:
    """A sweep's agents, those heard of last first, with what each does now and why it gets no more trials."""
    rows = db.execute(
        """SELECT a.name, a.host, a.created_at AS created, a.heartbeat_at AS heard, a.stop_reason,
                  COUNT(r.id) AS trials, MAX(CASE WHEN r.state IN ('pending', 'running', 'preempting') THEN r.name END)
                  AS run, COALESCE(SUM(r.state IN ('failed', 'crashed')), 0) AS failed
           FROM agents a LEFT JOIN runs r ON r.agent_id = a.id AND r.deleted_at IS NULL
           WHERE a.sweep_id = ? GROUP BY a.id ORDER BY heard DESC""",
        (sweep_id,),
    )
    return [{**dict(row), "alive": time.time() - row["heard"] < AGENT_LOST_SECONDS} for row in rows]


def storage(db: sqlite3.Connection, run_rows: Sequence[int]) -> int:
    """Bytes on disk of the files and artifacts of these runs, equal contents counted once."""
    ids = json.dumps(list(run_rows))
    return db.execute(
        """SELECT COALESCE(SUM(size), 0) FROM blobs WHERE sha256 IN (
               SELECT sha256 FROM files WHERE run_id IN (SELECT value FROM json_each(?1))
               UNION SELECT f.sha256 FROM artifacts a JOIN artifact_files f ON f.artifact_id = a.id
               WHERE a.run_id IN (SELECT value FROM json_each(?1)) AND a.state = 'COMMITTED')""",
        (ids,),
    ).fetchone()[0]


def artifacts(db: sqlite3.Connection, run_row: int) -> dict[str, list[dict]]:
    """Artifacts the run logged and those it used, newest first, with the aliases of each."""
    columns = """SELECT c.name, c.type, a.version_index, a.size, a.file_count, a.created_at, a.state,
                 (SELECT json_group_array(alias) FROM aliases l
                  WHERE l.artifact_id = a.id AND l.collection_id = c.id) AS aliases"""
    logged = db.execute(
        f"{columns} FROM artifacts a JOIN artifact_collections c ON c.id = a.collection_id "
        "WHERE a.run_id = ? AND a.state != 'DELETED' ORDER BY a.created_at DESC",
        (run_row,),
    )
    used = db.execute(
        f"{columns} FROM artifact_uses x JOIN artifacts a ON a.id = x.artifact_id "
        "JOIN artifact_collections c ON c.id = a.collection_id WHERE x.run_id = ? ORDER BY x.used_at DESC",
        (run_row,),
    )
    return {
        name: [{**dict(row), "aliases": json.loads(row["aliases"])} for row in rows]
        for name, rows in (("logged", logged), ("used", used))
    }


def alerts(db: sqlite3.Connection, run_row: int) -> list[dict]:
    """What the run told its people, newest first."""
    rows = db.execute(
        "SELECT title, text, severity, created_at FROM alerts WHERE run_id = ? ORDER BY created_at DESC LIMIT 20",
        (run_row,),
    )
    return [dict(row) for row in rows]


def files(db: sqlite3.Connection, run_row: int) -> list[dict]:
    rows = db.execute(
        """SELECT f.name, f.updated_at, f.sha256, b.size FROM files f JOIN blobs b ON b.sha256 = f.sha256
           WHERE f.run_id = ? ORDER BY f.name""",
        (run_row,),
    )
    return [dict(row) for row in rows]


def console(db: sqlite3.Connection, run_row: int, after: int, limit: int) -> list[sqlite3.Row]:
    """Lines of the console from number `after` on; at most the last `limit` of them."""
    rows = db.execute(
        "SELECT line, level, text FROM console WHERE run_id = ? AND line >= ? ORDER BY line DESC LIMIT ?",
        (run_row, after, limit),
    ).fetchall()
    return rows[::-1]
