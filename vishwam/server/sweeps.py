"""Sweeps and agents, as the client asks for them."""

import json
import sqlite3
import time
from typing import Any

from vishwam.server import search, sweep_config, trials
from vishwam.server.database import insert, update
from vishwam.server.filters import matching
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.queries import make_project, project_by_id
from vishwam.server.runs import json_object, new_name
from vishwam.server.scheduler import LIVE
from vishwam.server.web import Refused

_STATES = ("PENDING", "RUNNING", "PAUSED", "STOPPED", "FINISHED", "CANCELED", "CRASHED")


@field("Mutation.upsertSweep")
def upsert_sweep(_: Any, context: Context, input: Row) -> Row:
    state = input.get("state")
    if state is not None and state not in _STATES:
        raise Refused(400, f"{state!r} is not a sweep state")
    warnings: list[str] = []
    with context.store.transaction():
        known = _known(context, input)
        if known is None:
            if input.get("config") is None:
                raise Refused(400, "a new sweep needs a configuration")
            config, warnings = sweep_config.parse(input["config"])
            sweep_id = _insert(context, input, config)
        else:
            sweep_id = known["id"]
            warnings = _change(context, known, input)
        if input.get("priorRunsFilters"):
            _adopt(context, sweep_id, input["priorRunsFilters"])
        sweep = context.one("SELECT * FROM sweeps WHERE id = ?", sweep_id) or {}
    context.store.changes.publish(sweep["project_id"], 0)
    return {"sweep": sweep, "config_validation_warnings": warnings}


def _insert(context: Context, input: Row, config: Row) -> int:
    project = make_project(
        context, input.get("entityName") or config.get("entity"), input.get("projectName") or config.get("project")
    )
    now = time.time()
    row = {
        "project_id": project["id"],
        "name": new_name(),
        "display_name": input.get("displayName") or config.get("name"),
        "description": input.get("description") or config.get("description"),
        "config": input["config"],
        "config_json": json.dumps(config),
        "method": config["method"],
        "state": input.get("state") or "PENDING",
        "grid_size": _grid_size(config),
        "created_at": now,
        "updated_at": now,
    }
    return insert(context.db, "sweeps", row)


def _grid_size(config: Row) -> int | None:
    """None when it is not a grid; what SQLite cannot count is as good as endless."""
    size = search.grid_size(search.space(config)) if config["method"] == "grid" else None
    return size if size is None else min(size, (1 << 63) - 1)


def _adopt(context: Context, sweep_id: int, text: str) -> None:
    """`wandb sweep --prior_run`: runs of the project that become trials of the sweep, though it did not begin them.

    A grid leaves their points out, a bayes search learns from them; `run_cap` does not count them.
    """
    sweep = context.one("SELECT * FROM sweeps WHERE id = ?", sweep_id) or {}
    filters = json_object("priorRunsFilters", text)
    rows = context.all("SELECT * FROM runs WHERE project_id = ? AND deleted_at IS NULL", sweep["project_id"])
    found = matching(rows, filters)
    wanted = [part.get("name") for part in filters.get("$or") or [] if isinstance(part, dict)]
    missing = sorted({str(name) for name in wanted if name} - {run["name"] for run in found})
    if missing:
        raise Refused(404, f"prior run {missing[0]}: there is no such run in the sweep's project")
    for run in found:
        if run["sweep_id"] not in (None, sweep_id):
            raise Refused(400, f"prior run {run['name']} belongs to another sweep")
        context.db.execute("UPDATE runs SET sweep_id = ? WHERE id = ?", (sweep_id, run["id"]))
    config = json.loads(sweep["config_json"])
    trials.measure(context.db, sweep_id, config)
    trials.place(context.db, sweep_id, config)
    context.db.execute(
        "UPDATE sweeps SET prior_runs_json = ? WHERE id = ?", (json.dumps([run["name"] for run in found]), sweep_id)
    )


def _known(context: Context, input: Row) -> Row | None:
    """The sweep to change. `wandb sweep --update` sends its name where others send its id."""
    if not input.get("id"):
        return None
    number = row_id("Sweep", input["id"])
    found = context.one("SELECT * FROM sweeps WHERE id = ?", number) if number else None
    if found is None:
        project = make_project(context, input.get("entityName"), input.get("projectName"))
        found = context.one("SELECT * FROM sweeps WHERE project_id = ? AND name = ?", project["id"], input["id"])
    if found is None:
        raise Refused(404, "no such sweep")
    return found


def set_state(db: sqlite3.Connection, sweep_id: int, state: str) -> None:
    """Inside a transaction. A sweep that is cancelled takes its running trials with it."""
    db.execute("UPDATE sweeps SET state = ?, updated_at = ? WHERE id = ?", (state, time.time(), sweep_id))
    if state == "CANCELED":
        db.execute(f"UPDATE runs SET stop_requested = 1 WHERE sweep_id = ? AND state IN {LIVE}", (sweep_id,))


def _change(context: Context, sweep: Row, input: Row) -> list[str]:
    changes: Row = {"updated_at": time.time()}
    warnings: list[str] = []
    if input.get("state"):
        set_state(context.db, sweep["id"], input["state"])
    if input.get("displayName"):
        changes["display_name"] = input["displayName"]
    if input.get("description"):
        changes["description"] = input["description"]
    if input.get("config"):
        config, warnings = sweep_config.parse(input["config"])
        old = json.loads(sweep["config_json"])
        if config["method"] != sweep["method"]:
            raise Refused(400, f"method: a sweep that is {sweep['method']} cannot become {config['method']}")
        changes |= {"config": input["config"], "config_json": json.dumps(config), "grid_size": _grid_size(config)}
        if (config.get("metric"), config.get("early_terminate")) != (old.get("metric"), old.get("early_terminate")):
            trials.measure(context.db, sweep["id"], config)
        if config["parameters"] != old["parameters"]:
            trials.place(context.db, sweep["id"], config)
    update(context.db, "sweeps", sweep["id"], changes)
    return warnings


# Agents


@field("Mutation.createAgent")
def create_agent(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        project = make_project(context, input.get("entityName"), input.get("projectName"))
        sweep_id = context.value(
            "SELECT id FROM sweeps WHERE project_id = ? AND name = ?", project["id"], input["sweep"]
        )
        if sweep_id is None:
            raise Refused(404, f"no sweep {input['sweep']}")
        now = time.time()
        row = {"sweep_id": sweep_id, "name": new_name(), "host": input["host"], "created_at": now, "heartbeat_at": now}
        agent_id = insert(db, "agents", row)
    return {"agent": context.one("SELECT * FROM agents WHERE id = ?", agent_id)}


@field("Mutation.agentHeartbeat")
async def agent_heartbeat(_: Any, context: Context, input: Row) -> Row:
    agent = context.one("SELECT * FROM agents WHERE id = ?", row_id("Agent", input["id"]) or 0)
    if agent is None:
        raise Refused(404, "no such agent; its sweep may have been deleted")
    alive = json_object("runState", input.get("runState"))
    commands = await context.scheduler.heartbeat(context, agent, alive)
    return {"agent": agent, "commands": json.dumps(commands)}


@field("Agent.id")
def agent_id(agent: Row, _: Context) -> str:
    return global_id("Agent", agent["id"])


@field("Agent.totalRuns")
def agent_total_runs(agent: Row, context: Context) -> int:
    return context.value("SELECT count(*) FROM runs WHERE agent_id = ?", agent["id"])


@field("Agent.runs")
def agent_runs(
    agent: Row,
    context: Context,
    after: str | None = None,
    before: str | None = None,
    first: int | None = None,
    last: int | None = None,
    order: str | None = None,
) -> Row:
    rows = context.all("SELECT * FROM runs WHERE agent_id = ? AND deleted_at IS NULL ORDER BY id", agent["id"])
    return connection(rows[-last:] if last else rows, first, after)


# One sweep, and lists


@field("Project.sweep")
def project_sweep(project: Row, context: Context, sweepName: str) -> Row | None:
    return context.one("SELECT * FROM sweeps WHERE project_id = ? AND name = ?", project["id"], sweepName)


@field("Project.sweeps")
def project_sweeps(
    project: Row, context: Context, after: str | None = None, first: int | None = None, filters: str | None = None
) -> Row:
    rows = context.all("SELECT * FROM sweeps WHERE project_id = ? ORDER BY id DESC", project["id"])
    return connection(matching(rows, json_object("filters", filters)), first, after)


@field("Project.totalSweeps")
def total_sweeps(project: Row, context: Context) -> int:
    return context.value("SELECT count(*) FROM sweeps WHERE project_id = ?", project["id"])


@field("Run.sweep")
def run_sweep(run: Row, context: Context) -> Row | None:
    return context.one("SELECT * FROM sweeps WHERE id = ?", run["sweep_id"]) if run["sweep_id"] else None


@field("Sweep.id")
def sweep_id(sweep: Row, _: Context) -> str:
    return global_id("Sweep", sweep["id"])


@field("Sweep.project")
def sweep_project(sweep: Row, context: Context) -> Row:
    return project_by_id(context, sweep["project_id"])


@field("Sweep.bestLoss")
def best_loss(sweep: Row, context: Context) -> float | None:
    return trials.best(context.db, sweep["id"], json.loads(sweep["config_json"]))


@field("Sweep.earlyStopJobRunning")
def early_stop_job(_: Row, __: Context) -> bool:
    return False


@field("Sweep.runCount")
def sweep_run_count(sweep: Row, context: Context) -> int:
    return context.value("SELECT count(*) FROM runs WHERE sweep_id = ? AND deleted_at IS NULL", sweep["id"])


@field("Sweep.runCountExpected")
def run_count_expected(sweep: Row, _: Context) -> int | None:
    """Only a grid has a number of its own, as on W&B."""
    if sweep["grid_size"] is None:
        return None
    size = min(sweep["grid_size"], json.loads(sweep["config_json"]).get("run_cap") or sweep["grid_size"])
    return size if size < 1 << 31 else None


@field("Sweep.priorRuns")
def prior_runs(sweep: Row, context: Context) -> Row:
    rows = context.all(
        "SELECT * FROM runs WHERE project_id = ? AND deleted_at IS NULL AND name IN (SELECT value FROM json_each(?))",
        sweep["project_id"],
        sweep["prior_runs_json"],
    )
    return connection(rows, None, None)


@field("Sweep.runs")
def sweep_runs(sweep: Row, context: Context, first: int | None = None, after: str | None = None) -> Row:
    rows = context.all("SELECT * FROM runs WHERE sweep_id = ? AND deleted_at IS NULL ORDER BY id", sweep["id"])
    return connection(rows, first, after)


@field("Sweep.agents")
def sweep_agents(sweep: Row, context: Context) -> Row:
    rows = context.all("SELECT * FROM agents WHERE sweep_id = ? ORDER BY id", sweep["id"])
    return {"edges": [{"node": row} for row in rows]}


@field("Sweep.agent")
def sweep_agent(sweep: Row, context: Context, agentName: str) -> Row | None:
    number = row_id("Agent", agentName) or 0
    return context.one(
        "SELECT * FROM agents WHERE sweep_id = ? AND (name = ? OR id = ?)", sweep["id"], agentName, number
    )
