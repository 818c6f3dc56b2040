"""Users for W&B's own system tests: only where it was asked for, and never for other machines."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.server.talk import Talk
from vishwam.errors import BadInput
from vishwam.server import local
from vishwam.server.app import serve
from vishwam.server.local import Address

UP = b'{"command": "up", "username": "user_x"}'


@pytest.mark.parametrize(("host", "remote"), [("0.0.0.0", True), ("127.0.0.1", True)])
def test_they_are_refused_where_others_come_in(tmp_path: Path, host: str, remote: bool) -> None:
    with pytest.raises(BadInput, match="--test-fixtures makes every name a key"):
        serve(host, local.free_port(), tmp_path / "data", allow_remote=remote, test_fixtures=True)
    assert not (tmp_path / "data").exists()


def test_a_server_that_was_not_asked_has_none(server: Address) -> None:
    talk = Talk(server)
    assert talk.request("POST", "/db/user", UP)[0] in (404, 405)
    assert talk.request("POST", "/graphql", b'{"query": "{ viewer { name } }"}', key="user_x")[0] == 401


def test_a_name_is_a_key_where_they_are(tmp_path: Path) -> None:
    port = local.free_port()
    command = [sys.executable, "-m", "vishwam.cli", "serve", "--test-fixtures", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen([*command, "--data", str(tmp_path / "data")], stdout=log, stderr=log)
    try:
        while process.poll() is None and local.address(tmp_path / "data") is None:
            time.sleep(0.05)
        found = local.address(tmp_path / "data")
        assert found is not None, (tmp_path / "log").read_text()
        talk = Talk(found)
        assert talk.request("POST", "/db/user", UP, key=None)[0] == 200
        status, reply = talk.request("POST", "/graphql", b'{"query": "{ viewer { name } }"}', key="user_x")
        assert (status, reply) == (200, b'{"data": {"viewer": {"name": "user_x"}}}')
        assert talk.request("POST", "/db/team", UP, key=None)[0] == 400
        assert talk.request("POST", "/db/user", b"[", key=None)[0] == 400
    finally:
        process.terminate()
        process.wait(20)
