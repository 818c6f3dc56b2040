"""The detached server: started once, found again, stopped; what it acknowledged outlives its death."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.server.talk import Talk
from vishwam import cli
from vishwam.errors import BadInput
from vishwam.server import local


def test_start_reuse_stop_and_the_same_port_again(tmp_path: Path) -> None:
    assert local.address(tmp_path) is None and local.stop(tmp_path) is False
    first = local.start_or_reuse(tmp_path, port=local.free_port())
    try:
        assert local.start_or_reuse(tmp_path) == first == local.address(tmp_path)
        assert first.entity == "local" and first.url.startswith("http://127.0.0.1:")
    finally:
        assert local.stop(tmp_path) is True
    assert local.address(tmp_path) is None
    again = local.start_or_reuse(tmp_path)
    local.stop(tmp_path)
    assert again == first


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    first = local.start_or_reuse(tmp_path / "a", port=local.free_port())
    try:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(BadInput, match=f"port {port} on 127.0.0.1 is taken"):
            local.start_or_reuse(tmp_path / "b", port=port)
    finally:
        local.stop(tmp_path / "a")


def test_a_port_that_is_taken_since_it_was_looked_at_is_not_insisted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(local, "PREFERRED_PORT", taken)
        looked, is_free = [], local._is_free
        # The other took it just after the first look.
        monkeypatch.setattr(
            local, "_is_free", lambda port: looked.append(port) is None and (len(looked) == 1 or is_free(port))
        )
        try:
            address = local.start_or_reuse(tmp_path)
            assert looked[0] == taken and not address.url.endswith(f":{taken}")
            assert local.address(tmp_path) == address
        finally:
            local.stop(tmp_path)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    address = local.start_or_reuse(tmp_path, port=local.free_port())
    talk = Talk(address)
    talk.run("p", "r")
    pid = json.loads((tmp_path / "server.json").read_text())["pid"]
    sent = 0
    while sent < 200:
        talk.stream("p", "r", {"wandb-history.jsonl": {"offset": sent, "content": [json.dumps({"_step": sent})]}})
        sent += 1
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while local.address(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address.url + "/ready", timeout=2)
    try:
        assert local.start_or_reuse(tmp_path) == address
        run = talk.graphql('{ project(name: "p") { run(name: "r") { historyLineCount history(samples: 1000) } } }')
        rows = [json.loads(row)["_step"] for row in run["project"]["run"]["history"]]
        assert rows == list(range(sent))
    finally:
        local.stop(tmp_path)


def test_a_server_in_the_foreground_is_found_too(tmp_path: Path) -> None:
    """`vishwam serve` in one shell, `vishwam env` in another."""
    port = local.free_port()
    command = [sys.executable, "-m", "vishwam.server", "--data", str(tmp_path), "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while (found := local.address(tmp_path)) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        try:
            assert found is not None and found.url == f"http://127.0.0.1:{port}"
            assert local.start_or_reuse(tmp_path) == found
        finally:
            process.terminate()
        assert process.wait(10) == 0


def test_a_second_server_on_the_folder_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local.start_or_reuse(tmp_path, port=local.free_port())
    try:
        assert cli.main(["serve", "--data", str(tmp_path), "--port", str(local.free_port())]) == 2
        assert capsys.readouterr().err == f"vishwam serve: {tmp_path}: another server is using this folder\n"
    finally:
        local.stop(tmp_path)
