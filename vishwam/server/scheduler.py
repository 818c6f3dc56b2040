"""What an agent is told to do next: the heart of a sweep.

A suggestion and the run it starts are one transaction, on the one writer, so no two agents get one point of a grid.
Only what begins a trial waits its turn, a sweep at a time; a bayes search thinks on a thread of its own meanwhile.
"""

import asyncio
import json
import sqlite3
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vishwam.server import bayes, search, trials
from vishwam.server.graphql import Context, Row
from vishwam.server.runs import insert_run, new_name
from vishwam.server.store import Store
from vishwam.server.web import Refused

OVER = ("FINISHED", "STOPPED", "CANCELED", "CRASHED")
LIVE = ("pending", "running", "preempting")
GONE_SECONDS = 10.0  # a process its agent lost sight of may still be uploading
SILENT_SECONDS = 20.0  # an agent speaks every 5 s
MAX_RESUMES = 3  # then the trial is what kills its machine


class Scheduler:
    def __init__(self, store: Store) -> None:
        self.store = store
        # One thread: searches take turns and leave the other cores, and the threads of uploads, alone.
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._locks: dict[int, asyncio.Lock] = {}
        self._seen: set[int] = set()  # runs whose process some agent has reported alive
        self._given: Counter[int] = Counter()  # how often the command to begin each run was given

    def close(self) -> None:
        self._searcher.shutdown(wait=False, cancel_futures=True)

    async def heartbeat(self, context: Context, agent: Row, alive: dict[str, Any]) -> list[Row]:
        """The agent's commands, given the runs whose processes it sees."""
        with self.store.transaction() as db:
            live = self._look(db, agent, alive)
            settle(db, agent["sweep_id"])
        if live:
            return [{"type": "stop", "run_id": run["name"]} for run in live if run["stop_requested"]]
        async with self._locks.setdefault(agent["sweep_id"], asyncio.Lock()):
            return await self._next(context, agent)

    def _look(self, db: sqlite3.Connection, agent: Row, alive: dict[str, Any]) -> list[Row]:
        """Notes what the agent reports; returns its runs whose processes live."""
        now = time.time()
        db.execute("UPDATE agents SET heartbeat_at = ? WHERE id = ?", (now, agent["id"]))
        db.execute("UPDATE sweeps SET heartbeat_at = ? WHERE id = ?", (now, agent["sweep_id"]))
        runs = [dict(row) for row in db.execute("SELECT * FROM runs WHERE agent_id = ?", (agent["id"],))]
        live = []
        for run in runs:
            if alive.get(run["name"]):
                self._seen.add(run["id"])
                live.append(run)
                if run["state"] in LIVE:
                    db.execute("UPDATE runs SET heartbeat_at = ? WHERE id = ?", (now, run["id"]))
            elif run["state"] in LIVE and self._had_process(run):
                self._process_gone(db, run, now)
        return live

    def _had_process(self, run: Row) -> bool:
        """Whether the agent has begun the run. One that dies at once is never seen alive, and looks like a lost reply:
        it is given a second time, and then it has failed.
        """
        return run["state"] != "pending" or run["id"] in self._seen or self._given[run["id"]] > 1

    def _process_gone(self, db: sqlite3.Connection, run: Row, now: float) -> None:
        if run["early_stopped"]:
            state = "finished"
        elif run["stop_requested"]:
            state = "killed"
        elif run["state"] == "pending":
            state = "failed"  # it never reached wandb.init
        elif now - (run["heartbeat_at"] or now) < GONE_SECONDS:
            return
        else:
            state = "preempted" if run["state"] == "preempting" else "crashed"
        end_run(db, run["id"], state, now)
        self.store.changes.publish(run["project_id"], run["id"])

    async def _next(self, context: Context, agent: Row) -> list[Row]:
        sweep = self._sweep(agent["sweep_id"])
        if sweep["state"] in OVER:
            return [{"type": "exit"}]
        if sweep["state"] == "PAUSED":
            return []
        refusal = self._refuse_burner(agent, sweep)
        if refusal:
            return refusal
        again = self._unstarted(agent) or self._preempted(sweep, agent)
        if again is not None:
            return [again]
        config = json.loads(sweep["config_json"])
        if trials.exhausted(self.store.writer, sweep, config):
            return [] if self._may_return(sweep, agent) else [{"type": "exit"}]
        parameters = search.space(config)
        count = trials.begun(self.store.writer, sweep["id"])
        columns: Row = {}
        if sweep["method"] == "grid":
            columns["grid_index"] = trials.next_grid_index(self.store.writer, sweep["id"])
            values = search.grid_point(parameters, columns["grid_index"])
        elif sweep["method"] == "random":
            values = search.random_point(parameters, f"{sweep['name']}/{count}")
        else:
            loop = asyncio.get_running_loop()
            values, coordinates = await loop.run_in_executor(self._searcher, self._search, sweep, config, parameters)
            if self._sweep(sweep["id"]) | {"heartbeat_at": 0} != sweep | {"heartbeat_at": 0}:
                return []  # changed while it was thought about; the next heartbeat sees it as it is
            columns["search_json"] = json.dumps(coordinates)
        return [self._begin(context, agent, sweep, count, search.arguments(parameters, values), columns)]

    def _search(self, sweep: Row, config: Row, parameters: list[search.Parameter]) -> tuple[list[Any], Row]:
        """On the searcher's thread."""
        seen = trials.observations(self.store.reader(), sweep["id"], config)
        return bayes.suggest(parameters, trials.direction(config) < 0, seen, zlib.crc32(sweep["name"].encode()))

    def _begin(self, context: Context, agent: Row, sweep: Row, count: int, suggestion: Row, columns: Row) -> Row:
        with self.store.transaction() as db:
            project = dict(db.execute("SELECT * FROM projects WHERE id = ?", (sweep["project_id"],)).fetchone())
            run = insert_run(
                context,
                project,
                new_name(),
                "pending",
                display_name=f"{_title(sweep)}-{count + 1}",
                sweep_id=sweep["id"],
                agent_id=agent["id"],
                config_json=json.dumps(suggestion),
                suggestion_json=json.dumps(suggestion),
                heartbeat_at=time.time(),
                **columns,
            )
            if sweep["state"] == "PENDING":
                db.execute("UPDATE sweeps SET state = 'RUNNING' WHERE id = ?", (sweep["id"],))
        self._given[run["id"]] = 1
        self.store.changes.publish(sweep["project_id"], run["id"])
        return _command("run", run, sweep)

    def _refuse_burner(self, agent: Row, sweep: Row) -> list[Row]:
        """Sends an agent home whose trials fail as soon as they begin, and says why where its person sees it.

        The protocol has no message for that. What the client prints of a stop for a run it does not have is
        "Run <name> not running", at the level of an error: the reason goes there as the name.
        """
        if agent["stop_reason"]:
            return [{"type": "exit"}]
        failed = trials.burnt(self.store.writer, agent["id"])
        if not failed:
            return []
        others = ", ".join(reversed(failed[1:]))
        reason = (
            f"{failed[0]} and the {len(failed) - 1} before it on this agent ({others}) failed within a minute each, so "
            f"sweep {sweep['name']} gives this agent no more trials; their logs say why."
        )
        with self.store.transaction() as db:
            changed = (f"Run {reason}", agent["id"])
            db.execute("UPDATE agents SET state = 'STOPPED', stop_reason = ? WHERE id = ?", changed)
        self.store.changes.publish(sweep["project_id"], 0)
        return [{"type": "stop", "run_id": f"{reason} It is"}, {"type": "exit"}]

    def _may_return(self, sweep: Row, agent: Row) -> bool:
        """Whether a trial may yet have to be resumed: one that is leaving its machine, or whose agent fell silent.

        An agent that has just come waits until it is clear whether the others are there.
        """
        now = time.time()
        silent_since = now if now - agent["created_at"] < SILENT_SECONDS + 5 else now - SILENT_SECONDS
        found = self.store.writer.execute(
            "SELECT 1 FROM runs LEFT JOIN agents ON agents.id = agent_id WHERE runs.sweep_id = ? AND "
            "(runs.state = 'preempting' OR runs.state IN ('pending', 'running') AND agents.heartbeat_at < ?)",
            (sweep["id"], silent_since),
        ).fetchone()
        return found is not None

    def _unstarted(self, agent: Row) -> Row | None:
        """A run whose command the agent never got (a lost reply): the same one again."""
        for row in self.store.writer.execute(
            "SELECT * FROM runs WHERE agent_id = ? AND state = 'pending'", (agent["id"],)
        ):
            if row["id"] not in self._seen:
                self._given[row["id"]] += 1
                return _command("run", dict(row), self._sweep(agent["sweep_id"]))
        return None

    def _preempted(self, sweep: Row, agent: Row) -> Row | None:
        """Runs that had to leave their machine come first, and go on where they were."""
        row = self.store.writer.execute(
            "SELECT * FROM runs WHERE sweep_id = ? AND state = 'preempted' AND deleted_at IS NULL ORDER BY id",
            (sweep["id"],),
        ).fetchone()
        if row is None:
            return None
        with self.store.transaction() as db:
            db.execute(
                "UPDATE runs SET state = 'pending', agent_id = ?, ended_at = NULL, heartbeat_at = ?, "
                "resumed = resumed + 1 WHERE id = ?",
                (agent["id"], time.time(), row["id"]),
            )
        self._seen.discard(row["id"])
        self._given[row["id"]] = 1
        return _command("resume", dict(row), sweep)

    def _sweep(self, sweep_id: int) -> Row:
        row = self.store.writer.execute("SELECT * FROM sweeps WHERE id = ?", (sweep_id,)).fetchone()
        if row is None:
            raise Refused(404, "the sweep was deleted")
        return dict(row)


def _title(sweep: Row) -> str:
    return json.loads(sweep["config_json"]).get("name") or sweep["display_name"] or "sweep"


def _command(kind: str, run: Row, sweep: Row) -> Row:
    # The client reads `program` even where the sweep's own command does without.
    program = json.loads(sweep["config_json"]).get("program") or ""
    return {"type": kind, "run_id": run["name"], "args": json.loads(run["suggestion_json"]), "program": program}


def end_run(db: sqlite3.Connection, run_id: int, state: str, now: float) -> None:
    """Ends a run whose process will say nothing more; at the time of its last sign of life."""
    db.execute(
        "UPDATE runs SET state = ?, ended_at = coalesce(heartbeat_at, ?) WHERE id = ?",
        (state, now, run_id),
    )


def settle(db: sqlite3.Connection, sweep_id: int) -> None:
    """FINISHED as soon as nothing is left to begin and nothing is under way."""
    sweep = dict(db.execute("SELECT * FROM sweeps WHERE id = ?", (sweep_id,)).fetchone())
    if sweep["state"] not in ("PENDING", "RUNNING", "PAUSED"):
        return
    if not trials.exhausted(db, sweep, json.loads(sweep["config_json"])):
        return
    under_way = db.execute(
        "SELECT count(*) FROM runs WHERE sweep_id = ? AND deleted_at IS NULL "
        "AND state IN ('pending', 'running', 'preempting', 'preempted')",
        (sweep_id,),
    ).fetchone()[0]
    if not under_way:
        db.execute("UPDATE sweeps SET state = 'FINISHED', updated_at = ? WHERE id = ?", (time.time(), sweep_id))
