from tests.server.pages.looking import COLORS, ink, until
from tests.server.pages.world import fill_sweep, trial_rows

CONFIG = {"position": "place", "learning_rate": 0.003, "weight_decay": 0.0}


def sweep_of(world):
    return world.store.writer.execute("SELECT id FROM sweeps WHERE project_id = ?", (world.project_id,)).fetchone()[
        "id"
    ]


def test_trials_curves_and_knobs_are_drawn(site, page):
    world = site.world("drawn")
    site.call(fill_sweep, world, 4, 120)
    page.goto(f"{site.url}/local/drawn/sweeps/abcd1234")
    page.wait_for_selector("#trials tbody tr")
    rows = page.locator("#trials tbody tr")
    assert rows.count() == 4
    assert "stopped early" in rows.nth(2).inner_text()
    assert "rope" in rows.nth(2).inner_text()
    assert "running" in rows.nth(3).inner_text()
    assert page.locator("#trials .star").count() == 1
    titles = page.locator("#curves figcaption").all_inner_texts()
    assert titles[:2] == ["validation/loss", "train/loss"]
    # Each of the four trials has its own colour in the curves and in the parallel coordinates.
    until(lambda: min(ink(page, "#curves .chart >> nth=1", COLORS)) > 30)
    until(lambda: min(ink(page, "#parallel", COLORS)) > 100)


def test_a_running_sweep_fills_its_page_by_itself(site, page):
    world = site.world("live")
    sweep = site.call(world.sweep)
    run = site.call(world.run, "first", CONFIG, sweep)
    page.goto(f"{site.url}/local/live/sweeps/abcd1234")
    page.wait_for_selector("#live.on", state="attached")
    assert page.locator("#trials .badge.running").count() == 1
    assert page.locator("#curves canvas").count() == 0
    site.call(world.log, run, trial_rows(CONFIG, range(0, 61), 1))
    chart = page.locator("#curves .chart", has_text="train/loss")
    until(lambda: chart.count() and chart.get_attribute("data-points") == "61")
    until(lambda: ink(page, "#curves .chart:has-text('train/loss')", COLORS)[0] > 30)
    loss = page.locator("#trials tbody tr td.n").nth(2)
    before = loss.inner_text()
    site.call(world.log, run, trial_rows(CONFIG, range(61, 181), 1))
    until(lambda: chart.get_attribute("data-points") == "181")
    until(lambda: loss.inner_text() != before)
    # A second trial and the end of the first show without a reload.
    site.call(world.run, "second", CONFIG | {"learning_rate": 0.01}, sweep, state="pending")
    site.call(world.set, run, state="finished")
    until(lambda: page.locator("#trials tbody tr").count() == 2)
    until(lambda: page.locator("#trials .badge.finished").count() == 1)
    assert "learning_rate 0.01" in page.locator("#trials").inner_text()


def test_brushing_an_axis_selects_trials_in_the_table(site, page):
    world = site.world("brushed")
    site.call(fill_sweep, world, 4, 120, running=0)
    page.goto(f"{site.url}/local/brushed/sweeps/abcd1234")
    until(lambda: min(ink(page, "#parallel", COLORS)) > 100)
    box = page.locator("#parallel").bounding_box()
    # The first axis (position) stands 46 px from the left; its lower half is the first category, place.
    x, low, high = box["x"] + 46, box["y"] + box["height"] - 30, box["y"] + box["height"] * 0.58
    page.mouse.move(x, high)
    page.mouse.down()
    page.mouse.move(x, (low + high) / 2, steps=4)
    page.mouse.move(x, low, steps=4)
    page.mouse.up()
    until(lambda: page.locator("#trials tr.dim").count() == 1)
    assert "rope" in page.locator("#trials tr.dim").inner_text()
    # It stays so when something new arrives.
    site.call(world.run, "later", CONFIG, site.call(sweep_of, world))
    until(lambda: page.locator("#trials tbody tr").count() == 5)
    assert "rope" in page.locator("#trials tr.dim").first.inner_text()
    page.mouse.click(x, box["y"] + 60)
    until(lambda: page.locator("#trials tr.dim").count() == 0)


def test_hovering_a_trial_marks_it_in_the_table(site, page):
    page.goto(f"{site.url}/local/drawn/sweeps/abcd1234")
    page.locator("#legend a").nth(1).hover()
    until(lambda: page.locator("#trials tr.marked").get_attribute("data-run") == "run00001")
    until(lambda: page.locator("#legend a.dim").count() == 3)


def test_a_sweep_without_trials_says_so(site, page):
    world = site.world("bare")
    site.call(world.sweep, state="PENDING")
    page.goto(f"{site.url}/local/bare/sweeps/abcd1234")
    page.wait_for_selector("#trials .empty")
    assert "Start an agent" in page.locator("#trials").inner_text()


def test_a_page_that_is_not_there_says_so(site, page):
    for path in (
        "local/nothing",
        "local/drawn/sweeps/nothing",
        "local/drawn/runs/nothing",
        "local/drawn/reports/T--no",
    ):
        answer = page.request.get(f"{site.url}/{path}")
        assert answer.status == 404
        assert "Not here" in answer.text()


def test_what_cannot_be_read_is_said_and_read_again(site, page):
    page.route("**/-/data/runs*", lambda route: route.fulfill(status=500), times=2)
    page.goto(f"{site.url}/local/drawn/sweeps/abcd1234")
    until(lambda: page.get_by_role("alert").filter(has_text="the server answered 500").count() == 1)
    assert page.locator("#trials tbody tr").count() == 0
    until(lambda: page.locator("#trials tbody tr").count() == 4)
    assert page.locator("#trouble").count() == 0
    assert all("500" in text for text in page.complaints)
    page.complaints.clear()
