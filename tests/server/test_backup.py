"""Copies of a server at work that can be served again, and the collection of what nothing refers to."""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.talk import Talk
from vishwam import cli
from vishwam.errors import BadInput
from vishwam.server import backup, collect, local
from vishwam.server.store import Store

HOURS = 3600.0


def serving(folder: Path) -> contextlib.AbstractContextManager[Talk]:
    @contextlib.contextmanager
    def started() -> Iterator[Talk]:
        try:
            yield Talk(local.start_or_reuse(folder, port=local.free_port()))
        finally:
            local.stop(folder)

    return started()


def write_rows(talk: Talk, run: str, acknowledged: dict[str, int], stop: threading.Event) -> None:
    talk.run("p", run)
    while not stop.is_set():
        row = json.dumps({"_step": acknowledged[run], "x": 1})
        talk.stream("p", run, {"wandb-history.jsonl": {"offset": acknowledged[run], "content": [row]}})
        talk.upload("p", run, f"{acknowledged[run]}.txt", f"{run} {acknowledged[run]}".encode())
        acknowledged[run] += 1


def test_a_backup_of_a_server_at_work_holds_what_was_acknowledged_and_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, target = tmp_path / "data", tmp_path / "backup.tar"
    acknowledged, stop = {f"r{index}": 0 for index in range(3)}, threading.Event()
    with serving(data) as talk:
        key = talk.address.api_key
        writers = [threading.Thread(target=write_rows, args=(talk, run, acknowledged, stop)) for run in acknowledged]
        for writer in writers:
            writer.start()
        while min(acknowledged.values()) < 10 and all(writer.is_alive() for writer in writers):
            time.sleep(0.02)
        before = dict(acknowledged)
        assert cli.main(["serve", "--data", str(data), "--backup", str(target)]) == 0
        during = dict(acknowledged)
        stop.set()
        for writer in writers:
            writer.join()
    assert min(before.values()) >= 10
    assert "3 runs" in capsys.readouterr().out
    assert target.stat().st_mode & 0o077 == 0, "it holds keys"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup.tar", "data"]
    (tmp_path / "restored").mkdir()
    subprocess.run(["tar", "-xf", target, "-C", tmp_path / "restored"], check=True)
    with serving(tmp_path / "restored") as talk:
        assert talk.address.api_key == key
        for run, least in before.items():
            found = talk.graphql(
                'query Q($r: String!) { project(name: "p") { run(name: $r) { historyLineCount '
                "files(first: 10000) { edges { node { name directUrl } } } } } }",
                r=run,
            )["project"]["run"]
            assert least <= found["historyLineCount"] <= during[run] + 1
            files = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in found["files"]["edges"]}
            for index in range(least):
                assert talk.request("GET", files[f"{index}.txt"]) == (200, f"{run} {index}".encode())
    with contextlib.closing(sqlite3.connect(tmp_path / "restored" / "server.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for (sha256,) in db.execute("SELECT sha256 FROM blobs"):
            contents = (tmp_path / "restored" / "blobs" / sha256[:2] / sha256).read_bytes()
            assert hashlib.sha256(contents).hexdigest() == sha256


def test_a_backup_overwrites_nothing_and_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    Store(tmp_path / "data").close()
    target = tmp_path / "b.tar"
    target.write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        backup.write(tmp_path / "data", target)
    assert target.read_text() == "mine"
    with pytest.raises(BadInput, match="No such file"):
        backup.write(tmp_path / "data", tmp_path / "nowhere" / "b.tar")
    with pytest.raises(BadInput, match="no server has kept data"):
        backup.write(tmp_path / "empty", tmp_path / "c.tar")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar", "data"]


def age(folder: Path, hours: float) -> None:
    """Makes everything in the folder that much older."""
    with contextlib.closing(sqlite3.connect(folder / "server.sqlite")) as db:
        for table, columns in {"blobs": ("touched_at",), "artifacts": ("created_at", "updated_at")}.items():
            for column in columns:
                db.execute(f"UPDATE {table} SET {column} = {column} - ?", (hours * HOURS,))
        db.commit()
    for path in folder.glob("blobs/??/*"):
        os.utime(path, (path.stat().st_mtime - hours * HOURS,) * 2)


def digest(contents: bytes) -> str:
    return base64.b64encode(hashlib.md5(contents).digest()).decode()


def held(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.glob("blobs/??/*")}


def test_what_nothing_refers_to_is_counted_and_then_removed_beside_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as talk:
        for run in ("kept", "gone"):
            talk.run("p", run)
            talk.upload("p", run, "note.txt", run.encode())
            talk.upload("p", run, "same.txt", b"shared")
        talk.upload("p", "kept", "note.txt", b"overwritten")
        (tmp_path / "blobs" / "ab").mkdir(exist_ok=True)
        (tmp_path / "blobs" / "ab" / ("ab" * 32)).write_bytes(b"left by a death between two writes")
        run_id = talk.graphql('{ project(name: "p") { run(name: "gone") { id } } }')["project"]["run"]["id"]
        talk.graphql("mutation M($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }", id=run_id)
        assert cli.main(["serve", "--data", str(tmp_path), "--gc", "--yes"]) == 0
        assert "removed 0 contents" in capsys.readouterr().out, "all of it is fresh"
        age(tmp_path, 2)
        everything = held(tmp_path)
        assert cli.main(["serve", "--data", str(tmp_path), "--gc"]) == 0
        assert "3 contents" in capsys.readouterr().out and held(tmp_path) == everything, "a dry run"
        assert cli.main(["serve", "--data", str(tmp_path), "--gc", "--yes"]) == 0
        assert "removed 3 contents" in capsys.readouterr().out
        assert held(tmp_path) == {b"overwritten", b"shared"}
        # Gone means gone: the same contents come again, and are there.
        talk.upload("p", "kept", "again.txt", b"gone")
        assert b"gone" in held(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "server.sqlite")) as db:
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_rows_of_deleted_runs_are_counted_and_then_removed_beside_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = ("history", "events", "console", "series", "series_end")
    lines = [json.dumps({"_step": step, "x": step}) for step in range(3_000)]
    read = 'query Q($r: String!) { project(name: "p") { run(name: $r) { history logLines(first: 1) { edges { node '
    read += "{ line } } } } } }"
    with serving(tmp_path) as talk:
        for run in ("kept", "gone", "other"):
            talk.run("p", run, config='{"a": {"value": 1}}')
            talk.stream("p", run, {"wandb-history.jsonl": {"offset": 0, "content": lines},
                                   "wandb-events.jsonl": {"offset": 0, "content": lines[:10]},
                                   "output.log": {"offset": 0, "content": ["hello"]}})  # fmt: skip
        before = talk.graphql(read, r="kept")
        for run in ("gone", "other"):
            run_id = talk.graphql('query Q($r: String!) { project(name: "p") { run(name: $r) { id } } }', r=run)
            talk.graphql("mutation M($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }",
                         id=run_id["project"]["run"]["id"])  # fmt: skip
        with contextlib.closing(sqlite3.connect(tmp_path / "server.sqlite")) as db:
            counts = {t: db.execute(f"SELECT count(*) FROM {t} WHERE run_id > 1").fetchone()[0] for t in tables}
        assert counts["history"] == 6_000 and counts["series"] > 0
        assert cli.main(["serve", "--data", str(tmp_path), "--gc"]) == 0
        told = capsys.readouterr().out
        assert f"{sum(counts.values()):,} rows (0." in told and "--gc --yes removes them" in told
        assert cli.main(["serve", "--data", str(tmp_path), "--gc", "--yes"]) == 0
        assert f"and {sum(counts.values()):,} rows (0." in capsys.readouterr().out
        assert talk.graphql(read, r="kept") == before and talk.graphql(read, r="gone")["project"]["run"] is None
        assert talk.request("POST", "/files/local/p/gone/file_stream", b"{}")[0] == 404
        assert talk.refused('mutation { upsertBucket(input: {modelName: "p", name: "gone"}) { inserted } }')[0] == 409
        assert cli.main(["serve", "--data", str(tmp_path), "--gc"]) == 0
        assert " 0 rows" in capsys.readouterr().out, "and the server has made none anew"
    with contextlib.closing(sqlite3.connect(tmp_path / "server.sqlite")) as db:
        for table in tables:
            left = dict(db.execute(f"SELECT run_id, count(*) FROM {table} GROUP BY run_id"))
            assert set(left) == {1}, table


def test_an_artifact_on_its_way_keeps_its_contents_however_long_it_takes(tmp_path: Path) -> None:
    """Contents sent long ago, contents that were here already and so were never sent, and the version it adds to."""
    with serving(tmp_path) as talk:
        talk.run("p", "r")
        talk.upload("p", "r", "x.bin", b"here already")
        base = talk.artifact("p", "r", "a", {"base.bin": b"base"})
        age(tmp_path, 50)
        pending = talk.artifact(
            "p", "r", "a", {"known.bin": b"here already", "sent.bin": b"sent"}, base=base, commit=False
        )
        talk.upload("p", "r", "x.bin", b"other")  # nothing else refers to it any more
        talk.graphql("mutation M($id: ID!) { deleteArtifact(input: {artifactID: $id, deleteAliases: true}) "
                     "{ artifact { id } } }", id=base)  # fmt: skip
        age(tmp_path, 30)
        collect.run(tmp_path, delete=True)
        assert {b"here already", b"sent", b"base"} <= held(tmp_path)
        talk.commit(pending)
        age(tmp_path, 30)
        assert "removed" in collect.run(tmp_path, delete=True)
        assert {b"here already", b"sent", b"base"} <= held(tmp_path), "now the new version refers to them"
        again = talk.artifact("p", "r", "b", {"never.bin": b"never committed"}, commit=False)
        assert again
        age(tmp_path, 24 * 8)
        collect.run(tmp_path, delete=True)
        assert b"never committed" not in held(tmp_path), "a week without a word"


def test_every_reference_to_contents_is_one_the_collector_knows(tmp_path: Path) -> None:
    db = Store(tmp_path).writer
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {
        (table, key["from"])
        for table in tables
        for key in db.execute(f"PRAGMA foreign_key_list({table})")
        if key["table"] == "blobs"
    }
    assert found == {
        ("files", "sha256"), ("artifact_files", "sha256"), ("artifacts", "manifest_sha256"), ("manifests", "sha256"),
    }  # fmt: skip


def test_a_collection_waits_for_no_backup(tmp_path: Path) -> None:
    Store(tmp_path).close()

    with backup.holding(tmp_path, fcntl.LOCK_SH), pytest.raises(BadInput, match="under way"):
        collect.run(tmp_path, delete=True)
