"""Artifacts as the pages show them: collections, versions, files, and what made and used each."""

import json
import sqlite3
from collections.abc import Iterable

MOST_FILES = 2000
MOST_NEIGHBOURS = 40
_VERSION = """SELECT a.*, c.name, c.type, m.version_index AS version, r.name AS run, r.display_name AS run_name,
    (SELECT json_group_array(alias) FROM aliases l WHERE l.artifact_id = a.id AND l.collection_id = c.id) AS aliases
    FROM memberships m JOIN artifacts a ON a.id = m.artifact_id JOIN artifact_collections c ON c.id = m.collection_id
    LEFT JOIN runs r ON r.id = a.run_id AND r.deleted_at IS NULL"""
_LIVE = "a.state != 'DELETED'"


def collections(db: sqlite3.Connection, project_id: int) -> list[dict]:
    """Every artifact of a project with its newest version, those changed last first."""
    rows = db.execute(
        f"""SELECT c.name, c.type, COUNT(a.id) AS versions, MAX(m.version_index) AS newest, SUM(a.size) AS size,
                   c.updated_at AS updated
            FROM artifact_collections c LEFT JOIN memberships m ON m.collection_id = c.id
            LEFT JOIN artifacts a ON a.id = m.artifact_id AND {_LIVE}
            WHERE c.project_id = ? GROUP BY c.id ORDER BY c.updated_at DESC""",
        (project_id,),
    )
    return [dict(row) for row in rows]


def versions(db: sqlite3.Connection, project_id: int, name: str) -> list[dict]:
    """The versions of one artifact, newest first."""
    where = f"WHERE c.project_id = ? AND c.name = ? AND {_LIVE} ORDER BY m.version_index DESC"
    return [_version(row) for row in db.execute(f"{_VERSION} {where}", (project_id, name))]


def choose(found: list[dict], version: str | None) -> dict | None:
    """The version of that name (`v3`, an alias, a digest); the newest for None."""
    if version is None:
        return found[0] if found else None
    return next((one for one in found if version in (f"v{one['version']}", one["digest"], *one["aliases"])), None)


def _version(row: sqlite3.Row) -> dict:
    metadata = json.loads(row["metadata_json"] or "{}")
    return {
        "row": row["id"],
        "name": row["name"],
        "type": row["type"],
        "version": row["version"],
        "aliases": json.loads(row["aliases"]),
        "digest": row["digest"],
        "state": row["state"].lower(),
        "description": row["description"] or "",
        "metadata": metadata if isinstance(metadata, dict) else {},
        "size": row["size"],
        "count": row["file_count"],
        "created": row["created_at"],
        "step": row["history_step"],
        "run": row["run"],
        "run_name": row["run_name"] or row["run"],
    }


def files(db: sqlite3.Connection, artifact: int) -> list[dict]:
    rows = db.execute(
        "SELECT path AS name, size, ref FROM artifact_files WHERE artifact_id = ? ORDER BY path LIMIT ?",
        (artifact, MOST_FILES),
    )
    return [dict(row) for row in rows]


def file_row(db: sqlite3.Connection, artifact: int, path: str) -> sqlite3.Row | None:
    query = (
        "SELECT path AS name, sha256, size FROM artifact_files WHERE artifact_id = ? AND path = ? AND sha256 NOT NULL"
    )
    return db.execute(query, (artifact, path)).fetchone()


def lineage(db: sqlite3.Connection, version: dict) -> dict:
    """{'nodes': [{id, kind, label, level, ...}], 'links': [[from, to]]}: two steps back from a version, two forward.

    Levels: -2 what its maker used, -1 its maker, 0 the version, 1 the runs that used it, 2 what they made of it.
    """
    graph = _Graph()
    this = graph.artifact(version, 0)
    if version["run"] is not None:
        maker = graph.run(version["run"], version["run_name"], -1)
        graph.link(maker, this)
        for used in _artifacts(db, "x.run_id = (SELECT run_id FROM artifacts WHERE id = ?)", version["row"], used=True):
            graph.link(graph.artifact(used, -2), maker)
    users = db.execute(
        "SELECT r.id, r.name, r.display_name FROM artifact_uses x JOIN runs r ON r.id = x.run_id "
        "WHERE x.artifact_id = ? AND r.deleted_at IS NULL ORDER BY x.used_at LIMIT ?",
        (version["row"], MOST_NEIGHBOURS),
    ).fetchall()
    for row in users:
        user = graph.run(row["name"], row["display_name"] or row["name"], 1)
        graph.link(this, user)
        for made in _artifacts(db, "a.run_id = ?", row["id"]):
            graph.link(user, graph.artifact(made, 2))
    return {"nodes": list(graph.nodes.values()), "links": [list(link) for link in graph.links]}


def _artifacts(db: sqlite3.Connection, where: str, value: int, used: bool = False) -> Iterable[dict]:
    joined = "JOIN artifact_uses x ON x.artifact_id = a.id" if used else ""
    # In its own collection, not in the portfolios it was linked to.
    rows = db.execute(
        f"{_VERSION} {joined} WHERE {where} AND m.collection_id = a.collection_id AND {_LIVE} ORDER BY a.id LIMIT ?",
        (value, MOST_NEIGHBOURS),
    )
    return [_version(row) for row in rows]


class _Graph:
    def __init__(self) -> None:
        self.nodes: dict[str, dict] = {}
        self.links: dict[tuple[str, str], None] = {}

    def run(self, name: str, label: str, level: int) -> str:
        return self._add({"id": f"run {name}", "kind": "run", "run": name, "label": label, "level": level})

    def artifact(self, version: dict, level: int) -> str:
        kept = {key: version[key] for key in ("name", "type", "version")}
        label = f"{version['name']}:v{version['version']}"
        return self._add({"id": f"artifact {label}", "kind": "artifact", "label": label, "level": level, **kept})

    def link(self, source: str, target: str) -> None:
        self.links[source, target] = None

    def _add(self, node: dict) -> str:
        self.nodes.setdefault(node["id"], node)
        return node["id"]
