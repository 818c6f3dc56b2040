"""Artifacts found and described: types, collections, versions, aliases, their files."""

import json
import mimetypes
from typing import Any

from vishwam.server import filters as run_filters
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.queries import project_by_id
from vishwam.server.runs import json_object
from vishwam.server.web import Refused, signed

_KINDS = {"sequence": "ArtifactSequence", "portfolio": "ArtifactPortfolio"}


def _typed(collection: Row) -> Row:
    return {**collection, "__typename": _KINDS[collection["kind"]]}


def collection_by_id(context: Context, number: int) -> Row:
    found = context.one("SELECT * FROM artifact_collections WHERE id = ?", number)
    assert found is not None
    return _typed(found)


def find_collection(context: Context, project: Row, name: str) -> Row | None:
    found = context.one("SELECT * FROM artifact_collections WHERE project_id = ? AND name = ?", project["id"], name)
    return found and _typed(found)


def artifact_by_id(context: Context, text: str | None) -> Row:
    found = context.one("SELECT * FROM artifacts WHERE id = ?", row_id("Artifact", text) or 0)
    if found is None:
        raise Refused(404, "no such artifact")
    return found


def membership_row(context: Context, collection_id: int, artifact_id: int) -> Row | None:
    return context.one(
        "SELECT * FROM memberships WHERE collection_id = ? AND artifact_id = ?", collection_id, artifact_id
    )


def _member(context: Context, collection_id: int, alias: str) -> Row | None:
    """The membership an alias or a version ("v3") means; deleted versions are not there."""
    artifact_id = context.value(
        "SELECT artifact_id FROM aliases WHERE collection_id = ? AND alias = ?", collection_id, alias
    )
    condition, value = "artifact_id", artifact_id
    if artifact_id is None:
        if not (alias.startswith("v") and alias[1:].isdecimal() and alias.isascii() and len(alias) < 12):
            return None
        condition, value = "memberships.version_index", int(alias[1:])
    return context.one(
        f"SELECT memberships.* FROM memberships JOIN artifacts ON artifacts.id = artifact_id "
        f"WHERE memberships.collection_id = ? AND {condition} = ? AND state = 'COMMITTED'",
        collection_id,
        value,
    )


def _named_member(context: Context, project: Row, name: str) -> Row | None:
    """ "collection:alias"; without an alias, the latest."""
    collection_name, _, alias = name.partition(":")
    collection = find_collection(context, project, collection_name)
    return collection and _member(context, collection["id"], alias or "latest")


@field("Project.artifactCollectionMembership")
def project_membership(project: Row, context: Context, name: str) -> Row | None:
    return _named_member(context, project, name)


@field("Project.artifact")
def project_artifact(project: Row, context: Context, name: str) -> Row | None:
    member = _named_member(context, project, name)
    return member and context.one("SELECT * FROM artifacts WHERE id = ?", member["artifact_id"])


@field("Query.artifact")
def query_artifact(_: Any, context: Context, id: str) -> Row | None:
    return context.one("SELECT * FROM artifacts WHERE id = ? AND state != 'DELETED'", row_id("Artifact", id) or 0)


@field("Project.artifactCollection")
def project_collection(project: Row, context: Context, name: str) -> Row | None:
    return find_collection(context, project, name)


@field("Query.artifactCollection")
def query_collection(_: Any, context: Context, id: str) -> Row | None:
    found = context.one("SELECT * FROM artifact_collections WHERE id = ?", row_id("ArtifactCollection", id) or 0)
    return found and _typed(found)


@field("Query.clientIDMapping")
def client_id_mapping(_: Any, context: Context, clientID: str) -> Row | None:
    number = context.value("SELECT id FROM artifacts WHERE client_id = ?", clientID)
    return {"server_id": global_id("Artifact", number)} if number else None


# Types


@field("Project.artifactTypes")
def artifact_types(
    project: Row, context: Context, after: str | None = None, first: int | None = None, includeAll: bool | None = None
) -> Row:
    rows = context.all(
        "SELECT min(id) AS id, type AS name, min(created_at) AS created_at, project_id FROM artifact_collections "
        "WHERE project_id = ? GROUP BY type ORDER BY type",
        project["id"],
    )
    return connection(rows, first, after)


@field("Project.artifactType")
def artifact_type(project: Row, context: Context, name: str) -> Row | None:
    row = context.one(
        "SELECT min(id) AS id, type AS name, min(created_at) AS created_at, project_id FROM artifact_collections "
        "WHERE project_id = ? AND type = ? GROUP BY type",
        project["id"],
        name,
    )
    return row


@field("ArtifactType.id")
def artifact_type_id(row: Row, _: Context) -> str:
    return global_id("ArtifactType", row["id"])


@field("ArtifactType.artifactCollection")
def type_collection(row: Row, context: Context, name: str) -> Row | None:
    found = find_collection(context, {"id": row["project_id"]}, name)
    return found if found is not None and found["type"] == row["name"] else None


@field("ArtifactType.artifactCollections", "Project.artifactCollections")
def collections(
    parent: Row,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    filters: str | None = None,
    order: str | None = None,
) -> Row:
    of_type = "project_id" in parent
    rows = context.all(
        "SELECT * FROM artifact_collections WHERE project_id = ? AND (? IS NULL OR type = ?) ORDER BY name",
        parent["project_id"] if of_type else parent["id"],
        parent["name"] if of_type else None,
        parent["name"] if of_type else None,
    )
    chosen = run_filters.ordered(run_filters.matching(rows, json_object("filters", filters)), order)
    return connection([_typed(row) for row in chosen], first, after)


# Collections


def _on_collections(*names: str) -> list[str]:
    return [f"{kind}.{name}" for kind in _KINDS.values() for name in names]


@field(*_on_collections("id"))
def collection_id(collection: Row, _: Context) -> str:
    return global_id("ArtifactCollection", collection["id"])


@field(*_on_collections("state"))
def collection_state(_: Row, __: Context) -> str:
    return "READY"


@field(*_on_collections("project"))
def collection_project(collection: Row, context: Context) -> Row:
    return project_by_id(context, collection["project_id"])


@field(*_on_collections("defaultArtifactType"))
def collection_type(collection: Row, context: Context) -> Row | None:
    return artifact_type({"id": collection["project_id"]}, context, collection["type"])


def tag_rows(tags_json: str) -> list[Row]:
    return [{"id": global_id("Tag", index + 1), "name": name} for index, name in enumerate(json.loads(tags_json))]


@field(*_on_collections("tags"))
def collection_tags(collection: Row, _: Context) -> Row:
    return {"edges": [{"node": tag} for tag in tag_rows(collection["tags_json"])]}


@field(*_on_collections("aliases"))
def collection_aliases(collection: Row, context: Context, after: str | None = None, first: int | None = None) -> Row:
    rows = context.all("SELECT * FROM aliases WHERE collection_id = ? ORDER BY alias", collection["id"])
    return connection(rows, first, after)


@field(*_on_collections("artifactMembership"))
def collection_membership(collection: Row, context: Context, aliasName: str) -> Row | None:
    return _member(context, collection["id"], aliasName)


@field(*_on_collections("artifacts"))
def collection_artifacts(
    collection: Row,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    filters: str | None = None,
) -> Row:
    """Versions, newest first."""
    rows = context.all(
        "SELECT artifacts.*, memberships.version_index AS place FROM memberships "
        "JOIN artifacts ON artifacts.id = artifact_id WHERE memberships.collection_id = ? AND state = 'COMMITTED' "
        "ORDER BY memberships.version_index DESC",
        collection["id"],
    )
    page = connection(
        run_filters.ordered(run_filters.matching(rows, json_object("filters", filters)), order), first, after
    )
    for edge in page["edges"]:
        edge["version"] = f"v{edge['node']['place']}"
    return page


@field("ArtifactSequence.latestArtifact")
def latest_artifact(collection: Row, context: Context) -> Row | None:
    return context.one(
        "SELECT * FROM artifacts WHERE collection_id = ? AND state = 'COMMITTED' ORDER BY version_index DESC",
        collection["id"],
    )


@field("ArtifactSequence.digestAlgorithm", "Artifact.digestAlgorithm")
def digest_algorithm(_: Row, __: Context) -> str:
    return "MANIFEST_MD5"


# Aliases and memberships


@field("ArtifactAlias.id")
def alias_id(alias: Row, _: Context) -> str:
    return global_id(f"ArtifactAlias/{alias['collection_id']}/{alias['alias']}", alias["artifact_id"])


@field("ArtifactAlias.artifactCollection")
def alias_collection(alias: Row, context: Context) -> Row:
    return collection_by_id(context, alias["collection_id"])


@field("ArtifactAlias.artifactCollectionName")
def alias_collection_name(alias: Row, context: Context) -> str:
    return collection_by_id(context, alias["collection_id"])["name"]


@field("ArtifactCollectionMembership.id")
def membership_id(member: Row, _: Context) -> str:
    return global_id("ArtifactCollectionMembership", member["id"])


@field("ArtifactCollectionMembership.aliases")
def membership_aliases(member: Row, context: Context) -> list[Row]:
    return context.all(
        "SELECT * FROM aliases WHERE collection_id = ? AND artifact_id = ? ORDER BY alias",
        member["collection_id"],
        member["artifact_id"],
    )


@field("ArtifactCollectionMembership.artifactCollection")
def membership_collection(member: Row, context: Context) -> Row:
    return collection_by_id(context, member["collection_id"])


@field("ArtifactCollectionMembership.artifact")
def membership_artifact(member: Row, context: Context) -> Row | None:
    return context.one("SELECT * FROM artifacts WHERE id = ?", member["artifact_id"])


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


@field("Artifact.ttlDurationSeconds")
def artifact_ttl(artifact: Row, _: Context) -> int:
    return artifact["ttl_seconds"] or -1


@field("Artifact.ttlIsInherited")
def artifact_ttl_inherited(_: Row, __: Context) -> bool:
    return False


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
    path = f"/storage/artifacts/{artifact['id']}/wandb_manifest.json"
    url = signed(context.store, context.base_url, "GET", f"/storage/manifests/of/{artifact['id']}")
    number = global_id("ArtifactManifest", artifact["id"])
    return {
        "id": number,
        "file": {"id": number, "name": "wandb_manifest.json", "storage_path": path, "direct_url": url},
    }


# Files


def _files(context: Context, artifact: Row, names: list[str] | None, first: int | None, after: str | None) -> Row:
    rows = context.all(
        "SELECT * FROM artifact_files WHERE artifact_id = ? AND sha256 IS NOT NULL ORDER BY path", artifact["id"]
    )
    if names:
        wanted = set(names)
        rows = [row for row in rows if row["path"] in wanted]
    page = connection(rows, first, after)
    for edge in page["edges"]:
        edge["node"] = _file(context, artifact, edge["node"])
    return page


def _file(context: Context, artifact: Row, row: Row) -> Row:
    path = f"/storage/artifacts/{artifact['id']}/{row['path']}"
    url = signed(context.store, context.base_url, "GET", path)
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
    rows = context.all("SELECT * FROM artifacts WHERE run_id = ? AND state = 'COMMITTED' ORDER BY id", run["id"])
    return connection(rows, first, after)


@field("Run.inputArtifacts")
def input_artifacts(run: Row, context: Context, after: str | None = None, first: int | None = None) -> Row:
    rows = context.all(
        "SELECT artifacts.* FROM artifacts JOIN artifact_uses ON artifact_id = artifacts.id "
        "WHERE artifact_uses.run_id = ? AND state = 'COMMITTED' ORDER BY used_at",
        run["id"],
    )
    return connection(rows, first, after)
