"""Runs and versions that are deleted, by a person or because their time is over."""

import time
from pathlib import Path

from tests.server.talk import Talk
from vishwam.server.app import reap
from vishwam.server.local import Address
from vishwam.server.store import Store

DELETE = (
    "mutation M($id: ID!, $all: Boolean) { deleteRun(input: {id: $id, deleteArtifacts: $all}) { clientMutationId } }"
)
FIND = """query Q($name: String!) { project(name: "deleted", entityName: "local") { runCount
artifactCollectionMembership(name: $name) { versionIndex } } }"""


def test_a_run_takes_its_artifacts_with_it_when_asked_to(server: Address) -> None:
    talk = Talk(server)
    runs = [talk.run("deleted", name)["id"] for name in ("first", "second")]
    for name, contents in (("first", b"1"), ("second", b"2")):
        talk.artifact("deleted", name, "data", {"a": contents})

    def newest() -> tuple[int, int | None]:
        found = talk.graphql(FIND, name="data:latest")["project"]
        member = found["artifactCollectionMembership"]
        return found["runCount"], member and member["versionIndex"]

    assert newest() == (2, 1)
    talk.graphql(DELETE, id=runs[1], all=False)
    assert newest() == (1, 1), "its version stays"
    talk.graphql(DELETE, id=runs[1], all=True)
    assert newest() == (1, 0), "deleted once more, with it: the newest is the one before"
    talk.graphql(DELETE, id=runs[0], all=True)
    assert newest() == (0, None)


def test_a_version_is_deleted_when_its_time_is_over(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    now = time.time()
    with store.transaction() as db:
        db.execute("INSERT INTO projects (id, entity, name, created_at) VALUES (1, 'local', 'p', 0)")
        db.executemany(
            "INSERT INTO artifact_collections (id, project_id, kind, type, name, created_at, updated_at) "
            "VALUES (?, 1, ?, 't', ?, 0, 0)",
            [(1, "sequence", "data"), (2, "portfolio", "released")],
        )
        # Kept for good, over, over but linked, not over yet.
        for number, ttl in ((1, None), (2, 100), (3, 100), (4, 300)):
            db.execute(
                "INSERT INTO artifacts (id, collection_id, version_index, digest, state, ttl_seconds, created_at, "
                "updated_at) VALUES (?, 1, ?, '', 'COMMITTED', ?, ?, 0)",
                (number, number, ttl, now - 200),
            )
            db.execute("INSERT INTO memberships VALUES (NULL, 1, ?, ?, 0)", (number, number))
        db.execute("INSERT INTO memberships VALUES (NULL, 2, 3, 0, 0)")
        db.execute("INSERT INTO aliases VALUES (1, 'latest', 4)")
    reap(store, now)
    query = "SELECT id FROM artifacts WHERE state = 'COMMITTED' ORDER BY id"
    assert [row["id"] for row in store.writer.execute(query)] == [1, 3, 4]
    reap(store, now + 200)
    assert [row["id"] for row in store.writer.execute(query)] == [1, 3]
    latest = store.writer.execute("SELECT artifact_id FROM aliases WHERE collection_id = 1").fetchall()
    assert [row["artifact_id"] for row in latest] == [3], "and the name of the newest goes to the newest that is left"
    store.close()
