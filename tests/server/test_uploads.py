"""Big files in parts, and versions whose time is over."""

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server.talk import Talk
from vishwam.server.app import reap
from vishwam.server.local import Address
from vishwam.server.store import Store

ASK = """mutation M($input: CreateArtifactFilesInput!) {
createArtifactFiles(input: $input) { files { edges { node {
uploadUrl storagePath uploadHeaders uploadMultipartUrls { uploadID uploadUrlParts { partNumber uploadUrl } } }
} } } }"""
COMPLETE = """mutation M($parts: [UploadPartsInput!]!, $id: ID!, $path: String!, $upload: String!) {
completeMultipartUploadArtifact(input: {completeMultipartAction: Complete, completedParts: $parts, artifactID: $id,
storagePath: $path, uploadID: $upload}) { digest } }"""


def digest(contents: bytes) -> str:
    return base64.b64encode(hashlib.md5(contents).digest()).decode()


def ask(talk: Talk, artifact: str, contents: bytes, parts: list[bytes]) -> dict[str, Any]:
    spec = {
        "artifactID": artifact, "name": "big file", "md5": digest(contents),
        "uploadPartsInput": [
            {"partNumber": number, "hexMD5": hashlib.md5(part).hexdigest()} for number, part in enumerate(parts, 1)
        ],
    }  # fmt: skip
    asked = talk.graphql(ASK, input={"artifactFiles": [spec], "storageLayout": "V2"})
    return asked["createArtifactFiles"]["files"]["edges"][0]["node"]


@pytest.fixture
def talk(server: Address) -> Talk:
    return Talk(server)


def test_parts_become_one_file(talk: Talk) -> None:
    contents = os.urandom(2_500_000)
    parts = [contents[start : start + 1_000_000] for start in range(0, len(contents), 1_000_000)]
    talk.run("parts", "r")
    entry = {"big file": {"digest": digest(contents), "size": len(contents)}}
    artifact = talk.artifact("parts", "r", "big", {}, commit=False, extra=entry)
    node = ask(talk, artifact, contents, parts)
    multipart = node["uploadMultipartUrls"]
    etags = []
    for place, part in zip(multipart["uploadUrlParts"], parts, strict=True):
        assert talk.request("PUT", place["uploadUrl"], part, key=None, Content_MD5=digest(part))[0] == 200
        etags.append({"partNumber": place["partNumber"], "hexMD5": f'"{digest(part)}"'})
    names = {"id": artifact, "path": node["storagePath"], "upload": multipart["uploadID"]}
    status, why = talk.refused(COMPLETE, parts=etags[:2], **names)
    assert status == 400 and "do not make up the file" in why
    absent = {"partNumber": 4, "hexMD5": hashlib.md5(b"absent").hexdigest()}
    assert talk.refused(COMPLETE, parts=[*etags, absent], **names)[0] == 404
    # Whichever order they are named in; the client's own digests are in hexadecimal.
    etags[0]["hexMD5"] = hashlib.md5(parts[0]).hexdigest()
    assert talk.graphql(COMPLETE, parts=etags[::-1], **names)["completeMultipartUploadArtifact"]["digest"]
    talk.commit(artifact)
    found = talk.graphql(
        "query Q($id: ID!) { artifact(id: $id) { files { edges { node { directUrl } } } } }", id=artifact
    )["artifact"]["files"]["edges"]  # fmt: skip
    assert talk.request("GET", found[0]["node"]["directUrl"], key=None) == (200, contents)
    again = ask(talk, artifact, contents, parts)
    assert again["uploadUrl"] is None and again["uploadMultipartUrls"] is None, "it is here already"


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
