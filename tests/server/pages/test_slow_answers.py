"""Answers that come late or in another order than they were asked for in, as on a slow line: what was chosen last is
what is shown."""

from fnmatch import fnmatch

import wandb_workspaces.reports.v2 as wr

from tests.server.pages.looking import until
from tests.server.pages.test_report_page import open_report, panel, trials
from tests.server.pages.world import fill_sweep


class Held:
    """Requests for `pattern` wait until they are let go."""

    def __init__(self, page, pattern):
        self.page, self.pattern, self.routes = page, pattern, []
        page.route(pattern, lambda route: self.routes.append(route))

    def let_go(self, place):
        """Returns when the answer to the request at `place` is here."""
        until(lambda: self.page.evaluate("1") and len(self.routes) > place)
        with self.page.expect_response(lambda answer: fnmatch(answer.url, self.pattern)) as answered:
            self.routes[place].continue_()
        answered.value.finished()
        self.page.evaluate("new Promise((done) => setTimeout(done, 50))")


def test_two_runs_chosen_before_their_code_is_here(site, page):
    world = site.world("compared")
    site.call(fill_sweep, world, 4, 20)
    for i in range(4):
        site.call(world.file, site.call(world.number_of, f"run0000{i}"), "code/train.py", f"rate = {i}\n".encode())
    open_report(site, page, world, [wr.PanelGrid(runsets=[trials("compared")], panels=[wr.CodeComparer()])])
    comparer = page.locator(panel("Code Comparer"))
    until(lambda: comparer.locator("td.gone").count() == 1)
    shown = [comparer.get_by_label(label).input_value() for label in ("Left run", "Right run")]
    left, right = (f"run0000{i}" for i in range(4) if f"run0000{i}" not in shown)
    held = Held(page, "**/-/data/code*")
    comparer.get_by_label("Left run").select_option(left)
    comparer.get_by_label("Right run").select_option(right)
    # The page asks for the left one's code once for each choice.
    held.let_go(0)
    held.let_go(1)
    held.let_go(2)
    until(lambda: comparer.locator("td.gone").all_inner_texts() == [f"rate = {left[-1]}"])
    assert comparer.locator("td.new").all_inner_texts() == [f"rate = {right[-1]}"]
    assert [comparer.get_by_label(label).input_value() for label in ("Left run", "Right run")] == [left, right]


def test_a_table_shows_the_order_chosen_last(site, page):
    world = site.world("sorted")
    run = site.call(world.run, "r1", {"position": "place"})
    site.call(world.table, run, "samples", ["i", "mixed"], [[i, (7 * i) % 123] for i in range(123)])
    page.goto(f"{site.url}/local/sorted/runs/r1")
    table = page.locator("#media figure", has_text="samples")

    def column(place):
        return table.locator(f"tbody td:nth-child({place})").all_inner_texts()

    until(lambda: len(column(1)) == 50)
    held = Held(page, "**/-/data/table*")
    table.get_by_role("button", name="Next").click()
    table.get_by_role("button", name="mixed").click()
    held.let_go(1)
    until(lambda: column(2)[:3] == ["0", "1", "2"])
    held.let_go(0)
    assert column(2)[:3] == ["0", "1", "2"]


def test_trials_count_by_what_was_chosen_last(site, page):
    world = site.world("late")
    sweep = site.call(world.sweep)
    for name, losses in {"a": [3.0, 1.0, 2.5], "b": [2.0, 1.4, 1.5]}.items():
        run = site.call(world.run, name, {"position": "place"}, sweep, state="finished")
        site.call(world.log, run, [{"train/step": i, "validation/loss": loss} for i, loss in enumerate(losses)])
    page.goto(f"{site.url}/local/late/sweeps/abcd1234")
    page.locator("#best").scroll_into_view_if_needed()

    def scores():
        made = page.evaluate("document.querySelector('#best').graph?.made?.getOption().series[0].data ?? []")
        return {point["id"]: round(point["value"][1], 3) for point in made}

    until(lambda: scores() == {"a": 2.5, "b": 1.5})
    held = Held(page, "**/-/data/scores*")
    page.get_by_label("Counted by").select_option("mean")
    page.get_by_label("Counted by").select_option("best")
    held.let_go(1)
    until(lambda: scores() == {"a": 1.0, "b": 1.4})
    held.let_go(0)
    assert scores() == {"a": 1.0, "b": 1.4}
