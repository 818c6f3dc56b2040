import base64
import json

from tests.server.pages.looking import COLORS, ink, until
from tests.server.pages.world import final_metrics, trial_rows

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
CONFIG = {"position": "place", "learning_rate": 0.004, "model": {"layers": 2}}


def test_curves_settings_console_tables_and_files(site, page):
    world = site.world("one")
    run = site.call(world.run, "r1", CONFIG, display_name="steady-sum-1")
    site.call(world.log, run, trial_rows(CONFIG, range(0, 121), 1))
    site.call(world.log, run, [{"train/step": 121, **final_metrics(CONFIG)}])
    site.call(world.console, run, ["\x1b[32mloss\x1b[0m 0.5", "10%\r20%\r100% done"])
    site.call(world.console, run, ["a warning"], "error")
    site.call(
        world.table, run, "samples", ["question", "prediction", "correct"], [["12+30", "42", True], ["1+1", "3", False]]
    )
    page.goto(f"{site.url}/local/one/runs/r1")
    page.wait_for_selector("#live.on", state="attached")
    sections = [text.split()[0] for text in page.locator("#groups > details > summary").all_inner_texts()]
    assert sections == ["evaluation", "train", "memory"]
    until(lambda: ink(page, ".chart:has(figcaption:text-is('train/loss'))", COLORS[:1])[0] > 30)
    # Logged once: a number with a bar, not a curve of one point.
    digits = page.locator(".chart", has_text="exact_match/extrapolate")
    assert "100_digits" in digits.first.inner_text()
    assert "0.941" in digits.first.inner_text()
    assert "model.layers" in page.locator("#config").inner_text()
    assert page.locator("#console").inner_text().splitlines() == ["loss 0.5", "100% done", "a warning"]
    assert page.locator("#console .error").inner_text().strip() == "a warning"
    cells = until(lambda: page.locator("#media td").all_inner_texts())
    assert cells == ["12+30", "42", "✓", "1+1", "3", "✗"]
    link = page.locator("#files a").first.get_attribute("href")
    answer = page.request.get(site.url + link)
    assert answer.json()["columns"] == ["question", "prediction", "correct"]
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_interval_is_drawn_with_what_it_bounds(site, page):
    world = site.world("bounds")
    run = site.call(world.run, "r1", CONFIG, state="finished")
    name = "interpolate/exact_match"
    rows = [
        {"train/step": i, name: i / 9, f"{name}_low": i / 10, f"{name}_high": i / 8, f"{name}_count": 500}
        for i in range(8)
    ]
    site.call(world.log, run, rows, parameters=1e5)
    page.goto(f"{site.url}/local/bounds/runs/r1")
    chart = page.locator(".chart")
    until(lambda: chart.count() == 2 and chart.first.get_attribute("data-points") == "24")
    assert chart.first.inner_text().splitlines()[0] == name
    drawn = "document.querySelector('.chart .plot').chart.series.map((one) => [one.label, Boolean(one.dash)])"
    assert page.evaluate(drawn) == [[name, False], [f"{name}_high", True], [f"{name}_low", True]]


def test_a_running_run_fills_its_page_by_itself(site, page):
    world = site.world("growing")
    run = site.call(world.run, "r1", CONFIG)
    page.goto(f"{site.url}/local/growing/runs/r1")
    page.wait_for_selector("#live.on", state="attached")
    assert "Nothing logged yet" in page.locator("#groups").inner_text()
    for start in (0, 50):
        site.call(world.log, run, trial_rows(CONFIG, range(start, start + 50), 1))
        site.call(world.console, run, [f"step {start}"])
        chart = page.locator(".chart:has(figcaption:text-is('train/loss'))")
        until(lambda: chart.count() and chart.get_attribute("data-points") == str(start + 50))  # noqa: B023
        until(lambda: f"step {start}" in page.locator("#console").inner_text())  # noqa: B023
    assert page.locator("#console").inner_text().splitlines() == ["step 0", "step 50"]
    site.call(world.alert, run, "Diverged", "loss is NaN at step 99")
    site.call(world.set, run, state="failed", exit_code=1)
    until(lambda: page.locator("#state .badge.failed").count() == 1)
    assert "loss is NaN at step 99" in page.locator("#alerts .alert.error").inner_text()
    assert "exit code 1" in page.locator("#facts").inner_text()


def test_the_projects_page_lists_runs_sweeps_and_reports(site, page):
    world = site.world("lists")
    site.call(world.sweep)
    site.call(world.report, "A title", {"blocks": []})
    site.call(world.log, site.call(world.run, "r1", CONFIG, display_name="first"), trial_rows(CONFIG, range(0, 121), 1))
    page.goto(f"{site.url}/local/lists")
    until(lambda: ink(page, "#curves", COLORS[:1])[0] > 30)
    assert "first" in page.locator("#runs").inner_text()
    page.get_by_text("A title").click()
    assert page.locator("h1").inner_text() == "A title"
    page.goto(site.url)
    page.locator(".projects a", has_text="lists").click()
    page.get_by_role("link", name="sums").click()
    assert page.locator("h1").inner_text() == "sums"


def test_settings_beside_the_sweeps_best_and_how_to_make_it_again(site, page):
    world = site.world("again")
    sweep = site.call(world.sweep)
    gin = "learning_rate = 0.02\n" * 20
    for name, rate, loss in (("good", 0.004, 0.1), ("poor", 0.02, 0.9)):
        config = {"position": "place", "learning_rate": rate, "steps": 9, "gin_config": gin}
        run = site.call(world.run, name, config, sweep, state="finished")
        site.call(world.log, run, [{"train/step": 1, "validation/loss": loss}])
    told = {
        "program": "/home/x/.venv/bin/vishwam",
        "args": ["train", "gin/math.gin", "learning_rate=0.02", "name=two words"],
        "git": {"remote": "https://example.org/r.git", "commit": "abc123"},
        "python": "CPython 3.11.7",
    }
    site.call(world.file, run, "wandb-metadata.json", json.dumps(told).encode())
    page.goto(f"{site.url}/local/again/runs/poor")
    row = until(lambda: page.locator("#config tr.differs").all_inner_texts())
    assert [text.split() for text in row] == [["learning_rate", "0.02", "best", "0.004"]]
    lines = page.locator("#again pre").first.inner_text().splitlines()
    assert lines[0].startswith("git clone https://example.org/r.git")
    assert lines[1:] == ["git checkout abc123", "vishwam train gin/math.gin learning_rate=0.02 'name=two words'"]
    page.locator("#again summary", has_text="gin_config").click()
    assert page.locator("#again details pre").inner_text().count("0.02") == 20
    page.get_by_text("Where it ran").click()
    assert "CPython 3.11.7" in page.locator("#remake").inner_text()


def test_tables_page_sort_and_filter_and_media_go_back_in_time(site, page):
    world = site.world("tables")
    run = site.call(world.run, "r1", CONFIG)
    rows = [[i, f"row {i}", (7 * i) % 123] for i in range(123)]
    site.call(world.table, run, "samples", ["i", "name", "mixed"], rows)
    for step in range(3):
        path = f"media/images/p_{step}.png"
        site.call(world.file, run, path, PIXEL)
        site.call(world.log, run, [{"train/step": step, "p": {"_type": "image-file", "path": path}}])
    page.goto(f"{site.url}/local/tables/runs/r1")
    table = page.locator("#media figure", has_text="samples")

    def column(place):
        return table.locator(f"tbody td:nth-child({place})").all_inner_texts()

    until(lambda: column(1) == [str(i) for i in range(50)])
    assert "1–50 of 123 rows" in table.inner_text()
    table.get_by_role("button", name="Next").click()
    until(lambda: column(1)[0] == "50")
    table.get_by_role("button", name="mixed").click()
    until(lambda: column(3)[:3] == ["0", "1", "2"])
    table.get_by_role("button", name="mixed").click()
    until(lambda: column(3)[:3] == ["122", "121", "120"])
    table.get_by_label("Filter rows of samples").fill("row 11")
    until(lambda: sorted(column(2)) == sorted(["row 11", *(f"row 11{i}" for i in range(10))]))
    picture = page.locator("#media img")
    assert picture.get_attribute("src").endswith("p_2.png")
    page.get_by_label("Step of p").fill("0")
    until(lambda: picture.get_attribute("src").endswith("p_0.png"))


def test_a_run_is_stopped_from_its_page_and_metrics_are_searched(site, page):
    world = site.world("stopped")
    run = site.call(world.run, "r1", CONFIG)
    site.call(
        world.log, run, [{"train/step": i, "train/loss": 1.0 / (i + 1), "train/tokens": 64 * i} for i in range(9)]
    )
    site.call(world.log, run, [{"train/step": 10, "memory/host_rss": 5e8, "other/x": 1}])
    page.goto(f"{site.url}/local/stopped/runs/r1")
    until(lambda: page.locator("#groups .chart:visible").count() == 4)
    page.get_by_label("Search metrics").fill("loss")
    until(lambda: page.locator("#groups .chart:visible").all_inner_texts()[0].startswith("train/loss"))
    assert page.locator("#groups .chart:visible").count() == 1
    # Over tokens: the last point stands at 512.
    page.get_by_role("button", name="Tokens").click()
    last = """() => document.querySelector("#groups .chart:not([hidden]) .plot").chart.plot?.data[0].at(-1)"""
    until(lambda: page.evaluate(last) == 512)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop for good?").click()
    until(lambda: page.get_by_role("button", name="Stopping").count() == 1)
    read = site.store.writer.execute
    asked = site.call(lambda: read("SELECT stop_requested FROM runs WHERE id = ?", (run,)).fetchone()[0])
    assert asked == 1


def test_a_chart_is_read_and_zoomed_from_the_keyboard(site, page):
    world = site.world("keys")
    run = site.call(world.run, "r1", CONFIG, state="finished")
    site.call(world.log, run, [{"train/step": i, "train/loss": 1.0 / (i + 1)} for i in range(101)])
    page.goto(f"{site.url}/local/keys/runs/r1")
    plot = "document.querySelector('#groups .plot').chart.plot"
    until(lambda: page.evaluate(f"{plot}?.scales.x.max") == 100)
    page.get_by_label("train/loss: arrow keys").focus()
    page.keyboard.press("ArrowRight")
    tip = page.locator("#groups .tip").first
    until(lambda: "step 5" in tip.inner_text())
    page.keyboard.press("+")
    until(lambda: page.evaluate(f"{plot}.scales.x.max - {plot}.scales.x.min") < 60)
    page.keyboard.press("-")
    until(lambda: page.evaluate(f"{plot}.scales.x.max - {plot}.scales.x.min") == 100)
    page.keyboard.press("Escape")
    until(lambda: not tip.is_visible())


def test_a_run_that_ended_before_it_logged_anything_says_so(site, page):
    world = site.world("nothing")
    run = site.call(world.run, "r1", CONFIG)
    page.goto(f"{site.url}/local/nothing/runs/r1")
    until(lambda: "Nothing logged yet" in page.locator("#groups").inner_text())
    site.call(world.set, run, state="failed", exit_code=1)
    until(lambda: "ended without logging" in page.locator("#groups").inner_text())
