"""W&B's filters and orders: MongoDB's operators on columns, `config.knob.value`, `summary_metrics.name`."""

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from vishwam.server.history import lookup, number
from vishwam.server.web import Refused

MAX_PATTERN = 1000
PATTERN_SECONDS, MAX_REPEATS = 0.1, 10_000  # for one value; of {n} within {m}
_COUNTED = re.compile(r"{(\d*),?(\d*)}")
# Names in filters and orders -> keys of the row.
COLUMNS = {
    "display_name": "display_name",
    "displayName": "display_name",
    "state": "state",
    "name": "name",
    "group": "group_name",
    "jobType": "job_type",
    "job_type": "job_type",
    "created_at": "created_at",
    "createdAt": "created_at",
    "heartbeat_at": "heartbeat_at",
    "heartbeatAt": "heartbeat_at",
    "username": "username",
    "sweep": "sweep_name",
    "host": "host",
    "notes": "notes",
    "version_index": "place",  # of an artifact in a collection
    "versionIndex": "place",
}
Row = dict[str, Any]


def value_of(row: Row, key: str) -> Any:
    """What a filter or an order means by `key`: a column, tags, `config.x`, `summary_metrics.x`; None when absent."""
    if key in COLUMNS:
        return row.get(COLUMNS[key])
    if key == "tags":
        return json.loads(row.get("tags_json") or "[]")
    head, _, rest = key.partition(".")
    if head == "config":
        name = rest.removesuffix(".value")
        found = lookup(_parsed(row, "config_json"), name)
        if found is None:
            return lookup(_parsed(row, "config_json"), _inside_value(name))
        return found.get("value") if isinstance(found, dict) and "value" in found else found
    if head in ("summary_metrics", "summaryMetrics"):
        return lookup(_parsed(row, "summary_json"), rest)
    return None


def _inside_value(name: str) -> str:
    """Nested knobs: `config.a.b` lies at {"a": {"value": {"b": ...}}}."""
    head, _, rest = name.partition(".")
    return f"{head}.value.{rest}" if rest and not rest.startswith("value.") else name


def _parsed(row: Row, column: str) -> Row:
    cache = f"_{column}"
    if cache not in row:
        row[cache] = json.loads(row.get(column) or "{}")  # sweeps and collections have not all that runs have
    return row[cache]


def matching(rows: list[Row], filters: Any) -> list[Row]:
    """The rows that pass; raises 400 for an operator that is not known."""
    return [row for row in rows if _passes(row, filters)] if filters else rows


def _passes(row: Row, filters: Any) -> bool:
    if not isinstance(filters, dict):
        raise Refused(400, "a filter is a JSON object")
    for key, condition in filters.items():
        if key in ("$and", "$or", "$nor"):
            if not isinstance(condition, list):
                raise Refused(400, f"{key} takes a list")
            results = [_passes(row, part) for part in condition]
            passed = all(results) if key == "$and" else any(results) is (key == "$or")
        elif key == "$not":
            passed = not _passes(row, condition)
        elif key.startswith("$"):
            raise Refused(400, f"unknown filter operator {key}")
        else:
            passed = _compares(value_of(row, key), condition)
        if not passed:
            return False
    return True


def _compares(value: Any, condition: Any) -> bool:
    if isinstance(condition, dict) and any(key.startswith("$") for key in condition):
        return all(_operator(value, name, operand) for name, operand in condition.items())
    return _equal(value, condition)


def _equal(value: Any, operand: Any) -> bool:
    if isinstance(value, list) and not isinstance(operand, list):
        return operand in value
    return value == operand


def _operator(value: Any, name: str, operand: Any) -> bool:
    if name == "$eq":
        return _equal(value, operand)
    if name == "$ne":
        return not _equal(value, operand)
    if name in ("$in", "$nin"):
        if not isinstance(operand, list):
            raise Refused(400, f"{name} takes a list")
        return any(_equal(value, item) for item in operand) is (name == "$in")
    if name == "$exists":
        return (value is not None) is bool(operand)
    if name == "$not":
        return not _compares(value, operand)
    if name == "$regex":
        return isinstance(value, str) and _found(operand, value)
    if name in _ORDERINGS:
        left, right = _comparable(value, operand)
        return left is not None and right is not None and _ORDERINGS[name](left, right)
    raise Refused(400, f"unknown filter operator {name}")


_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


def _found(pattern: Any, text: str) -> bool:
    """Some patterns try for ever, and Python's own module lets nobody else work meanwhile."""
    import regex  # one filter in a thousand

    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN:
        raise Refused(400, f"$regex takes a string of at most {MAX_PATTERN} characters")
    if math.prod(max(1, int(low or 0), int(high or 0)) for low, high in _COUNTED.findall(pattern)) > MAX_REPEATS:
        raise Refused(400, f"$regex {pattern[:80]!r} repeats too often")
    try:
        re.compile(pattern)  # the other module knows more, and compiles what it repeats as often as that
        return regex.search(pattern, text, timeout=PATTERN_SECONDS) is not None
    except TimeoutError:
        raise Refused(400, f"$regex {pattern[:80]!r} takes too long") from None
    except (re.error, regex.error, RecursionError):
        raise Refused(400, f"$regex {pattern[:80]!r} is not a regular expression") from None


def _comparable(value: Any, operand: Any) -> tuple[Any, Any]:
    """Both as numbers (a column's time against an ISO date too), or both as strings, or (None, None)."""
    if isinstance(value, str) and isinstance(operand, str):
        return value, operand
    return number(value), timestamp(operand) if isinstance(value, float) else number(operand)


def timestamp(operand: Any) -> float | None:
    """A number, or an ISO date as Unix seconds; None for anything else."""
    found = number(operand)
    if found is not None or not isinstance(operand, str):
        return found
    try:
        parsed = datetime.fromisoformat(operand)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def ordered(rows: list[Row], order: str | None) -> list[Row]:
    """Rows by "+created_at" (the default), "-summary_metrics.loss", several separated by commas; absent values last."""
    result = list(rows)
    for part in reversed([part.strip() for part in (order or "").split(",") if part.strip()]):
        descending, key = part.startswith("-"), part.lstrip("+-")
        present: list[tuple[Any, Row]] = []
        absent: list[tuple[Any, Row]] = []
        for row in result:
            rank = _rank(value_of(row, key))
            (absent if rank is None else present).append((rank, row))
        present.sort(key=lambda pair: pair[0], reverse=descending)
        result = [row for _, row in present + absent]
    return result


def _rank(value: Any) -> tuple[int, Any] | None:
    """Numbers before strings; NaN counts as absent, so that it never wins."""
    found = number(value)
    if found is not None:
        return None if found != found else (0, found)
    return (1, value) if isinstance(value, str) else None
