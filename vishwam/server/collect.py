"""Collects what nobody can read any more, beside a running server or without one: contents, and rows of deleted runs.

Referred to are files of runs and of artifact versions that are not deleted, manifests, and the base versions of those
on their way. What an upload brought or found here lately is kept: since the oldest artifact began that is on its way.

A deleted run keeps its own row, for its name is not given again, and what its sweep has learned from it. Places of rows
are taken by new ones: the database grows no more, and shrinks by VACUUM alone.
"""

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from vishwam.errors import BadInput
from vishwam.server.backup import holding
from vishwam.server.database import connect, immediate
from vishwam.server.users import beside

# An upload may have reached the disk and not yet its run.
FRESH_SECONDS = 3600.0
# An artifact whose client asked for nothing in so long will not be committed.
ABANDONED_SECONDS = 7 * 24 * 3600.0
_BATCH, _ROW_BATCH = 200, 2_000  # of contents and of rows, for which the server waits
# Table -> its key, and how many bytes a row takes beside it.
_ROWS = {
    "history": ("run_id, line", "length(data_json)"),
    "events": ("run_id, line", "length(data_json)"),
    "console": ("run_id, line", "length(text)"),
    "series": ("run_id, kind, key, first_line", "length(lines) + length(vals)"),
    "series_end": ("run_id, kind", "0"),
}
_GONE = "SELECT id FROM runs WHERE deleted_at IS NOT NULL"
_ON_THEIR_WAY = """SELECT base_artifact_id FROM manifests JOIN artifacts ON artifacts.id = artifact_id
    WHERE state = 'PENDING' AND base_artifact_id IS NOT NULL"""
_KEPT = f"(state != 'DELETED' OR artifacts.id IN ({_ON_THEIR_WAY}))"
_DROPPED = f"SELECT id FROM artifacts WHERE NOT {_KEPT}"
_REFERRED = f"""
    SELECT sha256 FROM files JOIN runs ON runs.id = run_id WHERE deleted_at IS NULL
    UNION SELECT sha256 FROM artifact_files JOIN artifacts ON artifacts.id = artifact_id
        WHERE sha256 IS NOT NULL AND {_KEPT}
    UNION SELECT manifest_sha256 FROM artifacts WHERE manifest_sha256 IS NOT NULL AND {_KEPT}
    UNION SELECT sha256 FROM manifests JOIN artifacts ON artifacts.id = artifact_id
        WHERE sha256 IS NOT NULL AND state != 'DELETED'"""


def run(folder: Path, delete: bool, now: float | None = None) -> str:
    """Removes what is unreferred to, or counts it; returns a line that says which. Raises BadInput without a folder."""
    if not (folder / "server.sqlite").exists():
        raise BadInput(f"{folder}: no server has kept data here")
    now = time.time() if now is None else now
    with holding(folder, fcntl.LOCK_EX):
        if not delete:
            with contextlib.closing(connect(folder / "server.sqlite")) as db:
                kept = {row[0] for row in db.execute("SELECT sha256 FROM blobs")} - set(_unreferred(db, now))
                rows = [_rows(db, table) for table in _ROWS]
            found = [path for path in _on_disk(folder, now) if path.name not in kept]
            size = sum(path.stat().st_size for path in found)
            told = f"{_amount(len(found), 'contents', size)} are referred to by nothing, {_total(rows)} of deleted runs"
            return told + ("; --gc --yes removes them" if found or any(count for count, _ in rows) else "")
        with beside(folder) as db:
            # Enforced, each deleted row would read whole tables: references to contents have no index.
            db.execute("PRAGMA foreign_keys=OFF")
            with immediate(db):
                gone = [(name,) for name in _unreferred(db, now)]
                db.execute("DELETE FROM files WHERE run_id IN (SELECT id FROM runs WHERE deleted_at IS NOT NULL)")
                db.execute(f"DELETE FROM artifact_files WHERE artifact_id IN ({_DROPPED})")
                db.execute(f"DELETE FROM manifests WHERE artifact_id IN ({_DROPPED})")
                db.execute(f"UPDATE artifacts SET manifest_sha256 = NULL WHERE id IN ({_DROPPED})")
                db.executemany("DELETE FROM blobs WHERE sha256 = ?", gone)
            contents = _remove(db, folder, now)
            with immediate(db):
                db.execute(
                    "UPDATE runs SET history_lines = 0, event_lines = 0, log_lines = 0, config_json = '{}', "
                    "summary_json = '{}' WHERE deleted_at IS NOT NULL"
                )
            rows = [_remove_rows(db, table) for table in _ROWS]
            return f"removed {contents} and {_total(rows)} of deleted runs"


def _unreferred(db: sqlite3.Connection, now: float) -> list[str]:
    oldest = db.execute(
        "SELECT min(created_at) FROM artifacts WHERE state = 'PENDING' AND updated_at > ?", (now - ABANDONED_SECONDS,)
    ).fetchone()[0]
    before = min(now - FRESH_SECONDS, now if oldest is None else oldest)
    query = f"SELECT sha256 FROM blobs WHERE touched_at < ? AND sha256 NOT IN ({_REFERRED})"
    return [row[0] for row in db.execute(query, (before,))]


def _on_disk(folder: Path, now: float) -> Iterator[Path]:
    """Contents that were not written just now; names of 64 hexadecimal digits in their two-digit folders."""
    for path in folder.glob("blobs/??/*"):
        with contextlib.suppress(FileNotFoundError):
            if len(path.name) == 64 and path.stat().st_mtime < now - FRESH_SECONDS:
                yield path


def _remove(db: sqlite3.Connection, folder: Path, now: float) -> str:
    """Removes contents that the database does not know: those just forgotten, and those left by an earlier death.

    The server moves an upload to its place and records it in one transaction: within one of ours it is there or is not.
    """
    known = {row[0] for row in db.execute("SELECT sha256 FROM blobs")}
    doomed = [path for path in _on_disk(folder, now) if path.name not in known]
    removed, size = 0, 0
    for start in range(0, len(doomed), _BATCH):
        with immediate(db):
            for path in doomed[start : start + _BATCH]:
                if db.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (path.name,)).fetchone() is None:
                    size += path.stat().st_size
                    removed += 1
                    path.unlink()
    return _amount(removed, "contents", size)


def _rows(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    """How many rows of deleted runs there are, and their bytes."""
    query = f"SELECT count(*), coalesce(sum({_ROWS[table][1]}), 0) FROM {table} WHERE run_id IN ({_GONE})"
    return db.execute(query).fetchone()


def _remove_rows(db: sqlite3.Connection, table: str) -> tuple[int, int]:
    key, size = _ROWS[table]
    count = total = 0
    for (run,) in db.execute(_GONE).fetchall():
        while True:
            with immediate(db):
                sizes = db.execute(
                    f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE run_id = ? LIMIT ?) "
                    f"RETURNING {size}",
                    (run, _ROW_BATCH),
                ).fetchall()
            if not sizes:
                break
            count, total = count + len(sizes), total + sum(row[0] for row in sizes)
    return count, total


def _total(rows: list[tuple[int, int]]) -> str:
    return _amount(sum(count for count, _ in rows), "rows", sum(size for _, size in rows))


def _amount(count: int, what: str, size: int) -> str:
    return f"{count:,} {what} ({size / 1e6:.1f} MB)"
