"""Who may see the pages: the server's own user on this machine without more ado, others by a login with their API key.

A session opens the pages and their data, which only read; the client's endpoints take keys alone, so no page elsewhere
can write through a browser that is logged in.
"""

from urllib.parse import parse_qs, quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from vishwam.server.pages.html import SECURITY_HEADERS, render, viewer
from vishwam.server.peer import is_own_user
from vishwam.server.store import Store
from vishwam.server.users import SESSION_SECONDS, begin_session, end_session, user_of_session
from vishwam.server.web import Refused, is_same_origin, key_of, read_body, refusal

MAX_FORM = 1 << 16
_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": SECURITY_HEADERS["Content-Security-Policy"].replace(
        "form-action 'none'", "form-action 'self'"
    ),
    "Cache-Control": "no-store",
    # With none at all, a browser hides from us which page sent the form.
    "Referrer-Policy": "same-origin",
}


class PageGuard:
    """Lets a request through to the pages, or sends a browser to the login.

    `open_pages`: this machine's own user needs no login (the server listens on loopback, and nothing stands before it).
    """

    def __init__(self, store: Store, pages: ASGIApp, open_pages: bool) -> None:
        self.store, self.pages, self.open_pages = store, pages, open_pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        answer = self._refusal(request)
        await (answer or self.pages)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path
        if path.startswith("/-/static/"):
            return None  # the same in every copy of this program, and the login needs them
        if path.startswith("/sdk/"):
            # Where W&B collects the client's telemetry; told anything else, the client thinks it served, and complains.
            return refusal(Refused(404, "no telemetry here"))
        if _holds_key(self.store, request):
            return None
        if self.open_pages and is_own_user(request):
            # Any page on the web may send a form to a loopback address; what is no browser says nothing of origins.
            says = "origin" in request.headers or "sec-fetch-site" in request.headers
            foreign = request.method not in ("GET", "HEAD") and says and not is_same_origin(request)
            return refusal(Refused(403, "asked for by a page of another server")) if foreign else None
        user = session_user(self.store, request)
        if user is not None:
            viewer.set(user["name"])
            if request.method in ("GET", "HEAD") or is_same_origin(request):
                return None
            return refusal(Refused(403, "asked for by a page of another server"))
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            wanted = path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)
        return refusal(Refused(401, "no valid API key, and no login"))


def _holds_key(store: Store, request: Request) -> bool:
    key = key_of(request)
    return bool(key) and store.user_of_key(key or "") is not None


def _cookie(store: Store) -> str:
    """Cookies know no ports: two servers of one machine need names of their own."""
    return f"vishwam_{store.instance()[:8]}"


def session_user(store: Store, request: Request) -> dict | None:
    token = request.cookies.get(_cookie(store))
    return user_of_session(store, token) if token else None


def routes(store: Store) -> list[BaseRoute]:
    """/login asks for the key, tells who is logged in, and logs out."""
    name = _cookie(store)

    def show(request: Request, status: int = 200, problem: str = "", wanted: str = "/") -> Response:
        user = session_user(store, request)
        values = {"user": user and user["name"], "problem": problem, "wanted": wanted}
        return render("login.html", status, _HEADERS, page={"entity": "", "project": ""}, **values)

    async def form(request: Request) -> Response:
        return show(request, wanted=_local_path(request.query_params.get("next", "")))

    async def log_in(request: Request) -> Response:
        fields = await _fields(request)
        wanted = _local_path(fields.get("next", ""))
        user = store.user_of_key(fields.get("key", "").strip())
        if user is None:
            return show(request, 401, "No user has this key.", wanted)
        answer = RedirectResponse(wanted, 303)
        answer.set_cookie(
            name, begin_session(store, user["id"]), max_age=int(SESSION_SECONDS), httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    async def log_out(request: Request) -> Response:
        await _fields(request)
        end_session(store, request.cookies.get(name, ""))
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(name)
        return answer

    return [
        Route("/login", form, methods=["GET"]),
        Route("/login", log_in, methods=["POST"]),
        Route("/logout", log_out, methods=["POST"]),
    ]


async def _fields(request: Request) -> dict[str, str]:
    """A form that a page of ours sent; 403 for another's."""
    if not is_same_origin(request):
        raise Refused(403, "sent by a page of another server")
    try:
        text = (await read_body(request, MAX_FORM)).decode()
        return {key: values[-1] for key, values in parse_qs(text, max_num_fields=10).items()}
    except ValueError:
        raise Refused(400, "not a form") from None


def _local_path(text: str) -> str:
    """Where to go after the login: a page of this server, never another's address."""
    parts = urlsplit(text.replace("\\", "/")) if text.isprintable() else urlsplit("")
    is_page = parts.path.startswith("/") and not text.startswith(("//", "/\\")) and not parts.scheme
    return text if is_page and not parts.netloc else "/"
