"""A report as one file: its text, the values its panels draw, and what draws them. It asks nobody for anything."""

import base64
import hashlib
import re
import sqlite3
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vishwam.server.pages import artifacts, code, curves, grids, queries, report, scores, tables
from vishwam.server.pages.html import SECURITY_HEADERS, render_text
from vishwam.server.pages.importance import importance
from vishwam.server.pages.scripts import STATIC, bundle, script
from vishwam.server.store import Store

TABLE_ROWS, CHART_ROWS = 200, 10_000
CODES = 20
LARGEST_FILE, LARGEST_FILES = 4 << 20, 32 << 20
VENDOR = ("uplot-1.6.32.min", "echarts-6.1.0.min")
_ACCESSOR = re.compile(r"^(config|summary_metrics|summary|run|c)(::?|\.)")
_TIMES = ("_runtime", "_absolute_runtime", "_timestamp")


def export_routes(store: Store) -> list[BaseRoute]:
    def download(request: Request) -> Response:
        db, parts = store.reader(), request.path_params
        project = queries.project(db, parts["entity"], parts["project"])
        view = queries.report(db, project["id"], parts["view"]) if project else None
        if project is None or view is None:
            raise HTTPException(404, "no such report")
        name = re.sub(r"[^\w.-]+", "-", view["display_name"]).strip("-") or "report"
        text = export(store, db, project, view, f"{request.url.scheme}://{request.url.netloc}")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}.html", **SECURITY_HEADERS}
        return Response(text, media_type="text/html", headers=headers)

    return [Route("/-/export/{entity}/{project}/{view:int}", download)]


def export(store: Store, db: sqlite3.Connection, project: dict, view: dict, origin: str) -> str:
    """The page of a report with all it needs inside. origin: where links to its runs lead."""
    spec = report.parse(view["spec_json"])
    saved = _Saved(store, db, project)
    for number, grid in enumerate(report.grids(spec)):
        saved.grid(number, grid)
    for block in _leaves(report.blocks(spec)):
        if "table" in block:
            saved.loose_table(block["table"])
        if "artifact" in block:
            saved.artifact(block["artifact"])
    page = {
        "entity": project["entity"],
        "project": project["name"],
        "origin": origin,
        "view": view["id"],
        "grids": grids.page_grids(spec),
        "saved": {"answers": saved.answers, "curves": saved.curves, "files": saved.files},
    }
    scripts = [script(STATIC / f"vendor/{name}.js") for name in VENDOR]
    start = bundle("report.js")
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in (*scripts, start))
    return render_text(
        "export.html",
        view=view,
        page=queries.finite(page),
        blocks=report.blocks(spec),
        markdown=report.markdown,
        width=report.width(spec),
        # Only these very scripts, and nothing from anywhere.
        policy=f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'",
        styles=[Markup((STATIC / name).read_text()) for name in ("vendor/uplot-1.6.32.min.css", "style.css")],
        scripts=[Markup(text) for text in scripts],
        start=Markup(start),
        now=time.time(),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _leaves(blocks: list[dict]) -> Iterator[dict]:
    for block in blocks:
        yield block
        yield from _leaves(block.get("inside", []))


class _Saved:
    """The server's answers to what the panels will ask, under the keys by which static/api.js looks for them."""

    def __init__(self, store: Store, db: sqlite3.Connection, project: dict) -> None:
        self.store, self.db, self.project = store, db, project
        self.answers: dict[str, Any] = {}
        self.curves: dict[str, str] = {}
        self.files: dict[str, str] = {}
        self.room = LARGEST_FILES
        self._packed: dict[str, dict[tuple[str, str], tuple]] = {}

    def grid(self, number: int, grid: dict) -> None:
        answer = grids.grid_runs(self.db, self.project, grid)
        self.answers[f"grid {number}"] = answer
        ids = [run["id"] for run in answer["runs"]]
        rows = queries.run_rows(self.db, self.project["id"], names=ids)
        for panel in report.panels(grid):
            config: dict = panel["config"] if isinstance(panel.get("config"), dict) else {}
            kind = panel.get("viewType")
            if kind == "Run History Line Plot":
                self._lines(rows, config, answer["metrics"])
            elif kind == "Parameter Importance":
                self._importance(rows, answer["runs"], _name(config.get("targetKey") or ""))
            elif kind == "Code Comparer":
                self._code(rows)
            if panel.get("artifact"):
                self.artifact(panel["artifact"])
            keys = [panel["table"]] if panel.get("table") else config.get("mediaKeys") or []
            chart = panel.get("chart") or {}
            for run, row in zip(answer["runs"], rows, strict=True) if chart.get("table") else ():
                self._media(run, row, chart["table"], CHART_ROWS)
            for run, row in zip(answer["runs"], rows, strict=True):
                for key in keys if kind == "Media Browser" or panel.get("table") else ():
                    self._media(run, row, str(key))

    def loose_table(self, key: str) -> None:
        """A table block shows that of the newest run that has one; the whole list of runs finds it."""
        rows = queries.run_rows(self.db, self.project["id"])
        runs = [run for run in queries.runs(rows) if key in run["media"]][-1:]
        self.answers.setdefault("runs", {"runs": [], "metrics": [], "knobs": []})
        self.answers["runs"]["runs"] += [queries.brief(run) for run in runs]
        for run in runs:
            self._media(run, next(row for row in rows if row["name"] == run["id"]), key)

    def _lines(self, rows: list[sqlite3.Row], config: dict, known: list[str]) -> None:
        name = str(config.get("xAxis") or "")
        axis = "time" if name in _TIMES else name or "_step"
        # A pattern is tried by the browser that reads it: here one from outside could hold up everybody.
        pattern = config.get("useMetricRegex") and config.get("metricRegex")
        keys = known if pattern else [_name(str(key)) for key in config.get("metrics") or []]
        packed = self._packed.setdefault(axis, {})
        for row in rows:
            wanted = [key for key in keys if (row["name"], key) not in packed]
            for key, x, y in curves.curve(self.db, row, wanted, axis, points=curves.POINTS // 2) if wanted else ():
                packed[row["name"], key] = (row["name"], key, x, y)
        body = curves.pack([one for one in packed.values() if len(one[2])])
        self.curves[axis] = base64.b64encode(body).decode()

    def _importance(self, rows: list[sqlite3.Row], runs: list[dict], metric: str) -> None:
        maximize = not re.search("loss|error|perplexity", metric, re.IGNORECASE)
        found = scores.scores(self.db, rows, metric, scores.LAST, 1, maximize)
        swept = {run["sweep"] for run in runs}
        sweep = grids.sweep_of(self.db, self.project, swept.pop()) if len(swept) == 1 else None
        knobs = queries.varied_knobs(runs, sweep["config"] if sweep else None)
        ids = ",".join(run["id"] for run in runs)
        self.answers[f"importance {metric} {ids}"] = importance(runs, knobs, found, maximize)

    def _code(self, rows: list[sqlite3.Row]) -> None:
        for row in rows[:CODES]:
            self.answers[f"code {row['name']}"] = code.code(self.store, self.db, row)

    def artifact(self, shown: dict) -> None:
        versions = artifacts.versions(self.db, self.project["id"], shown["name"])
        version = artifacts.choose(versions, shown["version"])
        if version is not None:
            files = artifacts.files(self.db, version["row"])
            self.answers[f"artifact {shown['name']}"] = {"version": version, "files": files}

    def _media(self, run: dict, row: sqlite3.Row, key: str, table_rows: int = TABLE_ROWS) -> None:
        value = run["media"].get(key)
        path = str((value or {}).get("path") or "")
        if not path:
            return
        if str(value["_type"]).endswith("table-file"):
            table = tables.read_table(self.store, self.db, row, key, limit=table_rows)
            if table is not None:
                self.answers[f"table {run['id']} {key}"] = table
            return
        kind, file = tables.content_type(path), tables.file_row(self.db, row["id"], path)
        if kind is None or file is None or file["size"] > min(LARGEST_FILE, self.room):
            return
        self.room -= file["size"]
        data = self.store.blob_path(file["sha256"]).read_bytes()
        self.files[f"{run['id']}/{path}"] = f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _name(accessor: str) -> str:
    """As `nameOf` of static/accessors.js."""
    return re.sub(r"^([^.]+)\.value(?=\.|$)", r"\1", _ACCESSOR.sub("", accessor))
