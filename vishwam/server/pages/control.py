"""What a reader may do from a page: pause, resume, stop or cancel a sweep, and stop a run. Nothing else here writes."""

import json

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from vishwam.server.pages import queries
from vishwam.server.scheduler import LIVE
from vishwam.server.store import Store
from vishwam.server.sweeps import set_state
from vishwam.server.web import is_same_origin, read_body

MAX_BODY = 1 << 16
# What `wandb sweep --pause`, `--resume`, `--stop` and `--cancel` ask for, and from which states it makes sense.
ACTS = {
    "pause": ("PAUSED", ("PENDING", "RUNNING")),
    "resume": ("RUNNING", ("PAUSED",)),
    "stop": ("FINISHED", ("PENDING", "RUNNING", "PAUSED")),
    "cancel": ("CANCELED", ("PENDING", "RUNNING", "PAUSED")),
}


def control_routes(store: Store) -> list[BaseRoute]:
    async def wanted(request: Request) -> tuple[dict, dict]:
        """The project and what is asked of it; 403 for a page of another server, 404 where there is no project."""
        if not is_same_origin(request):
            raise HTTPException(403, "asked for by a page of another server")
        try:
            asked = json.loads(await read_body(request, MAX_BODY))
            entity, name = str(asked["entity"]), str(asked["project"])
        except (ValueError, KeyError, TypeError):
            raise HTTPException(400, "the body is not {entity, project, ...}") from None
        project = queries.project(store.writer, entity, name)
        if project is None:
            raise HTTPException(404, "no such project")
        return project, asked

    async def sweep(request: Request) -> Response:
        project, asked = await wanted(request)
        state, before = ACTS.get(str(asked.get("act")), ("", ()))
        if not state:
            raise HTTPException(400, f"act is one of {', '.join(ACTS)}")
        with store.transaction() as db:
            row = db.execute(
                "SELECT * FROM sweeps WHERE project_id = ? AND name = ?", (project["id"], str(asked.get("sweep")))
            ).fetchone()
            if row is None:
                raise HTTPException(404, "no such sweep")
            if row["state"] not in before:
                raise HTTPException(409, f"the sweep is {row['state'].lower()}")
            set_state(db, row["id"], state)
        store.changes.publish(project["id"], 0)
        return JSONResponse({"state": state.lower()})

    async def run(request: Request) -> Response:
        project, asked = await wanted(request)
        with store.transaction() as db:
            changed = db.execute(
                f"UPDATE runs SET stop_requested = 1 WHERE project_id = ? AND name = ? AND state IN {LIVE} "
                "RETURNING id",
                (project["id"], str(asked.get("run"))),
            ).fetchall()
        if not changed:
            raise HTTPException(409, "no such run, or it has ended")
        store.changes.publish(project["id"], changed[0]["id"])
        return JSONResponse({})

    return [
        Route("/-/act/sweep", sweep, methods=["POST"]),
        Route("/-/act/run", run, methods=["POST"]),
    ]
