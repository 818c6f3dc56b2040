"""The data folder: keys, locks, migrations, contents kept once."""

import asyncio
import hashlib
import json
import sqlite3
import stat
from pathlib import Path

import pytest

from tests.server.talk import Talk
from vishwam.errors import BadInput
from vishwam.server import local
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


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A folder that the first release wrote."""
    old = sqlite3.connect(tmp_path / "server.sqlite")
    old.execute("PRAGMA journal_mode=WAL")
    old.executescript((Path(__file__).parent / "fixtures" / "version_1.sql").read_text())
    old.close()
    (tmp_path / "api_key").write_text("k" * 40 + "\n")
    sha256 = hashlib.sha256(b"hello").hexdigest()
    (tmp_path / "blobs" / sha256[:2]).mkdir(parents=True)
    (tmp_path / "blobs" / sha256[:2] / sha256).write_bytes(b"hello")
    return tmp_path


def shape(store: Store) -> dict[str, object]:
    """Tables with their columns, and indices with theirs, however they came to be."""
    names = [row[0] for row in store.writer.execute("SELECT name FROM sqlite_master ORDER BY name")]
    found: dict[str, object] = {}
    for name in names:
        columns = {tuple(row)[1:] for row in store.writer.execute(f"PRAGMA table_info({name})")}
        found[name] = columns or [row["name"] for row in store.writer.execute(f"PRAGMA index_info({name})")]
    return found


def test_a_folder_of_version_1_is_carried_forward(version_1: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = Store(version_1)
    assert store.writer.execute("PRAGMA user_version").fetchone()[0] == store_module.SCHEMA_VERSION
    assert shape(store) == shape(Store(tmp_path_factory.mktemp("fresh"))), "every column of schema.sql has a migration"
    assert store.writer.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert store.writer.execute("PRAGMA foreign_key_check").fetchall() == []
    assert store.user_of_key("k" * 40)["name"] == "local"


def test_what_version_1_held_is_read_as_before(version_1: Path) -> None:
    address = local.start_or_reuse(version_1, port=local.free_port())
    try:
        project = Talk(address).graphql("""{ project(name: "old") {
            run(name: "run00001") { historyLineCount summaryMetrics config history(samples: 2)
                files { edges { node { name directUrl } } } logLines { edges { node { line } } } }
            sweep(sweepName: "sweep001") { state runCount }
            artifactType(name: "model") { artifactCollections { edges { node { name } } } }
            allViews { edges { node { name } } } } }""")["project"]
        run = project["run"]
        assert run["historyLineCount"] == 513 and json.loads(run["history"][-1]) == {"_step": 512, "loss": 256.0}
        assert [edge["node"]["line"] for edge in run["logLines"]["edges"]] == ["hello"]
        (file,) = [edge["node"] for edge in run["files"]["edges"] if edge["node"]["name"] == "note.txt"]
        assert Talk(address).request("GET", file["directUrl"]) == (200, b"hello")
        assert project["sweep"]["runCount"] == 1
        assert project["artifactType"]["artifactCollections"]["edges"][0]["node"]["name"] == "weights"
        assert project["allViews"]["edges"][0]["node"]["name"] == "report"
    finally:
        local.stop(version_1)


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    newer = sqlite3.connect(tmp_path / "server.sqlite")
    newer.execute("PRAGMA user_version = 999")
    newer.close()
    with pytest.raises(BadInput, match="newer vishwam"):
        Store(tmp_path)


def test_a_commit_that_finds_no_room_leaves_nothing_open(tmp_path: Path) -> None:
    """The disk fills up at the moment of the commit: the next transaction begins as if nothing had been."""
    store = Store(tmp_path)
    insert = "INSERT INTO projects (entity, name, description, created_at) VALUES ('local', ?, ?, 0)"
    with pytest.raises(sqlite3.OperationalError), store.transaction() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages + 1}")
        db.execute(insert, ("big", "x" * 100_000))
    store.writer.execute("PRAGMA max_page_count = 1000000")
    with store.transaction() as db:
        db.execute(insert, ("small", ""))
    assert [row[0] for row in store.reader().execute("SELECT name FROM projects")] == ["small"]


def test_an_upload_that_died_with_the_server_is_cleared_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    BlobWriter(store).write(b"half")
    store.close()
    assert len(list(store.blobs.glob("incoming-*"))) == 1
    Store(tmp_path)
    assert not list(store.blobs.glob("incoming-*"))


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    tmp_path.chmod(0o755)
    with pytest.raises(BadInput, match=r"holds thesis\.tex"):
        Store(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755 and len(list(tmp_path.iterdir())) == 1


def test_an_empty_key_file_is_no_key(tmp_path: Path) -> None:
    Store(tmp_path).close()
    (tmp_path / "api_key").write_text("")
    with pytest.raises(BadInput, match="holds no key"):
        Store(tmp_path)


def test_the_log_is_written_back_and_does_not_grow_under_writing_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WRITE_BACK_SECONDS", 0.01)
    monkeypatch.setattr(store_module, "LOG_PAGES", 100)
    store = Store(tmp_path)

    async def write() -> int:
        task = asyncio.create_task(store.write_back_forever())
        most = 0
        for index in range(600):
            with store.transaction() as db:
                row = ("local", f"p{index}", "x" * 20_000)
                db.execute("INSERT INTO projects (entity, name, description, created_at) VALUES (?, ?, ?, 0)", row)
            await asyncio.sleep(0.001)
            most = max(most, (tmp_path / "server.sqlite-wal").stat().st_size)
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return most

    assert asyncio.run(write()) < 6_000_000 < (tmp_path / "server.sqlite").stat().st_size
    assert store.reader().execute("SELECT count(*) FROM projects").fetchone()[0] == 600
