"""Tables and images that runs logged: found through the summary, or an earlier row, and read from the run's files."""

import functools
import json
import sqlite3
from pathlib import Path, PurePosixPath
from typing import Any

from vishwam.server.history import lookup
from vishwam.server.store import Store

LARGEST_TABLE = 32 * 2**20
TABLES_KEPT = 4
# What a browser draws without running anything; SVG can hold scripts and is only offered as a download.
INLINE = {
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac",
    ".mp4": "video/mp4", ".webm": "video/webm",
}  # fmt: skip


def file_row(db: sqlite3.Connection, run_row: int, path: str) -> sqlite3.Row | None:
    return db.execute(
        "SELECT f.name, f.sha256, b.size FROM files f JOIN blobs b ON b.sha256 = f.sha256 "
        "WHERE f.run_id = ? AND f.name = ?",
        (run_row, path),
    ).fetchone()


def content_type(path: str) -> str | None:
    return INLINE.get(PurePosixPath(path).suffix.lower())


def read_table(
    store: Store,
    db: sqlite3.Connection,
    run: sqlite3.Row,
    key: str,
    *,
    path: str | None = None,
    offset: int = 0,
    limit: int = 50,
    sort: int | None = None,
    down: bool = False,
    filter: str = "",
) -> dict | None:
    """{'columns', 'rows', 'found', 'total'} of the newest table logged as `key`, or of the one in `path`.

    `rows`: at most `limit` from `offset` on, of the `found` that hold the text `filter`, sorted by the column `sort`.
    None when there is no such table (yet).
    """
    if path is None:
        value = lookup(json.loads(run["summary_json"] or "{}"), key)
        if not isinstance(value, dict) or not str(value.get("_type", "")).endswith("table-file"):
            return None
        path = str(value.get("path") or "")
    row = file_row(db, run["id"], path)
    if row is None or row["size"] > LARGEST_TABLE:
        return None
    columns, data = _load(store.blob_path(row["sha256"]))
    if columns is None:
        return None
    found = data
    if filter:
        wanted = filter.lower()
        found = [one for one in data if any(wanted in _text(cell).lower() for cell in one)]
    if sort is not None and sort < len(columns):
        found = sorted(found, key=lambda one: _order(one[sort] if sort < len(one) else None), reverse=down)
    return {
        "columns": columns,
        "rows": found[offset : offset + limit],
        "found": len(found),
        "total": len(data),
    }


@functools.lru_cache(TABLES_KEPT)
def _load(path: Path) -> tuple[list | None, list[list]]:
    """Columns and rows; the contents of a blob never change."""
    try:
        table = json.loads(path.read_bytes())
        columns, data = table["columns"], table["data"]
    except (ValueError, KeyError, TypeError, OSError):
        return None, []
    if not isinstance(columns, list) or not isinstance(data, list):
        return None, []
    return columns, [row if isinstance(row, list) else [row] for row in data]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _order(value: Any) -> tuple:
    """Numbers before texts, nothing last."""
    if value is None:
        return (2, 0.0, "")
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, _text(value))


def media_steps(db: sqlite3.Connection, run: sqlite3.Row, key: str) -> list[dict]:
    """[{'step', 'value'}] of every row that logged media or a table as `key`, in order."""
    rows = db.execute(
        "SELECT step, data_json FROM history WHERE run_id = ? AND instr(data_json, '\"_type\"') ORDER BY line",
        (run["id"],),
    )
    found = ((row["step"], lookup(json.loads(row["data_json"]), key)) for row in rows)
    return [{"step": step, "value": value} for step, value in found if isinstance(value, dict) and value.get("path")]
