"""Commits shared by requests of the same moment."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from vishwam.server.store import Store
from vishwam.server.together import Together


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def insert(name: str, fails: bool = False) -> Callable[[sqlite3.Connection], str]:
    def act(db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO projects (entity, name, created_at) VALUES ('local', ?, 0)", (name,))
        if fails:
            raise ZeroDivisionError(name)
        return name

    return act


def names(store: Store) -> list[str]:
    return [row["name"] for row in store.reader().execute("SELECT name FROM projects ORDER BY id")]


def all_of(store: Store, *acts: Callable[[sqlite3.Connection], str]) -> list[object]:
    """Outcomes of acts that come at the same moment."""

    async def go() -> list[object]:
        together = Together(store)
        return await asyncio.gather(*(together.commit(act) for act in acts), return_exceptions=True)

    return asyncio.run(go())


def test_one_commit_holds_all(store: Store) -> None:
    commits: list[str] = []
    store.writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    assert all_of(store, *(insert(f"p{index}") for index in range(8))) == [f"p{index}" for index in range(8)]
    assert len(commits) == 1 and len(names(store)) == 8


def test_those_of_the_next_turns_are_waited_for(store: Store) -> None:
    commits: list[str] = []
    store.writer.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)

    async def go() -> None:
        together, under_way = Together(store), []
        for index in range(5):
            under_way.append(asyncio.ensure_future(together.commit(insert(f"p{index}"))))
            await asyncio.sleep(0)
        await asyncio.gather(*under_way)

    asyncio.run(go())
    assert len(commits) == 1 and len(names(store)) == 5


def test_one_that_fails_takes_nobody_with_it_and_leaves_nothing(store: Store) -> None:
    outcomes = all_of(store, insert("a"), insert("b", fails=True), insert("c"))
    assert outcomes[0] == "a" and isinstance(outcomes[1], ZeroDivisionError) and outcomes[2] == "c"
    assert names(store) == ["a", "c"]


def test_nobody_is_told_of_a_commit_that_failed(store: Store) -> None:
    pages = store.writer.execute("PRAGMA page_count").fetchone()[0]
    store.writer.execute(f"PRAGMA max_page_count = {pages}")
    outcomes = all_of(store, *(insert(str(index) * 50_000) for index in range(3)))
    assert all(isinstance(outcome, sqlite3.OperationalError) for outcome in outcomes) and names(store) == []
    store.writer.execute("PRAGMA max_page_count = 1000000")
    assert all_of(store, insert("later")) == ["later"] and names(store) == ["later"]


def test_a_request_that_went_away_holds_nobody_up(store: Store) -> None:
    async def go() -> str:
        together = Together(store)
        gone = asyncio.create_task(together.commit(insert("gone")))
        await asyncio.sleep(0)
        gone.cancel()
        return await together.commit(insert("here"))

    assert asyncio.run(go()) == "here" and "here" in names(store)


def test_streams_wait_while_the_log_is_to_stand_still(store: Store) -> None:
    async def go() -> list[bool]:
        together = Together(store)
        store.held_back = []
        waiting = asyncio.create_task(together.commit(insert("a")))
        await asyncio.sleep(0.05)
        before = waiting.done()
        held, store.held_back = store.held_back, None
        for act in held:
            act()
        await waiting
        return [before, waiting.done()]

    assert asyncio.run(go()) == [False, True] and names(store) == ["a"]
