"""POST /files/{entity}/{project}/{run}/file_stream: the hot path, which carries what a running trial reports."""

import json
import time
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vishwam.server import messages
from vishwam.server.store import Store
from vishwam.server.together import Together
from vishwam.server.web import Refused, body_of, check_key, read_json

MAX_BYTES = 32 << 20  # the client sends 10 MB at most
KEY_SECONDS = 1.0
_GO_ON, _STOP = (json.dumps({"exitcode": None, "limits": {}, "stopped": stopped}).encode() for stopped in (False, True))


class Endpoint:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._memory = messages.Memory()
        self._admitted: set[bytes] = set()  # Authorization headers that were good lately
        self._admitted_at = 0.0
        self._together = Together(store, undone=self._memory.forget)

    async def __call__(self, request: Request) -> Response:
        path = request.path_params
        names = path["entity"], path["project"], path["run"]
        return Response(await self.answer(request.scope, request.receive, names), media_type="application/json")

    async def answer(self, scope: Scope, receive: Receive, names: messages.Names) -> bytes:
        headers = dict(scope["headers"])
        self._check_key(headers.get(b"authorization", b""))
        body = await body_of(receive, headers.get(b"content-encoding"), MAX_BYTES)
        try:
            message = read_json(body)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        run, stopped = await self._together.commit(lambda db: messages.receive(db, self._memory, names, message))
        self.store.changes.publish(run["project_id"], run["id"])
        return _STOP if stopped else _GO_ON

    def _check_key(self, authorization: bytes) -> None:
        """A key that another process has replaced is good for KEY_SECONDS more."""
        now = time.monotonic()
        if now > self._admitted_at + KEY_SECONDS:
            self._admitted.clear()
            self._admitted_at = now
        if authorization not in self._admitted:
            check_key(self.store, authorization)
            self._admitted.add(authorization)


class Shortcut:
    """Around the application: a message of the stream passes neither router nor the layers above it, half its time.

    `refusals(request, error)` is the answer to what an endpoint raises; it raises what is no refusal.
    """

    def __init__(self, app: Starlette, endpoint: Endpoint, refusals: Callable[..., Awaitable[Response]]) -> None:
        self.app, self.endpoint, self.refusals = app, endpoint, refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = scope["path"].split("/") if scope["type"] == "http" and scope["method"] == "POST" else []
        if len(parts) != 6 or parts[5] != "file_stream" or parts[1] != "files":
            await self.app(scope, receive, send)
            return
        try:
            body = await self.endpoint.answer(scope, receive, (parts[2], parts[3], parts[4]))
        except Exception as error:
            refusal = await self.refusals(Request(scope, receive), error)
            await refusal(scope, receive, send)
        else:
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
