"""An artifact with what made and used it, and runs side by side."""

import pytest

from tests.server.pages.looking import COLORS, ink, until
from tests.server.pages.world import fill_sweep


@pytest.fixture(scope="module")
def stored(site):
    """A dataset, a training run that used it and made two checkpoints, an evaluation of the first of these."""
    world = site.world("stored")
    prepare, train, evaluate = (site.call(world.run, name, {}, display_name=f"{name}-run") for name in "pte")
    data = site.call(world.artifact, "sums", "dataset", prepare, {"train.csv": b"1+1,2\n"})
    site.call(world.use, train, data)
    files = {"config.gin": b"learning_rate = 0.1\n", "params/weights.bin": bytes(3000), "notes.json": b'{"a":[1,2]}'}
    first = site.call(
        world.artifact, "checkpoint-t", "model", train, files, ["best"], metadata_json='{"loss": 0.25}', history_step=40
    )
    site.call(world.use, evaluate, first)
    site.call(world.artifact, "checkpoint-t", "model", train, {"config.gin": b"learning_rate = 0.2\n"}, ["step-80"])
    site.call(world.artifact, "scores", "result", evaluate, {"scores.csv": b"1"})
    return world


def test_versions_files_and_lineage_of_an_artifact(site, page, stored):
    page.goto(f"{site.url}/local/stored")
    page.get_by_role("link", name="checkpoint-t").click()
    assert page.locator("h1").inner_text() == "checkpoint-t:v1"
    page.locator("#versions a", has_text="v0").click()
    until(lambda: "best" in page.locator("#versions .marked").inner_text())
    assert "step 40" in page.locator("#facts").inner_text()
    assert "0.25" in page.locator("#metadata").inner_text()
    related = page.locator("#relatives").inner_text()
    assert "Made from sums:v0" in related and "Made by t-run" in related
    assert "Used by e-run" in related and "Led to scores:v0" in related
    nodes = until(lambda: page.evaluate("document.querySelector('#lineage').graph?.made?.getOption().series[0].data"))
    places = {node["name"]: node["x"] for node in nodes if "name" in node}
    assert places["sums:v0"] < places["t-run"] < places["checkpoint-t:v0"] < places["e-run"] < places["scores:v0"]
    assert ink(page, "#lineage", [(11, 99, 176)])[0] > 100
    # A look inside, and the file itself.
    row = page.locator("#files tr", has_text="notes.json")
    row.get_by_role("button", name="look").click()
    until(lambda: '"a": [' in page.locator("#files tr.peek pre").inner_text())
    answer = page.request.get(site.url + page.get_by_role("link", name="params/weights.bin").get_attribute("href"))
    assert answer.body() == bytes(3000)
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in answer.headers["content-security-policy"]
    # Where the client says it is, by version, alias or neither.
    for address in ("checkpoint-t", "checkpoint-t/best", "checkpoint-t/v1", "checkpoint-t/latest/files"):
        assert page.request.get(f"{site.url}/local/stored/artifacts/model/{address}").ok
    assert page.request.get(f"{site.url}/local/stored/artifacts/model/checkpoint-t/v9").status == 404


def test_runs_link_what_they_used_and_made(site, page, stored):
    page.goto(f"{site.url}/local/stored/runs/t")
    linked = until(lambda: page.locator("#artifacts a").all_inner_texts())
    assert linked == ["sums:v0", "checkpoint-t:v1", "checkpoint-t:v0"]
    page.locator("#artifacts a", has_text="sums:v0").click()
    assert page.locator("h1").inner_text() == "sums:v0"


def test_chosen_runs_are_compared_by_knobs_and_curves(site, page):
    world = site.world("compared")
    site.call(fill_sweep, world, 6, 120, running=0)
    page.goto(f"{site.url}/local/compared")
    for name in ("run00000", "run00002"):
        page.locator(f"#runs tr[data-run={name}] input").check()
    page.get_by_role("link", name="Compare", exact=True).click()
    until(lambda: page.locator("#comparer thead th").count() == 3)
    text = page.locator("#comparer").inner_text()
    assert "position" in text and "place" in text and "rope" in text
    assert "num_layers" not in text
    page.get_by_label("Only what differs").uncheck()
    assert "num_layers" in page.locator("#comparer").inner_text()
    until(lambda: min(ink(page, "#curves .chart:has-text('train/loss')", COLORS[:2])) > 20)
    assert ink(page, "#curves .chart:has-text('train/loss')", COLORS)[2] == 0


def test_what_is_looked_into_stays_open_while_the_page_lives(site, page):
    world = site.world("looked")
    run = site.call(world.run, "r1", {})
    site.call(world.file, run, "notes.txt", b"read me")
    site.call(world.artifact, "words", "dataset", run, {"words.txt": b"one two"})
    for address, words, new in (
        ("artifacts/dataset/words/v0", "one two", ("artifact", "words", "dataset", run, {"words.txt": b"three"})),
        ("runs/r1", "read me", ("file", run, "more.txt", b"and more")),
    ):
        page.goto(f"{site.url}/local/looked/{address}")
        page.locator("#files").get_by_role("button", name="look").first.click()
        until(lambda: page.locator("#files tr.peek:visible pre").all_inner_texts() == [words])  # noqa: B023
        kind, *arguments = new
        site.call(getattr(world, kind), *arguments)
        seen = "#versions tr" if kind == "artifact" else "#files td a"
        until(lambda: page.locator(seen).count() == 2)  # noqa: B023
        assert page.locator("#files tr.peek:visible pre").all_inner_texts() == [words]
        page.locator("#files").get_by_role("button", name="close").click()
        assert page.locator("#files tr.peek:visible").count() == 0
