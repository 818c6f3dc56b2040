"""POST /db/{kind}: users whose API key is their name, as W&B's own system tests make them.

Served only with `--test-fixtures`, on loopback: whoever reaches the port can then be anybody.
"""

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from vishwam.server.store import Store
from vishwam.server.web import Refused, json_response, read_body

MAX_BYTES = 1 << 16


def routes(store: Store) -> list[BaseRoute]:
    async def make(request: Request) -> Response:
        try:
            command = json.loads(await read_body(request, MAX_BYTES))
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        name = command.get("username") if isinstance(command, dict) else None
        if request.path_params["kind"] != "user" or not isinstance(name, str):
            raise Refused(400, "this server has users, but neither teams nor organizations")
        # "down" keeps the user: its runs refer to it, and the folder of a test is thrown away whole.
        if command.get("command") == "up":
            store.add_key(store.add_user(name, f"{name}@localhost"), name, "made by a test")
        return json_response({})

    return [Route("/db/{kind}", make, methods=["POST"])]
