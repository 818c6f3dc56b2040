"""Big files in parts."""

import base64
import hashlib
import os
from typing import Any

import pytest

from tests.server.talk import Talk
from vishwam.server.local import Address

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
