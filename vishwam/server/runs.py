"""Runs: made, found, resumed, described."""

import json
import random
import string
import time
from typing import Any

from vishwam.server import branches
from vishwam.server.database import insert, update
from vishwam.server.graphql import Context, Row, field, row_id
from vishwam.server.queries import check_name, find_project, make_project
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
    return context.one("SELECT * FROM runs WHERE id = ?", insert(context.db, "runs", row)) or {}


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
                _fork(context, run, input.get("config"))
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
            update(db, "runs", run["id"], changes)
        run = context.one("SELECT * FROM runs WHERE id = ?", run["id"]) or {}
    context.store.changes.publish(run["project_id"], run["id"])
    return {"bucket": run, "inserted": inserted}


def _fork(context: Context, run: Row, config: str | None) -> None:
    point = branches.branch_point(config)
    if point is not None and point[0] != run["name"]:
        source = run_of(context, {"id": run["project_id"]}, point[0])
        if source is None:
            raise Refused(404, f"no run {point[0]} to fork from")
        branches.fork(context.db, source, run, point[1])


@field("Mutation.rewindRun")
def rewind_run(_: Any, context: Context, input: Row) -> Row:
    if input["metricName"] != "_step":
        raise Refused(400, f"a run is rewound to a _step, not to a {input['metricName']}")
    names = (input.get("entityName"), input.get("projectName"), input["runName"])
    with context.store.transaction() as db:
        branches.rewind(db, required_run(context, *names), int(min(max(input["metricValue"], -1), 1 << 53)))
        run = required_run(context, *names)
    context.store.changes.publish(run["project_id"], run["id"])
    return {"rewound_run": run}


def _is_edit(input: Row) -> bool:
    """`wandb.Api` changes a run without being its process; a process names its host."""
    return input.get("host") is None and input.get("state") is None


def _sweep_id(context: Context, project: Row, name: str | None) -> int | None:
    if not name:
        return None
    return context.value("SELECT id FROM sweeps WHERE project_id = ? AND name = ?", project["id"], name)


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
            raise Refused(400, f"invalid state transition: a run cannot go from {run['state']} to {input['state']}")
        db.execute("UPDATE runs SET state = ? WHERE id = ?", (input["state"], run["id"]))
    return {"success": True}


@field("Mutation.notifyScriptableRunAlert")
def alert(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        run = required_run(context, input["entityName"], input["projectName"], input["runName"])
        row = {"run_id": run["id"], "title": input["title"], "text": input["text"]}
        insert(db, "alerts", {**row, "severity": input.get("severity") or "INFO", "created_at": time.time()})
    context.store.changes.publish(run["project_id"], run["id"])
    return {"success": True}
