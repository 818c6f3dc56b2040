"""The stream that tells a page what has changed (server-sent events)."""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator

from vishwam.server.store import Store

# Changes within this time reach the page as one message.
GATHER_SECONDS = 0.25
HEARTBEAT_SECONDS = 15
RECENT_SECONDS = 10


async def changes(store: Store, project_id: int) -> AsyncIterator[str]:
    """Server-sent events: the ids of the runs that changed, "" standing for the project itself."""
    yield "retry: 2000\n\n"
    with store.changes.subscribe() as subscription:
        # What changed after the page read it and before it listened.
        if names := _lately(store.reader(), project_id):
            yield f"data: {json.dumps(names)}\n\n"
        while True:
            try:
                changed = await asyncio.wait_for(subscription.next(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
                continue
            rows = [run for project, run in changed if project == project_id]
            if not rows:
                continue
            names = _names(store.reader(), rows)
            yield f"data: {json.dumps(names)}\n\n"
            await asyncio.sleep(GATHER_SECONDS)


def _lately(db: sqlite3.Connection, project_id: int) -> list[str]:
    since = time.time() - RECENT_SECONDS
    rows = db.execute(
        "SELECT name FROM runs WHERE project_id = ? AND MAX(COALESCE(heartbeat_at, 0), COALESCE(ended_at, 0)) > ?",
        (project_id, since),
    ).fetchall()
    sweeps = db.execute("SELECT 1 FROM sweeps WHERE project_id = ? AND updated_at > ?", (project_id, since)).fetchone()
    return [row["name"] for row in rows] + ([""] if sweeps else [])


def _names(db: sqlite3.Connection, rows: list[int]) -> list[str]:
    known = db.execute("SELECT name FROM runs WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(rows),))
    return [row["name"] for row in known] + ([""] if 0 in rows else [])
