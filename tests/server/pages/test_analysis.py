"""Knobs against outcome, the table's switches and the sweep's buttons."""

import pytest

from tests.server.pages.looking import COLORS, ink, until
from tests.server.pages.world import fill_sweep

LOSSES = {"a": [3.0, 1.0, 2.5], "b": [2.0, 1.5, 1.4], "c": [2.2, 2.1, 1.2]}


@pytest.fixture(scope="module")
def swept(site):
    """Four trials, one stopped early and one failed; what they cost on disk; one agent that listens."""
    world = site.world("analysed")
    rows = site.call(fill_sweep, world, 4, 120, running=0)
    site.call(world.set, rows[3], state="failed")
    site.call(world.file, rows[0], "notes.txt", b"x" * 3000)
    site.call(world.agent, "abcd1234", "node-7", rows[:2])
    return world


def drawn(page, selector, series=0):
    """The points an ECharts graph has on its canvas."""
    script = "([s, i]) => document.querySelector(s).graph?.made?.getOption()?.series[i]?.data"
    return page.evaluate(script, [selector, series])


def test_a_brush_selects_runs_everywhere(site, page, swept):
    page.goto(f"{site.url}/local/analysed/sweeps/abcd1234")
    until(lambda: min(ink(page, "#parallel", COLORS)) > 100)
    box = page.locator("#parallel").bounding_box()
    x, low = box["x"] + 46, box["y"] + box["height"] - 30
    page.mouse.move(x, box["y"] + box["height"] * 0.58)
    page.mouse.down()
    page.mouse.move(x, low - 40, steps=4)
    page.mouse.move(x, low, steps=4)
    page.mouse.up()
    # rope, the third trial, is out of the curves, the table, the scatters and the best so far.
    until(lambda: page.locator("#trials tr.dim").count() == 1)
    assert "3 chosen" in page.locator("#trial-tools").inner_text()
    until(lambda: ink(page, "#curves .chart:has-text('train/loss')", COLORS)[2] == 0)
    assert min(ink(page, "#curves .chart:has-text('train/loss')", COLORS)[:2]) > 30
    page.locator("#scatters figure").first.scroll_into_view_if_needed()
    shown = until(lambda: drawn(page, "#scatters .parallel"))
    faint = {point["id"] for point in shown if point["itemStyle"]["opacity"] < 0.5}
    assert faint == {"run00002"}
    # The table takes it back, and ticks choose as the brush does.
    page.get_by_role("button", name="Clear").click()
    until(lambda: page.locator("#trials tr.dim").count() == 0)
    page.locator("#trials tr[data-run=run00002] input").check()
    until(lambda: page.locator("#trials tr.dim").count() == 3)
    assert page.locator("#trials tbody tr").first.get_attribute("data-run") == "run00002"
    until(lambda: ink(page, "#curves .chart:has-text('train/loss')", COLORS)[2] > 30)
    assert ink(page, "#curves .chart:has-text('train/loss')", COLORS)[0] == 0


def test_a_metric_counts_by_its_last_best_or_mean_value(site, page):
    world = site.world("counted")
    sweep = site.call(world.sweep)
    for place, (name, losses) in enumerate(LOSSES.items()):
        config = {"position": "place", "learning_rate": 0.001 * 10**place, "weight_decay": 0.0}
        run = site.call(world.run, name, config, sweep, state="finished")
        site.call(world.log, run, [{"train/step": i, "validation/loss": loss} for i, loss in enumerate(losses)])
    page.goto(f"{site.url}/local/counted/sweeps/abcd1234")
    page.locator("#best").scroll_into_view_if_needed()

    def scores():
        found = drawn(page, "#best")
        return {point["id"]: round(point["value"][1], 3) for point in found} if found else None

    until(lambda: scores() == {"a": 2.5, "b": 1.4, "c": 1.2})
    page.get_by_label("Counted by").select_option("best")
    until(lambda: scores() == {"a": 1.0, "b": 1.4, "c": 1.2})
    page.get_by_label("Counted by").select_option("mean")
    page.get_by_label("How many values").fill("2")
    page.get_by_label("How many values").press("Enter")
    until(lambda: scores() == {"a": 1.75, "b": 1.45, "c": 1.65})
    # It is remembered, and the axis of a knob is what the reader makes it.
    page.reload()
    page.locator("#best").scroll_into_view_if_needed()
    until(lambda: scores() == {"a": 1.75, "b": 1.45, "c": 1.65})
    log = page.get_by_label("Logarithmic axis for learning_rate")
    assert log.get_attribute("aria-pressed") == "true"
    kind = "document.querySelector('#parallel').graph.made.getOption().parallelAxis[1].type"
    assert page.evaluate(kind) == "log"
    log.click()
    until(lambda: page.evaluate(kind) == "value")
    page.locator(".axis button", has_text="weight_decay").click()
    names = "document.querySelector('#parallel').graph.made.getOption().parallelAxis.map((one) => one.name)"
    until(lambda: page.evaluate(names) == ["position", "learning_rate", "validation/loss"])


def test_runs_are_searched_filtered_grouped_and_shown_by_column(site, page, swept):
    page.goto(f"{site.url}/local/analysed")
    rows = page.locator("#runs tbody tr")
    until(lambda: rows.count() == 4)
    search = page.get_by_label("Search and filter")
    for text, found in {
        "rope": 1,
        "position=place": 3,
        "position!=place": 1,
        "state=failed": 1,
        "weight_decay<=0.01": None,
        "steps>500": 0,
        "train/loss<0 steps=120": 0,
        'state="stopped early"': 1,
        "host~WORK": 4,
    }.items():
        search.fill(text)
        expected = found if found is not None else rows.count()
        until(lambda: rows.count() == expected)  # noqa: B023
    assert page.locator("#runs").inner_text().count("workstation") == 0
    search.fill("")
    page.locator("summary", has_text="Columns").click()
    page.get_by_label("host", exact=True).check()
    until(lambda: page.locator("#runs").inner_text().count("workstation") == 4)
    page.get_by_label("num_layers").check()
    heads = page.locator("#runs thead th").all_inner_texts()
    assert "num_layers" in heads
    page.locator("h1").click()
    page.get_by_label("Group").select_option("position")
    until(lambda: page.locator("#runs tr.grouped").count() == 2)
    assert "position place" in page.locator("#runs tr.grouped").first.inner_text()
    page.locator("#runs tr.grouped button").first.click()
    until(lambda: rows.count() == 3)
    # A condition can also be chosen.
    page.get_by_label("Group").select_option("")
    page.locator("summary", has_text="Filter").click()
    page.get_by_label("Field").select_option("position")
    page.get_by_label("Value", exact=True).fill("rope")
    page.get_by_role("button", name="Add").click()
    until(lambda: rows.count() == 1)
    assert search.input_value() == "position=rope"
    # The curves are those of what is left, and the choice outlives the page.
    until(lambda: ink(page, "#curves .chart:has-text('train/loss')", COLORS)[0] == 0)
    assert ink(page, "#curves .chart:has-text('train/loss')", COLORS)[2] > 30
    page.reload()
    until(lambda: rows.count() == 1)
    assert "num_layers" in page.locator("#runs thead").inner_text()


def test_any_runs_get_the_analysis_of_a_sweep(site, page, swept):
    page.goto(f"{site.url}/local/analysed")
    page.get_by_role("heading", name="Knobs and outcome").click()
    page.locator("#importance").scroll_into_view_if_needed()
    until(lambda: "4 trials ended" in page.locator("#importance").inner_text())
    assert "learning_rate" in page.locator("#importance").inner_text()
    until(lambda: min(ink(page, "#parallel", COLORS)) > 60)


def test_a_sweep_is_paused_resumed_and_cancelled_from_its_page(site, page, swept):
    world = site.world("steered")
    sweep = site.call(world.sweep)
    run = site.call(world.run, "r1", {"position": "place"}, sweep)
    page.goto(f"{site.url}/local/steered/sweeps/abcd1234")
    page.get_by_role("button", name="Pause").click()
    until(lambda: page.locator("#state .badge.paused").count() == 1)
    assert page.locator("#acts button").all_inner_texts() == ["Resume", "Stop", "Cancel"]
    page.get_by_role("button", name="Resume").click()
    until(lambda: page.locator("#state .badge.running").count() == 1)
    page.get_by_role("button", name="Cancel").click()

    def stored(table, number, column):
        read = site.store.writer.execute
        return site.call(lambda: read(f"SELECT {column} FROM {table} WHERE id = ?", (number,)).fetchone()[0])

    assert stored("sweeps", sweep, "state") == "RUNNING", "once is not enough"
    page.get_by_role("button", name="Cancel for good?").click()
    until(lambda: page.locator("#state .badge.canceled").count() == 1)
    assert page.locator("#acts button").count() == 0
    assert stored("runs", run, "stop_requested") == 1
    # No page of another server, and no old one, can do it.
    asked = {"entity": "local", "project": "steered", "sweep": "abcd1234", "act": "resume"}
    for origin, status in (("http://127.0.0.1:1", 403), (site.url, 409)):
        answer = page.request.post(f"{site.url}/-/act/sweep", data=asked, headers={"Origin": origin})
        assert answer.status == status


def test_agents_storage_and_what_went_wrong_are_on_the_page(site, page, swept):
    page.goto(f"{site.url}/local/analysed/sweeps/abcd1234")
    until(lambda: "node-7" in page.locator("#agents").inner_text())
    assert "listening" in page.locator("#agents").inner_text()
    assert "stored" in page.locator("#facts").inner_text()
    assert page.locator("#trials tr.faulty .badge.failed").count() == 1
    assert page.locator("#trials .badge.stopped").count() == 1
    page.locator("#scatters figure").first.scroll_into_view_if_needed()
    shapes = {point["id"]: point["symbol"] for point in until(lambda: drawn(page, "#scatters .parallel"))}
    assert shapes == {"run00000": "circle", "run00001": "circle", "run00002": "rect", "run00003": "diamond"}


def test_what_a_brush_does_is_done_from_the_keyboard(site, page, swept):
    page.goto(f"{site.url}/local/analysed/sweeps/abcd1234")
    until(lambda: min(ink(page, "#parallel", COLORS)) > 100)
    page.locator("summary", has_text="Choose runs by value").focus()
    page.keyboard.press("Enter")
    page.get_by_label("position rope").focus()
    page.keyboard.press("Space")
    dimmed = page.locator("#trials tr.dim")
    until(lambda: dimmed.count() == 3)
    assert "3 chosen" not in page.locator("#trial-tools").inner_text()
    page.keyboard.press("Space")
    until(lambda: dimmed.count() == 0)
    rates = sorted(run["value"][0] for run in until(lambda: scattered(page, "learning_rate")))
    low = page.get_by_label("learning_rate from")
    low.focus()
    page.keyboard.type(str(rates[1] * 0.999))
    page.keyboard.press("Enter")
    until(lambda: dimmed.count() == 1)
    # Taken back with everything else that is chosen.
    page.get_by_role("button", name="Clear").focus()
    page.keyboard.press("Enter")
    until(lambda: dimmed.count() == 0)
    until(lambda: low.input_value() == "")


def scattered(page, knob):
    script = """(name) => [...document.querySelectorAll("#scatters .parallel")].map((one) => one.graph)
        .find((one) => one.made?.getOption().xAxis[0].name === name)?.made.getOption().series[0].data"""
    page.locator("#scatters figure").first.scroll_into_view_if_needed()
    return page.evaluate(script, knob)


PLOT = "[...document.querySelectorAll('#curves .plot')].find((one) => one.chart.title === 'validation/loss').chart"


def test_grouped_trials_are_drawn_as_their_mean_between_lowest_and_highest(site, page):
    world = site.world("seeds")
    sweep = site.call(world.sweep)
    losses = {("place", 1): [4.0, 2.0], ("place", 2): [2.0, 1.0], ("rope", 1): [8.0, 8.0]}
    for (position, seed), values in losses.items():
        run = site.call(world.run, f"{position}{seed}", {"position": position, "seed": seed}, sweep, state="finished")
        site.call(world.log, run, [{"train/step": 10 * i, "validation/loss": v} for i, v in enumerate(values)])
    page.goto(f"{site.url}/local/seeds/sweeps/abcd1234")
    until(lambda: page.evaluate(f"{PLOT}.series.length") == 3)
    page.get_by_label("Group").select_option("position")
    until(lambda: page.evaluate(f"{PLOT}.series.length") == 2)
    mean, low, high = (
        [list(row) for row in page.evaluate(f"{PLOT}.series.map((one) => [...one.{k}])")] for k in ("y", "low", "high")
    )
    assert (mean[0], low[0], high[0]) == ([3.0, 1.5], [2.0, 1.0], [4.0, 2.0])
    assert mean[1] == low[1] == high[1] == [8.0, 8.0]
    legend = page.locator("#legend .of-group").all_inner_texts()
    assert [text.split() for text in legend] == [["position", "place", "2"], ["position", "rope", "1"]]
    until(lambda: min(ink(page, "#curves", COLORS[:2])) > 30)
    page.get_by_label("Group").select_option("")
    until(lambda: page.evaluate(f"{PLOT}.series.length") == 3)


def test_one_chart_has_a_logarithmic_axis_and_room_of_its_own(site, page, swept):
    page.goto(f"{site.url}/local/analysed/sweeps/abcd1234")
    scales = "[...document.querySelectorAll('#curves .plot')].map((one) => one.chart.plot?.scales.y.distr)"
    until(lambda: page.evaluate(scales) == [1, 1, 1, 1])
    page.get_by_label("Logarithmic axis: validation/loss").click()
    until(lambda: page.evaluate(scales) == [3, 1, 1, 1])
    page.reload()
    until(lambda: page.evaluate(scales) == [3, 1, 1, 1])
    before = page.locator("#curves .chart").first.bounding_box()
    page.get_by_label("Large: validation/loss").focus()
    page.keyboard.press("Enter")
    until(lambda: page.evaluate(f"{PLOT}.plot.height") == 460)
    until(lambda: page.locator("#curves .chart").first.bounding_box()["width"] > 2 * before["width"])
    until(lambda: page.evaluate(f"{PLOT}.plot.width") > 2 * before["width"])
    page.keyboard.press("Enter")
    until(lambda: page.locator("#curves .chart").first.bounding_box() == before)
