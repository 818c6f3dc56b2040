"""kill -9 of the server at any moment, under eight writing runs: what was acknowledged is there, clients carry on."""

import contextlib
import hashlib
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wandb_env
from tests.server.talk import Talk
from vishwam.server import local

ROWS = 25  # a run of a hand-written client; then it makes the next
COLD = {
    "WANDB_X_FILE_STREAM_RETRY_WAIT_MIN_SECONDS": "0.2",
    "WANDB_X_FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MIN_SECONDS": "0.2",
    "WANDB_X_GRAPHQL_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MIN_SECONDS": "0.2",
    "WANDB_X_FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "1",
    "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "0.1",
}


class Writer(threading.Thread):
    """Writes run after run as the client does: says everything again until it is acknowledged."""

    def __init__(self, talk: Talk, name: str, stop: threading.Event) -> None:
        super().__init__(name=name)
        self.talk, self.stop = talk, stop
        self.rows: dict[str, list[str]] = {}  # acknowledged, by run
        self.files: dict[tuple[str, str], bytes] = {}
        self.artifacts: dict[str, tuple[str, bytes]] = {}
        self.finished: set[str] = set()
        self.retries = 0
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            for index in itertools.count():
                if self.stop.is_set():
                    return
                self._one_run(f"{self.name}-{index}")
        except BaseException as error:
            self.problem = error

    def _one_run(self, run: str) -> None:
        self._until_acknowledged(self.talk.run, "p", run)
        self.rows[run] = []
        for step in range(ROWS):
            line = json.dumps({"_step": step, "x": random.random()})
            chunk = {"wandb-history.jsonl": {"offset": step, "content": [line]},
                     "output.log": {"offset": step, "content": [f"line {step}"]}}  # fmt: skip
            self._until_acknowledged(self.talk.stream, "p", run, chunk)
            self.rows[run].append(line)
            if step % 5 == 0:
                contents = random.randbytes(random.randrange(1, 50_000))
                self._until_acknowledged(self.talk.upload, "p", run, f"{step}.bin", contents)
                self.files[run, f"{step}.bin"] = contents
        contents = random.randbytes(10_000)
        version = self._until_acknowledged(self.talk.artifact, "p", run, f"a-{run}", {"a.bin": contents})
        self.artifacts[f"a-{run}"] = version, contents
        self._until_acknowledged(self.talk.stream, "p", run, {}, complete=True, exitcode=0)
        self.finished.add(run)

    def _until_acknowledged(self, say: Any, *what: Any, **more: Any) -> Any:
        deadline = time.monotonic() + 60
        while True:
            try:
                return say(*what, **more)
            except (OSError, HTTPException) as error:
                # Cut off, or nobody there. An answer that is no success is a failed assertion, and ends the test.
                if time.monotonic() > deadline:
                    raise TimeoutError from error
                self.retries += 1
                time.sleep(0.05)


def real_client(address: local.Address, folder: Path, rows: int) -> subprocess.Popen[bytes]:
    code = f"""
    import time, wandb
    with wandb.init(project="p", id="real") as run:
        for step in range({rows}):
            run.log({{"x": step}})
            time.sleep(0.05)
        artifact = wandb.Artifact("real", "model")
        with artifact.new_file("a.txt") as file:
            file.write("of the real client")
        run.log_artifact(artifact).wait()
    """
    environment = {**wandb_env(address, folder), **COLD}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL)


def kill_repeatedly(folder: Path, address: local.Address, times: int, mean: float) -> None:
    for _ in range(times):
        time.sleep(random.expovariate(1 / mean))
        os.kill(int((folder / "lock").read_text()), signal.SIGKILL)
        while local.address(folder) is not None:
            time.sleep(0.01)
        assert local.start_or_reuse(folder) == address


@pytest.mark.parametrize(("kills", "mean"), [(3, 0.7), pytest.param(50, 0.8, marks=pytest.mark.slow)])
def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path, kills: int, mean: float) -> None:
    seed = random.randrange(1 << 32)
    random.seed(seed)
    print("seed", seed)
    data = tmp_path / "data"
    address = local.start_or_reuse(data, port=local.free_port())
    stop = threading.Event()
    rows = 20 * kills
    try:
        writers = [Writer(Talk(address), f"w{index}", stop) for index in range(7)]
        for writer in writers:
            writer.start()
        client = real_client(address, tmp_path, rows)
        kill_repeatedly(data, address, kills, mean)
        stop.set()
        for writer in writers:
            writer.join(90)
            assert not writer.is_alive() and writer.problem is None, writer.problem
        assert client.wait(120) == 0
        assert sum(writer.retries for writer in writers) > 0, "no kill hit anybody"
        check_with_the_protocol(Talk(address), writers, rows)
    finally:
        stop.set()
        local.stop(data)
    check_the_folder(data)


def check_with_the_protocol(talk: Talk, writers: list[Writer], rows: int) -> None:
    query = """query Q($r: String!) { project(name: "p") { run(name: $r) { state historyLineCount logLineCount
    history(samples: 100000) files(first: 1000) { edges { node { name directUrl } } } } } }"""
    for writer in writers:
        assert writer.rows and set(writer.rows) == writer.finished
        for name, lines in writer.rows.items():
            run = talk.graphql(query, r=name)["project"]["run"]
            assert run["state"] == "finished" and run["logLineCount"] == ROWS
            assert [json.loads(row) for row in run["history"]] == [json.loads(line) for line in lines], name
            files = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in run["files"]["edges"]}
            for (owner, file), contents in writer.files.items():
                if owner == name:
                    assert talk.request("GET", files[file]) == (200, contents)
        for name, (version, contents) in writer.artifacts.items():
            digest = hashlib.md5(contents).hexdigest()
            assert talk.request("GET", f"/artifacts/local/{digest}") == (200, contents)
            found = talk.graphql("query Q($id: ID!) { artifact(id: $id) { state } }", id=version)["artifact"]
            assert found["state"] == "COMMITTED", name
    run = talk.graphql(query, r="real")["project"]["run"]
    assert run["state"] == "finished"
    assert [json.loads(row)["x"] for row in run["history"]] == list(range(rows))
    found = talk.graphql("""{ project(name: "p") { artifactType(name: "model") { artifactCollection(name: "real") {
        artifacts { edges { node { state } } } } } } }""")["project"]["artifactType"]["artifactCollection"]
    assert [edge["node"]["state"] for edge in found["artifacts"]["edges"]] == ["COMMITTED"]


def check_the_folder(data: Path) -> None:
    """Nothing half-made in the database, and contents are what their names say."""
    with contextlib.closing(sqlite3.connect(data / "server.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert (
            db.execute("""SELECT runs.name, history_lines, count(line) FROM runs LEFT JOIN history ON run_id = id
            GROUP BY runs.id HAVING history_lines != count(line) OR max(line) != count(line) - 1""").fetchall()
            == []
        )
        assert db.execute("SELECT name, state FROM runs WHERE state != 'finished'").fetchall() == []
        for (sha256,) in db.execute("SELECT sha256 FROM blobs").fetchall():
            assert hashlib.sha256((data / "blobs" / sha256[:2] / sha256).read_bytes()).hexdigest() == sha256
    assert not list(data.glob("blobs/incoming-*"))
