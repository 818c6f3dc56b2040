"""People and what they prove themselves by: API keys for the client, sessions for the pages. Both stand hashed."""

import contextlib
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vishwam.errors import BadInput
from vishwam.server.database import connect, immediate, insert
from vishwam.server.store import SCHEMA_VERSION, InUse, Store, hash_key, insert_key, new_key

SESSION_SECONDS = 30 * 24 * 3600.0
_MADE = "made on the command line"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# The first part of other addresses of this server, or of W&B's.
_RESERVED = {"login", "logout", "graphql", "files", "storage", "artifacts", "artifactsv2", "ready", "health", "healthz",
             "db", "authorize", "settings", "home", "admin", "api"}  # fmt: skip


def add(folder: Path, name: str) -> str:
    """A new user of the server of `folder`, running or not; returns the key, which is stored nowhere.

    Raises BadInput for a name that is taken or no name.
    """
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise BadInput(f"{name!r} is no user name: letters, digits, - and _, 63 at most, and none of the server's own")
    key = new_key()
    with beside(folder) as db, immediate(db):
        if db.execute("SELECT 1 FROM users WHERE lower(name) = lower(?)", (name,)).fetchone():
            raise BadInput(f"there is a user {name} already; --new-key {name} replaces a lost key")
        insert_key(db, insert(db, "users", {"name": name, "created_at": time.time()}), key, _MADE)
    return key


def replace_key(folder: Path, name: str) -> str:
    """A new key for a user; those before it, and every login of the pages made with them, end."""
    key = new_key()
    with beside(folder) as db, immediate(db):
        user = db.execute("SELECT id FROM users WHERE name = ?", (name,)).fetchone()
        if user is None:
            raise BadInput(f"there is no user {name}; --add-user {name} makes one")
        db.execute("DELETE FROM api_keys WHERE user_id = ?", (user["id"],))
        db.execute("DELETE FROM sessions WHERE user_id = ?", (user["id"],))
        insert_key(db, user["id"], key, _MADE)
    return key


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection of another process than the server's, whether one runs or not; its transactions hold the server up.

    Makes the folder, or brings it forward, when no server runs. Raises BadInput when the one that runs is of another
    version.
    """
    with contextlib.suppress(InUse):
        Store(folder).close()
    db = connect(folder / "server.sqlite")
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version != SCHEMA_VERSION:
            raise BadInput(f"{folder}: the server that runs here is of another version; restart it first")
        yield db
    finally:
        db.close()


# Sessions of the pages; called on the event loop, like everything that writes


def begin_session(store: Store, user_id: int) -> str:
    """A random token for a cookie; the database has its hash."""
    token, now = secrets.token_urlsafe(32), time.time()
    with store.transaction() as db:
        db.execute("DELETE FROM sessions WHERE expires_at < ?", (now,))
        db.execute("INSERT INTO sessions VALUES (?, ?, ?, ?)", (hash_key(token), user_id, now, now + SESSION_SECONDS))
    return token


def end_session(store: Store, token: str) -> None:
    with store.transaction() as db:
        db.execute("DELETE FROM sessions WHERE hash = ?", (hash_key(token),))


def user_of_session(store: Store, token: str) -> dict[str, Any] | None:
    row = store.writer.execute(
        "SELECT users.* FROM users JOIN sessions ON user_id = users.id WHERE hash = ? AND expires_at > ?",
        (hash_key(token), time.time()),
    ).fetchone()
    return dict(row) if row else None
