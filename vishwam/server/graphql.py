"""GraphQL over our own schema: documents parsed once, queries on reader threads, mutations on the writer's.

Resolvers are plain functions registered by `@field("Type.field")`; a parent is a dictionary, usually a row of the
database, and a field without a resolver is the column of the same name in snake case.
"""

import asyncio
import base64
import binascii
import contextlib
import functools
import inspect
import json
import math
import re
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field as data_field
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Protocol

import graphql
from graphql import GraphQLError, GraphQLResolveInfo, GraphQLScalarType
from starlette.requests import Request
from starlette.responses import Response

from vishwam.server import history
from vishwam.server.store import Store
from vishwam.server.web import Refused, json_response, read_body, read_json

MAX_BYTES = 16 << 20  # a request; an artifact's files come 10,000 at a time, in 4 MB
MAX_NODES = 500_000  # keys, objects and lists of a request
# The client's largest document has 2,200 characters, 250 tokens, and fields 11 deep.
MAX_DOCUMENT, MAX_TOKENS, MAX_DEPTH = 50_000, 1_000, 24
# What a request may take of a processor, and what more for each byte of it: an artifact's files are many and no harm.
# The client's page of 1,000 runs, twenty times its usual one, takes 0.1 s; to ask for 10,000 files, in 1.5 MB, 0.5 s.
MAX_SECONDS, MAX_FIELDS = 1.0, 100_000
SECONDS_A_BYTE, FIELDS_A_BYTE = 2e-6, 0.2
_RULES = [rule for rule in graphql.specified_rules if rule is not graphql.NoUnusedVariablesRule]
_RESOLVERS: dict[str, Callable[..., Any]] = {}

Row = dict[str, Any]


class Scheduler(Protocol):
    """What answers agents; see `scheduler`."""

    async def heartbeat(self, context: "Context", agent: Row, alive: dict[str, Any]) -> list[Row]: ...


@dataclass
class Context:
    """What a resolver needs: the store, this thread's connection, who asks, and the address they reached us at."""

    store: Store
    scheduler: Scheduler
    db: sqlite3.Connection
    user: Row
    base_url: str
    cache: dict[Any, Any] = data_field(default_factory=dict)
    seconds: float = MAX_SECONDS
    fields_left: float = MAX_FIELDS
    until: float = math.inf

    def begin(self) -> None:
        """The time allowed begins, on the thread that is to work."""
        self.until = time.thread_time() + self.seconds

    def charge(self) -> None:
        """One more field is to be resolved."""
        self.fields_left -= 1
        if self.fields_left < 0 or time.thread_time() > self.until:
            raise _TooExpensive

    def one(self, sql: str, *values: Any) -> Row | None:
        row = self.db.execute(sql, values).fetchone()
        return dict(row) if row is not None else None

    def all(self, sql: str, *values: Any) -> list[Row]:
        return [dict(row) for row in self.db.execute(sql, values)]

    def value(self, sql: str, *values: Any) -> Any:
        row = self.db.execute(sql, values).fetchone()
        return row[0] if row is not None else None


def field(*paths: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers `function(parent, context, **arguments)` as the resolver of each "Type.field"."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for path in paths:
            _RESOLVERS[path] = function
        return function

    return register


def global_id(kind: str, row_id: int) -> str:
    return base64.b64encode(f"{kind}:{row_id}".encode()).decode()


def row_id(kind: str, text: str | None) -> int | None:
    """The row id inside a global id of that kind; None for anything else."""
    with contextlib.suppress(binascii.Error, UnicodeDecodeError, ValueError):
        found, _, number = base64.b64decode(text or "", validate=True).decode().partition(":")
        if found == kind and 0 < int(number) < 1 << 63:
            return int(number)
    return None


def position(cursor: str | None) -> int:
    """The count a cursor stands for; 0 for none and for anything we never gave out."""
    return int(cursor) if cursor and cursor.isascii() and cursor.isdecimal() and len(cursor) < 16 else 0


def connection(rows: list[Row], first: int | None, after: str | None, total: int | None = None) -> Row:
    """A page of `rows` after the cursor `after` (a count of rows passed)."""
    start = position(after)
    end = len(rows) if first is None or first < 0 else start + first
    page = rows[start:end]
    edges = [{"node": row, "cursor": str(start + index + 1)} for index, row in enumerate(page)]
    return {
        "edges": edges,
        "total_count": len(rows) if total is None else total,
        "page_info": {
            "end_cursor": edges[-1]["cursor"] if edges else after or None,
            "has_next_page": start + len(page) < len(rows),
        },
    }


@functools.cache
def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _default(parent: Any, info: GraphQLResolveInfo, **_: Any) -> Any:
    info.context.charge()
    return parent.get(_snake(info.field_name)) if isinstance(parent, dict) else None


def _iso(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def _json_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _int64(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise GraphQLError(f"not an integer: {value!r}") from None
    if not -(1 << 63) <= number < 1 << 63:
        raise GraphQLError(f"integer out of range: {number}")
    return number


_SCALARS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "JSONString": (_json_text, _json_text),
    "JSON": (history.without_nan, lambda value: value),
    "DateTime": (_iso, lambda value: value),
    "Int64": (_int64, _int64),
    "Duration": (lambda value: value, lambda value: value),
}


@functools.cache
def schema() -> graphql.GraphQLSchema:
    """The schema with every resolver attached whose module was imported (`app` imports them all).

    Raises KeyError when a resolver names a field that is not there.
    """
    built = graphql.build_schema(resources.files("vishwam.server").joinpath("schema.graphql").read_text())
    for name, (serialize, parse_value) in _SCALARS.items():
        scalar = built.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        scalar.coerce_output_value, scalar.coerce_input_value = serialize, parse_value  # type: ignore[method-assign, assignment]
    for path, function in _RESOLVERS.items():
        type_name, _, field_name = path.partition(".")
        built.type_map[type_name].fields[field_name].resolve = _adapt(function)  # type: ignore[attr-defined]
    for name in ("ArtifactCollection", "ArtifactCreator"):
        built.type_map[name].resolve_type = lambda value, *_: value["__typename"]  # type: ignore[attr-defined]
    return built


def _adapt(function: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(parent: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        info.context.charge()
        return function(parent, info.context, **arguments)

    async def resolve_later(parent: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
        value = await function(parent, info.context, **arguments)
        info.context.begin()  # anew: the thread worked for others meanwhile
        return value

    return resolve_later if inspect.iscoroutinefunction(function) else resolve


class _TooExpensive(BaseException):
    """Ends an execution; an Exception would only make one field of it null."""


@functools.lru_cache(maxsize=512)
def _prepare(text: str) -> tuple[graphql.DocumentNode, bool]:
    """The validated document, and whether it changes anything."""
    if len(text) > MAX_DOCUMENT:
        raise Refused(413, f"a query of more than {MAX_DOCUMENT} characters")
    try:
        document = graphql.parse(text, no_location=True, max_tokens=MAX_TOKENS)
        _check_depth(document)
        errors = graphql.validate(schema(), document, _RULES, max_errors=5)
    except RecursionError:
        raise Refused(400, "the query is nested too deeply") from None
    except GraphQLError as error:
        raise Refused(400, str(error.message)) from None
    if errors:
        raise Refused(400, "; ".join(error.message for error in errors))
    operations = [node for node in document.definitions if isinstance(node, graphql.OperationDefinitionNode)]
    return document, any(node.operation is graphql.OperationType.MUTATION for node in operations)


def _check_depth(document: graphql.DocumentNode) -> None:
    """Fields within fields, through fragments, too; before the rules, some of which are quadratic."""
    fragments = {
        node.name.value: node for node in document.definitions if isinstance(node, graphql.FragmentDefinitionNode)
    }

    spreads = 0

    def walk(node: Any, depth: int, inside: frozenset[str]) -> None:
        nonlocal spreads
        if depth > MAX_DEPTH:
            raise Refused(400, f"the query is nested more than {MAX_DEPTH} deep")
        for inner in node.selection_set.selections if node.selection_set else ():
            if isinstance(inner, graphql.FragmentSpreadNode):
                name = inner.name.value
                if name in fragments and name not in inside:
                    spreads += 1
                    if spreads > MAX_TOKENS:
                        raise Refused(400, "the query's fragments multiply")
                    walk(fragments[name], depth, inside | {name})
            else:
                walk(inner, depth + isinstance(inner, graphql.FieldNode), inside)

    for node in document.definitions:
        if isinstance(node, graphql.OperationDefinitionNode):
            walk(node, 0, frozenset())


class Endpoint:
    """POST /graphql."""

    def __init__(self, store: Store, scheduler: Scheduler) -> None:
        self.store, self.scheduler = store, scheduler
        self.readers = ThreadPoolExecutor(4, thread_name_prefix="reader")

    async def __call__(self, request: Request) -> Response:
        body = await read_body(request, MAX_BYTES)
        text, variables, operation = _request_of(body)
        document, mutation = _prepare(text)
        user, base_url = request.state.user, str(request.base_url).rstrip("/")

        def execute(db: sqlite3.Connection) -> Any:
            context = Context(
                self.store, self.scheduler, db, user, base_url,
                seconds=MAX_SECONDS + SECONDS_A_BYTE * len(body), fields_left=MAX_FIELDS + FIELDS_A_BYTE * len(body),
            )  # fmt: skip
            context.begin()
            try:
                return graphql.execute(
                    schema(), document, context_value=context, variable_values=variables, operation_name=operation,
                    field_resolver=_default,
                )  # fmt: skip
            except _TooExpensive:
                raise Refused(400, "the query asks for too much at once") from None

        if mutation:
            result = execute(self.store.writer)
            if inspect.isawaitable(result):
                result = await result
        else:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self.readers, lambda: execute(self.store.reader()))
        return _response(result)


def _request_of(body: bytes) -> tuple[str, dict[str, Any], str | None]:
    if sum(map(body.count, (b":", b"{", b"["))) > 2 * MAX_NODES:
        raise Refused(413, f"a request of more than {MAX_NODES} keys")
    try:
        request = read_json(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(request, dict) or not isinstance(request.get("query"), str):
        raise Refused(400, "the body has no query")
    variables, operation = request.get("variables") or {}, request.get("operationName") or None
    if not isinstance(variables, dict) or not isinstance(operation, (str, type(None))):
        raise Refused(400, "variables must be an object, operationName a string")
    return request["query"], _without_nulls(variables), operation


def _without_nulls(value: Any) -> Any:
    """The core binary writes every field that W&B's own inputs have, most of them null, many of them not ours."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _response(result: graphql.ExecutionResult) -> Response:
    payload: dict[str, Any] = {"data": result.data}
    status = 200
    if result.errors:
        payload["errors"] = [{"message": error.message, "path": error.path} for error in result.errors]
        status = 400 if result.data is None else 200
        for error in result.errors:
            original = error.original_error
            if isinstance(original, Refused):
                status = original.status
            elif isinstance(original, UnicodeEncodeError):
                status = 400  # half a surrogate pair, which is no text
            elif original is not None and not isinstance(original, GraphQLError):
                raise original
    return json_response(payload, status)
