"""What a run measures: history rows and system metrics, as they came and again by metric, so that curves read fast."""

import json
import math
import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from vishwam.server.web import Refused, read_json

HISTORY, EVENTS = 0, 1
THINNED = 2  # curves of ended runs, kept for the pages (pages/thinned.py)
_TABLES = ("history", "events")
CHUNK = 512  # lines a chunk of `series`
_LOOK = 64  # lines between two looks whether a chunk is complete: most messages bring one line
MAX_LINE = 1 << 31
_LITERALS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
MAX_SERIES_DEPTH = 8


def parse_line(text: Any) -> dict[str, Any]:
    """One JSON object; raises 400 for anything else."""
    try:
        row = read_json(text)
    except (ValueError, TypeError, RecursionError):
        raise Refused(400, "a line of the stream is not JSON") from None
    if not isinstance(row, dict):
        raise Refused(400, "a line of the stream is not a JSON object")
    return row


def number(value: Any) -> float | None:
    """A metric's value as a float (the client writes NaN and infinities as strings); None when it is no number."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return _LITERALS.get(value) if isinstance(value, str) else None


def without_nan(value: Any) -> Any:
    """The same JSON value with NaN and infinities as the strings the client writes for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    return [without_nan(inner) for inner in value] if isinstance(value, list) else value


def numbers(row: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    """(key, value) of every number in a row; keys of nested dictionaries are joined by dots, media are left out."""
    for key, value in row.items():
        if type(value) is float:  # nearly all of them
            yield prefix + key, value
        elif isinstance(value, dict):
            if "_type" not in value and depth < MAX_SERIES_DEPTH:
                yield from numbers(value, f"{prefix}{key}.", depth + 1)
        else:
            found = number(value)
            if found is not None:
                yield prefix + key, found


def lookup(row: dict[str, Any], key: str) -> Any:
    """The value under a name that may be dotted: "a.b" finds {"a.b": 1} and {"a": {"b": 1}}."""
    if key in row:
        return row[key]
    head, _, rest = key.partition(".")
    inner = row.get(head)
    return lookup(inner, rest) if rest and isinstance(inner, dict) else None


def step_of(row: dict[str, Any], line: int) -> int:
    step = row.get("_step", line)
    if type(step) is int and -1 <= step < 1 << 53:
        return step
    if isinstance(step, float) and step.is_integer():
        step = int(step)
    if not isinstance(step, int) or isinstance(step, bool) or not -1 <= step < 1 << 53:
        raise Refused(400, f"_step {step!r} is not a step")
    return step


def append(
    db: sqlite3.Connection, run_id: int, kind: int, count: int, offset: int, lines: list[Any]
) -> tuple[list[dict[str, Any]], int]:
    """Stores `lines` at `offset` of a run that has `count`; returns the rows that were new, and how many it has now.

    The caller writes the number down (`runs.history_lines`, `runs.event_lines`), with whatever else changes in the run.
    A retransmission is recognised by being equal; a difference means that another process took the run over from there
    (started again without resuming), as on W&B: what followed is replaced. Lines that were missing only fill their gap.
    """
    if not 0 <= offset < MAX_LINE:
        raise Refused(400, f"offset {offset} is not a line number")
    table = _TABLES[kind]
    rows = [parse_line(line) for line in lines]
    stored: dict[int, str] = {}
    if offset < count:
        query = f"SELECT line, data_json FROM {table} WHERE run_id = ? AND line >= ? AND line < ?"
        stored = dict(map(tuple, db.execute(query, (run_id, offset, offset + len(lines)))))
        differs = next((line for line, text in stored.items() if text != lines[line - offset]), None)
        if differs is not None:
            truncate(db, run_id, kind, differs)
            stored = {line: text for line, text in stored.items() if line < differs}
            count = differs
    fresh = [line for line in range(offset, offset + len(lines)) if line not in stored]
    if not fresh:
        return [], count
    if fresh[0] < count:
        _forget_columns(db, run_id, kind, fresh[0])
    if kind == HISTORY:
        values = [(run_id, line, step_of(rows[line - offset], line), lines[line - offset]) for line in fresh]
        db.executemany("INSERT INTO history VALUES (?, ?, ?, ?)", values)
    else:
        db.executemany("INSERT INTO events VALUES (?, ?, ?)", [(run_id, line, lines[line - offset]) for line in fresh])
    end = max(count, fresh[-1] + 1)
    if end // _LOOK > fresh[0] // _LOOK:
        _columns(db, run_id, kind, end)
    return [rows[line - offset] for line in fresh], end


def truncate(db: sqlite3.Connection, run_id: int, kind: int, line: int) -> None:
    """Forgets lines from `line` on, and the chunks that hold any of them."""
    db.execute(f"DELETE FROM {_TABLES[kind]} WHERE run_id = ? AND line >= ?", (run_id, line))
    _forget_columns(db, run_id, kind, line)


def first_line_after(db: sqlite3.Connection, run_id: int, step: int) -> int:
    """The line where steps beyond `step` begin; the number of lines when there are none."""
    query = "SELECT coalesce(min(iif(step > ?, line, NULL)), max(line) + 1, 0) FROM history WHERE run_id = ?"
    return db.execute(query, (step, run_id)).fetchone()[0]


def copy(db: sqlite3.Connection, source: int, target: int, end: int) -> None:
    """Lines below `end` of one run's history, as another's."""
    db.execute(
        "INSERT INTO history SELECT ?, line, step, data_json FROM history WHERE run_id = ? AND line < ?",
        (target, source, end),
    )


def _forget_columns(db: sqlite3.Connection, run_id: int, kind: int, line: int) -> None:
    """Drops the chunks from that of `line` on: they are made anew from the rows."""
    if kind == HISTORY:
        for table in ("series", "series_end"):
            db.execute(f"DELETE FROM {table} WHERE run_id = ? AND kind = ?", (run_id, THINNED))
    if _columns_end(db, run_id, kind) > line:
        # Chunks begin anywhere, for a run that ended and went on left a short one.
        query = "SELECT max(first_line) FROM series WHERE run_id = ? AND kind = ? AND first_line <= ?"
        start = db.execute(query, (run_id, kind, line)).fetchone()[0] or 0
        db.execute("DELETE FROM series WHERE run_id = ? AND kind = ? AND first_line >= ?", (run_id, kind, start))
        db.execute("UPDATE series_end SET line = ? WHERE run_id = ? AND kind = ?", (start, run_id, kind))


def finish_columns(db: sqlite3.Connection, limit: int) -> int:
    """Writes the last lines of up to `limit` runs that have ended by metric, too; returns how many it found.

    Until then every reading parses them again. Inside a transaction.
    """
    found = db.execute(
        "SELECT runs.id, kind.value AS kind, iif(kind.value, event_lines, history_lines) AS lines FROM runs "
        "JOIN json_each('[0, 1]') kind LEFT JOIN series_end s ON s.run_id = runs.id AND s.kind = kind.value "
        "WHERE runs.state NOT IN ('pending', 'running', 'preempting') AND lines > coalesce(s.line, 0) LIMIT ?",
        (limit,),
    ).fetchall()
    for run_id, kind, lines in found:
        _columns(db, run_id, kind, lines, smallest=1)
    return len(found)


def _columns(db: sqlite3.Connection, run_id: int, kind: int, end: int, smallest: int = CHUNK) -> None:
    """Writes the lines below `end` by metric, in chunks of CHUNK lines; a last one of at least `smallest`."""
    start = _columns_end(db, run_id, kind)
    if end - start < smallest:
        return
    while end - start >= smallest:
        size = min(CHUNK, end - start)
        chunk = _collect(_rows(db, run_id, kind, start, start + size))
        db.executemany(
            "INSERT OR REPLACE INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                # A metric of every line from x[0] on needs no line numbers.
                (run_id, kind, key, start, len(x), b"" if _dense(x) and x[0] == start else x.tobytes(), y.tobytes())
                for key, (x, y) in chunk.items()
            ],
        )
        start += size
    db.execute("INSERT OR REPLACE INTO series_end VALUES (?, ?, ?)", (run_id, kind, start))


def _dense(lines: array) -> bool:
    return lines[-1] - lines[0] == len(lines) - 1


def _rows(db: sqlite3.Connection, run_id: int, kind: int, start: int, end: int) -> Iterator[tuple[int, dict[str, Any]]]:
    query = f"SELECT line, data_json FROM {_TABLES[kind]} WHERE run_id = ? AND line >= ? AND line < ?"
    for line, text in db.execute(query, (run_id, start, end)):
        yield line, read_json(text)


def _collect(rows: Iterable[tuple[int, dict[str, Any]]]) -> dict[str, tuple[array, array]]:
    found: dict[str, tuple[array, array]] = {}
    for line, row in rows:
        for key, value in numbers(row):
            if key not in found:
                found[key] = (array("q"), array("d"))
            lines, values = found[key]
            lines.append(line)
            values.append(value)
    return found


def series(
    db: sqlite3.Connection, run_id: int, keys: Iterable[str] | None = None, kind: int = HISTORY
) -> dict[str, tuple[array, array]]:
    """{key: (line numbers int64, values float64)} in order, for `keys` or for every metric; absent keys are left out.

    Lines join metrics of one run: the x of a point is the value of `_step`, `_runtime`, `train/step`, ... at its line.
    """
    wanted = None if keys is None else set(keys)
    query, values = (
        "SELECT key, first_line, count, lines, vals FROM series WHERE run_id = ? AND kind = ?",
        [run_id, kind],
    )
    if wanted is not None:
        query += f" AND key IN ({','.join('?' * len(wanted))})"
        values.extend(wanted)  # type: ignore[arg-type]
    found: dict[str, tuple[array, array]] = {}
    for key, first, count, lines, vals in db.execute(query + " ORDER BY key, first_line", values):
        pair = found.setdefault(key, (array("q"), array("d")))
        if lines:
            pair[0].frombytes(lines)
        else:
            pair[0].frombytes(np.arange(first, first + count).tobytes())
        pair[1].frombytes(vals)
    for key, (lines, vals) in _collect(_rows(db, run_id, kind, _columns_end(db, run_id, kind), MAX_LINE)).items():
        if wanted is None or key in wanted:
            pair = found.setdefault(key, (array("q"), array("d")))
            pair[0].extend(lines)
            pair[1].extend(vals)
    return found


def keys(db: sqlite3.Connection, run_id: int, kind: int = HISTORY) -> list[str]:
    """Names of the run's metrics."""
    found = {
        row[0] for row in db.execute("SELECT DISTINCT key FROM series WHERE run_id = ? AND kind = ?", (run_id, kind))
    }
    for _, row in _rows(db, run_id, kind, _columns_end(db, run_id, kind), MAX_LINE):
        found.update(key for key, _ in numbers(row))
    return sorted(found)


def history_keys(db: sqlite3.Connection, run: dict[str, Any]) -> dict[str, Any]:
    """W&B's `historyKeys`: {"keys": {metric: {"typeCounts": [...], "previousValue": last}}, "lastStep": n, "sets": []}.

    Numbers are counted; of other values the summary tells the type.
    """
    described: dict[str, dict[str, Any]] = {}

    def describe(key: str, kind: str, count: int, **last: Any) -> None:
        described[key] = {"typeCounts": [{"type": kind, "count": count}], "monotonic": False, **last}

    for key, value in json.loads(run["summary_json"]).items():
        if key != "_wandb" and _type_name(value) != "number":
            describe(key, _type_name(value), 1)
    # max() makes the other columns those of the last chunk.
    chunks = "SELECT key, sum(count), max(first_line), vals FROM series WHERE run_id = ? AND kind = ? GROUP BY key"
    counts: dict[str, int] = {}
    for key, count, _, vals in db.execute(chunks, (run["id"], HISTORY)):
        counts[key] = count
        describe(key, "number", count, previousValue=_whole(array("d", vals)[-1]))
    rest = _rows(db, run["id"], HISTORY, _columns_end(db, run["id"], HISTORY), MAX_LINE)
    for key, (lines, values) in _collect(rest).items():
        describe(key, "number", len(lines) + counts.get(key, 0), previousValue=_whole(values[-1]))
    return {"keys": dict(sorted(described.items())), "lastStep": run["last_step"], "sets": []}


def _columns_end(db: sqlite3.Connection, run_id: int, kind: int) -> int:
    """Lines below this one are in `series`."""
    row = db.execute("SELECT line FROM series_end WHERE run_id = ? AND kind = ?", (run_id, kind)).fetchone()
    return row[0] if row else 0


def _type_name(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("_type", "map"))
    if number(value) is not None:
        return "number"
    return "string" if isinstance(value, str) else "list" if isinstance(value, list) else "nil"


def page(db: sqlite3.Connection, run_id: int, kind: int, low: int, high: int, limit: int) -> list[str]:
    """Rows as stored, `_step` in [low, high), at most `limit` of them from the first on (W&B's scan_history pages)."""
    if kind == EVENTS:
        return [row[0] for row in db.execute("SELECT data_json FROM events WHERE run_id = ? LIMIT ?", (run_id, limit))]
    return [
        row[0]
        for row in db.execute(
            "SELECT data_json FROM history WHERE run_id = ? AND step >= ? AND step < ? ORDER BY line LIMIT ?",
            (run_id, low, high, limit),
        )
    ]


def sampled_rows(db: sqlite3.Connection, run_id: int, kind: int, samples: int) -> list[str]:
    """At most `samples` rows as stored, evenly spread, the last one always among them."""
    table = _TABLES[kind]
    total = db.execute(f"SELECT count(*) FROM {table} WHERE run_id = ?", (run_id,)).fetchone()[0]
    texts = db.execute(f"SELECT data_json FROM {table} WHERE run_id = ? ORDER BY line", (run_id,))
    if total <= samples:
        return [row[0] for row in texts]
    chosen = spread(total, samples)
    return [row[0] for index, row in enumerate(texts) if index in chosen]


def spread(total: int, samples: int) -> set[int]:
    """Indices of `samples` items out of `total`, evenly spread, first and last included."""
    if samples <= 0:
        return set()
    if samples == 1 or total <= 1:
        return {total - 1}
    return {round(index * (total - 1) / (samples - 1)) for index in range(samples)}


def sampled_history(db: sqlite3.Connection, run_id: int, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """W&B's `sampledHistory` for one spec {"keys", "samples", "minStep"?, "maxStep"?}: rows that hold every key."""
    wanted = [key for key in spec.get("keys") or [] if isinstance(key, str)]
    samples = spec.get("samples", 500)
    if not wanted or not isinstance(samples, int):
        return []
    low, high = spec.get("minStep", -1), spec.get("maxStep", 1 << 53)  # both inclusive here
    if not isinstance(low, int) or not isinstance(high, int):
        raise Refused(400, "minStep and maxStep are integers")
    columns = series(db, run_id, [*wanted, "_step"])
    if all(key in columns for key in wanted):
        found = _join(columns, wanted, low, high)
    else:
        # Some key is no number: a table, an image, a string.
        found = []
        for text in page(db, run_id, HISTORY, low, min(high, 1 << 53) + 1, MAX_LINE):
            row = json.loads(text)
            values = {key: lookup(row, key) for key in wanted}
            if all(value is not None for value in values.values()):
                found.append(values)
    if len(found) > samples:
        chosen = spread(len(found), samples)
        found = [row for index, row in enumerate(found) if index in chosen]
    return found


def _join(columns: dict[str, tuple[array, array]], wanted: list[str], low: int, high: int) -> list[dict[str, Any]]:
    """Rows of the lines where every wanted metric has a value and `_step` is in [low, high]."""
    by_line = {key: dict(zip(*columns[key], strict=True)) for key in {*wanted, "_step"} if key in columns}
    steps = by_line.get("_step", {})
    shortest = min((columns[key] for key in wanted), key=lambda pair: len(pair[0]))
    return [
        {key: _whole(by_line[key][line]) for key in wanted}
        for line in shortest[0]
        if low <= steps.get(line, line) <= high and all(line in by_line[key] for key in wanted)
    ]


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() and abs(value) < 1 << 53 else value
