"""Which runs a report's run set holds: the filters, search, order and selection that wandb-workspaces writes.

Filters come in two forms: a tree {"op": "AND" | "OR" | leaf op, "filters" | "key", "value"}, and 'filterV2', a flat
list whose items carry a connector to the item before, AND binding tighter than OR (wandb_workspaces/expr.py).
"""

import re
import time
from collections.abc import Callable
from typing import Any


def select(found: list[dict], runset: dict) -> list[dict]:
    """The runs of one run set in its order. found: as `queries.runs` returns them."""
    filters = runset.get("filters") or {}
    search = runset.get("search") or {}
    chosen = [run for run in found if matches(run, filters) and _searched(run, search)]
    for key in reversed((runset.get("sort") or {}).get("keys") or []):
        chosen = _sorted(chosen, key.get("key") or {}, bool(key.get("ascending")))
    selections = runset.get("selections") or {}
    listed = set(_tree_ids(selections.get("tree") or []))
    if selections.get("root", 1) == 0:
        return [run for run in chosen if run["id"] in listed]
    return [run for run in chosen if run["id"] not in listed]


def matches(run: dict, filters: dict) -> bool:
    if filters.get("filterFormat") == "filterV2":
        return _list_matches(run, filters.get("filters") or [])
    return _tree_matches(run, filters)


def _tree_matches(run: dict, node: dict) -> bool:
    if node.get("disabled"):
        return True
    if node.get("key"):
        return _leaf_matches(run, node)
    children = node.get("filters") or []
    if not children:
        return True
    return (any if node.get("op") == "OR" else all)(_tree_matches(run, child) for child in children)


def _list_matches(run: dict, items: list[dict]) -> bool:
    groups: list[list[bool]] = []
    for item in items:
        if item.get("disabled"):
            continue
        value = _list_matches(run, item["filters"]) if "filters" in item else _leaf_matches(run, item)
        if groups and item.get("connector") != "OR":
            groups[-1].append(value)
        else:
            groups.append([value])
    return any(all(group) for group in groups) if groups else True


def _leaf_matches(run: dict, leaf: dict) -> bool:
    key, operator, wanted = leaf.get("key") or {}, leaf.get("op"), leaf.get("value")
    value = field(run, key.get("section", "run"), key.get("name", ""))
    if operator == "WITHINSECONDS":
        return isinstance(value, int | float) and time.time() - value <= float(wanted or 0)
    test = _TESTS.get(operator or "")
    if test is None:
        return True
    if isinstance(value, list):
        return test(value, wanted) if operator in ("IN", "NIN") else test(wanted in value, True)
    return test(value, wanted)


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_equal(value, one) for one in wanted)
    # "*" and null both mean "has any value" / "has none" in W&B's filters.
    if wanted == "*":
        return value is not None
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    if isinstance(value, int | float) and not isinstance(wanted, int | float):
        try:
            return float(value) == float(wanted)
        except (TypeError, ValueError):
            return False
    return value == wanted or (value is not None and wanted is not None and str(value) == str(wanted))


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(value: Any, wanted: Any) -> bool:
        try:
            return compare(float(value), float(wanted))
        except (TypeError, ValueError):
            return False

    return test


def _member(value: Any, wanted: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(_equal(one, list(wanted or [])) for one in values)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "=": _equal,
    "==": _equal,
    "!=": lambda value, wanted: not _equal(value, wanted),
    "<": _ordered(lambda a, b: a < b),
    "<=": _ordered(lambda a, b: a <= b),
    ">": _ordered(lambda a, b: a > b),
    ">=": _ordered(lambda a, b: a >= b),
    "IN": _member,
    "NIN": lambda value, wanted: not _member(value, wanted),
}

# W&B's names of run attributes -> ours.
_ATTRIBUTES = {
    "name": "id",
    "displayName": "name",
    "username": "user",
    "createdAt": "created",
    "duration": "runtime",
    "jobType": "job_type",
}


def field(run: dict, section: str, name: str) -> Any:
    """A run's value by W&B's section and name; configuration names may carry the inner `.value`."""
    if section == "config":
        return run["config"].get(name, run["config"].get(_without_value(name)))
    if section in ("summary", "summary_metrics"):
        return run["summary"].get(name)
    if section == "tags":
        return run["tags"]
    if section == "keys_info":
        return 1 if name in run["summary"] else None
    return run.get(_ATTRIBUTES.get(name, name), run["summary"].get(name))


def _without_value(name: str) -> str:
    """`layers.value` -> `layers`, `model.value.layers` -> `model.layers`."""
    return re.sub(r"^([^.]+)\.value(?=\.|$)", r"\1", name)


def _searched(run: dict, search: dict) -> bool:
    query = search.get("query") or ""
    if not query:
        return True
    texts = (run["name"], run["id"], run["label"])
    if search.get("isRegex"):
        try:
            return any(re.search(query, text, re.IGNORECASE) for text in texts)
        except re.error:
            return True
    return any(query.lower() in text.lower() for text in texts)


def _sorted(found: list[dict], key: dict, ascending: bool) -> list[dict]:
    """Numbers before texts, runs without a value last, whichever way."""

    def value(run: dict) -> Any:
        return field(run, key.get("section", "run"), key.get("name", ""))

    def order(run: dict) -> tuple:
        one = value(run)
        return (0, float(one), "") if isinstance(one, int | float) else (1, 0.0, str(one))

    known = [run for run in found if value(run) is not None]
    return sorted(known, key=order, reverse=not ascending) + [run for run in found if value(run) is None]


def _tree_ids(tree: list) -> list[str]:
    return [one for node in tree for one in ([node] if isinstance(node, str) else node.get("children") or [])]
