"""Sweeps and agents, as the client asks for them."""

import json
import sqlite3
import time
from typing import Any

import yaml

from vishwam.server import hyperband, search, trials
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.queries import make_project, project_by_id
from vishwam.server.runs import json_object, new_name
from vishwam.server.scheduler import LIVE
from vishwam.server.web import Refused

_STATES = ("PENDING", "RUNNING", "PAUSED", "STOPPED", "FINISHED", "CANCELED", "CRASHED")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_CONFIG = 4 << 20


def parse_config(text: str) -> Row:
    """A sweep's YAML, checked as far as the scheduler depends on it; raises 400 with what is wrong."""
    if len(text) > MAX_CONFIG:
        raise Refused(400, "the sweep's configuration is too large")
    try:
        # Through JSON, so that what is kept is what can be sent; no NaN, no dates.
        config = json.loads(json.dumps(yaml.load(text, _LOADER), allow_nan=False, default=str))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Refused(400, f"the sweep's configuration cannot be read: {str(error)[:300]}") from None
    if not isinstance(config, dict):
        raise Refused(400, "the sweep's configuration is not a mapping")
    if config.get("method") not in search.METHODS:
        raise Refused(400, f"method must be one of {', '.join(search.METHODS)}, not {config.get('method')!r}")
    cap = config.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise Refused(400, f"run_cap must be a positive integer, not {cap!r}")
    metric = config.get("metric")
    if metric is not None and (not isinstance(metric, dict) or not isinstance(metric.get("name"), str)):
        raise Refused(400, "metric needs a name")
    if metric is not None and metric.get("goal", "minimize") not in ("minimize", "maximize"):
        raise Refused(400, f"metric: goal must be minimize or maximize, not {metric.get('goal')!r}")
    if config["method"] == "bayes" and metric is None:
        raise Refused(400, "method bayes needs a metric")
    try:
        search.space(config)
        if config.get("early_terminate") is not None:
            _check_early_stopping(config)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return config


def _check_early_stopping(config: Row) -> None:
    settings = config["early_terminate"]
    if not isinstance(settings, dict) or settings.get("type") != "hyperband":
        raise ValueError("early_terminate: type must be hyperband")
    if config.get("metric") is None:
        raise ValueError("early_terminate: needs a metric")
    hyperband.bands(settings)


@field("Mutation.upsertSweep")
def upsert_sweep(_: Any, context: Context, input: Row) -> Row:
    state = input.get("state")
    if state is not None and state not in _STATES:
        raise Refused(400, f"{state!r} is not a sweep state")
    with context.store.transaction() as db:
        now = time.time()
        known = _known(context, input)
        if known is None:
            if input.get("config") is None:
                raise Refused(400, "a new sweep needs a configuration")
            config = parse_config(input["config"])
            project = make_project(
                context,
                input.get("entityName") or config.get("entity"),
                input.get("projectName") or config.get("project"),
            )
            size = search.grid_size(search.space(config)) if config["method"] == "grid" else None
            values = (
                project["id"], new_name(), input.get("displayName") or config.get("name"),
                input.get("description") or config.get("description"), input["config"], json.dumps(config),
                config["method"], state or "PENDING", size, now, now,
            )  # fmt: skip
            sweep_id = db.execute(
                "INSERT INTO sweeps (project_id, name, display_name, description, config, config_json, method, state, "
                "grid_size, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                values,
            ).lastrowid
        else:
            sweep_id = known["id"]
            _change(context, known, input, now)
        sweep = context.one("SELECT * FROM sweeps WHERE id = ?", sweep_id) or {}
    context.store.changes.publish(sweep["project_id"], 0)
    return {"sweep": sweep, "config_validation_warnings": []}


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


def _change(context: Context, sweep: Row, input: Row, now: float) -> None:
    changes: Row = {"updated_at": now}
    if input.get("state"):
        set_state(context.db, sweep["id"], input["state"])
    if input.get("displayName"):
        changes["display_name"] = input["displayName"]
    if input.get("description"):
        changes["description"] = input["description"]
    if input.get("config"):
        config = parse_config(input["config"])
        if config["method"] != sweep["method"]:
            raise Refused(400, "a sweep's method cannot change")
        begun = context.value("SELECT count(*) FROM runs WHERE sweep_id = ? AND grid_index IS NOT NULL", sweep["id"])
        old, new = search.space(json.loads(sweep["config_json"])), search.space(config)
        if begun and old != new:
            raise Refused(400, "the parameters of a grid that has begun cannot change")
        changes |= {"config": input["config"], "config_json": json.dumps(config)}
        if config["method"] == "grid":
            changes["grid_size"] = search.grid_size(new)
    assignments = ", ".join(f"{column} = ?" for column in changes)
    context.db.execute(f"UPDATE sweeps SET {assignments} WHERE id = ?", (*changes.values(), sweep["id"]))


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
        values = (sweep_id, new_name(), input["host"], now, now)
        agent_id = db.execute(
            "INSERT INTO agents (sweep_id, name, host, created_at, heartbeat_at) VALUES (?, ?, ?, ?, ?)", values
        ).lastrowid
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
    return connection(rows, first, after)


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
    cap = json.loads(sweep["config_json"]).get("run_cap")
    sizes = [size for size in (sweep["grid_size"], cap) if size is not None]
    return min(sizes) if sizes and min(sizes) < 1 << 31 else None


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
