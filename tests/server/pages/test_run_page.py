from tests.server.pages.looking import COLORS, ink, until
from tests.server.pages.world import final_metrics, trial_rows

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
