"""Lists of a project's runs: SQLite filters, orders and pages by columns; metrics and knobs are compared in Python."""

import json
from typing import Any

from vishwam.server import filters as run_filters
from vishwam.server.filters import Row, timestamp
from vishwam.server.graphql import Context, connection
from vishwam.server.runs import json_object

# Names in filters and orders -> expression; times are numbers, the other columns texts.
_JOINED = {"username": "users.name", "sweep_name": "sweeps.name"}
_RUN_COLUMNS = {name: column for name, column in run_filters.COLUMNS.items() if column != "place"}
_TIMES = {name: f"runs.{column}" for name, column in _RUN_COLUMNS.items() if column in ("created_at", "heartbeat_at")}
_TEXTS = {name: _JOINED.get(column, f"runs.{column}") for name, column in _RUN_COLUMNS.items() if name not in _TIMES}
_RANGES = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_MAX_VALUES = 10_000  # SQLite takes 32,766 in one statement
_FROM = """FROM runs LEFT JOIN sweeps ON sweeps.id = sweep_id LEFT JOIN users ON users.id = user_id
WHERE runs.project_id = ? AND deleted_at IS NULL"""
_ROWS = f"SELECT runs.*, sweeps.name AS sweep_name, users.name AS username {_FROM}"

Condition = tuple[str, list[Any]]


def condition(filters: Any) -> Condition | None:
    """A filter as SQL that is 0 or 1, with its values; None when SQL cannot say the same."""
    if not isinstance(filters, dict):
        return None
    found = [_part(key, value) for key, value in filters.items()]
    parts = [part for part in found if part is not None]
    if len(parts) < len(found) or sum(len(values) for _, values in parts) > _MAX_VALUES:
        return None
    return _join(" AND ", parts) if parts else ("1", [])


def _join(word: str, parts: list[Condition]) -> Condition:
    return f"({word.join(text for text, _ in parts)})", [value for _, values in parts for value in values]


def _part(key: str, value: Any) -> Condition | None:
    if key in ("$and", "$or", "$nor"):
        inner = [condition(part) for part in value] if isinstance(value, list) else []
        parts = [part for part in inner if part is not None]
        if not parts or len(parts) < len(inner):
            return None
        text, values = _join(" AND " if key == "$and" else " OR ", parts)
        return (f"NOT {text}" if key == "$nor" else text), values
    if key == "$not":
        inverted = condition(value)
        return inverted and (f"NOT {inverted[0]}", inverted[1])
    if key == "tags":
        known = "EXISTS (SELECT 1 FROM json_each(tags_json) WHERE value = ?)"
        return (known, [value]) if isinstance(value, str) else None
    if key not in _TEXTS and key not in _TIMES:
        return None
    operators = value if isinstance(value, dict) else {"$eq": value}
    compared = [_compare(key, name, operand) for name, operand in operators.items()]
    parts = [part for part in compared if part is not None]
    return _join(" AND ", parts) if parts and len(parts) == len(compared) else None


def _compare(key: str, name: str, operand: Any) -> Condition | None:
    column = _TEXTS.get(key) or _TIMES[key]
    if name == "$exists":
        return f"{column} IS {'NOT ' if operand else ''}NULL", []
    if name in _RANGES:
        bound = timestamp(operand) if key in _TIMES else operand
        fits = isinstance(bound, float if key in _TIMES else str)
        return (f"coalesce({column} {_RANGES[name]} ?, 0)", [bound]) if fits else None
    if name in ("$in", "$nin") and isinstance(operand, list) and all(_equals(key, item) for item in operand):
        marks = ", ".join("?" * len(operand))
        return f"{'NOT ' if name == '$nin' else ''}coalesce({column} IN ({marks}), 0)", operand
    if name in ("$eq", "$ne") and (operand is None or _equals(key, operand)):
        return f"{column} IS {'NOT ' if name == '$ne' else ''}?", [operand]
    return None


def _equals(key: str, operand: Any) -> bool:
    """Whether SQLite compares a column with it as Python does: it would take 5 for "5"."""
    return isinstance(operand, str) if key in _TEXTS else isinstance(operand, (int, float)) and operand == operand


def _order(order: str | None) -> str | None:
    """ORDER BY; None when it goes by what is no column."""
    terms = []
    for part in (part.strip() for part in (order or "").split(",") if part.strip()):
        key = part.lstrip("+-")
        column = _TEXTS.get(key) or _TIMES.get(key)
        if column is None:
            return None
        terms.append(f"{column} IS NULL, {column} {'DESC' if part.startswith('-') else 'ASC'}")
    return "ORDER BY " + ", ".join([*terms, "runs.created_at", "runs.id"])


def page(
    context: Context, project: Row, filters: str | None, order: str | None, first: int | None, after: str | None
) -> Row:
    """One page of the runs that pass, in that order."""
    wanted, ordering = condition(json_object("filters", filters)), _order(order)
    if wanted is None or ordering is None:
        return connection(_matching(context, project, filters, order), first, after)
    # Without a look at any run's contents: a page costs the same however many runs there are.
    ids = context.all(f"SELECT runs.id {_FROM} AND {wanted[0]} {ordering}", project["id"], *wanted[1])
    found = connection(ids, first, after)
    shown = json.dumps([edge["node"]["id"] for edge in found["edges"]])
    rows = context.all(f"{_ROWS} AND runs.id IN (SELECT value FROM json_each(?))", project["id"], shown)
    by_id = {row["id"]: row for row in rows}
    edges = [edge for edge in found["edges"] if edge["node"]["id"] in by_id]  # one may be gone since
    return {**found, "edges": [{**edge, "node": by_id[edge["node"]["id"]]} for edge in edges]}


def count(context: Context, project: Row, filters: str | None) -> int:
    wanted = condition(json_object("filters", filters))
    if wanted is None:
        return len(_matching(context, project, filters, None))
    return context.value(f"SELECT count(*) {_FROM} AND {wanted[0]}", project["id"], *wanted[1])


def _matching(context: Context, project: Row, text: str | None, order: str | None) -> list[Row]:
    """All of them; SQLite leaves out what it can of a filter whose parts must all hold."""
    key = ("runs", project["id"], text, order)
    if key not in context.cache:
        filters = json_object("filters", text)
        parts = [part for name, value in filters.items() if (part := condition({name: value})) is not None]
        narrowed, values = _join(" AND ", parts) if parts else ("1", [])
        rows = context.all(f"{_ROWS} AND {narrowed} {_order(None)}", project["id"], *values)
        context.cache[key] = run_filters.ordered(run_filters.matching(rows, filters), order)
    return context.cache[key]
