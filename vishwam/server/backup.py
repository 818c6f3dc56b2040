"""A consistent copy of a server's data while it runs: one tar; unpacked, a folder that `vishwam serve --data` takes.

The database is copied first, by SQLite's backup interface in one read transaction: writers go on beside it. Contents
are on disk before the database names them and never change, so those the copy names are all there; the collector of
unreferenced ones waits meanwhile.
"""

import contextlib
import fcntl
import io
import os
import sqlite3
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

from vishwam.errors import BadInput
from vishwam.server.database import connect


def write(folder: Path, target: Path) -> str:
    """Writes the backup of `folder` to the new file `target`, whole or not at all; returns a line on what it has.

    Raises BadInput when there is nothing to copy, no room, or such a file already.
    """
    if not (folder / "server.sqlite").exists():
        raise BadInput(f"{folder}: no server has kept data here")
    if target.exists():
        raise BadInput(f"{target}: exists already; a backup overwrites nothing")
    database, partial = (target.with_name(f".{target.name}.{kind}") for kind in ("sqlite", "partial"))
    try:
        with holding(folder, fcntl.LOCK_SH):
            for path in (database, partial):
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
            runs, contents = _copy_database(folder / "server.sqlite", database)
            with partial.open("r+b") as file:
                missing = _pack(folder, database, contents, file)
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            raise BadInput(f"{target}: exists already; a backup overwrites nothing")
        partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise BadInput(f"{target}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        for path in (database, partial):
            path.unlink(missing_ok=True)
    lacking = f"; {missing} contents that the database names are NOT in the folder" if missing else ""
    return f"{target}: {runs} runs, {len(contents)} files' contents, {target.stat().st_size / 1e6:.1f} MB{lacking}"


def _copy_database(source: Path, target: Path) -> tuple[int, list[str]]:
    """Number of runs, and names of contents, in the copy."""
    with contextlib.closing(connect(source)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
        copy.execute("PRAGMA synchronous=OFF")  # it is on the disk when the tar is
        live.backup(copy)
        contents = [row[0] for row in copy.execute("SELECT sha256 FROM blobs ORDER BY created_at, sha256")]
        return copy.execute("SELECT count(*) FROM runs WHERE deleted_at IS NULL").fetchone()[0], contents


def _pack(folder: Path, database: Path, contents: list[str], file: io.BufferedRandom) -> int:
    """Fills the tar; returns how many contents were missing."""
    missing = 0
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(database, "server.sqlite")
        tar.add(folder / "api_key", "api_key")
        empty = tarfile.TarInfo("blobs")
        empty.type, empty.mode, empty.mtime = tarfile.DIRTYPE, 0o700, int(time.time())
        tar.addfile(empty)
        for sha256 in contents:
            name = f"blobs/{sha256[:2]}/{sha256}"
            try:
                tar.add(folder / name, name)
            except FileNotFoundError:
                missing += 1
    return missing


@contextlib.contextmanager
def holding(folder: Path, mode: int) -> Iterator[None]:
    """Backups (LOCK_SH) and collections (LOCK_EX) of a folder keep out of each other's way; raises BadInput."""
    with (folder / "maintenance").open("w") as file:
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"{folder}: a backup or a collection is under way; try again when it is done") from None
        yield
