"""What the pages' scripts ask for, read-only, under /-/: runs, curves, console, tables, importance, changes."""

import json
import re
import sqlite3
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from vishwam.server.pages import (
    again,
    artifacts,
    changes,
    code,
    curves,
    custom,
    grids,
    queries,
    report,
    scores,
    tables,
    thinned,
)
from vishwam.server.pages.importance import importance
from vishwam.server.store import Store
from vishwam.server.web import read_body

CONSOLE_LINES = 2000
TABLE_ROWS = 1000
FEW_RUNS = 12
# What a sweep's page draws before anybody chose: as static/curve_panel.js has it.
PREFERRED = ("validation/loss", "train/loss", "interpolate/exact_match", "extrapolate/exact_match")
FIRST = 4
MAX_BODY = 1 << 22
_ANSI = re.compile(
    r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\x00-\x08\x0b\x0c\x0e-\x1f]"
)


def data_routes(store: Store) -> list[BaseRoute]:
    kept = curves.Curves()

    def reading(answer: Callable[[sqlite3.Connection, dict, Request], object]) -> Callable[[Request], Response]:
        """A handler on a thread of its own: looks the project up and sends what `answer` returns as JSON."""

        def handler(request: Request) -> Response:
            db = store.reader()
            return JSONResponse(queries.finite(answer(db, project_of(db, request), request)))

        return handler

    def asking(answer: Callable[[sqlite3.Connection, dict, Request], object]) -> Callable:
        """The same for a question too long for an address: a JSON object in the body."""
        handler = reading(answer)

        async def with_body(request: Request) -> Response:
            try:
                body = json.loads(await read_body(request, MAX_BODY))
            except ValueError:
                body = None
            if not isinstance(body, dict):
                raise HTTPException(400, "the body is not a JSON object")
            request.state.body = body
            return await run_in_threadpool(handler, request)

        return with_body

    def table(db: sqlite3.Connection, project: dict, request: Request) -> object:
        run = run_of(db, project, request)
        asked = request.query_params
        found = tables.read_table(
            store, db, run, asked.get("key", ""), path=asked.get("path"), offset=whole(request, "offset"),
            limit=min(whole(request, "limit") or TABLE_ROWS, TABLE_ROWS), filter=asked.get("filter", ""),
            sort=whole(request, "sort") if "sort" in asked else None, down="down" in asked,
        )  # fmt: skip
        if found is None:
            raise HTTPException(404, "no such table")
        return found

    def media(db: sqlite3.Connection, project: dict, request: Request) -> object:
        return tables.media_steps(db, run_of(db, project, request), request.query_params.get("key", ""))

    def code_of(db: sqlite3.Connection, project: dict, request: Request) -> object:
        return code.code(store, db, run_of(db, project, request))

    def run_page(db: sqlite3.Connection, project: dict, request: Request) -> dict:
        row = run_of(db, project, request)
        sweep = grids.sweep_of(db, project, row["sweep_name"])
        (found,) = queries.runs([row], sweep["config"] if sweep else None)
        best = _best(db, project, sweep) if sweep else None
        return {
            "run": found,
            "best": best if best and best["id"] != found["id"] else None,
            "again": {"command": again.command(again.metadata(store, db, row["id"]), row)},
            "custom": custom.of_run(row["config_json"]),
            "metrics": curves.metric_keys(db, [row]),
            "system": curves.metric_keys(db, [row], curves.EVENTS),
            "files": [
                {"name": file["name"], "size": file["size"], "updated": file["updated_at"]}
                for file in queries.files(db, row["id"])
            ],
            "alerts": queries.alerts(db, row["id"]),
            "exit_code": row["exit_code"],
            "artifacts": queries.artifacts(db, row["id"]),
            "lines": row["log_lines"],
        }

    def contents(row: sqlite3.Row) -> Response:
        kind = tables.content_type(row["name"])
        # Anything but a picture is downloaded, never shown: a run's files are not this server's pages.
        return FileResponse(
            store.blob_path(row["sha256"]),
            media_type=kind or "application/octet-stream",
            filename=row["name"].rsplit("/", 1)[-1],
            content_disposition_type="inline" if kind else "attachment",
            headers={"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"},
        )

    def file(request: Request) -> Response:
        db = store.reader()
        project = queries.project(db, request.path_params["entity"], request.path_params["project"])
        rows = queries.run_rows(db, project["id"], names=[request.path_params["run"]]) if project else []
        row = tables.file_row(db, rows[0]["id"], request.path_params["path"]) if rows else None
        if row is None:
            raise HTTPException(404, "no such file")
        return contents(row)

    def artifact_file(request: Request) -> Response:
        db = store.reader()
        parts = request.path_params
        project = queries.project(db, parts["entity"], parts["project"])
        found = artifacts.versions(db, project["id"], parts["name"]) if project else []
        version = artifacts.choose(found, parts["version"])
        row = artifacts.file_row(db, version["row"], parts["path"]) if version else None
        if row is None:
            raise HTTPException(404, "no such file")
        return contents(row)

    async def curve_columns(request: Request) -> Response:
        try:
            wanted = json.loads(await request.body())
            names, keys = [str(one) for one in wanted["runs"]], [str(one) for one in wanted["keys"]]
        except (ValueError, KeyError, TypeError):
            raise HTTPException(400, "the body is not {runs: [...], keys: [...]}") from None
        return Response(
            await run_in_threadpool(_curves, store, kept, request, names, keys, wanted),
            media_type="application/octet-stream",
        )

    def first_curves(request: Request) -> Response:
        """What a sweep's page will draw first, so that a browser can ask for it before it has read a script."""
        db = store.reader()
        project = project_of(db, request)
        sweep = grids.sweep_of(db, project, request.query_params.get("sweep"))
        if sweep is None:
            raise HTTPException(404, "no such sweep")
        rows = queries.run_rows(db, project["id"], sweep["row"])
        keys = list(dict.fromkeys((str(sweep["metric"].get("name", "")), *PREFERRED)))
        found = _read_curves(db, kept, rows, keys, "step", curves.HISTORY)
        logged = {key for _, key, *_ in found}
        shown = [key for key in keys if key in logged][:FIRST]
        body = curves.pack([one for one in found if one[1] in shown])
        return Response(body, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})

    async def changed(request: Request) -> Response:
        project = project_of(store.reader(), request)
        return StreamingResponse(
            changes.changes(store, project["id"]),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return [
        Route("/-/data/runs", reading(_runs)),
        Route("/-/data/run", reading(run_page)),
        Route("/-/data/console", reading(_console)),
        Route("/-/data/table", reading(table)),
        Route("/-/data/media", reading(media)),
        Route("/-/data/code", reading(code_of)),
        Route("/-/data/importance", asking(_importance), methods=["POST"]),
        Route("/-/data/scores", asking(_scores), methods=["POST"]),
        Route("/-/data/grid", reading(_grid)),
        Route("/-/data/curves", curve_columns, methods=["POST"]),
        Route("/-/data/first", first_curves),
        Route("/-/data/changes", changed),
        Route("/-/data/artifact", reading(_artifact)),
        Route("/-/artifact/{entity}/{project}/{name}/{version}/{path:path}", artifact_file),
        Route("/-/files/{entity}/{project}/{run}/{path:path}", file),
    ]


def project_of(db: sqlite3.Connection, request: Request) -> dict:
    found = queries.project(db, request.query_params.get("entity", ""), request.query_params.get("project", ""))
    if found is None:
        raise HTTPException(404, "no such project")
    return found


def run_of(db: sqlite3.Connection, project: dict, request: Request) -> sqlite3.Row:
    rows = queries.run_rows(db, project["id"], names=[request.query_params.get("run", "")])
    if not rows:
        raise HTTPException(404, "no such run")
    return rows[0]


def whole(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise HTTPException(400, f"{name} is not a number")
    return int(text)


def _runs(db: sqlite3.Connection, project: dict, request: Request) -> dict:
    """Runs of a sweep, of the project, or those named, with their metrics, the knobs that differ and the best."""
    name = request.query_params.get("sweep")
    sweep = grids.sweep_of(db, project, name)
    if name and sweep is None:
        raise HTTPException(404, "no such sweep")
    rows = queries.run_rows(
        db, project["id"], sweep["row"] if sweep else None, request.query_params.getlist("run") or None
    )
    found = queries.runs(rows, sweep["config"] if sweep else None)
    answer = {
        "runs": [queries.brief(run) for run in found],
        "metrics": curves.metric_keys(db, rows),
        "knobs": queries.varied_knobs(found, sweep["config"] if sweep else None),
    }
    if sweep:
        best = queries.best(found, sweep["metric"])
        shown = ("id", "name", "state", "method", "metric", "created", "counts", "trials", "expected")
        answer["sweep"] = {key: sweep[key] for key in shown} | {
            "agents": queries.agents(db, sweep["row"]),
            "storage": queries.storage(db, [row["id"] for row in rows]),
        }
        answer["best"] = best["id"] if best else None
        answer["scales"] = {
            knob: "log" if "log" in str(item.get("distribution", "")) else "linear"
            for knob, item in queries.sweep_parameters(sweep["config"]).items()
            if "min" in item or "distribution" in item
        }
    return answer


def _best(db: sqlite3.Connection, project: dict, sweep: dict) -> dict | None:
    """The best run of a sweep: {'id', 'label', 'config'}."""
    found = queries.runs(queries.run_rows(db, project["id"], sweep["row"]), sweep["config"])
    best = queries.best(found, sweep["metric"])
    return {key: best[key] for key in ("id", "label", "config")} if best else None


def _artifact(db: sqlite3.Connection, project: dict, request: Request) -> dict:
    found = artifacts.versions(db, project["id"], request.query_params.get("name", ""))
    version = artifacts.choose(found, request.query_params.get("version"))
    if version is None:
        raise HTTPException(404, "no such artifact")
    return {
        "version": version,
        "versions": found,
        "files": artifacts.files(db, version["row"]),
        "lineage": artifacts.lineage(db, version),
    }


def _console(db: sqlite3.Connection, project: dict, request: Request) -> dict:
    row = run_of(db, project, request)
    after = whole(request, "after")
    lines = queries.console(db, row["id"], after, CONSOLE_LINES)
    return {
        "first": lines[0]["line"] if lines else after,
        "next": lines[-1]["line"] + 1 if lines else after,
        "lines": [{"text": clean(line["text"]), "error": line["level"] == "error"} for line in lines],
    }


def clean(text: str) -> str:
    """A line as a terminal would leave it: without colours, and after the last carriage return."""
    return _ANSI.sub("", text).rstrip("\r\n").rsplit("\r", 1)[-1]


def _scores(db: sqlite3.Connection, project: dict, request: Request) -> dict:
    rows, count = _asked_runs(db, project, request)
    return scores.scores(db, rows, **count)


def _importance(db: sqlite3.Connection, project: dict, request: Request) -> dict:
    """Of the runs named in the body; `knobs` there, or what differs between them."""
    rows, asked = _asked_runs(db, project, request)
    found = queries.runs(rows)
    swept = {run["sweep"] for run in found}
    sweep = grids.sweep_of(db, project, swept.pop()) if len(swept) == 1 else None
    knobs = queries.varied_knobs(found, sweep["config"] if sweep else None)
    return importance(found, knobs, scores.scores(db, rows, **asked), asked["maximize"])


def _asked_runs(db: sqlite3.Connection, project: dict, request: Request) -> tuple[list[sqlite3.Row], dict]:
    """The runs that the body names, and what they count by, as `scores.scores` takes it."""
    asked = request.state.body
    names, count = [str(name) for name in asked.get("runs") or []], asked.get("count") or 5
    if not isinstance(count, int) or not 0 < count < 10_000:
        raise HTTPException(400, "count is a number of values")
    how = {"metric": str(asked.get("metric")), "how": str(asked.get("how") or scores.LAST), "count": count}
    return queries.run_rows(db, project["id"], names=names), how | {"maximize": asked.get("goal") == "maximize"}


def _grid(db: sqlite3.Connection, project: dict, request: Request) -> dict:
    row = queries.report(db, project["id"], whole(request, "view"))
    all_grids = report.grids(report.parse(row["spec_json"])) if row else []
    number = whole(request, "grid")
    if not 0 <= number < len(all_grids):
        raise HTTPException(404, "no such panel grid")
    return grids.grid_runs(db, project, all_grids[number])


def _curves(
    store: Store, kept: curves.Curves, request: Request, names: list[str], keys: list[str], wanted: dict
) -> bytes:
    db = store.reader()
    project = project_of(db, request)
    rows = queries.run_rows(db, project["id"], names=names)
    kind = curves.EVENTS if wanted.get("kind") == "events" else curves.HISTORY
    return curves.pack(_read_curves(db, kept, rows, keys, str(wanted.get("x") or "step"), kind))


def _read_curves(
    db: sqlite3.Connection, kept: curves.Curves, rows: list[sqlite3.Row], keys: list[str], axis: str, kind: int
) -> list[tuple]:
    """(run, key, x, y) of those that have points."""
    many = len(rows) > FEW_RUNS
    ready = thinned.read(db, rows, keys) if many and axis == "step" and kind == curves.HISTORY else {}
    found = []
    for row in rows:
        own = {key: ready[row["name"], key] for key in keys if (row["name"], key) in ready}
        left = [key for key in keys if key not in own]
        found += [(row["name"], key, *points) for key, points in own.items()]
        found += [(row["name"], *one) for one in kept.of(db, row, left, axis, kind, curves.POINTS)]
    # Many runs share a chart's few hundred pixels, and its axis.
    found = curves.align(found, curves.POINTS // 4) if many else found
    return [one for one in found if len(one[2])]
