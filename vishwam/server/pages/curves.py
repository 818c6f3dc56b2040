"""Curves for the browser: read by column, sampled so that no spike is lost, sent as binary columns."""

import fnmatch
import json
import sqlite3
import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from vishwam.server import history
from vishwam.server.pages.queries import LIVE_STATES

POINTS = 1000
NEWEST_LINES = 50
CACHED_CURVES = 4096
HISTORY, EVENTS = history.HISTORY, history.EVENTS


def sample(x: np.ndarray, y: np.ndarray, points: int = POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most `points` of the curve, in order: of each bucket of neighbours the first, lowest, highest, last and a gap.

    A gap is a NaN: it stays one, and hides no peak beside it. x, y: float64 [N].
    """
    if len(x) <= points:
        return x, y
    size = -(-len(x) // (points // 5))
    rows = -(-len(x) // size)
    filled = np.concatenate([y, np.full(rows * size - len(x), y[-1])]).reshape(rows, size)
    gaps = np.isnan(filled)
    starts = np.arange(rows) * size
    keep = np.zeros(rows * size, bool)
    keep[starts] = keep[np.minimum(starts + size, len(x)) - 1] = True
    keep[starts + np.where(gaps, np.inf, filled).argmin(axis=1)] = True
    keep[starts + np.where(gaps, -np.inf, filled).argmax(axis=1)] = True
    keep[(starts + gaps.argmax(axis=1))[gaps.any(axis=1)]] = True
    return x[keep[: len(x)]], y[keep[: len(x)]]


def step_metrics(config_json: str) -> list[tuple[str, str, bool]]:
    """(metric, its step metric, whether the first is a glob) as the client's `define_metric` recorded them.

    In the run's configuration under `_wandb.m`: fields by the number of the protocol's MetricRecord, "1" name,
    "2" glob, "4" step metric, "5" the step metric's place in the list, from 1.
    """
    recorded = json.loads(config_json or "{}").get("_wandb", {})
    defined = (recorded.get("value") or {}).get("m") or []
    found = []
    for item in defined:
        if not isinstance(item, dict):
            continue
        step = item.get("4")
        place = item.get("5")
        if not step and isinstance(place, int) and 0 < place <= len(defined):
            step = defined[place - 1].get("1")
        name = item.get("2") or item.get("1")
        if step and name:
            found.append((name, step, "2" in item))
    return found


def step_of(key: str, defined: list[tuple[str, str, bool]]) -> str | None:
    exact = next((step for name, step, glob in defined if not glob and name == key), None)
    return exact or next((step for name, step, glob in defined if glob and fnmatch.fnmatchcase(key, name)), None)


# From one key of a run to the next, past the chunks of each: long runs have hundreds.
_NEXT = "(SELECT min(s.key) FROM series s WHERE s.run_id = {run} AND s.kind = :kind AND s.key > {key})"
_KEYS = f"""WITH RECURSIVE found(run, key) AS (
    SELECT value, {_NEXT.format(run="value", key="''")} FROM json_each(:runs)
    UNION ALL SELECT run, {_NEXT.format(run="found.run", key="found.key")} FROM found WHERE key IS NOT NULL
) SELECT DISTINCT key FROM found WHERE key IS NOT NULL"""


def metric_keys(db: sqlite3.Connection, rows: Sequence[sqlite3.Row], kind: int = HISTORY) -> list[str]:
    """Names of all metrics these runs logged, without the client's own and without those that only serve as an axis."""
    axes = {step for row in rows for _, step, _ in step_metrics(row["config_json"])} | {"train/step", "global_step"}
    ids = json.dumps([row["id"] for row in rows])
    found = {key for (key,) in db.execute(_KEYS, {"kind": kind, "runs": ids})}
    # What is not in a chunk yet: by the summaries, and by each run's newest lines (a summary may leave metrics out).
    table, lines = (("history", "history_lines"), ("events", "event_lines"))[kind]
    newest = f"SELECT data_json FROM {table} WHERE run_id = ? ORDER BY line DESC LIMIT {NEWEST_LINES}"
    ends = "SELECT run_id, line FROM series_end WHERE kind = ? AND run_id IN (SELECT value FROM json_each(?))"
    chunked = dict(db.execute(ends, (kind, ids)).fetchall())
    for row in rows:
        if chunked.get(row["id"], 0) >= row[lines]:
            continue
        if kind == HISTORY:
            found.update(key for key, _ in history.numbers(json.loads(row["summary_json"] or "{}")))
        if kind == EVENTS or row["state"] in LIVE_STATES:
            found.update(
                key for (text,) in db.execute(newest, (row["id"],)) for key, _ in history.numbers(json.loads(text))
            )
    return sorted(key for key in found if not key.startswith("_") and key not in axes)


class Curves:
    """Sampled curves, kept until their run grows: a page asks again for all runs whenever it is opened."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, db: sqlite3.Connection, row: sqlite3.Row, keys: Sequence[str], x: str, kind: int, points: int
    ) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """(key, x, y) of one run, x and y at most `points` long; see `curve`."""
        lines = row["history_lines"] if kind == HISTORY else row["event_lines"]
        version = (row["id"], kind, lines, row["heartbeat_at"], hash(row["config_json"]), x, points)
        with self._lock:
            found = {key: self._kept[(*version, key)] for key in keys if (*version, key) in self._kept}
        missing = [key for key in keys if key not in found]
        if missing:
            found.update({key: (xs, ys) for key, xs, ys in curve(db, row, missing, x, kind, points)})
        with self._lock:
            for key in keys:
                self._kept[(*version, key)] = found[key]
                self._kept.move_to_end((*version, key))
            while len(self._kept) > CACHED_CURVES:
                self._kept.popitem(last=False)
        return [(key, *found[key]) for key in keys]


def curve(
    db: sqlite3.Connection, row: sqlite3.Row, keys: Sequence[str], x: str, kind: int = HISTORY, points: int = POINTS
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(key, x, y) of one run. x: 'step' (each metric's own), 'time' (seconds since the start), or a metric's name."""
    defined = step_metrics(row["config_json"])
    axes = {key: (step_of(key, defined) or "train/step") if x == "step" else x for key in keys}
    columns = _columns(db, row["id"], {*keys, *axes.values()} - {"time"}, kind)
    if not set(axes.values()) <= columns.keys():
        columns |= _columns(db, row["id"], {"_step", "_runtime", "_timestamp"} - columns.keys(), kind)
    found = []
    for key in keys:
        lines, y = columns.get(key, (np.empty(0), np.empty(0)))
        xs = _axis(columns, axes[key], lines, x)
        known = ~np.isnan(xs)
        xs, y = xs[known], y[known]
        if len(xs) > 1 and np.any(np.diff(xs) < 0):
            order = np.argsort(xs, kind="stable")
            xs, y = xs[order], y[order]
        found.append((key, *sample(xs, y, points)))
    return found


def _columns(db: sqlite3.Connection, run: int, keys: set[str], kind: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    found = history.series(db, run, keys, kind)
    return {key: (np.frombuffer(x, np.int64), np.frombuffer(y, np.float64)) for key, (x, y) in found.items()}


def _axis(columns: dict, name: str, lines: np.ndarray, x: str) -> np.ndarray:
    """The axis at these lines; a line without it takes the last value before it. NaN where there is none."""
    if name == "time":
        name = "_runtime" if "_runtime" in columns else "_timestamp"
    if name not in columns and x == "step":
        name = "_step" if "_step" in columns else "_runtime"
    if name not in columns or not len(lines):
        return np.full(len(lines), np.nan)
    at, values = columns[name]
    if name == "_timestamp" and x == "time" and len(values):
        values = values - values[0]
    if len(at) == len(lines) and np.array_equal(at, lines):
        return values
    place = np.searchsorted(at, lines, side="right") - 1
    return np.where(place >= 0, values[np.maximum(place, 0)], np.nan) if len(values) else np.full(len(lines), np.nan)


def align(found: Sequence[tuple[str, str, np.ndarray, np.ndarray]], points: int) -> list[tuple]:
    """Long curves of one metric on one grid, so that a chart of hundreds needs one axis of `points`, not of thousands.

    Of each cell the lowest and the highest value, in the order in which the curve goes, and every curve's exact end. A
    cell is narrower than a pixel. A cell with values and gaps shows the values. found: (run, key, x, y).
    """
    spans: dict[str, tuple[float, float]] = {}
    for _, key, x, _ in found:
        if len(x):
            low, high = spans.get(key, (x[0], x[-1]))
            spans[key] = min(low, x[0]), max(high, x[-1])
    aligned = []
    for run, key, x, y in found:
        if len(x) > points and np.isfinite(spans[key]).all():
            x, y = _on_grid(x, y, *spans[key], points // 2)
        aligned.append((run, key, x, y))
    return aligned


def _on_grid(x: np.ndarray, y: np.ndarray, low: float, high: float, cells: int) -> tuple[np.ndarray, np.ndarray]:
    place = np.minimum(((x - low) * (cells / ((high - low) or 1.0))).astype(np.int64), cells - 1)
    starts = np.flatnonzero(np.diff(place, prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    least, most = np.fmin.reduceat(y, starts), np.fmax.reduceat(y, starts)
    rising = ~(y[starts] > y[ends])
    width = (high - low) / cells
    xs = low + width * (place[starts, None] + np.array([0.25, 0.75]))
    ys = np.where(rising[:, None], np.stack([least, most], 1), np.stack([most, least], 1))
    return np.append(xs, x[-1]), np.append(ys, y[-1])


def pack(found: Sequence[tuple[str, str, np.ndarray, np.ndarray]]) -> bytes:
    """(run, key, x, y) as the page reads them: uint32 length of the header, JSON header padded to 8 bytes, columns.

    An axis that stood there before is not sent again: `as` is the place of the first curve over it.
    """
    header, columns = [], []
    seen: dict[bytes, int] = {}
    for place, (run, key, x, y) in enumerate(found):
        axis = np.ascontiguousarray(x, "<f8").tobytes()
        first = seen.setdefault(axis, place)
        header.append({"run": run, "key": key, "count": len(x)} | ({"as": first} if first != place else {}))
        columns += [axis] * (first == place) + [np.ascontiguousarray(y, "<f8").tobytes()]
    head = json.dumps(header).encode()
    return b"".join([struct.pack("<I", len(head)), head, b" " * (-(4 + len(head)) % 8), *columns])
