"""Requests made to hurt: refused with a 4xx, in bounded time and memory, and the server goes on as before."""

import gzip
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.talk import Talk
from vishwam.server import local

MB = 1 << 20
quick = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
UPSERT = "mutation M($input: UpsertBucketInput!) { upsertBucket(input: $input) { bucket { id } } }"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Talk, psutil.Process]]:
    """A server of this module alone, whose memory is watched."""
    folder = tmp_path_factory.mktemp("fuzz")
    address = local.start_or_reuse(folder, port=local.free_port())
    yield Talk(address), psutil.Process(int((folder / "lock").read_text()))
    local.stop(folder)


@pytest.fixture
def talk(own: tuple[Talk, psutil.Process]) -> Iterator[Talk]:
    """Fails a test after which the server died, or kept over 150 MB more than before."""
    talk, process = own
    before = process.memory_info().rss
    yield talk
    assert process.is_running() and talk.graphql("{ viewer { username } }")
    assert process.memory_info().rss - before < 150 * MB


def post(talk: Talk, query: str, **variables: Any) -> int:
    status, _ = talk.request("POST", "/graphql", json.dumps({"query": query, "variables": variables}).encode())
    return status


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("levels", [100, 490, 900, 5_000, 100_000])
@pytest.mark.parametrize(
    "place",
    [
        '{"query": "{viewer{username}}", "variables": {"a": %s}}',
        '{"query": "query Q($n: JSONString) { project(name: \\"p\\") { runs(filters: $n) { totalCount } } }", '
        '"variables": {"n": %s}}',
        '{"query": "mutation M($c: JSONString) { upsertBucket(input: '
        '{modelName: \\"p\\", name: \\"deep\\", config: $c}) { bucket { config } } }", "variables": {"c": %s}}',
        '{"files": {"wandb-history.jsonl": {"offset": 0, "content": %s}}}',
    ],
)
def test_nesting_at_any_depth_is_answered(talk: Talk, place: str, levels: int) -> None:
    talk.run("p", "deep")
    for value in (nested(levels), json.dumps(nested(levels)), json.dumps('{"a":' * levels + "1" + "}" * levels)):
        path = "/files/local/p/deep/file_stream" if "files" in place else "/graphql"
        assert talk.request("POST", path, (place % value).encode())[0] in (200, 400)
    line = json.dumps('{"a":' * levels + "1" + "}" * levels)
    body = f'{{"files": {{"wandb-history.jsonl": {{"offset": 0, "content": [{line}]}}}}}}'
    assert talk.request("POST", "/files/local/p/deep/file_stream", body.encode())[0] in (200, 400)
    assert talk.request("POST", "/graphql", b'{"query": "{ project(name: \\"p\\") { run(name: \\"deep\\") '
                        b'{ config summaryMetrics history historyKeys } } }"}')[0] == 200  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ('{project(name: "p"){' + "runs{edges{node{project{" * 4 + "id" + "}}}}" * 4 + "}}", 200),
        ('{project(name: "p"){' + "runs{edges{node{project{" * 6 + "id" + "}}}}" * 6 + "}}", 400),
        ("{viewer{" + "username " * 3_000 + "}}", 400),
        ("{viewer{" + "username " * 20_000 + "}}", 413),
        ("{" + "".join(f"a{i}:viewer{{username}}" for i in range(600)) + "}", 400),
        ("{viewer{...A}} fragment A on User {...A}", 400),
        ("{viewer{...F0}}" + "".join(f" fragment F{i} on User {{...F{i + 1} ...F{i + 1}}}" for i in range(100))
         + " fragment F100 on User {username}", 400),
        ("{ " + "#" * 60_000 + "\nviewer { username } }", 413),
        ("{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }", 400),
    ],
)  # fmt: skip
def test_queries_that_ask_for_too_much(talk: Talk, query: str, status: int) -> None:
    talk.run("p", "r")
    assert post(talk, query) == status


@pytest.mark.parametrize(
    "query",
    [
        '{project(name: "many") {' + "runs{edges{node{project{" * 5 + "id" + "}}}}" * 5 + "}}",
        '{project(name: "many") {runs{edges{node{project{runs{edges{node{project{runs{edges{node{'
        + " ".join(f"a{i}: name" for i in range(100)) + "}}}}}}}}}}}}",
        "mutation {upsertBucket(input: {modelName: \"many\", name: \"r0\"}) {bucket {project{"
        + "runs{edges{node{project{" * 4 + "id" + "}}}}" * 4 + "}}}}",
        "{" + " ".join(f'a{i}: project(name: "many") {{runs(filters: "{{\\"config.a\\": 1}}", order: "config.a")'
                       "{edges{node{config}}}}" for i in range(40)) + "}",
    ],
)  # fmt: skip
def test_a_query_that_multiplies_is_cut_off(own: tuple[Talk, psutil.Process], talk: Talk, query: str) -> None:
    """Forty runs, five levels: 40**5 rows if it were let run; or few, each of which costs much."""
    for index in range(40):
        talk.run("many", f"r{index}", config=json.dumps({f"k{i}": {"value": i} for i in range(5_000)}))
    before = sum(own[1].cpu_times()[:2])
    assert post(talk, query) == 400
    assert sum(own[1].cpu_times()[:2]) - before < 2, "seconds of a processor; about one is allowed"


@pytest.mark.parametrize("pattern", ["(a|aa)+$", "(?:(?:(?:a{500}){500,}){500}){500}", "(?R)", "(", "a" * 2_000])
def test_a_pattern_that_would_try_for_ever(talk: Talk, pattern: str) -> None:
    talk.run("patterns", "r", displayName="a" * 60 + "b")
    query = 'query Q($f: JSONString) { project(name: "patterns") { runs(filters: $f) { edges { node { name } } } } }'
    assert post(talk, query, f=json.dumps({"display_name": {"$regex": pattern}})) == 400
    found = talk.graphql(query, f=json.dumps({"display_name": {"$regex": "^a+(b|c)$"}}))["project"]["runs"]["edges"]
    assert found == [{"node": {"name": "r"}}]


def test_a_config_of_a_million_keys(talk: Talk) -> None:
    """At their shortest they fit into a request; it is their number that does not."""
    text = "{" + ",".join(f'"{index:x}":0' for index in range(1_000_000)) + "}"
    assert post(talk, UPSERT, input={"modelName": "p", "name": "big", "config": text}) == 413


@pytest.mark.parametrize("filler", [b"[],", b"0,", b"[[0]],"])
def test_bodies_that_grow_when_read(own: tuple[Talk, psutil.Process], filler: bytes) -> None:
    """16 MB of the shortest values there are."""
    talk, process = own
    before = process.memory_info().rss
    body = b'{"query": "{viewer{username}}", "variables": {"a": [' + filler * (15 * MB // len(filler)) + b"0]}}"
    assert talk.request("POST", "/graphql", body)[0] in (200, 400, 413)
    assert process.memory_info().rss - before < 250 * MB


@pytest.mark.parametrize("path", ["/graphql", "/files/local/p/r/file_stream"])
def test_bombs(talk: Talk, path: str) -> None:
    talk.run("p", "r")
    bomb = gzip.compress(b"0" * (100 * MB), 1)
    assert talk.request("POST", path, bomb, Content_Encoding="gzip")[0] == 413
    assert talk.request("POST", path, gzip.compress(bomb), Content_Encoding="gzip")[0] == 400, (
        "unpacked once, not twice"
    )
    assert talk.request("POST", path, bomb[:1000], Content_Encoding="gzip")[0] in (400, 413)
    assert talk.request("POST", path, b"not gzip", Content_Encoding="gzip")[0] == 400
    assert talk.request("POST", path, b"x", Content_Encoding="br, gzip")[0] == 415
    assert talk.request("POST", path, b" " * (40 * MB))[0] == 413


@pytest.mark.parametrize(
    "step", ["1e400", "NaN", "Infinity", "-5", "1.5", '"x"', "null", "[]", "1" * 5_000, "9" * 17, "true"]
)
def test_absurd_steps(talk: Talk, step: str) -> None:
    talk.run("p", "steps")
    body = json.dumps({"files": {"wandb-history.jsonl": {"offset": 0, "content": [f'{{"_step": {step}}}']}}}).encode()
    assert talk.request("POST", "/files/local/p/steps/file_stream", body)[0] == 400
    assert talk.graphql('{ project(name: "p") { run(name: "steps") { historyLineCount } } }')["project"]["run"] == {
        "historyLineCount": 0
    }


@pytest.mark.parametrize("offset", [-1, 1 << 31, 1 << 63, 1 << 70, 1.5, "0", None, True, [0]])
@pytest.mark.parametrize("file", ["wandb-history.jsonl", "wandb-events.jsonl", "output.log"])
def test_absurd_offsets(talk: Talk, file: str, offset: Any) -> None:
    talk.run("p", "offsets")
    body = json.dumps({"files": {file: {"offset": offset, "content": ["{}"]}}}).encode()
    # True is 1 to Python and to nobody else; it does no harm.
    assert talk.request("POST", "/files/local/p/offsets/file_stream", body)[0] == (200 if offset is True else 400)


def test_nan_and_infinities_are_values(talk: Talk) -> None:
    talk.run("p", "nan")
    rows = ['{"_step": 0, "x": NaN, "y": Infinity}', '{"_step": 1, "x": "NaN", "y": -1e999}']
    talk.stream("p", "nan", {"wandb-history.jsonl": {"offset": 0, "content": rows},
                             "wandb-summary.json": {"offset": 0, "content": ['{"x": NaN}']}})  # fmt: skip
    run = talk.graphql('{ project(name: "p") { run(name: "nan") { history summaryMetrics } } }')["project"]["run"]
    assert len(run["history"]) == 2


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe\x00", b'{"query": "\xff"}', b'{"a": "\xed\xa0\x80"}', b"\x00", b'{"files": {"output.log": "\xc3"}}'],
)
@pytest.mark.parametrize("path", ["/graphql", "/files/local/p/r/file_stream"])
def test_invalid_utf_8(talk: Talk, path: str, body: bytes) -> None:
    talk.run("p", "r")
    assert talk.request("POST", path, body)[0] == 400


def test_a_path_that_is_no_utf_8(talk: Talk) -> None:
    for path in (
        "/%ff%fe",
        "/local/%ff",
        "/storage/runs/1/%ff",
        "/files/local/p/%c3/file_stream",
        "/storage/runs/99999999999999999999999/x",
    ):
        for method in ("GET", "POST", "PUT"):
            assert talk.request(method, path, b"{}" if method != "GET" else None)[0] < 500


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "..\\x", "a\0b", "./x", "", "x" * 5_000])
def test_a_manifest_never_climbs(talk: Talk, path: str) -> None:
    talk.run("p", "r")
    made = talk.artifact(
        "p", "r", "climb", {}, commit=False, extra={path: {"digest": "x", "size": 1, "ref": "http://x"}}
    )
    assert (
        post(talk, "mutation M($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }", id=made)
        == 400
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@quick
@given(contents=_json, digest=_json, size=_json, ref=_json)
def test_any_manifest_is_taken_or_refused(talk: Talk, contents: Any, digest: Any, size: Any, ref: Any) -> None:
    talk.run("p", "r")
    entry = {"digest": digest, "size": size, "ref": ref}
    made = talk.artifact("p", "r", "any", {}, commit=False, extra={"x": entry, "y": contents})
    assert post(
        talk, "mutation M($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }", id=made
    ) in (200, 400)


_STARTS = [
    "",
    *[
        "/storage/runs/1",
        "/storage/wandb_artifacts/1",
        "/artifacts",
        "/artifactsV2",
        "/files",
        "/-/data",
        "/-/files",
        "/-/static",
    ],
]
_segment = st.text(max_size=12).filter(lambda text: not any(0xD800 <= ord(c) < 0xE000 for c in text))


@quick
@given(
    parts=st.lists(_segment, min_size=1, max_size=5),
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    start=st.sampled_from(_STARTS),
)
def test_any_address_is_answered(talk: Talk, parts: list[str], method: str, start: str) -> None:
    path = start + "/" + "/".join(quote(part, safe="") for part in parts)
    status, _ = talk.request(method, path, b"x" if method in ("PUT", "POST") else None)
    assert status < 500


_FIELDS = [
    "viewer",
    "project",
    "runs",
    "edges",
    "node",
    "run",
    "sweep",
    "history",
    "files",
    "artifact",
    "id",
    "name",
    "__typename",
]
_ARGUMENTS = [
    "name",
    "first",
    "after",
    "filters",
    "order",
    "entityName",
    "samples",
    "specs",
    "keys",
    "minStep",
    "pattern",
]


@st.composite
def _selection(draw: st.DrawFn, depth: int = 0) -> str:
    fields = []
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from(_FIELDS))
        given = draw(
            st.dictionaries(
                st.sampled_from(_ARGUMENTS), st.integers(-5, 1 << 65) | st.text('ab{}$"\\', max_size=5), max_size=2
            )
        )
        if given:
            text += "(" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in given.items()) + ")"
        if depth < 4 and draw(st.booleans()):
            text += draw(_selection(depth + 1))
        fields.append(text)
    return "{" + " ".join(fields) + "}"


@quick
@given(query=_selection() | st.text(max_size=60))
def test_any_query_is_answered(talk: Talk, query: str) -> None:
    assert post(talk, query) in (200, 400, 404)
