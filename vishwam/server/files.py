"""Contents over HTTP: files of runs and of artifacts, by addresses signed for a day or with a key."""

import asyncio
import mimetypes
import posixpath
import time
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from vishwam.server.store import Blob, BlobWriter, Store
from vishwam.server.web import Refused, authorize, body_pieces, signed, user_of

if TYPE_CHECKING:
    from vishwam.server.graphql import Context

MAX_UPLOAD = 5 << 40
MAX_PATH = 4096


def check_path(name: str) -> str:
    """A relative path of a run or an artifact, never climbing; raises 400."""
    if (
        not 0 < len(name) <= MAX_PATH
        or name.startswith("/")
        or "\\" in name
        or "\0" in name
        or posixpath.normpath(name) != name
        or name.split("/")[0] == ".."
    ):
        raise Refused(400, f"invalid path {name[:200]!r}")
    return name


def run_file_url(context: "Context", run: dict[str, Any], name: str, method: str) -> str:
    return signed(context.store, context.base_url, method, f"/storage/runs/{run['id']}/{check_path(name)}")


async def receive_blob(request: Request, store: Store) -> Blob:
    """The body as a blob on disk, recorded; checked against Content-MD5 when the client sends one."""
    writer = BlobWriter(store)
    try:
        async for piece in body_pieces(request, MAX_UPLOAD):
            writer.write(piece)
        expected = request.headers.get("content-md5")
        if expected and expected != writer.md5():
            raise Refused(400, "the contents do not match Content-MD5")
        await asyncio.to_thread(writer.sync)
        return store.add_blob(writer)
    except BaseException:
        writer.abort()
        raise


def send_blob(store: Store, sha256: str, name: str) -> Response:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    # Contents are anyone's: never let a browser run them as a page of ours.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}
    return FileResponse(store.blob_path(sha256), media_type=kind, headers=headers)


class RunFile:
    """PUT, GET /storage/runs/{run_id}/{name}."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def __call__(self, request: Request) -> Response:
        authorize(self.store, request)
        run_id, name = request.path_params["run_id"], check_path(request.path_params["name"])
        if request.method == "PUT":
            blob = await receive_blob(request, self.store)
            with self.store.transaction() as db:
                run = db.execute("SELECT project_id FROM runs WHERE id = ?", (run_id,)).fetchone()
                if run is None:
                    raise Refused(404, "no such run")
                db.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", (run_id, name, blob.sha256, time.time()))
            self.store.changes.publish(run["project_id"], run_id)
            return Response(status_code=200)
        return _run_file(self.store, "run_id = ? AND files.name = ?", (run_id, name), name)


class RunFileByName:
    """GET /files/{entity}/{project}/{run}/{name}: the address older tools build themselves."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def __call__(self, request: Request) -> Response:
        user_of(self.store, request)
        path = request.path_params
        where = "entity = ? AND projects.name = ? AND runs.name = ? AND files.name = ?"
        names = (path["entity"], path["project"], path["run"], check_path(path["name"]))
        return _run_file(self.store, where, names, path["name"])


def _run_file(store: Store, where: str, values: tuple[Any, ...], name: str) -> Response:
    row = store.writer.execute(
        f"""SELECT sha256 FROM files JOIN runs ON runs.id = run_id JOIN projects ON projects.id = project_id
        WHERE deleted_at IS NULL AND {where}""",
        values,
    ).fetchone()
    if row is None:
        raise Refused(404, f"no file {name}")
    return send_blob(store, row["sha256"], name)
