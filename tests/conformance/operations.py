"""Collects the GraphQL operations that the installed wandb client can send, from its Python files and core binary."""

import ast
import contextlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_START = re.compile(r"\b(?:query|mutation|subscription)\s+(\w+)\s*[({]")


def package(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def _one_document(text: str) -> str:
    """The operation at the start of `text` and the fragments directly after it, up to where the braces balance."""
    end = 0
    while True:
        depth = 0
        for position in range(end, len(text)):
            if text[position] in "({":
                depth += 1
            elif text[position] in ")}":
                depth -= 1
                if depth == 0 and text[position] == "}":
                    break
        else:
            return text[:end]
        end = position + 1
        if not re.match(r"\s*fragment \w+ on \w+ \{", text[end:]):
            return text[:end]


def from_binary() -> Iterator[tuple[str, str]]:
    """(name, document) of every operation in wandb-core. Go keeps its strings as plain UTF-8."""
    data = (package("wandb") / "bin" / "wandb-core").read_bytes()
    for match in re.finditer(rb"\n(?:query|mutation) ([A-Z]\w+) ?[({]", data):
        text = data[match.start() : match.start() + 20_000].decode("utf-8", "replace")
        yield match[1].decode(), _one_document(text).strip()


def _text(node: ast.AST, names: dict[str, str]) -> str | None:
    """The text of a string constant, f-string, or `.format()` of one, with the fragments named in `names` filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else names.get(ast.unparse(part.value), "")  # type: ignore[attr-defined]
            for part in node.values
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        text = _text(node.func.value, names)
        if text is None:
            return None
        try:
            return text.format(*(names.get(ast.unparse(argument), "") for argument in node.args))
        except (KeyError, IndexError, ValueError):
            return text
    return None


def from_python(name: str) -> Iterator[tuple[str, str, str]]:
    """(module path, operation name, document) of every operation written as a string in the package `name`."""
    root = package(name)
    for path in sorted(root.rglob("*.py")):
        source = path.read_text()
        if not _START.search(source):
            continue
        tree = ast.parse(source)
        names: dict[str, str] = {}
        formats = {
            id(n.func.value) for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = _text(node.value, names)
                if text:
                    names[node.targets[0].id] = text
        for node in ast.walk(tree):
            if id(node) in formats:
                continue
            text = _text(node, names)
            match = _START.search(text) if text else None
            if text and match and "{" in text[match.start() :]:
                yield str(path.relative_to(root.parent)), match[1], text


def assembled() -> Iterator[tuple[str, str, str]]:
    """(module path, operation name, document) of those that the client puts together as it runs, by its functions."""
    from wandb.apis.public import files, runs
    from wandb.sdk.artifacts import _gqlutils

    sent: list[str] = []

    def send(query: str, *_: Any, **__: Any) -> dict[str, Any]:
        sent.append(query)
        return {"useArtifact": {"artifact": {}}, "project": {"run": {"history": [], "events": []}}}

    class Sender(runs.Run):
        _exec = staticmethod(send)  # type: ignore[assignment]

        def __init__(self) -> None:
            pass

    for lazy in (True, False):
        yield "wandb/apis/public/runs.py", "Runs", runs._create_runs_query(lazy=lazy)
    for stream in ("default", "system"):
        Sender()._full_history(stream=stream)  # type: ignore[arg-type]
    for fragment, name in (
        (runs.RUN_FRAGMENT, runs.RUN_FRAGMENT_NAME),
        (runs.LIGHTWEIGHT_RUN_FRAGMENT, runs.LIGHTWEIGHT_RUN_FRAGMENT_NAME),
    ):
        run = Sender()
        run._attrs = {}
        # It goes on to read an answer that nobody gave.
        with contextlib.suppress(AttributeError, KeyError, runs.RunNotFoundError):
            run._load_with_fragment(fragment, name)
    yield "wandb/apis/public/files.py", "RunFiles", files.Files._get_query(None)  # type: ignore[arg-type]
    for knows in (True, False):
        service: Any = SimpleNamespace(execute_graphql=send, feature_enabled=lambda _, knows=knows: knows)
        for used_as in ("role", None):
            _gqlutils.record_artifact_use(
                service, entity_name="e", project_name="p", run_name="r", artifact_id="a",
                artifact_entity_name="e", artifact_project_name="p", use_as=used_as,
            )  # fmt: skip
    for text in sent:
        match = _START.search(text)
        assert match, text
        yield "assembled by the client", match[1], text


def names_anywhere(name: str) -> set[str]:
    """Names of what looks like an operation in any file of the package `name`, however it is put together."""
    loose = re.compile(rb"\b(?:query|mutation|subscription)\s+(\w+)\s*(?:\([^)]*\))?\s*\{")
    texts = (path.read_bytes() for path in package(name).rglob("*") if path.suffix in (".py", ".graphql"))
    return {match[1].decode() for text in texts for match in loose.finditer(text)}
