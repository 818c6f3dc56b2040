"""A disk that fills up under a working server: refusals that ask to try again, and recovery without a restart."""

import contextlib
import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.talk import Talk
from vishwam.server import local
from vishwam.server.local import Address

SIZE_MB = 16
UPSERT = 'mutation M($c: JSONString) { upsertBucket(input: {modelName: "p", name: "r", config: $c}) { inserted } }'
IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "--"]


def can_mount() -> bool:
    with contextlib.suppress(FileNotFoundError):
        done = subprocess.run([*IN_NAMESPACE, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True)
        return done.returncode == 0
    return False


pytestmark = pytest.mark.skipif(not can_mount(), reason="a small file system needs a mount namespace of one's own")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[tuple[Talk, Path, Path]]:
    """A server whose folder is a file system of 16 MB that only it has mounted; (client, the folder, the log)."""
    port, log = local.free_port(), tmp_path / "log"
    serve = f"{sys.executable} -m vishwam.server --data {tmp_path}/disk/data --port {port}"
    script = f"mount -t tmpfs -o size={SIZE_MB}m none {tmp_path}/disk && exec {serve}"
    (tmp_path / "disk").mkdir()
    with log.open("wb") as output, subprocess.Popen([*IN_NAMESPACE, "sh", "-c", script], stderr=output) as process:
        folder = Path(f"/proc/{process.pid}/root{tmp_path}/disk/data")
        deadline = time.monotonic() + 20
        while not (folder / "server.json").exists():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        key = (folder / "api_key").read_text().strip()
        talk = Talk(Address(f"http://127.0.0.1:{port}", key, "local"))
        while True:
            with contextlib.suppress(OSError):
                talk.request("GET", "/ready")
                break
            time.sleep(0.02)
        yield talk, folder, log
        process.terminate()


def fill(path: Path) -> None:
    """Takes what is left of the disk, to the last byte."""
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def batch(first: int) -> bytes:
    rows = [json.dumps({"_step": step, "text": f"{step:08d}" * 500}) for step in range(first, first + 25)]
    return json.dumps({"files": {"wandb-history.jsonl": {"offset": first, "content": rows}}}).encode()


def test_a_full_disk_is_a_507_and_passes(small: tuple[Talk, Path, Path]) -> None:
    talk, folder, log = small
    talk.run("p", "r")
    filler = folder.parent / "filler"
    fill(filler)
    acknowledged, statuses = 0, []
    while len(statuses) < 200 and statuses[-3:] != [507] * 3:
        statuses.append(talk.request("POST", "/files/local/p/r/file_stream", batch(acknowledged))[0])
        acknowledged += 25 if statuses[-1] == 200 else 0
    assert set(statuses) <= {200, 507} and statuses[-1] == 507
    upload = talk.graphql("""mutation { createRunFiles(input: {entityName: "local", projectName: "p", runName: "r",
        files: ["big.bin"]}) { files { uploadUrl } } }""")["createRunFiles"]["files"][0]["uploadUrl"]
    big = os.urandom(1 << 20)
    for _ in range(10):
        assert talk.request("PUT", upload, big, key=None)[0] == 507
        assert talk.request("POST", "/files/local/p/r/file_stream", batch(acknowledged))[0] == 507
        assert talk.refused(UPSERT, c=json.dumps({"x": "y" * 1_000_000}))[0] == 507
    assert not list(folder.glob("blobs/incoming-*")), "an upload that failed takes no room"
    assert rows(talk) == list(range(acknowledged)), "reading goes on"
    lines = [line for line in log.read_text().splitlines() if "ERROR" in line]
    assert len(lines) == 1 and "nothing can be stored" in lines[0] and str(folder.parent.name) in lines[0], lines
    filler.unlink()
    assert talk.request("POST", "/files/local/p/r/file_stream", batch(acknowledged))[0] == 200
    assert talk.request("PUT", upload, big, key=None)[0] == 200
    assert rows(talk) == list(range(acknowledged + 25))
    assert "Traceback" not in log.read_text()


def rows(talk: Talk) -> list[int]:
    run = talk.graphql('{ project(name: "p") { run(name: "r") { history(samples: 100000) } } }')["project"]["run"]
    found = [json.loads(row) for row in run["history"]]
    assert all(row["text"] == f"{row['_step']:08d}" * 500 for row in found)
    return [row["_step"] for row in found]


def test_the_disk_was_really_full(small: tuple[Talk, Path, Path]) -> None:
    """The simulation simulates."""
    _, folder, _ = small
    fill(folder.parent / "filler")
    with pytest.raises(OSError) as caught:
        (folder.parent / "more").write_bytes(b"x" * 8192)
    assert caught.value.errno == errno.ENOSPC
