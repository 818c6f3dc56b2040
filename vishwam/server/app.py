"""The embedded server as one ASGI application, and the process that serves it."""

import asyncio
import contextlib
import errno
import logging
import math
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from vishwam.errors import BadInput
from vishwam.server import (
    artifact_collections,  # noqa: F401 - these eight attach their resolvers to the schema
    artifact_fields,  # noqa: F401
    artifact_files,
    artifacts,  # noqa: F401
    deletions,
    files,
    filestream,
    fixtures,
    graphql,
    history,
    login,
    pages,
    queries,  # noqa: F401
    reports,  # noqa: F401
    run_fields,  # noqa: F401
    runs,  # noqa: F401
    sweeps,  # noqa: F401
    uploads,  # noqa: F401
)
from vishwam.server.local import record
from vishwam.server.pages import thinned
from vishwam.server.scheduler import MAX_RESUMES, Scheduler, end_run, settle
from vishwam.server.store import DEFAULT_USER, Store
from vishwam.server.web import Refused, refusal, user_of

log = logging.getLogger("vishwam.server")
REAP_EVERY_SECONDS = 10.0
# What says that nothing can be stored now; SQLite's extended codes carry these in their lowest byte.
_SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG, errno.EROFS)
_COMPLAIN_SECONDS = 60.0
LOST_SECONDS = 300.0  # the client speaks every 15 to 30 s; W&B waits as long
AGENT_LOST_SECONDS = 75.0  # an agent speaks every 5 s: when it is silent too, machine or shell are gone


def create_app(store: Store, open_pages: bool, test_fixtures: bool = False) -> filestream.Shortcut:
    """`open_pages`: the pages need no login from this machine's own user (the server listens on loopback, alone).

    `test_fixtures`: anybody may make users whose key is their name.
    """
    scheduler = Scheduler(store)
    endpoint, stream = graphql.Endpoint(store, scheduler), filestream.Endpoint(store)

    async def run_graphql(request: Request) -> Response:
        request.state.user = user_of(store, request)
        return await endpoint(request)

    storage_failed = StorageFailed(store.folder)

    async def ready(_: Request) -> Response:
        return PlainTextResponse(store.instance())

    routes: list[BaseRoute] = [
        Route("/ready", ready),
        Route("/health", ready),
        Route("/healthz", ready),
        Route("/graphql", run_graphql, methods=["POST"]),
        Route("/files/{entity}/{project}/{run}/file_stream", stream.__call__, methods=["POST"]),
        Route("/files/{entity}/{project}/{run}/{name:path}", files.RunFileByName(store).__call__),
        Route("/storage/runs/{run_id:int}/{name:path}", files.RunFile(store).__call__, methods=["PUT", "GET"]),
        *artifact_files.routes(store),
    ]
    if test_fixtures:
        routes += fixtures.routes(store)
    routes += login.routes(store)
    routes.append(Mount("/", app=login.PageGuard(store, Starlette(routes=pages.routes(store)), open_pages)))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(reap_forever(store)), asyncio.create_task(store.write_back_forever())]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        endpoint.readers.shutdown(wait=False, cancel_futures=True)
        scheduler.close()

    async def refused(request: Request, error: Exception) -> Response:
        for kind, handler in handlers.items():
            if isinstance(error, kind):
                return await handler(request, error)
        raise error

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        Refused: _refused,
        UnicodeEncodeError: _no_value,
        OverflowError: _no_value,
        RecursionError: _no_value,
        sqlite3.OperationalError: storage_failed,
        OSError: storage_failed,
    }
    everything = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers=dict(handlers),  # type: ignore[arg-type]
    )
    return filestream.Shortcut(everything, stream, refused)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error)


async def _no_value(_: Request, error: Exception) -> Response:
    what = {UnicodeEncodeError: "half a surrogate pair is no text", OverflowError: "a number is out of range"}
    return refusal(Refused(400, what.get(type(error), "nested too deeply")))


class StorageFailed:
    """Disk full, or gone: 507, and a line in the log a minute; the client keeps what it has and tries again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.complained = folder, -math.inf

    async def __call__(self, _: Request, error: Exception) -> Response:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return refusal(Refused(503, "another process is changing the data; try again"))
        if not is_storage_failure(error):
            raise error
        if time.monotonic() - self.complained > _COMPLAIN_SECONDS:
            self.complained = time.monotonic()
            free = shutil.disk_usage(self.folder).free / 1e6
            log.error(
                "nothing can be stored in %s (%s; %.0f MB free): clients wait and retry", self.folder, error, free
            )
        return refusal(Refused(507, f"the server cannot store this: {error}"))


def is_storage_failure(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF in _SQLITE_FULL if code is not None else getattr(error, "errno", None) in _FULL


# The reaper


async def reap_forever(store: Store) -> None:
    last = since = time.time()
    while True:
        await asyncio.sleep(REAP_EVERY_SECONDS)
        now = time.time()
        if now - last > 2 * REAP_EVERY_SECONDS:
            since = now  # the machine slept, or this process stood still: it heard nobody meanwhile
        last = now
        try:
            reap(store, now, since)
            while True:
                with store.transaction() as db:
                    found = history.finish_columns(db, 5)
                if not found:
                    break
                await asyncio.sleep(0)  # others first: this only makes the pages faster
            await thinned.keep(store)
        except Exception as error:
            # A full disk is told of once, where clients hear of it.
            if not is_storage_failure(error):
                log.exception("the reaper failed, and tries again in %d s", REAP_EVERY_SECONDS)


def reap(store: Store, now: float, since: float = 0.0) -> None:
    """Ends runs that stopped speaking, sweeps that have nothing left to do, and artifacts whose time is over.

    A trial that vanished together with its agent lost its machine or its shell: it is preempted, and the next agent of
    the sweep resumes it. A trial whose agent lives on, or that has none, crashed. The server listens since `since`:
    silence before that is its own, and a trial handed out twice would write over itself.
    """

    def silent(seconds: float) -> float:
        return now - seconds if since <= now - seconds else -1.0

    with store.transaction() as db:
        lost = db.execute(
            "SELECT runs.*, coalesce(agents.heartbeat_at < ?, 0) AS agent_lost FROM runs "
            "LEFT JOIN agents ON agents.id = agent_id WHERE runs.state IN ('pending', 'running', 'preempting') "
            "AND (runs.heartbeat_at < ? OR (agents.heartbeat_at < ? AND runs.heartbeat_at < ?))",
            (silent(AGENT_LOST_SECONDS), silent(LOST_SECONDS), silent(AGENT_LOST_SECONDS), silent(AGENT_LOST_SECONDS)),
        ).fetchall()
        for run in lost:
            if run["early_stopped"]:
                state = "finished"
            elif run["stop_requested"]:
                state = "killed"
            else:
                vanished = run["agent_lost"] and run["resumed"] < MAX_RESUMES
                state = "preempted" if vanished or run["state"] == "preempting" else "crashed"
            end_run(db, run["id"], state, now)
            store.changes.publish(run["project_id"], run["id"])
        for sweep in db.execute("SELECT id FROM sweeps WHERE state IN ('PENDING', 'RUNNING', 'PAUSED')").fetchall():
            settle(db, sweep["id"])
        deletions.expire(db, now)


# The process


def serve(host: str, port: int, data: Path, allow_remote: bool = False, test_fixtures: bool = False) -> None:
    """Serves until SIGTERM or SIGINT. Raises BadInput when folder or port is taken, or others could come in unasked.

    `allow_remote`: others than this machine's own user reach the server, directly or through a proxy on this machine:
    the pages need a login, and X-Forwarded-Proto of that proxy is believed. `test_fixtures`: see `fixtures`.
    """
    if test_fixtures and (allow_remote or not _is_loopback(host)):
        raise BadInput("--test-fixtures makes every name a key: it goes with loopback alone, without --allow-remote")
    if not _is_loopback(host) and not allow_remote:
        raise BadInput(
            f"--host {host} lets other machines in: add --allow-remote when that is meant; calls then need a key, "
            "pages a login, and nothing is encrypted unless a TLS proxy stands before it"
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    store = Store(data)
    app = create_app(store, open_pages=not allow_remote, test_fixtures=test_fixtures)
    config = uvicorn.Config(
        app, host=host, port=port, http="httptools", ws="none", log_config=None, access_log=False, lifespan="on",
        timeout_keep_alive=75, timeout_graceful_shutdown=1, backlog=512, proxy_headers=allow_remote,
        server_header=False,
    )  # fmt: skip
    config.load()
    try:
        sockets = [config.bind_socket()]
    except SystemExit:
        raise BadInput(f"port {port} on {host} is taken") from None
    record(data, host, port)
    # uvicorn raises the signal that ended it once more when it is done: that is a clean end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    server = uvicorn.Server(config)
    log.info("API key of the user %s: %s", DEFAULT_USER, data / "api_key")
    if test_fixtures:
        log.warning("test fixtures: whoever reaches this port can be anybody")
    if allow_remote:
        log.warning("others can reach this server: calls need a key, pages a login; nothing is encrypted by itself")
    try:
        server.run(sockets=sockets)
    finally:
        store.close()


def _is_loopback(host: str) -> bool:
    return host in ("127.0.0.1", "localhost", "::1")
