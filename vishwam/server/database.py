"""Connections that write, transactions, and rows as dictionaries of columns."""

import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BUSY_SECONDS = 30.0  # another process holds the writer's place for moments only: a new user, a batch of collected blobs


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes; rows as sqlite3.Row. Transactions are begun by hand."""
    db = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    db.row_factory = sqlite3.Row
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "cache_size=-32000"):
        db.execute(f"PRAGMA {pragma}")
    return db


@contextlib.contextmanager
def immediate(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """BEGIN IMMEDIATE .. COMMIT; rolled back when the body raises, or the commit itself."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        # On a full disk a COMMIT fails and leaves the transaction open; other errors end it by themselves.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> int:
    """The id of the new row."""
    number = db.execute(_insert(table, tuple(row)), tuple(row.values())).lastrowid
    assert number is not None
    return number


def update(db: sqlite3.Connection, table: str, number: int, changes: dict[str, Any]) -> bool:
    """Whether there is a row of that id."""
    return db.execute(_update(table, tuple(changes)), (*changes.values(), number)).rowcount > 0


@functools.cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


@functools.cache
def _update(table: str, columns: tuple[str, ...]) -> str:
    return f"UPDATE {table} SET {', '.join(f'{column} = ?' for column in columns)} WHERE id = ?"
