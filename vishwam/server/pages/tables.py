"""Tables and images that runs logged: found through the summary, read from the run's files."""

import json
import sqlite3
from pathlib import PurePosixPath

from vishwam.server.store import Store

LARGEST_TABLE = 32 * 2**20
# What a browser draws without running anything; SVG can hold scripts and is only offered as a download.
INLINE = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}


def file_row(db: sqlite3.Connection, run_row: int, path: str) -> sqlite3.Row | None:
    return db.execute(
        "SELECT f.name, f.sha256, b.size FROM files f JOIN blobs b ON b.sha256 = f.sha256 "
        "WHERE f.run_id = ? AND f.name = ?",
        (run_row, path),
    ).fetchone()


def content_type(path: str) -> str | None:
    return INLINE.get(PurePosixPath(path).suffix.lower())


def read_table(store: Store, db: sqlite3.Connection, run: sqlite3.Row, key: str, limit: int) -> dict | None:
    """{'columns', 'rows' (the first `limit`), 'total'} of the newest table logged as `key`; None when there is none."""
    value = _value(json.loads(run["summary_json"] or "{}"), key)
    if not isinstance(value, dict) or not str(value.get("_type", "")).endswith("table-file"):
        return None
    row = file_row(db, run["id"], str(value.get("path") or ""))
    if row is None or row["size"] > LARGEST_TABLE:
        return None
    table = json.loads(store.blob_path(row["sha256"]).read_bytes())
    columns, data = table.get("columns"), table.get("data")
    if not isinstance(columns, list) or not isinstance(data, list):
        return None
    return {"columns": columns, "rows": data[:limit], "total": len(data), "path": row["name"]}


def _value(summary: dict, key: str) -> object:
    """summary["a/b"], or summary["a"]["b"] for `a.b`."""
    if key in summary:
        return summary[key]
    head, _, rest = key.partition(".")
    inner = summary.get(head)
    return _value(inner, rest) if rest and isinstance(inner, dict) else None
