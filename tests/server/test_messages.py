"""What the server remembers of a run between two messages, and what ends it."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from vishwam.server.messages import Memory, receive
from vishwam.server.store import Store
from vishwam.server.together import Together
from vishwam.server.web import Refused

NAMES = ("local", "p", "r")


class World:
    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        with self.store.transaction() as db:
            db.execute("INSERT INTO projects (entity, name, created_at) VALUES ('local', 'p', 0)")
            db.execute("INSERT INTO runs (project_id, name, state, created_at) VALUES (1, 'r', 'pending', 0)")
        self.memory = Memory()
        self.together = Together(self.store, undone=self.memory.forget)

    def say(self, *messages: Any) -> list[Any]:
        """Messages of the same moment: "stop", "go on", or why it was refused."""

        async def one(message: Any) -> str:
            try:
                _, stop = await self.together.commit(lambda db: receive(db, self.memory, NAMES, message))
            except Refused as refused:
                return str(refused)
            return "stop" if stop else "go on"

        async def go() -> list[str]:
            return await asyncio.gather(*map(one, messages))

        return asyncio.run(go())

    def change(self, sql: str) -> None:
        with self.store.transaction() as db:
            db.execute(sql)

    def run(self) -> sqlite3.Row:
        return self.store.reader().execute("SELECT * FROM runs").fetchone()

    def lines(self) -> list[str]:
        return [row[0] for row in self.store.reader().execute("SELECT data_json FROM history ORDER BY line")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def rows(offset: int, *values: float) -> dict[str, Any]:
    content = [json.dumps({"_step": offset + index, "x": value}) for index, value in enumerate(values)]
    return {"files": {"wandb-history.jsonl": {"offset": offset, "content": content}}}


def test_messages_follow_each_other_with_the_run_read_once(world: World) -> None:
    asked: list[str] = []
    world.store.writer.set_trace_callback(lambda sql: asked.append(sql) if sql.startswith("SELECT runs.id") else None)
    assert [world.say(rows(step, step)) for step in range(5)] == [["go on"]] * 5
    assert len(asked) == 1 and len(world.lines()) == 5
    run = world.run()
    assert (run["history_lines"], run["last_step"], run["state"]) == (5, 4, "running")


def test_what_others_change_counts_from_the_next_message_on(world: World) -> None:
    assert world.say(rows(0, 1)) == ["go on"]
    world.change("UPDATE runs SET stop_requested = 1")
    assert world.say(rows(1, 1)) == ["stop"]
    world.change("UPDATE runs SET stop_requested = 0, state = 'crashed', ended_at = 5")
    assert world.say(rows(2, 1)) == ["go on"]
    assert (world.run()["state"], world.run()["ended_at"]) == ("running", None)
    world.change("UPDATE runs SET deleted_at = 1")
    assert world.say(rows(3, 1)) == ["no run local/p/r"]
    assert len(world.lines()) == 3


def test_nothing_is_remembered_of_what_was_undone(world: World) -> None:
    spoilt = rows(1, 1) | {"files": {**rows(1, 1)["files"], "output.log": {"offset": -1, "content": ["a"]}}}
    assert world.say(rows(0, 0)) == ["go on"]
    assert world.say(spoilt) == ["offset -1 is not a line number"]
    assert world.say(rows(1, 10), spoilt, rows(2, 20)) == ["go on", "offset -1 is not a line number", "go on"]
    assert [json.loads(line)["x"] for line in world.lines()] == [0, 10, 20] and world.run()["history_lines"] == 3


def test_a_state_that_stays_is_not_written(world: World) -> None:
    """It is indexed: each writing would move the index with it."""
    world.say(rows(0, 0))
    written: list[str] = []
    world.store.writer.set_trace_callback(lambda sql: written.append(sql) if sql.startswith("UPDATE runs") else None)
    world.say(rows(1, 0))
    world.say({"complete": True, "exitcode": 0})
    assert len(written) == 2 and "state" not in written[0] and "state = 'finished'" in written[1]
