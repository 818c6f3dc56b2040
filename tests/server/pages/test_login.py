"""A server that others reach: a browser sees nothing before its reader has logged in."""

import pytest

from tests.server.pages.conftest import Site
from tests.server.pages.looking import until
from tests.server.pages.world import fill_sweep
from vishwam.server.app import create_app


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    opened = Site(tmp_path_factory.mktemp("guarded"), lambda store: create_app(store, open_pages=False))
    opened.call(fill_sweep, opened.world("hidden"), 2, 60)
    yield opened
    opened.close()


def test_the_login_refuses_and_lets_in(guarded, page):
    sweep = f"{guarded.url}/local/hidden/sweeps/abcd1234"
    page.goto(sweep)
    assert page.locator("h1").inner_text() == "Log in"
    assert "sums" not in page.content()
    for address in (
        "/-/data/runs?entity=local&project=hidden",
        "/-/data/first?entity=local&project=hidden&sweep=abcd1234",
        "/-/data/code?entity=local&project=hidden&run=run00000",
        "/-/export/local/hidden/1",
        "/-/files/local/hidden/r/x",
    ):
        assert page.request.get(guarded.url + address).status == 401
    asked = {"entity": "local", "project": "hidden", "sweep": "abcd1234", "act": "cancel"}
    assert page.request.post(f"{guarded.url}/-/act/sweep", data=asked, headers={"Origin": guarded.url}).status == 401
    page.get_by_label("API key").fill("x" * 40)
    page.get_by_role("button", name="Log in").click()
    assert "No user has this key" in page.get_by_role("alert").inner_text()
    page.complaints.clear()  # the browser notes the 401
    page.get_by_label("API key").fill(guarded.store.api_key)
    page.get_by_role("button", name="Log in").click()
    until(lambda: page.locator("#trials tbody tr").count() == 2)
    assert page.url == sweep
    # Who is logged in may steer, from these pages only.
    page.get_by_role("button", name="Pause").click()
    until(lambda: page.locator("#state .badge.paused").count() == 1)
    assert page.request.post(f"{guarded.url}/-/act/sweep", data=asked, headers={"Origin": "http://x"}).status == 403
