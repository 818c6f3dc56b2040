"""Who asks, what this server can do, and its projects."""

import json
import time
from typing import Any

from vishwam.server.database import insert
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.web import Refused

# Only what is built: the client changes its ways for each of these.
FEATURES = (
    "ARTIFACT_TAGS",
    "CLIENT_IDS",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "MARK_RUN_FILES_UPLOADED",
    "FILESTREAM_GZIP",
    "SWEEPS_QUERY_FILTERING",
    "UPDATE_RUN_STATE",
)
DEFAULT_PROJECT = "uncategorized"
MAX_NAME = 128


@field("Query.viewer")
def viewer(_: Any, context: Context) -> Row:
    return context.user


@field("User.id")
def user_id(user: Row, _: Context) -> str:
    return global_id("User", user["id"])


@field("User.username", "User.entity")
def username(user: Row, _: Context) -> str:
    return user["name"]


@field("User.flags")
def flags(_: Row, __: Context) -> str:
    # The client uploads the script only where the user's flags allow it.
    return json.dumps({"code_saving_enabled": True})


@field("User.apiKeys")
def api_keys(user: Row, context: Context) -> Row:
    """One's own, by their first letters."""
    mine = user["id"] == context.user["id"]
    rows = context.all("SELECT * FROM api_keys WHERE user_id = ?", user["id"]) if mine else []
    names = [row["prefix"] or row["hash"][:8] for row in rows]
    return {"edges": [{"node": {**row, "id": name, "name": name}} for row, name in zip(rows, names, strict=True)]}


@field("User.teams")
def teams(user: Row, _: Context) -> Row:
    """The user's own entity, as on W&B; there are no others."""
    return {"edges": [{"node": user}]}


@field("User.organizations")
def organizations(_: Row, __: Context) -> list[Row]:
    return []


@field("Query.users")
def users(_: Any, context: Context, query: str | None = None) -> Row:
    rows = context.all("SELECT * FROM users WHERE name = ?1 OR email = ?1", query or "")
    return {"edges": [{"node": row} for row in rows]}


@field("Query.entity", "Project.entity")
def entity(parent: Row | None, context: Context, name: str | None = None) -> Row | None:
    if parent is not None:
        name = parent["entity"]
    return context.one("SELECT * FROM users WHERE name = ?", name or context.user["name"])


@field("Entity.id")
def entity_id(user: Row, _: Context) -> str:
    return global_id("Entity", user["id"])


@field(
    "Entity.isTeam", "Entity.readOnly", "Entity.readOnlyAdmin", "Entity.xxhashDigestsEnabled", "Entity.privateOnly",
    "Entity.available", "Entity.isPaid",
)  # fmt: skip
def no(_: Row, __: Context) -> bool:
    return False


@field("Entity.entityType")
def entity_type(_: Row, __: Context) -> str:
    return "user"


@field("Entity.codeSavingEnabled")
def code_saving(_: Row, __: Context) -> bool:
    return True


@field("Entity.defaultAccess")
def default_access(_: Row, __: Context) -> str:
    return "PRIVATE"


@field("Entity.storageBytes")
def storage_bytes(_: Row, context: Context) -> int:
    """Of the whole server: contents are stored once, whoever sent them."""
    return context.value("SELECT coalesce(sum(size), 0) FROM blobs")


@field("Entity.members")
def entity_members(user: Row, _: Context) -> list[Row]:
    return [{**user, "account_type": "USER", "pending": False}]


@field("Member.id")
def member_id(user: Row, _: Context) -> str:
    return global_id("User", user["id"])


@field("Member.username")
def member_username(user: Row, _: Context) -> str:
    return user["name"]


@field("Entity.user")
def entity_user(user: Row, _: Context) -> Row:
    return user


@field("Entity.project")
def entity_project(user: Row, context: Context, name: str | None = None) -> Row | None:
    return find_project(context, user["name"], name)


@field("Query.serverInfo")
def server_info(_: Any, __: Context) -> Row:
    return {
        "features": [{"name": name, "is_enabled": True} for name in FEATURES],
        "cli_version_info": {"max_cli_version": "99.0.0"},
        "latest_local_version_info": None,
    }


# Projects


def find_project(context: Context, entity_name: str | None, name: str | None) -> Row | None:
    return context.one(
        "SELECT * FROM projects WHERE entity = ? AND name = ?",
        entity_name or context.user["name"],
        name or DEFAULT_PROJECT,
    )


def check_name(kind: str, name: str) -> None:
    """Names stand in addresses and folders: refuse what could climb or break out of either."""
    if not 0 < len(name) <= MAX_NAME or name in (".", "..") or any(c in "/\\#?%:" or not c.isprintable() for c in name):
        raise Refused(400, f"invalid {kind} name {name[:80]!r}: at most {MAX_NAME} characters, none of /\\#?%:")


def make_project(context: Context, entity_name: str | None, name: str | None) -> Row:
    """The project, made when it is new; inside a transaction. 404 when nobody has that entity."""
    entity_name, name = entity_name or context.user["name"], name or DEFAULT_PROJECT
    project = find_project(context, entity_name, name)
    if project is None:
        check_name("project", name)
        if context.value("SELECT 1 FROM users WHERE name = ?", entity_name) is None:
            raise Refused(404, f"no entity {entity_name!r} on this server")
        insert(context.db, "projects", {"entity": entity_name, "name": name, "created_at": time.time()})
        project = find_project(context, entity_name, name)
    assert project is not None
    return project


def project_by_id(context: Context, project_row_id: int) -> Row:
    found = context.one("SELECT * FROM projects WHERE id = ?", project_row_id)
    assert found is not None
    return found


@field("Query.project", "Query.model")
def project(_: Any, context: Context, name: str | None = None, entityName: str | None = None) -> Row | None:
    return find_project(context, entityName, name)


@field("Query.models", "Query.projects")
def projects(
    _: Any, context: Context, entityName: str | None = None, after: str | None = None, first: int | None = None
) -> Row:
    owner = entityName or context.user["name"]
    rows = context.all("SELECT * FROM projects WHERE entity = ? ORDER BY created_at DESC, id DESC", owner)
    return connection(rows, first, after)


@field("Project.id")
def project_id(project: Row, _: Context) -> str:
    return global_id("Project", project["id"])


@field("Project.internalId")
def project_internal_id(project: Row, _: Context) -> str:
    return global_id("ProjectInternalId", project["id"])


@field("Project.entityName")
def project_entity_name(project: Row, _: Context) -> str:
    return project["entity"]


@field("Project.isBenchmark", "Project.readOnly")
def project_flags(_: Row, __: Context) -> bool:
    return False


@field("Project.user")
def project_user(project: Row, context: Context) -> Row | None:
    return context.one("SELECT * FROM users WHERE name = ?", project["entity"])


@field("Mutation.upsertModel")
def upsert_model(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction():
        known = row_id("Project", input.get("id"))
        found = find_project(context, input.get("entityName"), input.get("name")) if known is None else None
        row = found or (make_project(context, input.get("entityName"), input.get("name")) if known is None else None)
        row = row or project_by_id(context, known or 0)
        if input.get("description") is not None:
            context.db.execute("UPDATE projects SET description = ? WHERE id = ?", (input["description"], row["id"]))
            row["description"] = input["description"]
    return {"project": row, "model": row, "inserted": known is None and found is None}
