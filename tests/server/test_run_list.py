"""Filters and orders of runs: what SQLite is asked is what Python would answer."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vishwam.server import filters, run_list
from vishwam.server.graphql import Context
from vishwam.server.store import Store

TEXTS = ["", "a", "b", "B", "é", "5", None]
TIMES = [1.0, 2.5, 1767225600.0, None]  # the last is 2026-01-01
OPERANDS: Any = [*TEXTS, *TIMES, 5, True, "2026-01-01", "2026-01-01T00:00:00Z", ["a"], {}]
OPERATORS = ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$exists", "$not"]
KEYS = [*run_list._TEXTS, *run_list._TIMES, "tags", "config.x", "summary_metrics.loss", "nothing"]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    store = Store(tmp_path_factory.mktemp("store"))
    with store.transaction() as db:
        db.execute("INSERT INTO projects (id, entity, name, created_at) VALUES (1, 'local', 'p', 0)")
        for index in range(42):
            db.execute(
                "INSERT INTO runs (project_id, name, user_id, display_name, state, group_name, notes, created_at, "
                "heartbeat_at, tags_json, config_json, summary_json, deleted_at) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, "
                "?, ?, ?, ?)",
                (
                    f"run{index}", 1 if index % 2 else None, TEXTS[index % 7], TEXTS[index % 5], TEXTS[index % 3],
                    TEXTS[index % 7], (TIMES[index % 3] or 0) + index // 9, TIMES[index % 4],
                    json.dumps([tag for tag in ("a", "b") if index % (2 if tag == "a" else 3)]),
                    json.dumps({"x": {"value": index % 4}}), f'{{"loss": {index % 6}, "bad": NaN}}',
                    1.0 if index == 7 else None,
                ),
            )  # fmt: skip
    yield Context(store, None, store.writer, {"id": 1, "name": "local"}, "")  # type: ignore[arg-type]
    store.close()


def in_python(context: Context, wanted: Any, order: str | None) -> list[str]:
    rows = context.all(f"{run_list._ROWS} ORDER BY runs.created_at, runs.id", 1)
    return [row["name"] for row in filters.ordered(filters.matching(rows, wanted), order)]


conditions: Any = st.one_of(
    st.sampled_from(OPERANDS),
    st.dictionaries(st.sampled_from(OPERATORS), st.sampled_from(OPERANDS), min_size=1, max_size=2),
    st.fixed_dictionaries({"$in": st.lists(st.sampled_from(OPERANDS[:9]), max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(st.sampled_from(OPERANDS[:9]), max_size=3)}),
)
wanted_runs = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), conditions, max_size=3),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["$and", "$or", "$nor"]), st.lists(inner, max_size=3), max_size=2),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=5,
)
orders = st.lists(st.tuples(st.sampled_from(["", "+", "-"]), st.sampled_from(KEYS)), max_size=2)


@settings(max_examples=80, deadline=None)
@given(wanted=wanted_runs, order=orders, first=st.sampled_from([1, 5, 100]))
def test_pages_joined_are_what_python_finds(context: Context, wanted: Any, order: Any, first: int) -> None:
    by = ",".join(sign + key for sign, key in order) or None
    expected = in_python(context, wanted, by)
    text, found, after = json.dumps(wanted), [], None
    while True:
        context.cache.clear()
        page = run_list.page(context, {"id": 1}, text, by, first, after)
        found += [edge["node"]["name"] for edge in page["edges"]]
        assert page["total_count"] == len(expected) == run_list.count(context, {"id": 1}, text)
        after = page["page_info"]["end_cursor"]
        if not page["page_info"]["has_next_page"]:
            break
    assert found == expected


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"display_name": "a"},
        {"$or": [{"state": {"$in": ["a", "b"]}}, {"tags": "a"}]},
        {"$and": [{"createdAt": {"$gt": "2026-01-01"}}, {"group": {"$ne": None}}]},
        {"$not": {"sweep": "s"}},
    ],
)
def test_columns_are_left_to_sqlite(wanted: Any) -> None:
    assert run_list.condition(wanted) is not None


@pytest.mark.parametrize(
    "wanted", [{"config.x": 1}, {"display_name": {"$regex": "a"}}, {"$or": [{"state": "a"}, {"config.x": 1}]}]
)
def test_what_is_no_column_is_not(wanted: Any) -> None:
    assert run_list.condition(wanted) is None


def test_a_filter_of_many_names_is_answered(context: Context) -> None:
    names = [f"run{index}" for index in range(50_000)]
    page = run_list.page(context, {"id": 1}, json.dumps({"name": {"$in": names}}), None, 100, None)
    assert len(page["edges"]) == 41


def test_what_a_sweep_or_a_collection_has_not_is_absent() -> None:
    row = {"name": "x", "state": "FINISHED", "config_json": '{"method": "grid"}'}
    assert filters.matching([row], {"state": "FINISHED", "config.method": "grid"}) == [row]
    assert filters.matching([dict(row)], {"tags": "a"}) == filters.matching([dict(row)], {"summary_metrics.x": 1}) == []
