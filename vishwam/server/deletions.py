"""Runs and versions of artifacts that are deleted, by a person or because their time is over.

The rows of both stay and no longer show; contents that nothing else refers to are collected (see `collect`).
"""

import sqlite3
import time
from typing import Any

from vishwam.server.artifact_collections import restore_latest
from vishwam.server.artifact_fields import artifact_by_id
from vishwam.server.graphql import Context, Row, field, row_id
from vishwam.server.web import Refused


@field("Mutation.deleteRun")
def delete_run(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        # Deleted already: the request was repeated, or its artifacts are to follow.
        run = context.one("SELECT * FROM runs WHERE id = ?", row_id("Run", input["id"]) or 0)
        if run is None:
            raise Refused(404, "no such run")
        # Its point of a grid is free again: deleting runs and resuming the sweep runs them anew, as on W&B.
        db.execute(
            "UPDATE runs SET deleted_at = coalesce(deleted_at, ?), grid_index = NULL WHERE id = ?",
            (time.time(), run["id"]),
        )
        if input.get("deleteArtifacts"):
            query = "SELECT id FROM artifacts WHERE run_id = ? AND state != 'DELETED'"
            for row in db.execute(query, (run["id"],)).fetchall():
                _remove(db, row["id"], time.time())
    context.store.changes.publish(run["project_id"], run["id"])
    return {"client_mutation_id": input.get("clientMutationId")}


@field("Mutation.deleteArtifact")
def delete(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        aliased = context.value("SELECT 1 FROM aliases WHERE artifact_id = ? AND alias != 'latest'", artifact["id"])
        if aliased and not input.get("deleteAliases"):
            raise Refused(409, "the artifact has aliases; delete_aliases=True deletes it with them")
        _remove(db, artifact["id"], time.time())
    return {"artifact": {**artifact, "state": "DELETED"}}


def _remove(db: sqlite3.Connection, artifact_id: int, now: float) -> None:
    db.execute("DELETE FROM aliases WHERE artifact_id = ?", (artifact_id,))
    db.execute(
        "UPDATE artifacts SET state = 'DELETED', client_id = NULL, updated_at = ? WHERE id = ?", (now, artifact_id)
    )
    places = db.execute("SELECT collection_id FROM memberships WHERE artifact_id = ?", (artifact_id,)).fetchall()
    for place in places:
        restore_latest(db, place["collection_id"])


def expire(db: sqlite3.Connection, now: float) -> None:
    """Deletes versions whose time to live is over; inside a transaction. What is linked somewhere stays, as on W&B."""
    query = """SELECT id FROM artifacts WHERE ttl_seconds > 0 AND state = 'COMMITTED' AND created_at + ttl_seconds < ?
    AND (SELECT count(*) FROM memberships WHERE artifact_id = artifacts.id) = 1"""
    for row in db.execute(query, (now,)).fetchall():
        _remove(db, row["id"], now)
