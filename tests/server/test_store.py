"""The data folder: keys, locks, migrations, contents kept once."""

import sqlite3
import stat
from pathlib import Path

import pytest

from vishwam.errors import BadInput
from vishwam.server import store as store_module
from vishwam.server.store import BlobWriter, Store


def test_the_key_is_random_private_and_only_hashed_in_the_database(tmp_path: Path) -> None:
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    assert first.api_key != second.api_key and len(first.api_key) >= 40
    assert stat.S_IMODE((tmp_path / "a" / "api_key").stat().st_mode) == 0o600
    user = first.user_of_key(first.api_key)
    assert user is not None and user["name"] == "local"
    assert first.user_of_key(second.api_key) is None and first.user_of_key("") is None
    first.close()
    stored = b"".join(path.read_bytes() for path in (tmp_path / "a").glob("server.sqlite*"))
    assert b"local" in stored and first.api_key.encode() not in stored
    assert Store(tmp_path / "a").api_key == first.api_key


def test_a_second_server_on_the_folder_is_refused(tmp_path: Path) -> None:
    first = Store(tmp_path)
    with pytest.raises(BadInput, match="another server"):
        Store(tmp_path)
    first.close()
    Store(tmp_path).close()


def test_a_transaction_is_whole_or_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.transaction() as db:
        db.execute("INSERT INTO users (name, created_at) VALUES ('half', 0)")
        raise ZeroDivisionError
    assert store.reader().execute("SELECT count(*) FROM users").fetchone()[0] == 1
    with pytest.raises(sqlite3.OperationalError):
        store.reader().execute("DELETE FROM users")


def test_contents_are_kept_once_and_an_aborted_upload_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, two = store.blob_from_bytes(b"hello"), store.blob_from_bytes(b"hello")
    assert (
        one == two and one.md5 == "XUFAKrxLKna5cZ2REBfFkg==" and one.size == 5
    )  # printf hello | openssl md5 -binary | base64
    assert store.blob_path(one.sha256).read_bytes() == b"hello"
    writer = BlobWriter(store)
    writer.write(b"half")
    writer.sync()
    writer.abort()
    assert [path.name for path in store.blobs.rglob("*") if path.is_file()] == [one.sha256]


def test_a_folder_of_version_1_is_carried_forward(tmp_path: Path) -> None:
    Store(tmp_path).close()
    old = sqlite3.connect(tmp_path / "server.sqlite")
    old.executescript(
        "ALTER TABLE artifacts DROP COLUMN aliases_json; ALTER TABLE runs DROP COLUMN resumed; PRAGMA user_version = 1;"
    )
    old.close()
    store = Store(tmp_path)
    assert store.writer.execute("PRAGMA user_version").fetchone()[0] == store_module.SCHEMA_VERSION
    fresh = Store(tmp_path / "fresh")
    for table in ("artifacts", "runs"):
        columns = [
            {row["name"] for row in each.writer.execute(f"PRAGMA table_info({table})")} for each in (store, fresh)
        ]  # fmt: skip
        assert columns[0] == columns[1]


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    newer = sqlite3.connect(tmp_path / "server.sqlite")
    newer.execute("PRAGMA user_version = 999")
    newer.close()
    with pytest.raises(BadInput, match="newer vishwam"):
        Store(tmp_path)
