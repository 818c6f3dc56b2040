"""Artifacts made and changed: create, upload, commit, alias, use, link, delete."""

import json
import sqlite3
import time
from typing import Any

from vishwam.server.artifact_collections import collection_by_id, find_collection, membership_row
from vishwam.server.artifact_fields import artifact_by_id
from vishwam.server.database import insert, update
from vishwam.server.files import check_path
from vishwam.server.graphql import Context, Row, field, global_id, row_id
from vishwam.server.queries import check_name, find_project, make_project
from vishwam.server.runs import json_object, required_run
from vishwam.server.web import Refused, signed

MAX_ALIAS = 128
REGIONS = ("default", "minio-local")  # what the client, and a W&B server of one's own, call the only place there is
MAX_ENTRIES = 1_000_000


def _make_collection(context: Context, project: Row, kind: str, type_name: str, name: str) -> Row:
    """The collection, made when it is new; inside a transaction. 409 when the name belongs to another type."""
    found = find_collection(context, project, name)
    if found is not None:
        if found["type"] != type_name or found["kind"] != kind:
            raise Refused(
                409, f"{name} already exists as a {found['kind']} of type {found['type']!r}, not {type_name!r}"
            )
        return found
    check_name("artifact", name)
    check_name("artifact type", type_name)
    now = time.time()
    row = {"project_id": project["id"], "kind": kind, "type": type_name, "name": name}
    number = insert(context.db, "artifact_collections", {**row, "created_at": now, "updated_at": now})
    return collection_by_id(context, number)


def _set_alias(db: sqlite3.Connection, collection_id: int, alias: str, artifact_id: int) -> None:
    """Points an alias at an artifact; it leaves whatever it pointed at."""
    if not 0 < len(alias) <= MAX_ALIAS or any(c in "/:\\" or not c.isprintable() for c in alias):
        raise Refused(400, f"invalid alias {alias[:80]!r}")
    db.execute("INSERT OR REPLACE INTO aliases VALUES (?, ?, ?)", (collection_id, alias, artifact_id))


def _tags(given: list[Row] | None) -> list[str]:
    return [tag["tagName"] for tag in given or []]


@field("Mutation.createArtifact")
def create_artifact(_: Any, context: Context, input: Row) -> Row:
    """A new version on its way, or the version that already holds these very contents."""
    name = input.get("artifactCollectionName") or next(iter(input.get("artifactCollectionNames") or []), None)
    if not name:
        raise Refused(400, "an artifact needs a name")
    if input.get("metadata"):
        json_object("metadata", input["metadata"])
    if input.get("storageRegion") not in (None, "", *REGIONS):
        raise Refused(400, f"invalid storageRegion: {input['storageRegion']}")
    aliases = [alias["alias"] for alias in input.get("aliases") or []]
    with context.store.transaction() as db:
        project = make_project(context, input["entityName"], input["projectName"])
        collection = _make_collection(context, project, "sequence", input["artifactTypeName"], name)
        run = None
        if input.get("runName"):
            run = required_run(context, input["entityName"], input["projectName"], input["runName"])
        known = _same(context, collection, input)
        if known is not None:
            if known["state"] == "COMMITTED":
                for alias in aliases:
                    _set_alias(db, collection["id"], alias, known["id"])
                if run and run["id"] != known["run_id"]:
                    db.execute("INSERT OR IGNORE INTO artifact_logs VALUES (?, ?)", (run["id"], known["id"]))
            return {"artifact": known}
        now = time.time()
        row = {
            "collection_id": collection["id"],
            "digest": input["digest"],
            "state": "PENDING",
            "description": input.get("description"),
            "metadata_json": input.get("metadata"),
            "tags_json": json.dumps(_tags(input.get("tags"))),
            "aliases_json": json.dumps(aliases),
            "run_id": run and run["id"],
            "user_id": context.user["id"],
            "client_id": input.get("clientID"),
            "distributed_id": input.get("distributedID"),
            "history_step": input.get("historyStep"),
            "ttl_seconds": input.get("ttlDurationSeconds"),
            "created_at": now,
            "updated_at": now,
        }
        return {"artifact": context.one("SELECT * FROM artifacts WHERE id = ?", insert(db, "artifacts", row))}


def _same(context: Context, collection: Row, input: Row) -> Row | None:
    """The artifact this request already made (a repeated request, or another process of the same work), or a committed
    one of the same contents."""
    if input.get("clientID"):
        made = context.one("SELECT * FROM artifacts WHERE client_id = ? AND state != 'DELETED'", input["clientID"])
        if made is not None:
            return made
    if input.get("distributedID"):
        return context.one(
            "SELECT * FROM artifacts WHERE collection_id = ? AND distributed_id = ? AND state = 'PENDING'",
            collection["id"],
            input["distributedID"],
        )
    if not input.get("enableDigestDeduplication"):
        return None
    return context.one(
        "SELECT * FROM artifacts WHERE collection_id = ? AND digest = ? AND state = 'COMMITTED' "
        "ORDER BY version_index DESC",
        collection["id"],
        input["digest"],
    )


@field("Mutation.createArtifactManifest")
def create_manifest(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        row = {
            "artifact_id": artifact["id"],
            "base_artifact_id": row_id("Artifact", input.get("baseArtifactID")),
            "name": input["name"],
            "type": input.get("type") or "FULL",
            "digest": input["digest"],
        }
        number = insert(db, "manifests", row)
    return {"artifact_manifest": _manifest(context, number)}


@field("Mutation.updateArtifactManifest")
def update_manifest(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        number = row_id("ArtifactManifest", input["artifactManifestID"])
        changed = db.execute(
            "UPDATE manifests SET digest = coalesce(?, digest), base_artifact_id = coalesce(?, base_artifact_id) "
            "WHERE id = ?",
            (input.get("digest"), row_id("Artifact", input.get("baseArtifactID")), number or 0),
        ).rowcount
        if not changed:
            raise Refused(404, "no such manifest")
    return {"artifact_manifest": _manifest(context, number)}


def _manifest(context: Context, number: int | None) -> Row:
    path = f"/storage/manifests/{number}"
    return {
        "id": global_id("ArtifactManifest", number or 0),
        "file": {
            "id": global_id("ManifestFile", number or 0),
            "upload_url": signed(context.store, context.base_url, "PUT", path),
            "upload_headers": [],
            "direct_url": signed(context.store, context.base_url, "GET", path),
        },
    }


@field("Mutation.commitArtifact")
def commit(_: Any, context: Context, input: Row) -> Row:
    """Turns what was uploaded into a version: its files, place and aliases appear together."""
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        if artifact["state"] == "COMMITTED":
            return {"artifact": artifact}
        manifest = _merged_manifest(context, artifact)
        rows = [_entry(context, artifact["id"], path, entry) for path, entry in manifest["contents"].items()]
        db.executemany("INSERT OR REPLACE INTO artifact_files VALUES (?, ?, ?, ?, ?, ?)", rows)
        blob = context.store.blob_from_bytes(json.dumps(manifest).encode())
        collection_id, now = artifact["collection_id"], time.time()
        changes = {
            "state": "COMMITTED",
            "version_index": _join(db, collection_id, artifact["id"], now),
            "size": sum(row[3] for row in rows),
            "file_count": len(rows),
            "manifest_sha256": blob.sha256,
            "updated_at": now,
        }
        update(db, "artifacts", artifact["id"], changes)
        for alias in ("latest", *json.loads(artifact["aliases_json"])):
            _set_alias(db, collection_id, alias, artifact["id"])
        db.execute("DELETE FROM manifests WHERE artifact_id = ?", (artifact["id"],))
        committed = context.one("SELECT * FROM artifacts WHERE id = ?", artifact["id"])
    context.store.changes.publish(collection_by_id(context, collection_id)["project_id"], artifact["run_id"] or 0)
    return {"artifact": committed}


def _join(db: sqlite3.Connection, collection_id: int, artifact_id: int, now: float) -> int:
    """The artifact's version in the collection, the next one."""
    query = "SELECT coalesce(max(version_index) + 1, 0) FROM memberships WHERE collection_id = ?"
    version = db.execute(query, (collection_id,)).fetchone()[0]
    row = {"collection_id": collection_id, "artifact_id": artifact_id, "version_index": version, "created_at": now}
    insert(db, "memberships", row)
    update(db, "artifact_collections", collection_id, {"updated_at": now})
    return version


def _merged_manifest(context: Context, artifact: Row) -> Row:
    """The manifest of the version: the uploaded one, over its base's where it is incremental, or all patches as one."""
    sent = context.all(
        "SELECT * FROM manifests WHERE artifact_id = ? AND sha256 IS NOT NULL ORDER BY id", artifact["id"]
    )
    if not sent:
        raise Refused(400, "the artifact's manifest was not uploaded")
    last = sent[-1]
    manifest = _load_manifest(context, last["sha256"])
    if last["type"] == "PATCH":
        parts = [_load_manifest(context, row["sha256"])["contents"] for row in sent]
    elif last["type"] == "INCREMENTAL":
        base = context.one("SELECT * FROM artifacts WHERE id = ?", last["base_artifact_id"] or 0)
        has_base = base is not None and base["manifest_sha256"] is not None
        parts = [_load_manifest(context, base["manifest_sha256"])["contents"]] if base and has_base else []
        parts.append(manifest["contents"])
    else:
        parts = [manifest["contents"]]
    manifest["contents"] = {path: entry for part in parts for path, entry in part.items()}
    return manifest


def _load_manifest(context: Context, sha256: str) -> Row:
    try:
        manifest = json.loads(context.store.blob_path(sha256).read_bytes())
    except (ValueError, RecursionError):
        raise Refused(400, "the artifact's manifest is not JSON") from None
    contents = manifest.get("contents") if isinstance(manifest, dict) else None
    if not isinstance(contents, dict) or len(contents) > MAX_ENTRIES:
        raise Refused(400, "the artifact's manifest has no contents")
    return manifest


def _entry(context: Context, artifact_id: int, path: str, entry: Any) -> tuple[Any, ...]:
    """A row of `artifact_files`; 400 when the file it names was never uploaded."""
    check_path(path)
    if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
        raise Refused(400, f"{path}: the manifest gives no digest")
    reference = entry.get("ref")
    size = entry.get("size")
    if reference is not None:
        return (artifact_id, path, entry["digest"], size if isinstance(size, int) else 0, None, str(reference))
    blob = context.one("SELECT * FROM blobs WHERE md5 = ?", entry["digest"])
    if blob is None:
        raise Refused(400, f"{path}: its contents were not uploaded")
    return (artifact_id, path, entry["digest"], blob["size"], blob["sha256"], None)


@field("Mutation.useArtifact")
def use(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        run = required_run(context, input["entityName"], input["projectName"], input["runName"])
        db.execute("INSERT OR IGNORE INTO artifact_uses VALUES (?, ?, ?)", (run["id"], artifact["id"], time.time()))
    return {"artifact": artifact}


@field("Mutation.updateArtifact")
def update_artifact(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        changes: Row = {"updated_at": time.time()}
        if input.get("metadata") is not None:
            json_object("metadata", input["metadata"])
            changes["metadata_json"] = input["metadata"]
        if input.get("description") is not None:
            changes["description"] = input["description"]
        if input.get("ttlDurationSeconds") is not None:
            changes["ttl_seconds"] = input["ttlDurationSeconds"]
        removed = set(_tags(input.get("tagsToDelete")))
        kept = [name for name in json.loads(artifact["tags_json"]) if name not in removed]
        added = [name for name in _tags(input.get("tagsToAdd")) if name not in kept]
        changes["tags_json"] = json.dumps(kept + added)
        update(db, "artifacts", artifact["id"], changes)
        if input.get("aliases") is not None:
            db.execute(
                "DELETE FROM aliases WHERE collection_id = ? AND artifact_id = ?",
                (artifact["collection_id"], artifact["id"]),
            )
            for alias in input["aliases"]:
                _set_alias(db, artifact["collection_id"], alias["alias"], artifact["id"])
    return {"artifact": context.one("SELECT * FROM artifacts WHERE id = ?", artifact["id"])}


def _named_collection(context: Context, artifact: Row, alias: Row) -> Row:
    project = find_project(context, alias.get("entityName"), alias.get("projectName"))
    found = project and find_collection(context, project, alias["artifactCollectionName"])
    if not found or membership_row(context, found["id"], artifact["id"]) is None:
        raise Refused(404, f"the artifact is not in {alias['artifactCollectionName']}")
    return found


@field("Mutation.addAliases")
def add_aliases(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        for alias in input["aliases"]:
            collection = _named_collection(context, artifact, alias)
            _set_alias(db, collection["id"], alias["alias"], artifact["id"])
    return {"success": True}


@field("Mutation.deleteAliases")
def delete_aliases(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        artifact = artifact_by_id(context, input["artifactID"])
        for alias in input["aliases"]:
            collection = _named_collection(context, artifact, alias)
            db.execute(
                "DELETE FROM aliases WHERE collection_id = ? AND alias = ? AND artifact_id = ?",
                (collection["id"], alias["alias"], artifact["id"]),
            )
    return {"success": True}


@field("Mutation.linkArtifact")
def link(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        if input.get("artifactID"):
            artifact = artifact_by_id(context, input["artifactID"])
        else:
            artifact = context.one("SELECT * FROM artifacts WHERE client_id = ?", input.get("clientID")) or {}
        if artifact.get("state") != "COMMITTED":
            raise Refused(404, "no such artifact")
        source = collection_by_id(context, artifact["collection_id"])
        project = make_project(context, input.get("entityName"), input.get("projectName"))
        portfolio = _make_collection(
            context, project, "portfolio", source["type"], input.get("artifactPortfolioName") or ""
        )
        if membership_row(context, portfolio["id"], artifact["id"]) is None:
            _join(db, portfolio["id"], artifact["id"], time.time())
        for alias in ("latest", *(alias["alias"] for alias in input.get("aliases") or [])):
            _set_alias(db, portfolio["id"], alias, artifact["id"])
        membership = membership_row(context, portfolio["id"], artifact["id"]) or {}
    return {"version_index": membership["version_index"], "artifact_membership": membership}
