"""Artifacts described: versions, their manifests and files, the runs that made and used them."""

import mimetypes
from typing import Any

from vishwam.server.artifact_collections import collection_by_id, collection_type, membership_artifact, tag_rows
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.web import Refused, signed


def artifact_by_id(context: Context, text: str | None) -> Row:
    found = context.one("SELECT * FROM artifacts WHERE id = ?", row_id("Artifact", text) or 0)
    if found is None:
        raise Refused(404, "no such artifact")
    return found


@field("Query.artifact")
def query_artifact(_: Any, context: Context, id: str) -> Row | None:
    return context.one("SELECT * FROM artifacts WHERE id = ? AND state != 'DELETED'", row_id("Artifact", id) or 0)


@field("Query.clientIDMapping")
def client_id_mapping(_: Any, context: Context, clientID: str) -> Row | None:
    number = context.value("SELECT id FROM artifacts WHERE client_id = ?", clientID)
    return {"server_id": global_id("Artifact", number)} if number else None


# Versions


@field("Artifact.id")
def artifact_id(artifact: Row, _: Context) -> str:
    return global_id("Artifact", artifact["id"])


@field("Artifact.artifactSequence")
def artifact_sequence(artifact: Row, context: Context) -> Row:
    return collection_by_id(context, artifact["collection_id"])


@field("Artifact.artifactType")
def artifact_artifact_type(artifact: Row, context: Context) -> Row | None:
    return collection_type(collection_by_id(context, artifact["collection_id"]), context)


@field("Artifact.metadata")
def artifact_metadata(artifact: Row, _: Context) -> str | None:
    return artifact["metadata_json"]


@field("Artifact.commitHash")
def artifact_commit_hash(artifact: Row, _: Context) -> str | None:
    return artifact["manifest_sha256"]


@field("Artifact.ttlDurationSeconds")
def artifact_ttl(artifact: Row, _: Context) -> int:
    return artifact["ttl_seconds"] or -1


@field("Artifact.ttlIsInherited")
def artifact_ttl_inherited(_: Row, __: Context) -> bool:
    return False


@field("Artifact.tags")
def artifact_tags(artifact: Row, _: Context) -> list[Row]:
    return tag_rows(artifact["tags_json"])


@field("Artifact.aliases")
def artifact_aliases(artifact: Row, context: Context) -> list[Row]:
    return context.all("SELECT * FROM aliases WHERE artifact_id = ? ORDER BY alias", artifact["id"])


@field("Artifact.artifactMemberships")
def artifact_memberships(artifact: Row, context: Context) -> Row:
    rows = context.all("SELECT * FROM memberships WHERE artifact_id = ? ORDER BY id", artifact["id"])
    return connection(rows, None, None)


@field("Artifact.usedBy")
def used_by(artifact: Row, context: Context) -> Row:
    rows = context.all(
        "SELECT runs.* FROM runs JOIN artifact_uses ON run_id = runs.id WHERE artifact_id = ? AND deleted_at IS NULL "
        "ORDER BY used_at",
        artifact["id"],
    )
    return connection(rows, None, None)


@field("Artifact.createdBy")
def created_by(artifact: Row, context: Context) -> Row | None:
    if artifact["run_id"]:
        run = context.one("SELECT * FROM runs WHERE id = ? AND deleted_at IS NULL", artifact["run_id"])
        return run and {**run, "__typename": "Run"}
    user = context.one("SELECT * FROM users WHERE id = ?", artifact["user_id"])
    return user and {**user, "__typename": "User"}


@field("Artifact.currentManifest")
def current_manifest(artifact: Row, context: Context) -> Row | None:
    if artifact["manifest_sha256"] is None:
        return None
    path = f"manifests/{artifact['id']}/wandb_manifest.json"
    url = signed(context.store, context.base_url, "GET", f"/storage/{path}")
    number = global_id("ArtifactManifest", artifact["id"])
    return {
        "id": number,
        "file": {"id": number, "name": "wandb_manifest.json", "storage_path": path, "direct_url": url},
    }


# Files


def _files(context: Context, artifact: Row, names: list[str] | None, first: int | None, after: str | None) -> Row:
    rows = context.all("SELECT * FROM artifact_files WHERE artifact_id = ? ORDER BY path", artifact["id"])
    if names:
        wanted = set(names)
        rows = [row for row in rows if row["path"] in wanted]
    page = connection(rows, first, after)
    for edge in page["edges"]:
        edge["node"] = _file(context, artifact, edge["node"])
    return page


def storage_path(artifact: Row, name: str) -> str:
    """Where a file lies under /storage, named as in W&B's own."""
    return f"wandb_artifacts/{artifact['id']}/{name}"


def _file(context: Context, artifact: Row, row: Row) -> Row:
    path = url = row["ref"]
    if path is None:
        path = storage_path(artifact, row["path"])
        url = signed(context.store, context.base_url, "GET", f"/storage/{path}")
    return {
        "id": global_id(f"ArtifactFile/{row['path']}", artifact["id"]),
        "name": row["path"],
        "display_name": row["path"],
        "url": url,
        "direct_url": url,
        "size_bytes": row["size"],
        "storage_path": path,
        "mimetype": mimetypes.guess_type(row["path"])[0] or "",
        "updated_at": artifact["updated_at"],
        "digest": row["digest"],
        "md5": row["digest"],
    }


@field("Artifact.files")
def artifact_files(
    artifact: Row, context: Context, names: list[str] | None = None, after: str | None = None, first: int | None = None
) -> Row:
    return _files(context, artifact, names, first, after)


@field("Artifact.filesByManifestEntries")
def files_by_entries(
    artifact: Row,
    context: Context,
    storageLayout: str,
    manifestVersion: str,
    entries: list[Row] | None = None,
    storageRegion: str | None = None,
) -> Row:
    return _files(context, artifact, [entry["name"] for entry in entries or []] or None, None, None)


@field("ArtifactCollectionMembership.files")
def membership_files(
    member: Row, context: Context, names: list[str] | None = None, after: str | None = None, first: int | None = None
) -> Row:
    artifact = membership_artifact(member, context)
    assert artifact is not None
    return _files(context, artifact, names, first, after)


@field("Run.outputArtifacts")
def output_artifacts(run: Row, context: Context, after: str | None = None, first: int | None = None) -> Row:
    rows = context.all(
        "SELECT * FROM artifacts WHERE state = 'COMMITTED' AND (run_id = ?1 OR id IN "
        "(SELECT artifact_id FROM artifact_logs WHERE run_id = ?1)) ORDER BY id",
        run["id"],
    )
    return connection(rows, first, after)


@field("Run.inputArtifacts")
def input_artifacts(run: Row, context: Context, after: str | None = None, first: int | None = None) -> Row:
    rows = context.all(
        "SELECT artifacts.* FROM artifacts JOIN artifact_uses ON artifact_id = artifacts.id "
        "WHERE artifact_uses.run_id = ? AND state = 'COMMITTED' ORDER BY used_at",
        run["id"],
    )
    return connection(rows, first, after)
