"""Contents of an artifact on their way here: where each file is to be sent, whole or in parts, and parts joined."""

import asyncio
import base64
import binascii
import time
from pathlib import Path
from typing import Any

from vishwam.server.artifact_fields import artifact_by_id, storage_path
from vishwam.server.files import check_path
from vishwam.server.graphql import Context, Row, field
from vishwam.server.store import BlobWriter
from vishwam.server.web import Refused, signed

MAX_PARTS = 10_000
_PIECE = 1 << 20


@field("Mutation.createArtifactFiles")
def create_files(_: Any, context: Context, input: Row) -> Row:
    """Where to send each file; nowhere when its contents are here already. The client asks for parts from 2 GiB on."""
    edges = []
    with context.store.transaction() as db:
        for spec in input["artifactFiles"]:
            artifact = artifact_by_id(context, spec["artifactID"])
            check_path(spec["name"])
            known = context.store.has_contents(spec["md5"])
            path = storage_path(artifact, spec["name"])
            node = {
                "name": spec["name"],
                "display_name": spec["name"],
                "storage_path": path,
                "upload_url": None if known else signed(context.store, context.base_url, "PUT", f"/storage/{path}"),
                "upload_headers": [f"Content-MD5:{spec['md5']}"],
                "upload_multipart_urls": None if known else _parts(context, artifact, spec),
                "artifact": artifact,
            }
            edges.append({"node": node})
        # An artifact whose files are asked for is on its way: its contents are not collected.
        for number in {edge["node"]["artifact"]["id"] for edge in edges}:
            db.execute("UPDATE artifacts SET updated_at = ? WHERE id = ?", (time.time(), number))
    return {"files": {"edges": edges, "total_count": len(edges), "page_info": {"has_next_page": False}}}


def _parts(context: Context, artifact: Row, spec: Row) -> Row | None:
    """Addresses of the parts: each is contents like any other until they are joined."""
    parts = spec.get("uploadPartsInput")
    if not parts:
        return None
    if len(parts) > MAX_PARTS:
        raise Refused(400, f"{spec['name']}: more than {MAX_PARTS} parts")
    return {
        "upload_id": spec["md5"],
        "upload_url_parts": [
            {
                "part_number": part["partNumber"],
                "upload_url": signed(
                    context.store, context.base_url, "PUT",
                    f"/storage/{storage_path(artifact, spec['name'])}/part-{part['partNumber']}",
                ),
            }
            for part in parts
        ],
    }  # fmt: skip


@field("Mutation.completeMultipartUploadArtifact")
async def complete(_: Any, context: Context, input: Row) -> Row:
    """Joins the parts, which it names by the ETags they were answered with; the file's digest is the upload's id."""
    store, parts = context.store, sorted(input["completedParts"], key=lambda part: part["partNumber"])
    with store.transaction():
        artifact_by_id(context, input["artifactID"])
        blobs = [_blob(context, part["hexMD5"]) for part in parts]
    if not blobs:
        raise Refused(400, "an upload of no parts")
    writer = BlobWriter(store)
    try:
        await asyncio.to_thread(_join, writer, [store.blob_path(sha256) for sha256 in blobs])
        if writer.md5() != input["uploadID"]:
            raise Refused(400, "the parts do not make up the file")
        blob = store.add_blob(writer)
    except BaseException:
        writer.abort()
        raise
    return {"digest": blob.md5}


def _blob(context: Context, etag: str) -> str:
    md5 = etag.strip('"')
    if len(md5) == 32:
        try:
            md5 = base64.b64encode(bytes.fromhex(md5)).decode()
        except (ValueError, binascii.Error):
            raise Refused(400, f"{etag[:80]!r} is no digest") from None
    sha256 = context.value("SELECT sha256 FROM blobs WHERE md5 = ?", md5)
    if sha256 is None:
        raise Refused(404, f"the part {etag[:80]!r} was not uploaded")
    context.store.has_contents(md5)
    return sha256


def _join(writer: BlobWriter, parts: list[Path]) -> None:
    for part in parts:
        with part.open("rb") as file:
            while piece := file.read(_PIECE):
                writer.write(piece)
    writer.sync()
