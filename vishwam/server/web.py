"""What every endpoint shares: who asks, signed addresses, bodies with a limit, refusals that carry their status."""

import base64
import binascii
import functools
import hashlib
import hmac
import json
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive

from vishwam.server.store import Store

SIGNATURE_SECONDS = 24 * 3600
_decode = msgspec.json.Decoder().decode


class Refused(Exception):
    """The request cannot be served: HTTP status and one line that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def json_response(payload: Any, status: int = 200) -> Response:
    return Response(json.dumps(payload), status, media_type="application/json")


def read_json(text: str | bytes) -> Any:
    """What `json.loads` makes of it, NaN and infinities among it, in a quarter of the time.

    Raises ValueError, RecursionError. Bytes are UTF-8; what is half a surrogate pair there is not.
    """
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        return json.loads(text if isinstance(text, str) else str(text, "utf-8"))


def refusal(error: Refused) -> Response:
    return json_response({"errors": [{"message": str(error)}], "error": str(error)}, error.status)


async def read_body(request: Request, limit: int) -> bytes:
    """See `body_of`."""
    return await body_of(request.receive, request.headers.get("content-encoding", "").encode("latin-1"), limit)


async def body_of(receive: Receive, encoding: bytes | None, limit: int) -> bytes:
    """The whole body, unpacked when it is gzipped; 413 as soon as either form passes `limit` bytes."""
    unpacker = zlib.decompressobj(wbits=31) if encoding == b"gzip" else None
    if encoding and unpacker is None and encoding != b"identity":
        raise Refused(415, f"content encoding {encoding.decode('latin-1')!r} is not supported")
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        piece, more = await _piece(receive)
        if unpacker is not None:
            try:
                piece = unpacker.decompress(piece, limit + 1 - size)
            except zlib.error:
                raise Refused(400, "the body is not gzip") from None
        size += len(piece)
        if size > limit:
            pieces.clear()
            await _hear_out(receive, more, 8 * limit)
            raise Refused(413, f"the body is larger than {limit} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def _piece(receive: Receive) -> tuple[bytes, bool]:
    """The next piece of a body, and whether more will come."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


async def _hear_out(receive: Receive, more: bool, most: int) -> None:
    """Throws away what is still coming: a client that is cut off while it sends never reads why, and tries again."""
    while more and most >= 0:
        piece, more = await _piece(receive)
        most -= len(piece)


async def body_pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body piece by piece, for uploads; 413 when it passes `limit` bytes."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise Refused(413, f"the upload is larger than {limit} bytes")
        yield piece


def key_of(request: Request) -> str | None:
    """The API key of the request: HTTP Basic as the client sends it, or a bearer token."""
    return _key_in(request.headers.get("authorization", "").encode("latin-1"))


@functools.lru_cache(maxsize=1024)
def _key_in(header: bytes) -> str | None:
    kind, _, value = header.decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def is_same_origin(request: Request) -> bool:
    """Whether a browser says that a page of this server asks; a cookie also comes with what other ports' pages send."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


def check_key(store: Store, authorization: bytes) -> None:
    """Raises 401 where `user_of` does, given the header of that name."""
    key = _key_in(authorization)
    if not key or not store.is_key(key):
        raise Refused(401, "no valid API key")


def user_of(store: Store, request: Request) -> dict[str, Any]:
    """Who asks; raises 401."""
    key = key_of(request)
    row = store.user_of_key(key) if key else None
    if row is None:
        raise Refused(401, "no valid API key")
    return dict(row)


def _signature(store: Store, method: str, path: str, expires: str) -> str:
    secret = hashlib.sha256(b"address " + store.api_key.encode()).digest()
    return hmac.new(secret, f"{method} {path} {expires}".encode(), hashlib.sha256).hexdigest()


def signed(store: Store, base_url: str, method: str, path: str) -> str:
    """An address that works without a key for a day, for one method: what the client expects of storage."""
    expires = str(int(time.time()) + SIGNATURE_SECONDS)
    return f"{base_url}{quote(path)}?expires={expires}&signature={_signature(store, method, path, expires)}"


def authorize(store: Store, request: Request) -> None:
    """Lets through a signed address or a valid key; raises 401 otherwise."""
    expires, signature = request.query_params.get("expires", ""), request.query_params.get("signature", "")
    if signature:
        path = unquote(request.scope["raw_path"].decode("latin-1").partition("?")[0])
        expected = _signature(store, request.method, path, expires)
        fresh = expires.isascii() and expires.isdecimal() and len(expires) < 12 and int(expires) > time.time()
        if fresh and hmac.compare_digest(expected.encode(), signature.encode()):
            return
    user_of(store, request)
