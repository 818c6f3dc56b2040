"""Users, their keys and logins; who sees the pages without one."""

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from tests.server.talk import Talk
from vishwam import cli
from vishwam.errors import BadInput
from vishwam.server import filestream, local, users
from vishwam.server.app import serve
from vishwam.server.local import Address

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """A server that others can reach: pages need a login, from this machine too."""
    folder = tmp_path_factory.mktemp("remote")
    port = local.free_port()
    command = [sys.executable, "-m", "vishwam.cli", "serve", "--data", str(folder), "--port", str(port)]
    command.append("--allow-remote")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while (found := local.address(folder)) is None:
            assert process.poll() is None
        yield found
        process.terminate()


def ask(
    address: Address, method: str, path: str, form: dict[str, str] | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body, as a browser would see them without following anything."""
    connection = HTTPConnection(urlsplit(address.url).netloc, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if form is not None:
        sent.setdefault("Origin", address.url)
    connection.request(method, path, urlencode(form) if form is not None else None, sent)
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read().decode()


def logged_in(address: Address, key: str) -> str:
    """The cookie of a fresh session."""
    status, headers, _ = ask(address, "POST", "/login", {"key": key, "next": "/"})
    assert status == 303
    return headers["set-cookie"].split(";")[0]


def test_a_user_is_added_beside_the_server_and_the_key_is_shown_once(
    server: Address, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = local.start_or_reuse(tmp_path, port=local.free_port())
    try:
        assert cli.main(["serve", "--data", str(tmp_path), "--add-user", "ada"]) == 0
        key = capsys.readouterr().out.strip()
        assert re.fullmatch(r"[0-9a-f]{40}", key)
        ada = Talk(Address(address.url, key, "ada"))
        assert ada.graphql("{ viewer { username entity } }")["viewer"] == {"username": "ada", "entity": "ada"}
        ada.run("p", "r")
        assert ada.graphql('{ project(name: "p") { entityName } }')["project"]["entityName"] == "ada"
        assert Talk(address).graphql("{ viewer { username } }")["viewer"]["username"] == "local"
        assert cli.main(["serve", "--data", str(tmp_path), "--add-user", "Ada"]) == 2
        assert "--new-key Ada" in capsys.readouterr().err
        ada_streams = "/files/ada/p/r/file_stream"
        assert ada.request("POST", ada_streams, b"{}")[0] == 200
        assert cli.main(["serve", "--data", str(tmp_path), "--new-key", "ada"]) == 0
        newer = capsys.readouterr().out.strip()
        assert ada.request("POST", "/graphql", b"{}")[0] == 401
        assert Talk(Address(address.url, newer, "ada")).graphql("{ viewer { username } }")["viewer"]
        time.sleep(filestream.KEY_SECONDS)
        assert ada.request("POST", ada_streams, b"{}")[0] == 401
    finally:
        local.stop(tmp_path)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("server.*"))
    assert key.encode() not in stored and newer.encode() not in stored


def test_a_user_is_added_where_no_server_has_run_yet(tmp_path: Path) -> None:
    key = users.add(tmp_path / "new", "ada")
    address = local.start_or_reuse(tmp_path / "new", port=local.free_port())
    try:
        assert Talk(Address(address.url, key, "ada")).graphql("{ viewer { username } }")["viewer"]["username"] == "ada"
    finally:
        local.stop(tmp_path / "new")


@pytest.mark.parametrize("name", ["", "a/b", "../x", "-a", "login", "GraphQL", "é", "a b", "x" * 64])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="no user name"):
        users.add(tmp_path, name)


def test_a_login_opens_the_pages_and_ends(remote: Address) -> None:
    Talk(remote).run("shown", "r")
    status, headers, _ = ask(remote, "GET", "/local/shown?tab=1", **HTML)
    assert (status, headers["location"]) == (303, "/login?next=%2Flocal%2Fshown%3Ftab%3D1")
    assert ask(remote, "GET", "/-/data/runs?entity=local&project=shown")[0] == 401
    status, _, body = ask(remote, "GET", headers["location"], **HTML)
    assert status == 200 and 'value="/local/shown?tab=1"' in body
    assert ask(remote, "POST", "/login", {"key": "wrong" * 8, "next": "/"})[0] == 401
    status, headers, _ = ask(remote, "POST", "/login", {"key": remote.api_key, "next": "/local/shown?tab=1"})
    assert (status, headers["location"]) == (303, "/local/shown?tab=1")
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=lax" in headers["set-cookie"]
    cookie = headers["set-cookie"].split(";")[0]
    assert remote.api_key not in cookie
    status, _, body = ask(remote, "GET", "/local/shown", Cookie=cookie, **HTML)
    assert status == 200 and '<a href="/login">local</a>' in body
    assert ask(remote, "GET", "/-/data/runs?entity=local&project=shown", Cookie=cookie)[0] == 200
    assert ask(remote, "POST", "/logout", {}, Cookie=cookie)[0] == 303
    assert ask(remote, "GET", "/local/shown", Cookie=cookie, **HTML)[0] == 303, "the session ended on the server"


def test_the_client_is_told_that_nobody_collects_its_telemetry(remote: Address) -> None:
    assert ask(remote, "POST", "/sdk/otel/v1/metrics")[0] == 404


def test_a_session_reads_pages_and_nothing_else(remote: Address) -> None:
    cookie = logged_in(remote, remote.api_key)
    assert ask(remote, "POST", "/graphql", Cookie=cookie, Origin=remote.url)[0] == 401
    assert ask(remote, "POST", "/files/local/p/r/file_stream", Cookie=cookie)[0] == 401
    assert ask(remote, "GET", "/files/local/p/r/output.log", Cookie=cookie)[0] == 401


@pytest.mark.parametrize(
    "sender",
    [
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
def test_forms_and_data_of_other_pages_are_refused(remote: Address, sender: dict[str, str]) -> None:
    """A page on another port of this machine is the same site to a browser, and its requests carry our cookie."""
    assert ask(remote, "POST", "/login", {"key": remote.api_key}, **sender)[0] == 403
    cookie = logged_in(remote, remote.api_key)
    assert ask(remote, "POST", "/logout", {}, Cookie=cookie, **sender)[0] == 403
    assert ask(remote, "POST", "/-/data/curves?entity=local&project=shown", {}, Cookie=cookie, **sender)[0] == 403


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "/a\nb", "x"]
)
def test_a_login_leads_nowhere_else(remote: Address, wanted: str) -> None:
    status, headers, _ = ask(remote, "POST", "/login", {"key": remote.api_key, "next": wanted})
    assert (status, headers["location"]) == (303, "/")


def test_this_machines_own_user_needs_no_login(server: Address) -> None:
    assert ask(server, "GET", "/", **HTML)[0] == 200


@pytest.mark.parametrize("header", [{"X_Forwarded_For": "127.0.0.1"}, {"Via": "1.1 proxy"}, {"Host": "evil.example"}])
def test_what_a_proxy_passes_on_does(server: Address, header: dict[str, str]) -> None:
    assert ask(server, "GET", "/", **HTML, **header)[0] == 303


@pytest.mark.skipif(os.getuid() != 0, reason="needs another user of this machine")
def test_another_user_of_this_machine_does(server: Address) -> None:
    code = f"""
    import os, socket
    os.setgroups([]); os.setuid(65534)
    with socket.socket() as other:
        other.connect(({urlsplit(server.url).hostname!r}, {urlsplit(server.url).port}))
        other.sendall(b"GET /-/data/runs HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        print(other.recv(12).decode())
    """
    done = subprocess.run([sys.executable, "-S", "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.strip() == "HTTP/1.1 401", done.stderr


def test_other_machines_only_when_asked_for(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(BadInput, match="--allow-remote"):
            serve(host, local.free_port(), tmp_path)
    assert not list(tmp_path.iterdir())
