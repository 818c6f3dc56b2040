import asyncio
import json
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vishwam.server import history
from vishwam.server.pages import curves, thinned
from vishwam.server.store import Store


def test_sampling_keeps_every_extreme_and_gap():
    x = np.arange(100_000.0)
    y = np.sin(x / 900)
    y[41_234], y[77_777], y[90_001] = 50.0, -50.0, np.nan
    kept_x, kept_y = curves.sample(x, y)
    assert len(kept_x) <= curves.POINTS
    assert np.all(np.diff(kept_x) > 0)
    assert kept_x[0] == 0 and kept_x[-1] == 99_999
    assert {41_234, 77_777, 90_001} <= set(kept_x)
    assert np.array_equal(y[kept_x.astype(int)], kept_y, equal_nan=True)


@pytest.mark.parametrize("length", [0, 1, 999, 1000, 1001, 1003, 4999])
def test_sampling_of_any_length_keeps_both_ends(length):
    x, y = np.arange(float(length)), np.full(length, np.nan)
    kept, _ = curves.sample(x, y)
    assert len(kept) == min(length, len(kept)) <= curves.POINTS
    assert list(kept[:1]) == list(x[:1]) and list(kept[-1:]) == list(x[-1:])


def test_aligned_curves_share_an_axis_and_keep_their_extremes_and_ends():
    rng = np.random.default_rng(0)
    found = []
    for i in range(30):
        x = np.sort(rng.uniform(0, 1000 if i % 2 else 400, 900))
        y = rng.standard_normal(900)
        y[400 + i] = 50.0 + i
        found.append((str(i), "k", x, y))
    short = ("short", "k", np.array([3.3]), np.array([1.0]))
    aligned = curves.align([*found, short], 200)
    assert aligned[-1] == short
    assert len({value for *_, x, _ in aligned for value in x}) <= 200 + len(found) + 1
    span = max(x[-1] for *_, x, _ in found) - min(x[0] for *_, x, _ in found)
    for (_, _, x, y), (_, _, at, values) in zip(found, aligned, strict=False):
        assert (values.max(), values.min()) == (y.max(), y.min())
        assert abs(at[values.argmax()] - x[y.argmax()]) <= span / 100
        assert (at[-1], values[-1]) == (x[-1], y[-1])
        assert np.all(np.diff(at[:-1]) > 0)


def test_columns_reach_the_page_as_they_were():
    body = curves.pack(
        [("r", "é", np.array([1.0, 2.0]), np.array([np.nan, 3.0])), ("s", "k", np.array([4.0]), np.array([5.0]))]
    )
    length = struct.unpack_from("<I", body)[0]
    assert json.loads(body[4 : 4 + length]) == [
        {"run": "r", "key": "é", "count": 2},
        {"run": "s", "key": "k", "count": 1},
    ]
    start = -(-(4 + length) // 8) * 8
    assert np.array_equal(np.frombuffer(body, "<f8", offset=start), [1, 2, np.nan, 3, 4, 5], equal_nan=True)


def test_an_axis_that_curves_share_is_sent_once():
    x = np.array([1.0, 2.0])
    body = curves.pack([("r", "a", x, x + 10), ("s", "a", x[:1], x[:1]), ("t", "a", x.copy(), x + 20)])
    length = struct.unpack_from("<I", body)[0]
    assert [one.get("as") for one in json.loads(body[4 : 4 + length])] == [None, None, 0]
    columns = np.frombuffer(body, "<f8", offset=-(-(4 + length) // 8) * 8)
    assert columns.tolist() == [1, 2, 11, 12, 1, 1, 21, 22]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Rows of a foreign script: a metric with its own step, one without, one logged between steps."""
    from tests.server.pages.world import World

    store = Store(tmp_path)
    world = World(store)
    number = world.run("r", {})
    defined = {"m": [{"1": "epoch"}, {"2": "eval/*", "5": 1}, {"1": "exact", "4": "epoch"}]}
    world.set(number, config_json=json.dumps({"_wandb": {"value": defined}}))
    world.log(
        number,
        [
            {"epoch": 1, "eval/a": 0.1, "exact": 5, "loss": 3.0},
            {"loss": "NaN"},
            {"eval/a": 0.2, "nested": {"deep": 7}},
            {"epoch": 2, "eval/a": 0.3, "loss": "Infinity", "text": "no", "train/step": 10},
        ],
    )
    db = store.reader()
    yield db, db.execute("SELECT * FROM runs WHERE id = ?", (number,)).fetchone()
    store.close()


def points(db, row, key, x):
    ((_, xs, ys),) = curves.curve(db, row, [key], x)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def test_every_metric_has_the_step_it_was_defined_with(run):
    # The third row has no epoch of its own: it belongs to the one before.
    assert points(*run, "eval/a", "step") == [(1, 0.1), (1, 0.2), (2, 0.3)]
    assert points(*run, "exact", "step") == [(1, 5)]
    assert points(*run, "eval/a", "_step") == [(0, 0.1), (2, 0.2), (3, 0.3)]
    assert points(*run, "nested.deep", "time") == [(0.2, 7)]
    assert points(*run, "nothing", "step") == []


def test_nan_and_infinity_are_points(run):
    found = points(*run, "loss", "_step")
    assert [x for x, _ in found] == [0, 1, 3]
    assert found[0][1] == 3 and np.isnan(found[1][1]) and found[2][1] == np.inf


def test_axes_and_texts_are_no_metrics(run):
    db, row = run
    assert curves.metric_keys(db, [row]) == ["eval/a", "exact", "loss", "nested.deep"]


def test_what_stands_in_the_summary_alone_is_no_curve(tmp_path):
    from tests.server.pages.world import World

    store = Store(tmp_path)
    world = World(store)
    number = world.run("r", {}, state="finished")
    world.log(number, [{"loss": 1.0}], parameters=5)
    with store.transaction() as db:
        history.finish_columns(db, 5)
    db = store.reader()
    assert curves.metric_keys(db, db.execute("SELECT * FROM runs").fetchall()) == ["loss"]
    store.close()


def test_thinned_curves_are_kept_until_the_run_goes_on(tmp_path):
    from tests.server.pages.world import World

    store = Store(tmp_path)
    world = World(store)
    number = world.run("r", {}, state="running")
    rows = [{"train/step": 2 * i, "loss": 9.0 if i == 777 else i % 7} for i in range(thinned.LONG + 500)]
    world.log(number, rows)
    world.set(number, state="running")

    def keep():
        with store.transaction() as db:
            history.finish_columns(db, 5)
        # On a thread: the browser's tests leave an event loop running on this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, thinned.keep(store)).result()

    def read():
        db = store.reader()
        return thinned.read(db, db.execute("SELECT * FROM runs").fetchall(), ["loss"])

    keep()
    assert read() == {}, "it still runs"
    world.set(number, state="finished")
    keep()
    x, y = read()["r", "loss"]
    assert len(x) <= thinned.POINTS and x[y.argmax()] == 2 * 777 and x[-1] == 2 * (len(rows) - 1)
    world.log(number, rows[:10])
    assert read() == {}, "what is kept is no longer all"
    keep()
    assert read()["r", "loss"][0][-1] == 2 * (len(rows) - 1)
    assert list(history.series(store.reader(), number, ["loss"])["loss"][0]) == list(range(len(rows) + 10))
    # Another process takes it over, and writes as many lines anew.
    with store.transaction() as db:
        lines = [json.dumps({"_step": i, "train/step": i, "loss": 1.0}) for i in range(len(rows) + 10)]
        history.append(db, number, history.HISTORY, len(rows) + 10, 0, lines)
    assert read() == {}
    keep()
    assert set(read()["r", "loss"][1]) == {1.0}
    store.close()
