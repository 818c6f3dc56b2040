"""Collects contents that nothing refers to any more, beside a running server or without one.

Referred to are files of runs and of artifact versions that are not deleted, manifests, and the base versions of those
on their way. What an upload brought or found here lately is kept: since the oldest artifact began that is on its way.
"""

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from vishwam.errors import BadInput
from vishwam.server.backup import holding
from vishwam.server.store import connect, immediate
from vishwam.server.users import beside

# An upload may have reached the disk and not yet its run.
FRESH_SECONDS = 3600.0
# An artifact whose client asked for nothing in so long will not be committed.
ABANDONED_SECONDS = 7 * 24 * 3600.0
_BATCH = 200
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
            found = [path for path in _on_disk(folder, now) if path.name not in kept]
            return f"{_amount(found)} are referred to by nothing" + ("; --gc --yes removes them" if found else "")
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
            return f"removed {_remove(db, folder, now)}"


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
    return f"{removed} contents ({size / 1e6:.1f} MB)"


def _amount(paths: list[Path]) -> str:
    return f"{len(paths)} contents ({sum(path.stat().st_size for path in paths) / 1e6:.1f} MB)"
