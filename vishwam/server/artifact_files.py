"""Contents of artifacts over HTTP: uploads, manifests, downloads by version or by digest."""

import base64
import re
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vishwam.server.files import check_path, receive_blob, send_blob
from vishwam.server.store import Store
from vishwam.server.web import Refused, authorize, user_of

Handler = Callable[[Store, Request], Awaitable[Response]]


def routes(store: Store) -> list[BaseRoute]:
    """Addresses under /storage are signed; /artifacts and /artifactsV2 are built by the client and need the key."""

    def route(path: str, handler: Handler, method: str) -> Route:
        async def answer(request: Request) -> Response:
            return await handler(store, request)

        return Route(path, answer, methods=[method])

    return [
        route("/storage/manifests/{manifest_id:int}", _put_manifest, "PUT"),
        route("/storage/manifests/{artifact_id:int}/wandb_manifest.json", _get_manifest, "GET"),
        route("/storage/wandb_artifacts/{artifact_id:int}/{name:path}", _put_file, "PUT"),
        route("/storage/wandb_artifacts/{artifact_id:int}/{name:path}", _get_file, "GET"),
        route("/artifacts/{entity}/{digest}", _get_by_digest, "GET"),
        route("/artifacts/{entity}/{digest}/{name:path}", _get_by_digest, "GET"),
        route("/artifactsV2/{place:path}/{digest}/{name}", _get_by_digest, "GET"),
    ]


async def _put_manifest(store: Store, request: Request) -> Response:
    authorize(store, request)
    blob = await receive_blob(request, store)
    with store.transaction() as db:
        values = (blob.sha256, request.path_params["manifest_id"])
        if not db.execute("UPDATE manifests SET sha256 = ? WHERE id = ?", values).rowcount:
            raise Refused(404, "no such manifest")
    return Response(status_code=200)


async def _get_manifest(store: Store, request: Request) -> Response:
    authorize(store, request)
    row = store.writer.execute(
        "SELECT manifest_sha256 FROM artifacts WHERE id = ? AND state = 'COMMITTED'",
        (request.path_params["artifact_id"],),
    ).fetchone()
    if row is None:
        raise Refused(404, "no such artifact")
    return send_blob(store, row[0], "wandb_manifest.json")


async def _put_file(store: Store, request: Request) -> Response:
    """The contents count by their digest: the manifest says at commit where they belong."""
    authorize(store, request)
    check_path(request.path_params["name"])
    if not request.headers.get("content-md5"):
        raise Refused(400, "an artifact's file is sent with its Content-MD5")
    blob = await receive_blob(request, store)
    return Response(status_code=200, headers={"ETag": f'"{blob.md5}"'})


async def _get_file(store: Store, request: Request) -> Response:
    authorize(store, request)
    name = check_path(request.path_params["name"])
    row = store.writer.execute(
        "SELECT sha256 FROM artifact_files WHERE artifact_id = ? AND path = ?",
        (request.path_params["artifact_id"], name),
    ).fetchone()
    if row is None or row[0] is None:
        raise Refused(404, f"no file {name}")
    return send_blob(store, row[0], name)


async def _get_by_digest(store: Store, request: Request) -> Response:
    user_of(store, request)
    digest = request.path_params["digest"]
    if not re.fullmatch(r"[0-9a-f]{32}", digest):
        raise Refused(404, "not a digest")
    md5 = base64.b64encode(bytes.fromhex(digest)).decode()
    row = store.writer.execute("SELECT sha256 FROM blobs WHERE md5 = ?", (md5,)).fetchone()
    if row is None:
        raise Refused(404, "no such contents")
    return send_blob(store, row[0], request.path_params.get("name", digest))
