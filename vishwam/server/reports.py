"""Reports, workspaces and custom charts: specs as the client wrote them."""

import json
import time
from typing import Any

from vishwam.server.database import insert, update
from vishwam.server.graphql import Context, Row, connection, field, global_id, row_id
from vishwam.server.queries import check_name, make_project, project_by_id
from vishwam.server.runs import new_name
from vishwam.server.web import Refused


@field("Query.view")
def view(_: Any, context: Context, id: str) -> Row | None:
    return context.one("SELECT * FROM views WHERE id = ?", row_id("View", _padded(id)) or 0)


def _padded(text: str) -> str:
    """Report addresses carry the id without its padding."""
    return text + "=" * (-len(text) % 4)


@field("Project.allViews")
def all_views(
    project: Row,
    context: Context,
    viewType: str | None = None,
    viewName: str | None = None,
    userName: str | None = None,
    first: int | None = None,
    after: str | None = None,
) -> Row:
    rows = context.all(
        "SELECT * FROM views WHERE project_id = ? AND type = ? AND (? IS NULL OR name = ? OR display_name = ?) "
        "ORDER BY updated_at DESC, id DESC",
        project["id"],
        viewType or "runs",
        viewName,
        viewName,
        viewName,
    )
    return connection(rows, first, after)


@field("View.id")
def view_id(row: Row, _: Context) -> str:
    return global_id("View", row["id"])


@field("View.project")
def view_project(row: Row, context: Context) -> Row:
    return project_by_id(context, row["project_id"])


@field("View.user")
def view_user(row: Row, context: Context) -> Row | None:
    return context.one("SELECT * FROM users WHERE id = ?", row["user_id"])


@field("View.spec")
def view_spec(row: Row, _: Context) -> str:
    return row["spec_json"]


def _json(spec: str) -> str:
    try:
        json.loads(spec)
    except (ValueError, RecursionError):
        raise Refused(400, "the spec is not JSON") from None
    return spec


@field("Mutation.upsertView")
def upsert_view(_: Any, context: Context, input: Row) -> Row:
    changes: Row = {"updated_at": time.time()}
    for name, column in (
        ("type", "type"),
        ("name", "name"),
        ("displayName", "display_name"),
        ("description", "description"),
        ("locked", "locked"),
    ):
        if input.get(name) is not None:
            changes[column] = input[name]
    if input.get("spec") is not None:
        changes["spec_json"] = _json(input["spec"])
    with context.store.transaction() as db:
        known = row_id("View", _padded(input["id"])) if input.get("id") else None
        if known is not None:
            if not update(db, "views", known, changes):
                raise Refused(404, "no such report")
        else:
            project = make_project(context, input.get("entityName"), input.get("projectName"))
            row = {
                "project_id": project["id"],
                "type": "runs",
                "name": new_name(12),
                "spec_json": "{}",
                "user_id": context.user["id"],
                "created_at": changes["updated_at"],
                **changes,
            }
            known = insert(db, "views", row)
        found = context.one("SELECT * FROM views WHERE id = ?", known) or {}
    context.store.changes.publish(found["project_id"], 0)
    return {"view": found, "inserted": not input.get("id")}


@field("Mutation.deleteView")
def delete_view(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        known = row_id("View", _padded(input["id"])) or 0
        deleted = db.execute("DELETE FROM views WHERE id = ?", (known,)).rowcount
        if input.get("deleteDrafts"):
            db.execute("DELETE FROM views WHERE parent_id = ?", (known,))
    return {"success": bool(deleted), "pending_drafts": False}


@field("Mutation.createCustomChart")
def create_custom_chart(_: Any, context: Context, input: Row) -> Row:
    """Made once: what others name is not changed under them, and the same again is the same."""
    entity, name = input["entity"], input["name"]
    check_name("chart", name)
    made = {
        "display_name": input["displayName"],
        "type": input["type"],
        "access": input["access"],
        "spec_json": _json(input["spec"]),
    }
    with context.store.transaction() as db:
        if context.value("SELECT 1 FROM users WHERE name = ?", entity) is None:
            raise Refused(404, f"no entity {entity!r} on this server")
        known = context.one("SELECT * FROM custom_charts WHERE entity = ? AND name = ?", entity, name)
        if known is None:
            insert(db, "custom_charts", {"entity": entity, "name": name, **made, "created_at": time.time()})
        elif any(known[column] != value for column, value in made.items()):
            raise Refused(409, f"there is another chart {entity}/{name}; give this one a name of its own")
    return {"chart": {"id": f"{entity}/{name}"}}
