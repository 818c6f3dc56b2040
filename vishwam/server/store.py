"""The server's memory: one SQLite database in WAL mode, one writer, and content-addressed blobs beside it.

Writes happen on the event loop's thread, through `Store.transaction()`; other threads read through `Store.reader()`, a
read-only connection of their own. A commit outlives the death of the process at once, and a power cut from the next
checkpoint on (synchronous=NORMAL).
"""

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from vishwam.errors import BadInput
from vishwam.server.database import connect, immediate

SCHEMA_VERSION = 9
# Version -> what brings a folder of the version before it there; schema.sql is always the newest.
_MIGRATIONS = {
    2: "ALTER TABLE artifacts ADD COLUMN aliases_json TEXT NOT NULL DEFAULT '[]'",
    3: "ALTER TABLE runs ADD COLUMN resumed INTEGER NOT NULL DEFAULT 0",
    4: """
    CREATE TABLE sessions (
        hash TEXT PRIMARY KEY,
        user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,
        created_at REAL NOT NULL,
        expires_at REAL NOT NULL
    ) WITHOUT ROWID;
    ALTER TABLE blobs ADD COLUMN touched_at REAL NOT NULL DEFAULT 0;
    UPDATE blobs SET touched_at = created_at;
    """,
    5: "ALTER TABLE agents ADD COLUMN stop_reason TEXT",
    6: """
    DROP INDEX runs_live;
    CREATE INDEX runs_live ON runs(state) WHERE state IN ('pending', 'running', 'preempting');
    """,
    7: """
    ALTER TABLE runs ADD COLUMN inherited_lines INTEGER NOT NULL DEFAULT 0;
    CREATE TABLE artifact_logs (
        run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
        artifact_id INTEGER NOT NULL REFERENCES artifacts(id) ON DELETE CASCADE,
        PRIMARY KEY (run_id, artifact_id)
    ) WITHOUT ROWID;
    """,
    8: "ALTER TABLE artifacts ADD COLUMN distributed_id TEXT",
    9: """
    ALTER TABLE api_keys ADD COLUMN prefix TEXT;
    CREATE TABLE custom_charts (
        id INTEGER PRIMARY KEY,
        entity TEXT NOT NULL,
        name TEXT NOT NULL,
        display_name TEXT NOT NULL,
        type TEXT NOT NULL,
        access TEXT NOT NULL,
        spec_json TEXT NOT NULL,
        created_at REAL NOT NULL,
        UNIQUE (entity, name)
    );
    """,
}
DEFAULT_USER = "local"
WRITE_BACK_SECONDS = 0.5
LOG_PAGES = 16_384  # of 4 KB
# What a data folder may hold before its database: a folder with anything else is somebody else's.
_OWN = {"lock", "starting", "server.log", "server.json", "server.json.new", "api_key", "api_key.new", "blobs"}


class InUse(BadInput):
    """A server is running on the folder."""


@dataclass(frozen=True)
class Blob:
    """Contents on disk: SHA-256 in hex, MD5 in base64 (the client's digest), size in bytes."""

    sha256: str
    md5: str
    size: int


class Changes:
    """Tells listeners on the event loop which runs changed: a set of (project id, run id), row ids of the database."""

    def __init__(self) -> None:
        self._listeners: set[Subscription] = set()

    def publish(self, project_id: int, run_id: int) -> None:
        """Call on the event loop's thread. run_id 0: something else in the project changed (a sweep, a report)."""
        for listener in self._listeners:
            listener.add((project_id, run_id))

    @contextlib.contextmanager
    def subscribe(self) -> Iterator["Subscription"]:
        """`with store.changes.subscribe() as s: changed = await s.next()`; changes between two calls are merged."""
        listener = Subscription()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


class Subscription:
    def __init__(self) -> None:
        self._pending: set[tuple[int, int]] = set()
        self._event = asyncio.Event()

    def add(self, change: tuple[int, int]) -> None:
        self._pending.add(change)
        self._event.set()

    async def next(self) -> set[tuple[int, int]]:
        """Waits for a change; returns every (project id, run id) that changed since the last call."""
        await self._event.wait()
        self._event.clear()
        changed, self._pending = self._pending, set()
        return changed


class Store:
    """Opens (or makes) the data folder; raises InUse when another server has it, BadInput when it is no such folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "server.sqlite"
        _make_own(folder, self.path)
        self._lock = _lock(folder / "lock")
        self.blobs = folder / "blobs"
        self.blobs.mkdir(exist_ok=True)
        for left in self.blobs.glob("incoming-*"):
            left.unlink()  # an upload that died with the server before this one
        self.changes = Changes()
        self._local = threading.local()
        self.held_back: list[Callable[[], None]] | None = None  # what waits for the log, while it is to stand still
        self.writer = connect(self.path)
        self.writer.execute("PRAGMA journal_mode=WAL")
        self._migrate()
        self.api_key = self._default_key()

    def transaction(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """The writer inside a transaction (see `immediate`). Never await inside."""
        return immediate(self.writer)

    def reader(self) -> sqlite3.Connection:
        """This thread's read-only connection (rows as sqlite3.Row)."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA query_only=ON")
            self._local.connection = connection
        return connection

    async def write_back_forever(self) -> None:
        """Writes the log back into the database on a thread of its own: the disk's slowest acts hold nobody up."""
        self.writer.execute(f"PRAGMA wal_autocheckpoint={4 * LOG_PAGES}")  # should this ever fail
        written = -1
        with contextlib.closing(connect(self.path)) as db:
            while True:
                await asyncio.sleep(WRITE_BACK_SECONDS)
                if self.writer.total_changes == written:
                    continue
                written = self.writer.total_changes
                try:
                    done = await _in_thread(lambda: db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
                    if done[1] > LOG_PAGES:
                        # Once more while the streams wait: with all of it written back, the log begins anew.
                        self.held_back = []
                        await _in_thread(lambda: db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone())
                except sqlite3.Error:
                    pass  # a full disk: another time
                finally:
                    held, self.held_back = self.held_back, None
                    for act in held or ():
                        act()

    def close(self) -> None:
        with contextlib.suppress(sqlite3.OperationalError):  # no place for it: the log is read at the next start
            self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.writer.close()
        os.close(self._lock)

    def instance(self) -> str:
        """Tells this folder's server from another on the same port; says nothing about the key."""
        return instance(self.api_key)

    # Blobs

    def blob_path(self, sha256: str) -> Path:
        return self.blobs / sha256[:2] / sha256

    def add_blob(self, writer: "BlobWriter") -> Blob:
        """Moves a finished upload to its place and records it; the same contents are kept once.

        One transaction, so that the collector of unreferenced blobs comes before both or after both.
        """
        with contextlib.nullcontext() if self.writer.in_transaction else self.transaction():
            blob, now = writer.finish(self), time.time()
            self.writer.execute(
                "INSERT INTO blobs (sha256, md5, size, created_at, touched_at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (sha256) DO UPDATE SET touched_at = excluded.touched_at",
                (blob.sha256, blob.md5, blob.size, now, now),
            )
        return blob

    def has_contents(self, md5: str) -> bool:
        """Whether contents of that digest need no upload; they are then kept for the artifact that asked (see collect).

        Inside a transaction.
        """
        changed = self.writer.execute("UPDATE blobs SET touched_at = ? WHERE md5 = ?", (time.time(), md5))
        return changed.rowcount > 0

    def blob_from_bytes(self, data: bytes) -> Blob:
        writer = BlobWriter(self)
        writer.write(data)
        writer.sync()
        return self.add_blob(writer)

    # Users

    def add_user(self, name: str, email: str = "") -> int:
        with self.transaction() as db:
            now = time.time()
            db.execute("INSERT OR IGNORE INTO users (name, email, created_at) VALUES (?, ?, ?)", (name, email, now))
            return db.execute("SELECT id FROM users WHERE name = ?", (name,)).fetchone()["id"]

    def add_key(self, user_id: int, key: str, description: str = "") -> None:
        with self.transaction() as db:
            insert_key(db, user_id, key, description)

    def user_of_key(self, key: str) -> sqlite3.Row | None:
        return self.writer.execute(
            "SELECT users.* FROM users JOIN api_keys ON user_id = users.id WHERE hash = ?", (hash_key(key),)
        ).fetchone()

    def is_key(self, key: str) -> bool:
        return self.writer.execute("SELECT 1 FROM api_keys WHERE hash = ?", (hash_key(key),)).fetchone() is not None

    def _default_key(self) -> str:
        """The key of the user `local`: made at the first start and kept in a file that only its owner can read."""
        path, new = self.folder / "api_key", self.folder / "api_key.new"
        if not path.exists():
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(new_key() + "\n")
            new.replace(path)
        key = path.read_text().strip()
        if len(key) < 40:
            raise BadInput(f"{path}: holds no key; remove the file, and the next start makes another")
        self.add_key(self.add_user(DEFAULT_USER, f"{DEFAULT_USER}@localhost"), key, "made at the first start")
        return key

    def _migrate(self) -> None:
        version = self.writer.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise BadInput(
                f"{self.path}: written by a newer vishwam (schema {version}, this one knows {SCHEMA_VERSION})"
            )
        for newer in range(version + 1, SCHEMA_VERSION + 1) if version else ():
            self.writer.executescript(f"BEGIN;{_MIGRATIONS[newer]};PRAGMA user_version={newer};COMMIT;")
        if version == 0:
            schema = resources.files("vishwam.server").joinpath("schema.sql").read_text()
            self.writer.executescript(f"BEGIN;{schema};PRAGMA user_version={SCHEMA_VERSION};COMMIT;")


class BlobWriter:
    """Receives an upload in pieces; hashes while it writes to a temporary file in the blobs' folder."""

    def __init__(self, store: Store) -> None:
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        descriptor, name = tempfile.mkstemp(dir=store.blobs, prefix="incoming-")
        self._file = os.fdopen(descriptor, "wb")
        self._name = Path(name)

    def write(self, data: bytes) -> None:
        self._sha256.update(data)
        self._md5.update(data)
        self._size += len(data)
        self._file.write(data)

    def abort(self) -> None:
        with contextlib.suppress(OSError):  # it writes what is left, and the disk may be full
            self._file.close()
        self._name.unlink(missing_ok=True)

    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode()

    def sync(self) -> None:
        """Contents on the disk itself; slow for big files, so off the event loop where they may be big."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, store: Store) -> Blob:
        self._file.close()
        blob = Blob(self._sha256.hexdigest(), self.md5(), self._size)
        path = store.blob_path(blob.sha256)
        path.parent.mkdir(exist_ok=True)
        self._name.replace(path)
        return blob


def instance(api_key: str) -> str:
    return hashlib.sha256(f"instance {api_key}".encode()).hexdigest()[:16]


def new_key() -> str:
    """160 random bits, 40 characters: what the client takes for a key."""
    return secrets.token_hex(20)


def hash_key(key: str) -> str:
    """SHA-256 in hex. Nobody guesses 160 random bits, so neither salt nor a slow hash would add anything."""
    return hashlib.sha256(key.encode()).hexdigest()


def insert_key(db: sqlite3.Connection, user_id: int, key: str, description: str) -> None:
    db.execute(
        "INSERT OR IGNORE INTO api_keys (user_id, hash, description, created_at, prefix) VALUES (?, ?, ?, ?, ?)",
        (user_id, hash_key(key), description, time.time(), key[:8]),
    )


async def _in_thread(act: Callable[[], Any]) -> Any:
    """Like asyncio.to_thread; cancelled, it waits for the act, so that nothing is closed under it."""
    work = asyncio.ensure_future(asyncio.to_thread(act))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await work
        raise


def _make_own(folder: Path, database: Path) -> None:
    """The folder, readable by its owner only; refuses one that was made for something else."""
    if folder.is_dir() and not database.exists():
        strange = sorted(path.name for path in folder.iterdir() if path.name not in _OWN)
        if strange:
            raise BadInput(f"{folder}: is no server's data folder (it holds {strange[0]}); name a new or empty one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise BadInput(f"{folder}: {error.strerror}") from None


def _lock(path: Path) -> int:
    """An exclusive lock that the kernel drops with the process, whose id the file holds."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InUse(f"{path.parent}: another server is using this folder") from None
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
