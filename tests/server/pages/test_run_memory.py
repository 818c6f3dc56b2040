"""The chart of a run's memory on its page."""

import pytest

GIB = float(1 << 30)


@pytest.fixture
def opened(site, page):
    def open_run(project, limit):
        world = site.world(project)
        run = site.call(world.run, "r1", {})
        rows = [
            {
                "memory/host_rss": (1 + i / 50) * GIB,
                "memory/limit": limit * GIB,
                "memory/phase": 0 if i < 20 else 1 if i < 40 else 2,
                "memory/headroom": 0.5,
                "_runtime": float(i),
            }
            for i in range(100)
        ]
        summary = {"memory/predicted_peak": 2 * GIB, "memory/measured_peak": 2.5 * GIB, "memory/largest_batch": 321}
        site.call(world.log, run, rows)
        site.call(world.log, run, [{**rows[-1], **summary}])
        page.goto(f"{site.url}/local/{project}/runs/r1")
        page.wait_for_selector("#live.on", state="attached")
        page.locator("#memory").scroll_into_view_if_needed()
        page.wait_for_selector("#memory canvas")
        return page.locator("#memory")

    return open_run


COLUMN = """share => { const c = document.querySelector("#memory canvas");
    return [...c.getContext("2d").getImageData(Math.round(c.width * share), Math.round(c.height * 0.3), 1, 1).data] }"""


def test_one_chart_with_its_limit_and_phases(opened, page):
    section = opened("near", limit=8)
    assert section.locator(".key").inner_text().splitlines() == ["host memory", "limit"]
    said = section.locator(".note").inner_text()
    assert "Predicted peak of a training step 2 GiB; measured 2.5 GiB (+25%)." in said
    assert "about 321" in said and "The first compilation took 20s" in said
    # Compiling has a band, and training has none.
    assert page.evaluate(COLUMN, 0.35) != page.evaluate(COLUMN, 0.7)


def test_a_limit_far_above_is_said(opened):
    section = opened("far", limit=80)
    assert "The limit, 80 GiB, is far above the chart." in section.locator(".note").inner_text()
    assert section.locator(".key").is_hidden()
