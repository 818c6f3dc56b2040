"""The HTML pages, at the addresses that wandb and wandb-workspaces print."""

import functools
import hashlib
import sqlite3
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from vishwam.server.pages import again, artifacts, grids, queries, report
from vishwam.server.pages.scripts import STATIC, bundle
from vishwam.server.store import Store

# Scripts, styles and data from this server only; no inline script, no frame, no form, no base.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PAGE_SCRIPT = ".page.js"
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

# Who is logged in; None for this machine's own user, who needs no login.
viewer: ContextVar[str | None] = ContextVar("viewer", default=None)
_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("vishwam.server.pages"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_environment.globals["viewer"] = viewer.get


@functools.cache
def version() -> str:
    """Changes with any script or style. It is part of their addresses, so that a browser never mixes two releases."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def _contents(name: str) -> bytes:
    """A file, which never changes; `sweep.page.js` is sweep.js with all it imports."""
    if name.endswith(PAGE_SCRIPT):
        return bundle(name.removesuffix(PAGE_SCRIPT) + ".js").encode()
    return (STATIC / name).read_bytes()


def address(*parts: str) -> str:
    """/a/b/c with every part quoted whole, as the client does."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def data_address(name: str, page: dict, **values: str) -> str:
    """What the page's script will ask for first, so that the browser asks before it has read the script."""
    return f"/-/data/{name}?{urlencode({'entity': page['entity'], 'project': page['project'], **values})}"


def render_text(template: str, **values: Any) -> str:
    static = f"/-/static/{version()}"
    helpers = {"address": address, "static": static, "data_address": data_address}
    return _environment.get_template(template).render(**helpers, **values)


def render(template: str, status: int = 200, headers: dict[str, str] = SECURITY_HEADERS, **values: Any) -> Response:
    return HTMLResponse(render_text(template, **values), status, headers)


def page_routes(store: Store) -> list[BaseRoute]:
    files = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()}
    files |= {path.stem + PAGE_SCRIPT for path in STATIC.glob("*.js")}

    def missing(what: str) -> Response:
        return render("missing.html", 404, what=what, page={"entity": "", "project": ""})

    async def static(request: Request) -> Response:
        name = request.path_params["path"]
        if name not in files:
            return missing(f"a file {name}")
        suffix = Path(name).suffix
        # Another release's page may still be open: what it gets now is not kept under that release's address.
        kept = "public, max-age=31536000, immutable" if request.path_params["version"] == version() else "no-store"
        headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
        return Response(_contents(name), media_type=_TYPES.get(suffix, "text/plain"), headers=headers)

    def home(request: Request) -> Response:
        entity = request.path_params.get("entity")
        found = queries.projects(store.reader(), entity)
        if entity and not found:
            return missing(f"an entity {entity} with projects")
        return render("home.html", projects=found, entity=entity, page={"entity": entity or "", "project": ""})

    def within(show: Callable[[sqlite3.Connection, dict, Request], Response]) -> Callable[[Request], Response]:
        def handler(request: Request) -> Response:
            db = store.reader()
            entity, name = request.path_params["entity"], request.path_params["project"]
            project = queries.project(db, entity, name)
            return show(db, project, request) if project else missing(f"a project {entity}/{name}")

        return handler

    def project_page(db: sqlite3.Connection, project: dict, request: Request) -> Response:
        reports = [{**one, "slug": slug(one)} for one in queries.reports(db, project["id"])]
        return render(
            "project.html",
            project=project,
            sweeps=queries.sweeps(db, project["id"]),
            reports=reports,
            artifacts=artifacts.collections(db, project["id"]),
            page={"entity": project["entity"], "project": project["name"]},
        )

    def run_page(db: sqlite3.Connection, project: dict, request: Request) -> Response:
        rows = queries.run_rows(db, project["id"], names=[request.path_params["run"]])
        if not rows:
            return missing(f"a run {request.path_params['run']} in {project['entity']}/{project['name']}")
        (run,) = queries.runs(rows)
        page = {"entity": project["entity"], "project": project["name"], "run": run["id"]}
        machine = again.machine(again.metadata(store, db, rows[0]["id"]))
        return render("run.html", project=project, run=run, row=dict(rows[0]), machine=machine, page=page)

    def sweep_page(db: sqlite3.Connection, project: dict, request: Request) -> Response:
        found = queries.sweeps(db, project["id"], request.path_params["sweep"])
        if not found:
            return missing(f"a sweep {request.path_params['sweep']} in {project['entity']}/{project['name']}")
        page = {"entity": project["entity"], "project": project["name"], "sweep": found[0]["id"]}
        return render("sweep.html", project=project, sweep=found[0], page=page)

    def report_page(db: sqlite3.Connection, project: dict, request: Request) -> Response:
        number = report.view_id(request.path_params["slug"])
        view = queries.report(db, project["id"], number) if number is not None else None
        if view is None:
            return missing(f"a report {request.path_params['slug']} in {project['entity']}/{project['name']}")
        spec = report.parse(view["spec_json"])
        page = {"entity": project["entity"], "project": project["name"], "view": number}
        page["grids"] = queries.finite(grids.page_grids(spec))
        values: dict[str, Any] = {
            "blocks": report.blocks(spec),
            "markdown": report.markdown,
            "width": report.width(spec),
        }
        return render("report.html", project=project, view=view, page=page, **values)

    def artifact_page(db: sqlite3.Connection, project: dict, request: Request) -> Response:
        name, wanted = request.path_params["name"], request.path_params.get("version")
        version = artifacts.choose(artifacts.versions(db, project["id"], name), wanted)
        if version is None:
            return missing(
                f"an artifact {name}{':' + wanted if wanted else ''} in {project['entity']}/{project['name']}"
            )
        page = {"entity": project["entity"], "project": project["name"], "artifact": name}
        # Without a version the page follows the newest.
        page |= {"version": f"v{version['version']}"} if wanted else {}
        return render("artifact.html", project=project, artifact=version, page=page)

    def compare_page(db: sqlite3.Connection, project: dict, request: Request) -> Response:
        chosen = list(dict.fromkeys(request.query_params.getlist("run")))
        page = {"entity": project["entity"], "project": project["name"], "runs": chosen}
        return render("compare.html", project=project, count=len(chosen), page=page)

    def to_project(request: Request) -> Response:
        return RedirectResponse(address(request.path_params["entity"], request.path_params["project"]), 302)

    inside = "/{entity}/{project}"
    return [
        Route("/-/static/{version}/{path:path}", static),
        Route("/", home),
        Route("/{entity}", home),
        Route(inside, within(project_page)),
        *(Route(f"{inside}/{name}", to_project) for name in ("runs", "sweeps", "reports", "workspace", "artifacts")),
        Route(inside + "/runs/{run}", within(run_page)),
        # The client also prints the tabs of a run's page.
        Route(inside + "/runs/{run}/{tab}", within(run_page)),
        Route(inside + "/sweeps/{sweep}", within(sweep_page)),
        Route(inside + "/compare", within(compare_page)),
        Route(inside + "/artifacts/{type}/{name}", within(artifact_page)),
        Route(inside + "/artifacts/{type}/{name}/{version}", within(artifact_page)),
        Route(inside + "/artifacts/{type}/{name}/{version}/{tab:path}", within(artifact_page)),
        # A report's title is part of its address, and may hold a slash.
        Route(inside + "/reports/{slug:path}", within(report_page)),
    ]


def slug(view: dict) -> str:
    """The last part of a report's address, as wandb-workspaces makes it."""
    return f"{view['display_name'].replace(' ', '-')}--{report.view_name(view['id'])}"
