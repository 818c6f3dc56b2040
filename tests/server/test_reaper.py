"""Who stopped speaking, and what that makes of a run and of its sweep."""

import time
from pathlib import Path

import pytest

from vishwam.server.app import AGENT_LOST_SECONDS, LOST_SECONDS, reap
from vishwam.server.store import Store

NOW = time.time()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    with store.transaction() as db:
        db.execute("INSERT INTO projects (entity, name, created_at) VALUES ('local', 'p', 0)")
        config = '{"method": "grid", "parameters": {"x": {"values": [1]}}}'
        db.execute(
            "INSERT INTO sweeps (project_id, name, config, config_json, method, state, grid_size, created_at, "
            "updated_at) VALUES (1, 's', '', ?, 'grid', 'RUNNING', 1, 0, 0)",
            (config,),
        )
    return store


def outcome(
    store: Store, silent: float, agent_silent: float | None = None, listened: float = 1e9, **columns: object
) -> tuple[str, str]:
    """State of a run, and its sweep's, after a reaper who has listened for so many seconds saw it silent for others."""
    with store.transaction() as db:
        row: dict[str, object] = {
            "project_id": 1, "name": "r", "state": "running", "created_at": 0, "heartbeat_at": NOW - silent,
            "sweep_id": 1, "suggestion_json": "{}", "grid_index": 0,
        }  # fmt: skip
        if agent_silent is not None:
            db.execute(
                "INSERT INTO agents (sweep_id, name, created_at, heartbeat_at) VALUES (1, 'a', 0, ?)",
                (NOW - agent_silent,),
            )
            row["agent_id"] = 1
        row |= columns
        marks = ", ".join("?" * len(row))
        db.execute(f"INSERT INTO runs ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    reap(store, NOW, NOW - listened)
    reader = store.reader()
    return reader.execute("SELECT state FROM runs").fetchone()[0], reader.execute(
        "SELECT state FROM sweeps"
    ).fetchone()[0]


def test_who_speaks_lives(store: Store) -> None:
    assert outcome(store, silent=60, agent_silent=2) == ("running", "RUNNING")


def test_a_silent_run_of_a_living_agent_crashed_and_ends_the_grid(store: Store) -> None:
    assert outcome(store, silent=LOST_SECONDS + 1, agent_silent=2) == ("crashed", "FINISHED")
    ended, heard = store.reader().execute("SELECT ended_at, heartbeat_at FROM runs").fetchone()
    assert ended == heard, "it ended when it was last heard of"


def test_a_run_without_an_agent_crashed(store: Store) -> None:
    assert outcome(store, silent=LOST_SECONDS + 1, sweep_id=None, suggestion_json=None, grid_index=None)[0] == "crashed"


def test_a_run_that_vanished_with_its_agent_waits_for_the_next_one(store: Store) -> None:
    lost = AGENT_LOST_SECONDS + 1
    assert outcome(store, silent=lost, agent_silent=lost) == ("preempted", "RUNNING")


def test_a_run_that_keeps_taking_its_machine_with_it_crashed(store: Store) -> None:
    lost = AGENT_LOST_SECONDS + 1
    assert outcome(store, silent=lost, agent_silent=lost, resumed=3) == ("crashed", "FINISHED")


def test_a_run_told_to_stop_ends_as_told(store: Store) -> None:
    assert outcome(store, silent=LOST_SECONDS + 1, stop_requested=1, early_stopped=1) == ("finished", "FINISHED")


def test_a_canceled_run_was_killed(store: Store) -> None:
    assert outcome(store, silent=LOST_SECONDS + 1, stop_requested=1)[0] == "killed"


def test_a_server_that_was_away_gives_nobody_up_before_it_has_listened(store: Store) -> None:
    """Killed, or asleep with its laptop: the trials live, and handed out twice they would write over each other."""
    assert outcome(store, silent=3600, agent_silent=3600, listened=AGENT_LOST_SECONDS - 1) == ("running", "RUNNING")
    reap(store, NOW, NOW - AGENT_LOST_SECONDS)
    assert store.reader().execute("SELECT state FROM runs").fetchone()[0] == "preempted"
