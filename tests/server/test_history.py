"""Rows in, the same numbers out by metric, however they were cut into requests."""

import json
import math
import time
from pathlib import Path

import pytest

from vishwam.server import history
from vishwam.server.store import Store
from vishwam.server.web import Refused


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    with store.transaction() as db:
        now = time.time()
        db.execute("INSERT INTO projects (entity, name, created_at) VALUES ('local', 'p', ?)", (now,))
        db.execute("INSERT INTO runs (project_id, name, state, created_at) VALUES (1, 'r', 'running', ?)", (now,))
    return store


def send(store: Store, offset: int, rows: list[dict]) -> list[dict]:
    with store.transaction() as db:
        count = db.execute("SELECT history_lines FROM runs").fetchone()[0]
        fresh, count = history.append(db, 1, history.HISTORY, count, offset, [json.dumps(row) for row in rows])
        db.execute("UPDATE runs SET history_lines = ?", (count,))
        return fresh


def rows(start: int, end: int) -> list[dict]:
    return [
        {"_step": i, "loss": i / 2, **({"rare": float(i)} if i % 100 == 0 else {}), "d": {"x": -i}}
        for i in range(start, end)
    ]


@pytest.mark.parametrize("batch", [1, 7, 512, 1300])
def test_series_are_the_rows_by_column(store: Store, batch: int) -> None:
    total = 1300
    for start in range(0, total, batch):
        send(store, start, rows(start, min(start + batch, total)))
    found = history.series(store.reader(), 1)
    assert list(found["loss"][0]) == list(range(total)) and list(found["loss"][1]) == [i / 2 for i in range(total)]
    assert list(found["rare"][0]) == list(range(0, total, 100))
    assert found["d.x"][1][-1] == -1299
    assert history.keys(store.reader(), 1) == ["_step", "d.x", "loss", "rare"]
    assert set(history.series(store.reader(), 1, ["loss", "absent"])) == {"loss"}


def test_a_repeated_request_changes_nothing(store: Store) -> None:
    send(store, 0, rows(0, 600))
    assert send(store, 590, rows(590, 605)) == rows(600, 605)
    assert send(store, 590, rows(590, 605)) == []
    assert list(history.series(store.reader(), 1, ["loss"])["loss"][0]) == list(range(605))


def test_a_run_taken_over_from_a_line_on_keeps_only_the_new(store: Store) -> None:
    send(store, 0, rows(0, 700))
    send(store, 3, [{"_step": 3, "loss": -1.0}, {"_step": 4, "loss": -2.0}])
    found = history.series(store.reader(), 1, ["loss"])["loss"]
    assert list(found[1]) == [0.0, 0.5, 1.0, -1.0, -2.0]
    assert store.reader().execute("SELECT history_lines FROM runs").fetchone()[0] == 5


@pytest.mark.parametrize(("first", "last"), [(3, 9), (600, 1300), (10, 700)])
def test_lines_that_were_missing_fill_their_gap_and_cut_nothing(store: Store, first: int, last: int) -> None:
    send(store, 0, rows(0, first))
    send(store, last, rows(last, last + 700))
    assert send(store, first - 1, rows(first - 1, last + 1)) == rows(first, last), "the ends were there"
    texts = history.page(store.reader(), 1, history.HISTORY, -1, 1 << 40, 1 << 20)
    assert [json.loads(text)["_step"] for text in texts] == list(range(last + 700))
    lines, values = history.series(store.reader(), 1, ["loss"])["loss"]
    assert list(lines) == list(range(last + 700)) and list(values) == [line / 2 for line in lines]


def test_the_last_values_are_told_with_the_keys(store: Store) -> None:
    for start in range(0, 700, 100):
        send(store, start, rows(start, start + 100))
    run = dict(store.writer.execute("SELECT * FROM runs").fetchone())
    keys = history.history_keys(store.reader(), run)["keys"]
    assert keys["loss"]["previousValue"] == 349.5 and keys["loss"]["typeCounts"] == [{"type": "number", "count": 700}]
    assert keys["rare"]["previousValue"] == 600 and keys["rare"]["typeCounts"][0]["count"] == 7
    assert keys["d.x"]["previousValue"] == -699


def test_what_is_not_finite_stays_so(store: Store) -> None:
    with store.transaction() as db:
        lines = ['{"_step":0,"a":NaN,"b":"Infinity"}', '{"_step":1,"a":"-Infinity","b":1}', '{"_step":2,"a":"words"}']
        history.append(db, 1, history.HISTORY, 0, 0, lines)
    found = history.series(store.reader(), 1, ["a", "b"])
    assert math.isnan(found["a"][1][0]) and found["a"][1][1] == -math.inf and len(found["a"][1]) == 2
    assert list(found["b"][1]) == [math.inf, 1.0]


@pytest.mark.parametrize(
    "line", ["", "[]", "3", "{", '{"_step": 1e300}', '{"_step": "x"}', '{"_step": 99999999999999999999}', "[" * 100_000]
)
def test_a_line_that_is_no_row_is_refused_whole(store: Store, line: str) -> None:
    with pytest.raises(Refused), store.transaction() as db:
        history.append(db, 1, history.HISTORY, 0, 0, ['{"_step":0,"a":1}', line])
    assert history.series(store.reader(), 1) == {}


def test_samples_hold_both_ends_and_rows_that_have_every_key(store: Store) -> None:
    send(store, 0, rows(0, 1000))
    found = history.sampled_history(store.reader(), 1, {"keys": ["_step", "loss"], "samples": 10})
    assert len(found) == 10 and found[0] == {"_step": 0, "loss": 0.0} and found[-1] == {"_step": 999, "loss": 499.5}
    rare = history.sampled_history(store.reader(), 1, {"keys": ["rare", "d.x"], "samples": 500})
    assert [row["d.x"] for row in rare] == [-i for i in range(0, 1000, 100)]
    inside = history.sampled_history(store.reader(), 1, {"keys": ["_step"], "samples": 500, "minStep": 5, "maxStep": 7})
    assert [row["_step"] for row in inside] == [5, 6, 7]


def finish(store: Store, state: str) -> int:
    with store.transaction() as db:
        db.execute("UPDATE runs SET state = ?", (state,))
        return history.finish_columns(db, 5)


@pytest.mark.parametrize("cut", [0, 3, 512, 650, 700, 799])
def test_a_run_that_ended_is_in_columns_whole_and_may_go_on(store: Store, cut: int) -> None:
    send(store, 0, rows(0, 700))
    assert finish(store, "running") == 0
    assert finish(store, "finished") == 1 and finish(store, "finished") == 0
    send(store, 700, rows(700, 800))
    assert finish(store, "failed") == 1
    assert list(history.series(store.reader(), 1, ["loss"])["loss"][0]) == list(range(800))
    # Another process takes it over from a line on.
    send(store, cut, [{"_step": cut, "loss": -1.0}, {"_step": cut + 1, "loss": -2.0}])
    lines, values = history.series(store.reader(), 1, ["loss"])["loss"]
    assert list(lines) == list(range(cut + 2))
    assert list(values) == [i / 2 for i in range(cut)] + [-1.0, -2.0]
    assert finish(store, "failed") == 1
    assert list(history.series(store.reader(), 1, ["loss"])["loss"][0]) == list(range(cut + 2))
