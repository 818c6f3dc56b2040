"""Nobody in without a key; whatever arrives, the answer is never a 500."""

import gzip
import json
import re
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount, Route

from tests.server.talk import Talk
from vishwam.server import local, pages
from vishwam.server.app import create_app
from vishwam.server.local import Address
from vishwam.server.store import Store


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """A server whose pages need a login, too."""
    folder, port = tmp_path_factory.mktemp("remote"), local.free_port()
    command = [sys.executable, "-m", "vishwam.cli", "serve", "--data", str(folder), "--port", str(port)]
    with subprocess.Popen([*command, "--allow-remote"], stderr=subprocess.DEVNULL) as process:
        while (found := local.address(folder)) is None:
            assert process.poll() is None
        yield Talk(found)
        process.terminate()


VIEWER = b'{"query": "{ viewer { username } }"}'
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def talk(server: Address) -> Talk:
    return Talk(server)


def every_route() -> list[tuple[str, str]]:
    """(method, an address) of everything the server answers to, the pages' own routes among it."""
    store = Store(Path(tempfile.mkdtemp()) / "data")
    found = []

    def walk(routes: list[BaseRoute]) -> None:
        for route in routes:
            if isinstance(route, Mount):
                walk(route.routes or route.app.routes)  # type: ignore[attr-defined]
            elif isinstance(route, Route):
                path = re.sub(r"{\w+:int}", "1", route.path)
                path = re.sub(r"{digest}", "0" * 32, path)
                found.extend((method, re.sub(r"{\w+(:path)?}", "x", path)) for method in sorted(route.methods or ()))

    walk([route for route in create_app(store, open_pages=False).app.routes if not isinstance(route, Mount)])
    walk(pages.routes(store))
    store.close()
    return found


# Nothing is to be known here: whether the server is up, the way in, and scripts that come with every copy.
OPEN = ("/ready", "/health", "/healthz", "/login", "/-/static/")
ROUTES = every_route()


def test_the_list_of_routes_is_whole() -> None:
    assert {("POST", "/graphql"), ("POST", "/files/x/x/x/file_stream"), ("PUT", "/storage/runs/1/x"),
            ("GET", "/artifacts/x/" + "0" * 32), ("GET", "/-/data/runs"), ("GET", "/x/x")} <= set(ROUTES)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if not route[1].startswith(OPEN)])
@pytest.mark.parametrize("key", [None, "wrong" * 8])
def test_every_endpoint_refuses_without_a_key(remote: Talk, method: str, path: str, key: str | None) -> None:
    """On a server that others reach; a logout is the one thing that needs a page of its own instead."""
    status, _ = remote.request(method, path, VIEWER if method in ("POST", "PUT") else None, key=key)
    assert status == (403 if path == "/logout" else 401)


def test_pages_answer_only_to_loopback_names(talk: Talk) -> None:
    """A page on the internet whose name points at this machine must not read ours."""
    status, _ = talk.request("GET", "/local", key=None, Host="evil.example:80")
    assert status == 401


def upload_url(talk: Talk, name: str = "note.txt") -> str:
    talk.run("signed", "r")
    query = """mutation M($f: [String!]!) { createRunFiles(input: {
    entityName: "local", projectName: "signed", runName: "r", files: $f}) { files { uploadUrl } } }"""
    return talk.graphql(query, f=[name])["createRunFiles"]["files"][0]["uploadUrl"]


def test_a_signed_address_opens_one_path_for_one_method(talk: Talk) -> None:
    name = "folder/a note %?#é.txt"
    url = upload_url(talk, name)
    assert talk.request("PUT", url, b"kept", key=None)[0] == 200
    files = talk.graphql(
        '{ project(name: "signed") { run(name: "r") { files { edges { node { name directUrl md5 } } } } } }'
    )
    (file,) = [edge["node"] for edge in files["project"]["run"]["files"]["edges"] if edge["node"]["name"] == name]
    assert talk.request("GET", file["directUrl"], key=None) == (200, b"kept")
    assert talk.request("GET", url, key=None)[0] == 401, "an upload's address does not download"
    assert talk.request("PUT", url.replace("note", "nota"), b"x", key=None)[0] == 401
    expires = url.split("expires=")[1].split("&")[0]
    assert talk.request("PUT", url.replace(expires, str(int(expires) + 1)), b"x", key=None)[0] == 401


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a\\..\\b", "nul\0", "", "x" * 5000]
)
def test_paths_never_climb(talk: Talk, name: str) -> None:
    talk.run("climb", "r")
    query = """mutation M($f: [String!]!) { createRunFiles(input: {
    entityName: "local", projectName: "climb", runName: "r", files: $f}) { files { uploadUrl } } }"""
    assert talk.refused(query, f=[name])[0] == 400
    assert talk.request("PUT", "/storage/runs/1/" + quote(name, safe=""), b"x")[0] in (400, 404, 405)


@pytest.mark.parametrize("name", ["a/b", "..", "x" * 200, "a\nb", "a?b"])
def test_names_that_break_addresses_are_refused(talk: Talk, name: str) -> None:
    query = "mutation M($input: UpsertBucketInput!) { upsertBucket(input: $input) { inserted } }"
    assert talk.refused(query, input={"modelName": name, "name": "r"})[0] == 400
    assert talk.refused(query, input={"modelName": "p", "name": name})[0] == 400


def test_an_unknown_entity_is_not_made(talk: Talk) -> None:
    query = "mutation M($input: UpsertBucketInput!) { upsertBucket(input: $input) { inserted } }"
    status, message = talk.refused(query, input={"entityName": "nobody", "modelName": "p", "name": "r"})
    assert status == 404 and "nobody" in message


def test_a_bomb_is_not_unpacked(talk: Talk) -> None:
    bomb = gzip.compress(b"0" * (200 << 20), 9)
    assert len(bomb) < 1 << 20
    status, _ = talk.request("POST", "/graphql", bomb, Content_Encoding="gzip")
    assert status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"\xff\xfe", b'{"query": 3}', b'{"query": "{"}', b'{"query": "{ nothing }"}', b"[" * 100_000,
        json.dumps({"query": "{" + "project{entity{user{entity " * 3000 + "}" * 9001}).encode(),
        json.dumps({"query": "{viewer{id}}", "variables": [1]}).encode(),
        json.dumps({"query": "query Q($n: String!) { project(name: $n) { id } }"}).encode(),
        b'{"query": "query Q($n: String!) { project(name: $n) { id } }", "variables": {"n": "\\ud800"}}',
    ],
)  # fmt: skip
def test_broken_requests_get_a_4xx(talk: Talk, body: bytes) -> None:
    status, reply = talk.request("POST", "/graphql", body)
    assert status in (200, 400, 413) and (status != 200 or json.loads(reply).get("errors"))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
_names = st.sampled_from(["wandb-history.jsonl", "wandb-events.jsonl", "wandb-summary.json", "output.log", "other"])
_lines = st.one_of(_json.map(json.dumps), st.text(max_size=30), _json)
_chunk = st.fixed_dictionaries(
    {"offset": st.one_of(st.integers(-5, 50), _json), "content": st.lists(_lines, max_size=4)}
)


@quick
@given(
    body=st.one_of(
        _json,
        st.fixed_dictionaries(
            {"files": st.dictionaries(_names, st.one_of(_chunk, _json), max_size=3)},
            optional={"complete": _json, "exitcode": _json, "preempting": _json, "uploaded": _json},
        ),
    )
)
def test_any_stream_message_is_stored_or_refused(talk: Talk, body: Any) -> None:
    talk.run("fuzz", "r")
    status, reply = talk.request("POST", "/files/local/fuzz/r/file_stream", json.dumps(body).encode())
    assert status in (200, 400), reply


_config = st.one_of(
    st.text(alphabet=string.printable, max_size=200),
    st.fixed_dictionaries(
        {
            "method": st.sampled_from(["grid", "random", "bayes"]),
            "parameters": st.dictionaries(st.text(max_size=5), _json),
        },
        optional={"metric": _json, "early_terminate": _json, "run_cap": _json, "name": _json},
    ).map(json.dumps),
)


@quick
@given(config=_config)
def test_any_sweep_is_made_and_served_or_refused(talk: Talk, config: str) -> None:
    query = "mutation M($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { name } } }"
    body = json.dumps({"query": query, "variables": {"input": {"projectName": "fuzz", "config": config}}}).encode()
    status, reply = talk.request("POST", "/graphql", body)
    assert status in (200, 400), reply
    if status == 200:
        sweep = json.loads(reply)["data"]["upsertSweep"]["sweep"]["name"]
        assert talk.heartbeat(talk.agent("fuzz", sweep))[0]["type"] in ("run", "exit")


_FILTER_KEYS = ["$or", "$and", "config.x", "state", "tags", "$not"]


@quick
@given(filters=st.one_of(_json, st.dictionaries(st.sampled_from(_FILTER_KEYS), _json)),
       order=st.text(max_size=20))  # fmt: skip
def test_any_filter_answers_or_is_refused(talk: Talk, filters: Any, order: str) -> None:
    query = (
        'query Q($f: JSONString, $o: String) { project(name: "fuzz") { runs(filters: $f, order: $o) { totalCount } } }'
    )
    talk.run("fuzz", "r")
    body = json.dumps({"query": query, "variables": {"f": json.dumps(filters), "o": order}}).encode()
    status, reply = talk.request("POST", "/graphql", body)
    assert status in (200, 400), reply


_RUN_FIELDS = ["name", "modelName", "config", "summaryMetrics", "tags", "state", "displayName", "notes", "id", "sweep"]


@quick
@given(input=st.dictionaries(
    st.sampled_from(_RUN_FIELDS),
    st.one_of(_json, st.text(max_size=20)),
))  # fmt: skip
def test_any_run_is_made_or_refused(talk: Talk, input: dict[str, Any]) -> None:
    query = "mutation M($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id config tags } } }"
    body = json.dumps({"query": query, "variables": {"input": {"modelName": "fuzz", **input}}}).encode()
    status, reply = talk.request("POST", "/graphql", body)
    assert status in (200, 400, 404, 409), reply
