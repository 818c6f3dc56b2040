"""Runs as the client reads them: lists, fields, measurements, console, files."""

import fnmatch
import json
import mimetypes
import posixpath
from typing import Any

from vishwam.server import history, run_list
from vishwam.server.files import run_file_url
from vishwam.server.graphql import Context, Row, connection, field, global_id, position
from vishwam.server.queries import project_by_id
from vishwam.server.runs import json_object, required_run, run_of

# Lists


@field("Project.run")
def project_run(project: Row, context: Context, name: str, desc: str | None = None) -> Row | None:
    return run_of(context, project, name)


@field("Project.bucket")
def project_bucket(project: Row, context: Context, name: str, missingOk: bool | None = None) -> Row | None:
    return run_of(context, project, name)


@field("Project.runs")
def project_runs(
    project: Row,
    context: Context,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> Row:
    return run_list.page(context, project, filters, order, first, after)


@field("Project.runCount")
def run_count(project: Row, context: Context, filters: str | None = None) -> int:
    return run_list.count(context, project, filters)


# One run


@field("Run.id")
def run_id(run: Row, _: Context) -> str:
    return global_id("Run", run["id"])


@field("Run.internalId")
def run_internal_id(run: Row, _: Context) -> str:
    return global_id("RunInternalId", run["id"])


@field("Run.project")
def run_project(run: Row, context: Context) -> Row:
    return project_by_id(context, run["project_id"])


@field("Run.user")
def run_user(run: Row, context: Context) -> Row | None:
    return context.one("SELECT * FROM users WHERE id = ?", run["user_id"])


@field("Run.group")
def run_group(run: Row, _: Context) -> str | None:
    return run["group_name"]


@field("Run.commit")
def run_commit(run: Row, _: Context) -> str | None:
    return run["commit_hash"]


@field("Run.exitcode")
def run_exit_code(run: Row, _: Context) -> int | None:
    return run["exit_code"]


@field("Run.tags")
def run_tags(run: Row, _: Context) -> list[str]:
    return json.loads(run["tags_json"])


@field("Run.failed")
def run_failed(run: Row, _: Context) -> bool:
    return run["state"] in ("failed", "crashed")


@field("Run.running")
def run_running(run: Row, _: Context) -> bool:
    return run["state"] in ("pending", "running", "preempting")


@field("Run.stopped", "Run.shouldStop")
def run_stopped(run: Row, _: Context) -> bool:
    return bool(run["stop_requested"])


@field("Run.readOnly")
def run_read_only(_: Row, __: Context) -> bool:
    return False


@field("Run.sweepName")
def run_sweep_name(run: Row, context: Context) -> str | None:
    return context.value("SELECT name FROM sweeps WHERE id = ?", run["sweep_id"]) if run["sweep_id"] else None


@field("Run.config")
def run_config(run: Row, _: Context) -> str:
    return run["config_json"]


@field("Run.wandbConfig")
def run_wandb_config(run: Row, _: Context, keys: list[str] | None = None) -> str | None:
    """The client's own part of the configuration; without "t" the run has never started."""
    inner = json.loads(run["config_json"]).get("_wandb")
    value = inner.get("value") if isinstance(inner, dict) else None
    if not isinstance(value, dict):
        return None
    return json.dumps({key: value[key] for key in keys or value if key in value})


@field("Run.summaryMetrics")
def run_summary(run: Row, _: Context) -> str:
    return run["summary_json"]


@field("Run.systemMetrics")
def run_system_metrics(run: Row, context: Context) -> str:
    text = context.value("SELECT data_json FROM events WHERE run_id = ? ORDER BY line DESC LIMIT 1", run["id"])
    return text or "{}"


@field("Run.historyKeys")
def run_history_keys(run: Row, context: Context) -> Row | None:
    return history.history_keys(context.db, run) if run["history_lines"] else None


@field("Run.historyLineCount")
def run_history_lines(run: Row, _: Context) -> int:
    """Lines of the run's own stream: a resumed client goes on from there."""
    return run["history_lines"] - run["inherited_lines"]


@field("Run.eventsLineCount")
def run_event_lines(run: Row, _: Context) -> int:
    return run["event_lines"]


@field("Run.logLineCount")
def run_log_lines(run: Row, _: Context) -> int:
    return run["log_lines"]


def _tail(context: Context, table: str, run: Row) -> str:
    rows = context.all(f"SELECT data_json FROM {table} WHERE run_id = ? ORDER BY line DESC LIMIT 1", run["id"])
    return json.dumps([row["data_json"] for row in rows])


@field("Run.historyTail")
def run_history_tail(run: Row, context: Context) -> str:
    return _tail(context, "history", run)


@field("Run.eventsTail")
def run_events_tail(run: Row, context: Context) -> str:
    return _tail(context, "events", run)


@field("Run.history")
def run_history(
    run: Row, context: Context, minStep: int | None = None, maxStep: int | None = None, samples: int | None = None
) -> list[str]:
    limit = min(max(samples if samples is not None else 500, 0), 1_000_000)
    if minStep is None and maxStep is None:
        return history.sampled_rows(context.db, run["id"], history.HISTORY, limit)
    low, high = minStep if minStep is not None else -1, maxStep if maxStep is not None else 1 << 62
    return history.page(context.db, run["id"], history.HISTORY, low, high, limit)


@field("Run.events")
def run_events(run: Row, context: Context, samples: int | None = None) -> list[str]:
    return history.sampled_rows(context.db, run["id"], history.EVENTS, max(samples or 500, 0))


@field("Run.sampledHistory")
def run_sampled_history(run: Row, context: Context, specs: list[str]) -> list[Any]:
    return [history.sampled_history(context.db, run["id"], json_object("spec", spec)) for spec in specs]


@field("Run.parquetHistory")
def run_parquet_history(run: Row, context: Context, liveKeys: list[str]) -> Row:
    """No exported files, and so no boundary after which rows are live: the client then asks for pages of rows."""
    return {"parquet_urls": [], "live_data": []}


@field("Run.logLines")
def run_logs(
    run: Row,
    context: Context,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    useImprovedPagination: bool | None = None,
) -> Row:
    start = position(after) + 1 if after else 0
    if last is not None:
        start = max(start, run["log_lines"] - max(last, 0))
    limit = min(first if first is not None and first >= 0 else 10_000, 100_000)
    rows = context.all(
        "SELECT * FROM console WHERE run_id = ? AND line >= ? ORDER BY line LIMIT ?", run["id"], start, limit + 1
    )
    more, rows = len(rows) > limit, rows[:limit]
    edges = [
        {"cursor": str(row["line"]), "node": {**row, "number": row["line"], "line": row["text"], "label": ""}}
        for row in rows
    ]
    return {
        "edges": edges,
        "page_info": {"end_cursor": edges[-1]["cursor"] if edges else after, "has_next_page": more},
    }


# Files


@field("Run.fileCount")
def run_file_count(run: Row, context: Context) -> int:
    return context.value("SELECT count(*) FROM files WHERE run_id = ?", run["id"])


@field("Run.files")
def run_files(
    run: Row,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> Row:
    rows = context.all(
        "SELECT files.*, md5, size FROM files JOIN blobs USING (sha256) WHERE run_id = ? ORDER BY name", run["id"]
    )
    found = {row["name"]: row for row in rows}
    if names:
        # The client asks by name for files it is about to upload, and as its user wrote the name: "./a.txt".
        names = [posixpath.normpath(name) for name in names]
        chosen = [found.get(name) or {"name": name, "md5": None, "size": 0, "updated_at": None} for name in names]
    else:
        chosen = [row for row in rows if not pattern or fnmatch.fnmatchcase(row["name"], pattern.replace("%", "*"))]
    return connection([_file(context, run, row) for row in chosen], first, after, total=len(found))


def _file(context: Context, run: Row, row: Row) -> Row:
    url = run_file_url(context, run, row["name"], "GET")
    return {
        "id": global_id(f"File/{run['id']}", 1) if row["md5"] is None else f"{run['id']}:{row['name']}",
        "name": row["name"],
        "display_name": row["name"],
        "direct_url": url,
        "url": url,
        "upload_url": run_file_url(context, run, row["name"], "PUT"),
        "size_bytes": row["size"],
        "md5": row["md5"],
        "digest": row["md5"],
        "mimetype": mimetypes.guess_type(row["name"])[0] or "",
        "updated_at": row["updated_at"],
    }


@field("File.url")
def file_url(file: Row, _: Context, upload: bool | None = None) -> str | None:
    return file["upload_url"] if upload else file["url"]


@field("Mutation.createRunFiles")
def create_run_files(_: Any, context: Context, input: Row) -> Row:
    run = required_run(context, input["entityName"], input["projectName"], input["runName"])
    files = [
        {"name": name, "upload_url": run_file_url(context, run, name, "PUT"), "display_name": name}
        for name in input["files"]
    ]
    return {"run_id": global_id("Run", run["id"]), "upload_headers": [], "files": files}


@field("Mutation.markRunFilesUploaded")
def mark_run_files_uploaded(_: Any, __: Context, input: Row) -> Row:
    return {"success": True}


@field("Mutation.deleteFiles")
def delete_files(_: Any, context: Context, input: Row) -> Row:
    with context.store.transaction() as db:
        for text in input["files"]:
            run_text, _sep, name = text.partition(":")
            db.execute("DELETE FROM files WHERE run_id = ? AND name = ?", (position(run_text), name))
    return {"success": True}
