"""Collections of artifacts: found by name and alias, described, renamed, moved, tagged, deleted, unlinked from."""

import json
import sqlite3
import time
from typing import Any

from vishwam.server.database import update
from vishwam.server.filters import matching, ordered
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.queries import check_name, find_project, project_by_id
from vishwam.server.runs import json_object
from vishwam.server.web import Refused

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


@field("Project.artifactCollection")
def project_collection(project: Row, context: Context, name: str) -> Row | None:
    return find_collection(context, project, name)


@field("Query.artifactCollection")
def query_collection(_: Any, context: Context, id: str) -> Row | None:
    found = context.one("SELECT * FROM artifact_collections WHERE id = ?", row_id("ArtifactCollection", id) or 0)
    return found and _typed(found)


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
    return context.one(
        "SELECT min(id) AS id, type AS name, min(created_at) AS created_at, project_id FROM artifact_collections "
        "WHERE project_id = ? AND type = ? GROUP BY type",
        project["id"],
        name,
    )


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
    return connection([_typed(row) for row in _chosen(rows, filters, order)], first, after)


def _chosen(rows: list[Row], filters: str | None, order: str | None) -> list[Row]:
    return ordered(matching(rows, json_object("filters", filters)), order)


# Collections


def _on_collections(*names: str) -> list[str]:
    return [f"{kind}.{name}" for kind in _KINDS.values() for name in names]


@field(*_on_collections("id"))
def collection_id(collection: Row, _: Context) -> str:
    return global_id("ArtifactCollection", collection["id"])


@field(*_on_collections("state"))
def collection_state(collection: Row, _: Context) -> str:
    return collection.get("state", "READY")


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
    page = connection(_chosen(rows, filters, order), first, after)
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


# Changes


def _of_id(context: Context, text: str) -> Row:
    found = context.one("SELECT * FROM artifact_collections WHERE id = ?", row_id("ArtifactCollection", text) or 0)
    if found is None:
        raise Refused(404, "no such collection")
    return _typed(found)


_MOVE_LINKED = """UPDATE artifact_collections SET type = ?1 WHERE kind = 'portfolio' AND (
SELECT min(artifacts.collection_id) = ?2 AND max(artifacts.collection_id) = ?2 FROM memberships
JOIN artifacts ON artifacts.id = artifact_id WHERE memberships.collection_id = artifact_collections.id)"""


@field("Mutation.updateArtifactSequence", "Mutation.updateArtifactPortfolio", "Mutation.moveArtifactSequence")
def update_collection(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        collection = _of_id(context, input.get("artifactSequenceID") or input["artifactPortfolioID"])
        name, type_name = input.get("name"), input.get("destinationArtifactTypeName")
        if name is not None and name != collection["name"]:
            check_name("artifact", name)
            if find_collection(context, {"id": collection["project_id"]}, name) is not None:
                raise Refused(409, f"{name} already exists")
            collection["name"] = name
        if type_name is not None:
            check_name("artifact type", type_name)
            collection["type"] = type_name
            # What is linked keeps its type in every collection that has nothing else.
            db.execute(_MOVE_LINKED, (type_name, collection["id"]))
        if input.get("description") is not None:
            collection["description"] = input["description"]
        changes = {name: collection[name] for name in ("name", "type", "description")}
        update(db, "artifact_collections", collection["id"], {**changes, "updated_at": time.time()})
    context.store.changes.publish(collection["project_id"], 0)
    return {"artifact_collection": collection}


@field("Mutation.deleteArtifactSequence", "Mutation.deleteArtifactPortfolio")
def delete_collection(_: Any, context: Context, input: Row) -> Row:
    """With its own versions, wherever they are linked; a portfolio only ends its links."""
    with context.store.transaction() as db:
        collection = _of_id(context, input.get("artifactSequenceID") or input["artifactPortfolioID"])
        db.execute("DELETE FROM artifact_collections WHERE id = ?", (collection["id"],))
    context.store.changes.publish(collection["project_id"], 0)
    return {"artifact_collection": {**collection, "state": "DELETED"}}


def _change_tags(context: Context, input: Row, added: list[str], removed: list[str]) -> list[str]:
    with context.store.transaction() as db:
        project = find_project(context, input["entityName"], input["projectName"])
        collection = project and find_collection(context, project, input["artifactCollectionName"])
        if not collection:
            raise Refused(404, f"no collection {input['artifactCollectionName']}")
        tags = [tag for tag in json.loads(collection["tags_json"]) if tag not in removed]
        tags += [tag for tag in dict.fromkeys(added) if tag not in tags]
        changes = {"tags_json": json.dumps(tags), "updated_at": time.time()}
        update(db, "artifact_collections", collection["id"], changes)
    return tags


@field("Mutation.createArtifactCollectionTagAssignments")
def add_collection_tags(_: Any, context: Context, input: Row) -> Row:
    tags = _change_tags(context, input, added=[tag["tagName"] for tag in input["tags"]], removed=[])
    return {"tags": tag_rows(json.dumps(tags))}


@field("Mutation.deleteArtifactCollectionTagAssignments")
def delete_collection_tags(_: Any, context: Context, input: Row) -> Row:
    _change_tags(context, input, added=[], removed=[tag["tagName"] for tag in input["tags"]])
    return {"success": True}


@field("Mutation.unlinkArtifact")
def unlink(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        collection, artifact = _of_id(context, input["artifactPortfolioID"]), row_id("Artifact", input["artifactID"])
        if collection["kind"] != "portfolio":
            raise Refused(400, f"{collection['name']} is the artifact's own sequence: deleting is what removes it")
        if membership_row(context, collection["id"], artifact or 0) is None:
            raise Refused(404, f"the artifact is not in {collection['name']}")
        values = (collection["id"], artifact)
        db.execute("DELETE FROM memberships WHERE collection_id = ? AND artifact_id = ?", values)
        db.execute("DELETE FROM aliases WHERE collection_id = ? AND artifact_id = ?", values)
        restore_latest(db, collection["id"])
    context.store.changes.publish(collection["project_id"], 0)
    return {"success": True}


def restore_latest(db: sqlite3.Connection, collection_id: int) -> None:
    """`latest` falls back to the newest version that is left; inside a transaction."""
    db.execute(
        "INSERT OR IGNORE INTO aliases SELECT memberships.collection_id, 'latest', artifact_id FROM memberships "
        "JOIN artifacts ON artifacts.id = artifact_id WHERE memberships.collection_id = ? AND state = 'COMMITTED' "
        "ORDER BY memberships.version_index DESC LIMIT 1",
        (collection_id,),
    )
