"""Runs: made, found, resumed, described."""

import fnmatch
import json
import mimetypes
import random
import string
import time
from typing import Any

from vishwam.server import filters, history
from vishwam.server.files import run_file_url
from vishwam.server.graphql import Context, Row, connection, field, global_id, position, row_id
from vishwam.server.queries import check_name, find_project, make_project, project_by_id
from vishwam.server.web import Refused

_ADJECTIVES = [
    "amber",
    "brisk",
    "calm",
    "daring",
    "eager",
    "fluent",
    "gentle",
    "happy",
    "keen",
    "lively",
    "mellow",
    "noble",
    "polar",
    "quiet",
    "rapid",
    "sunny",
]
_NOUNS = [
    "brook",
    "cloud",
    "dawn",
    "ember",
    "field",
    "grove",
    "harbor",
    "island",
    "jungle",
    "lake",
    "meadow",
    "night",
    "ocean",
    "pine",
    "river",
    "star",
]
_TEXTS = {
    "displayName": "display_name",
    "description": "description",
    "notes": "notes",
    "groupName": "group_name",
    "jobType": "job_type",
    "commit": "commit_hash",
    "host": "host",
    "jobProgram": "program",
    "jobRepo": "repo",
}
STATES = ("pending", "running", "finished", "failed", "crashed", "killed", "preempting", "preempted")
MAX_JSON = 64 << 20


def new_name(length: int = 8) -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=length))


def find_run(context: Context, entity: str | None, project: str | None, name: str) -> Row | None:
    found = find_project(context, entity, project)
    return found and run_of(context, found, name)


def run_of(context: Context, project: Row, name: str) -> Row | None:
    return context.one(
        "SELECT * FROM runs WHERE project_id = ? AND name = ? AND deleted_at IS NULL", project["id"], name
    )


def required_run(context: Context, entity: str | None, project: str | None, name: str) -> Row:
    found = find_run(context, entity, project, name)
    if found is None:
        raise Refused(404, f"no run {entity}/{project}/{name}")
    return found


def run_by_id(context: Context, text: str | None) -> Row:
    found = context.one("SELECT * FROM runs WHERE id = ? AND deleted_at IS NULL", row_id("Run", text) or 0)
    if found is None:
        raise Refused(404, "no such run")
    return found


def insert_run(context: Context, project: Row, name: str, state: str, **columns: Any) -> Row:
    """A new run, inside a transaction; 409 when one of that name was deleted."""
    check_name("run", name)
    number = context.value("SELECT count(*) FROM runs WHERE project_id = ?", project["id"]) + 1
    row = {
        "project_id": project["id"],
        "name": name,
        "user_id": context.user["id"],
        "display_name": f"{random.choice(_ADJECTIVES)}-{random.choice(_NOUNS)}-{number}",
        "state": state,
        "created_at": time.time(),
        **columns,
    }
    if context.value("SELECT 1 FROM runs WHERE project_id = ? AND name = ?", project["id"], name):
        raise Refused(409, f"run {name} was deleted")
    marks = ", ".join("?" * len(row))
    context.db.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    found = run_of(context, project, name)
    assert found is not None
    return found


def json_object(what: str, text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise Refused(400, f"{what} is not JSON") from None
    if not isinstance(value, dict):
        raise Refused(400, f"{what} is not a JSON object")
    return value


@field("Mutation.upsertBucket")
def upsert_bucket(_: Any, context: Context, input: Row) -> Row:
    """A trial (or `wandb.Api`) makes or changes a run. A sweep's run exists before its process: this is its start."""
    changes: Row = {column: input[name] for name, column in _TEXTS.items() if input.get(name) is not None}
    for name in ("config", "summaryMetrics"):
        if input.get(name) is not None:
            json_object(name, input[name])
            changes[{"config": "config_json", "summaryMetrics": "summary_json"}[name]] = input[name]
    if input.get("tags") is not None:
        changes["tags_json"] = json.dumps(input["tags"])
    if input.get("state") is not None and input["state"] not in STATES:
        raise Refused(400, f"{input['state']!r} is not a run state")
    if changes.get("display_name") == "":
        del changes["display_name"]
    with context.store.transaction() as db:
        now = time.time()
        inserted = False
        if input.get("id") and row_id("Run", input["id"]) is not None:
            run = run_by_id(context, input["id"])
        else:
            name = input.get("name") or new_name()
            project = make_project(context, input.get("entityName"), input.get("modelName"))
            run = run_of(context, project, name) or {}
            inserted = not run
            sweep = _sweep_id(context, project, input.get("sweep"))
            if inserted:
                run = insert_run(context, project, name, input.get("state") or "running", sweep_id=sweep)
            elif sweep is not None and run["sweep_id"] is None:
                changes["sweep_id"] = sweep
        if inserted or not _is_edit(input):
            # A process takes the run over: it starts, or resumes.
            changes["state"] = input.get("state") or "running"
        elif input.get("state"):
            changes["state"] = input["state"]
        if changes.get("state") == "running":
            changes |= {
                "heartbeat_at": now,
                "started_at": run["started_at"] or now,
                "ended_at": None,
                "exit_code": None,
            }
        if "config_json" in changes and run["suggestion_json"] is not None:
            # What the scheduler chose stays, whatever the script thinks its configuration is.
            changes["config_json"] = json.dumps(
                {**json.loads(changes["config_json"]), **json.loads(run["suggestion_json"])}
            )
        if changes:
            assignments = ", ".join(f"{column} = ?" for column in changes)
            db.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*changes.values(), run["id"]))
        run = context.one("SELECT * FROM runs WHERE id = ?", run["id"]) or {}
    context.store.changes.publish(run["project_id"], run["id"])
    return {"bucket": run, "inserted": inserted}


def _is_edit(input: Row) -> bool:
    """`wandb.Api` changes a run without being its process; a process names its host."""
    return input.get("host") is None and input.get("state") is None


def _sweep_id(context: Context, project: Row, name: str | None) -> int | None:
    if not name:
        return None
    return context.value("SELECT id FROM sweeps WHERE project_id = ? AND name = ?", project["id"], name)


@field("Mutation.deleteRun")
def delete_run(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        run = run_by_id(context, input["id"])
        db.execute("UPDATE runs SET deleted_at = ? WHERE id = ?", (time.time(), run["id"]))
        if input.get("deleteArtifacts"):
            db.execute("UPDATE artifacts SET state = 'DELETED' WHERE run_id = ?", (run["id"],))
    context.store.changes.publish(run["project_id"], run["id"])
    return {"client_mutation_id": input.get("clientMutationId")}


@field("Mutation.stopRun")
def stop_run(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        run = run_by_id(context, input["id"])
        db.execute("UPDATE runs SET stop_requested = 1 WHERE id = ?", (run["id"],))
    return {"success": True}


@field("Mutation.updateRunState")
def update_run_state(_: Any, context: Context, input: Row) -> Row:
    allowed = {"pending": ("running", "failed", "crashed", "preempted"), "failed": ("pending", "running")}
    with context.store.transaction() as db:
        run = run_by_id(context, input["id"])
        if run["sweep_id"] is not None or run["state"] not in allowed.get(input["state"], ()):
            raise Refused(400, f"a run cannot go from {run['state']} to {input['state']}")
        db.execute("UPDATE runs SET state = ? WHERE id = ?", (input["state"], run["id"]))
    return {"success": True}


@field("Mutation.notifyScriptableRunAlert")
def alert(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        run = required_run(context, input["entityName"], input["projectName"], input["runName"])
        db.execute(
            "INSERT INTO alerts (run_id, title, text, severity, created_at) VALUES (?, ?, ?, ?, ?)",
            (run["id"], input["title"], input["text"], input.get("severity") or "INFO", time.time()),
        )
    context.store.changes.publish(run["project_id"], run["id"])
    return {"success": True}


# Lists


@field("Project.run")
def project_run(project: Row, context: Context, name: str, desc: str | None = None) -> Row | None:
    return run_of(context, project, name)


@field("Project.bucket")
def project_bucket(project: Row, context: Context, name: str, missingOk: bool | None = None) -> Row | None:
    return run_of(context, project, name)


def _matching(context: Context, project: Row, text: str | None, order: str | None) -> list[Row]:
    key = ("runs", project["id"], text, order)
    if key not in context.cache:
        rows = context.all(
            """SELECT runs.*, sweeps.name AS sweep_name, users.name AS username FROM runs
            LEFT JOIN sweeps ON sweeps.id = sweep_id LEFT JOIN users ON users.id = user_id
            WHERE runs.project_id = ? AND deleted_at IS NULL ORDER BY runs.created_at, runs.id""",
            project["id"],
        )
        context.cache[key] = filters.ordered(filters.matching(rows, json_object("filters", text)), order)
    return context.cache[key]


@field("Project.runs")
def project_runs(
    project: Row,
    context: Context,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> Row:
    return connection(_matching(context, project, filters, order), first, after)


@field("Project.runCount")
def run_count(project: Row, context: Context, filters: str | None = None) -> int:
    return len(_matching(context, project, filters, None))


# One run


@field("Run.id")
def run_id(run: Row, _: Context) -> str:
    return global_id("Run", run["id"])


@field("Run.internalId")
def run_internal_id(run: Row, _: Context) -> str:
    return global_id("RunInternalId", run["id"])


@field("Run.project")
def run_project(run: Row, context: Context) -> Row:
    return project_by_id(context, run["project_id"])


@field("Run.user")
def run_user(run: Row, context: Context) -> Row | None:
    return context.one("SELECT * FROM users WHERE id = ?", run["user_id"])


@field("Run.group")
def run_group(run: Row, _: Context) -> str | None:
    return run["group_name"]


@field("Run.commit")
def run_commit(run: Row, _: Context) -> str | None:
    return run["commit_hash"]


@field("Run.exitcode")
def run_exit_code(run: Row, _: Context) -> int | None:
    return run["exit_code"]


@field("Run.tags")
def run_tags(run: Row, _: Context) -> list[str]:
    return json.loads(run["tags_json"])


@field("Run.failed")
def run_failed(run: Row, _: Context) -> bool:
    return run["state"] in ("failed", "crashed")


@field("Run.running")
def run_running(run: Row, _: Context) -> bool:
    return run["state"] in ("pending", "running", "preempting")


@field("Run.stopped", "Run.shouldStop")
def run_stopped(run: Row, _: Context) -> bool:
    return bool(run["stop_requested"])


@field("Run.readOnly")
def run_read_only(_: Row, __: Context) -> bool:
    return False


@field("Run.sweepName")
def run_sweep_name(run: Row, context: Context) -> str | None:
    return context.value("SELECT name FROM sweeps WHERE id = ?", run["sweep_id"]) if run["sweep_id"] else None


@field("Run.config")
def run_config(run: Row, _: Context) -> str:
    return run["config_json"]


@field("Run.wandbConfig")
def run_wandb_config(run: Row, _: Context, keys: list[str] | None = None) -> str | None:
    """The client's own part of the configuration; without "t" the run has never started."""
    inner = json.loads(run["config_json"]).get("_wandb")
    value = inner.get("value") if isinstance(inner, dict) else None
    if not isinstance(value, dict):
        return None
    return json.dumps({key: value[key] for key in keys or value if key in value})


@field("Run.summaryMetrics")
def run_summary(run: Row, _: Context) -> str:
    return run["summary_json"]


@field("Run.systemMetrics")
def run_system_metrics(run: Row, context: Context) -> str:
    text = context.value("SELECT data_json FROM events WHERE run_id = ? ORDER BY line DESC LIMIT 1", run["id"])
    return text or "{}"


@field("Run.historyKeys")
def run_history_keys(run: Row, context: Context) -> Row | None:
    return history.history_keys(context.db, run) if run["history_lines"] else None


@field("Run.historyLineCount")
def run_history_lines(run: Row, _: Context) -> int:
    return run["history_lines"]


@field("Run.eventsLineCount")
def run_event_lines(run: Row, _: Context) -> int:
    return run["event_lines"]


@field("Run.logLineCount")
def run_log_lines(run: Row, _: Context) -> int:
    return run["log_lines"]


def _tail(context: Context, table: str, run: Row) -> str:
    rows = context.all(f"SELECT data_json FROM {table} WHERE run_id = ? ORDER BY line DESC LIMIT 1", run["id"])
    return json.dumps([row["data_json"] for row in rows])


@field("Run.historyTail")
def run_history_tail(run: Row, context: Context) -> str:
    return _tail(context, "history", run)


@field("Run.eventsTail")
def run_events_tail(run: Row, context: Context) -> str:
    return _tail(context, "events", run)


@field("Run.history")
def run_history(
    run: Row, context: Context, minStep: int | None = None, maxStep: int | None = None, samples: int | None = None
) -> list[str]:
    limit = min(max(samples if samples is not None else 500, 0), 1_000_000)
    if minStep is None and maxStep is None:
        return history.sampled_rows(context.db, run["id"], history.HISTORY, limit)
    low, high = minStep if minStep is not None else -1, maxStep if maxStep is not None else 1 << 62
    return history.page(context.db, run["id"], history.HISTORY, low, high, limit)


@field("Run.events")
def run_events(run: Row, context: Context, samples: int | None = None) -> list[str]:
    return history.sampled_rows(context.db, run["id"], history.EVENTS, max(samples or 500, 0))


@field("Run.sampledHistory")
def run_sampled_history(run: Row, context: Context, specs: list[str]) -> list[Any]:
    return [history.sampled_history(context.db, run["id"], json_object("spec", spec)) for spec in specs]


@field("Run.parquetHistory")
def run_parquet_history(run: Row, context: Context, liveKeys: list[str]) -> Row:
    """No exported files, and so no boundary after which rows are live: the client then asks for pages of rows."""
    return {"parquet_urls": [], "live_data": []}


@field("Run.logLines")
def run_logs(
    run: Row,
    context: Context,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    useImprovedPagination: bool | None = None,
) -> Row:
    start = position(after) + 1 if after else 0
    if last is not None:
        start = max(start, run["log_lines"] - max(last, 0))
    limit = min(first if first is not None and first >= 0 else 10_000, 100_000)
    rows = context.all(
        "SELECT * FROM console WHERE run_id = ? AND line >= ? ORDER BY line LIMIT ?", run["id"], start, limit + 1
    )
    more, rows = len(rows) > limit, rows[:limit]
    edges = [
        {"cursor": str(row["line"]), "node": {**row, "number": row["line"], "line": row["text"], "label": ""}}
        for row in rows
    ]
    return {
        "edges": edges,
        "page_info": {"end_cursor": edges[-1]["cursor"] if edges else after, "has_next_page": more},
    }


# Files


@field("Run.fileCount")
def run_file_count(run: Row, context: Context) -> int:
    return context.value("SELECT count(*) FROM files WHERE run_id = ?", run["id"])


@field("Run.files")
def run_files(
    run: Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> Row:
    rows = context.all(
        "SELECT files.*, md5, size FROM files JOIN blobs USING (sha256) WHERE run_id = ? ORDER BY name", run["id"]
    )
    found = {row["name"]: row for row in rows}
    if names:
        # The client asks by name for files it is about to upload.
        chosen = [found.get(name) or {"name": name, "md5": None, "size": 0, "updated_at": None} for name in names]
    else:
        chosen = [row for row in rows if not pattern or fnmatch.fnmatchcase(row["name"], pattern.replace("%", "*"))]
    return connection([_file(context, run, row) for row in chosen], first, after, total=len(found))


def _file(context: Context, run: Row, row: Row) -> Row:
    url = run_file_url(context, run, row["name"], "GET")
    return {
        "id": global_id(f"File/{run['id']}", 1) if row["md5"] is None else f"{run['id']}:{row['name']}",
        "name": row["name"],
        "display_name": row["name"],
        "direct_url": url,
        "url": url,
        "upload_url": run_file_url(context, run, row["name"], "PUT"),
        "size_bytes": row["size"],
        "md5": row["md5"],
        "digest": row["md5"],
        "mimetype": mimetypes.guess_type(row["name"])[0] or "",
        "updated_at": row["updated_at"],
    }


@field("File.url")
def file_url(file: Row, _: Context, upload: bool | None = None) -> str | None:
    return file["upload_url"] if upload else file["url"]


@field("Mutation.createRunFiles")
def create_run_files(_: Any, context: Context, input: Row) -> Row:
    run = required_run(context, input["entityName"], input["projectName"], input["runName"])
    files = [
        {"name": name, "upload_url": run_file_url(context, run, name, "PUT"), "display_name": name}
        for name in input["files"]
    ]
    return {"run_id": global_id("Run", run["id"]), "upload_headers": [], "files": files}


@field("Mutation.markRunFilesUploaded")
def mark_run_files_uploaded(_: Any, __: Context, input: Row) -> Row:
    return {"success": True}


@field("Mutation.deleteFiles")
def delete_files(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        for text in input["files"]:
            run_text, _sep, name = text.partition(":")
            db.execute("DELETE FROM files WHERE run_id = ? AND name = ?", (position(run_text), name))
    return {"success": True}
