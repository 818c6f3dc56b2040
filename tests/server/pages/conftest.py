"""A server with pages on a port of its own, in this process, and a headless Chromium to read them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from tests.screenshots import browser as open_browser
from tests.screenshots import chromium
from tests.server.pages.world import World
from vishwam.server.pages import routes
from vishwam.server.store import Store


class Site:
    """The pages of one store, or all that `make` serves. `call` runs a function on the server's thread: it writes."""

    def __init__(
        self, folder: Path, make: Callable[[Store], Starlette] = lambda store: Starlette(routes=routes(store))
    ) -> None:
        self.store = Store(folder)
        config = uvicorn.Config(make(self.store), port=0, log_level="error", timeout_graceful_shutdown=1)
        self.server = uvicorn.Server(config)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.02)
        self.url = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}"

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.server.serve())

    def call(self, function: Callable, *arguments: Any, **named: Any) -> Any:
        async def run() -> Any:
            return function(*arguments, **named)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def world(self, project: str = "maths") -> World:
        return self.call(World, self.store, project)

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.store.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    opened = Site(tmp_path_factory.mktemp("pages"))
    yield opened
    opened.close()


# For as long as it is open, an event loop runs in this thread: no longer than for the tests of the pages.
@pytest.fixture(scope="package")
def chrome() -> Iterator[Any]:
    if chromium() is None:
        pytest.skip("no Chromium on this machine")
    with open_browser() as opened:
        yield opened


@pytest.fixture
def page(chrome: Any) -> Iterator[Any]:
    """A fresh page; a script that fails, or that the page forbids, fails the test."""
    opened = chrome.new_page(viewport={"width": 1360, "height": 1600})
    opened.set_default_timeout(15000)
    opened.complaints = []
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("console", lambda message: message.type == "error" and opened.complaints.append(message.text))
    yield opened
    complaints = opened.complaints
    opened.close()
    assert complaints == []
