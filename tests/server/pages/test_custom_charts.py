"""What scripts draw with wandb.plot, as the real client writes it down, on the page of their run."""

import json

import pytest
import wandb

from tests.server.pages.looking import COLORS, ink, until
from vishwam.server.pages import custom

CURVE = [[0.1 * i, 1 - 0.01 * i * i, name] for name in ("cat", "dog") for i in range(10)]


def area():
    """As wandb.plot.pr_curve and roc_curve end, without scikit-learn."""
    return wandb.plot_table(
        "wandb/area-under-curve/v0", wandb.Table(["recall", "precision", "class"], CURVE),
        {"x": "recall", "y": "precision", "class": "class"},
        {"title": "PR", "x-axis-title": "Recall", "y-axis-title": "Precision"},
    )  # fmt: skip


def made() -> dict:
    points = wandb.Table(["x", "y", "kind"], CURVE)
    counts = wandb.Table(["name", "count"], [["a<b>", 3], ["b", 9]])
    return {
        "line": wandb.plot.line(points, "x", "y", stroke="kind", title="Line"),
        "scatter": wandb.plot.scatter(points, "x", "y", title="Scatter"),
        "bar": wandb.plot.bar(counts, "name", "count", title="Bar"),
        "histogram": wandb.plot.histogram(points, "y", title="Histogram"),
        "series": wandb.plot.line_series([0, 1, 2], [[1, 2, 3], [3, 2, 1]], keys=["up", "down"], title="Series"),
        "confusion": wandb.plot.confusion_matrix(y_true=[0, 1, 1, 1], preds=[0, 1, 1, 0], class_names=["no", "yes"]),
        "area": area(),
    }


EXPECTED = {
    "line": ("Line", 2, 20), "scatter": ("Scatter", 1, 20), "bar": ("Bar", 1, 2), "histogram": ("Histogram", 1, 20),
    "series": ("Series", 2, 6), "confusion": ("Confusion Matrix Curve", 1, 4), "area": ("PR", 2, 20),
}  # fmt: skip


def test_charts_of_wandb_plot_are_drawn_from_their_tables(site, page):
    world = site.world("plots")
    run = site.call(world.run, "r1", {})
    visualize = {}
    for key, chart in made().items():
        chart.set_key(key)
        visualize[key] = chart.spec.config_value
        site.call(world.table, run, chart.spec.table_key, chart.table.columns, chart.table.data)
    site.call(world.set, run, config_json=json.dumps({"_wandb": {"value": {"visualize": visualize}}}))
    page.goto(f"{site.url}/local/plots/runs/r1")
    page.set_viewport_size({"width": 1360, "height": 2400})
    until(lambda: page.locator(".media.custom:has(canvas)").count() == len(EXPECTED))
    assert page.locator("#media .table").count() == 0, "their tables are not shown a second time"
    for title, series, rows in EXPECTED.values():
        figure = page.locator(".media.custom").filter(has=page.get_by_text(title, exact=True))
        assert figure.locator("[data-rows]").get_attribute("data-rows") == str(rows)
        drawn = figure.locator("[data-rows]").evaluate("(host) => host.graph.made.getOption().series")
        assert len(drawn) == series
        if title == "Histogram":
            assert sum(drawn[0]["data"]) == 20
        elif title == "Confusion Matrix Curve":
            # True no: 1; true yes: once taken for no, twice for yes.
            cells = sorted(tuple(cell["value"]) for cell in drawn[0]["data"])
            assert cells == [(0, 0, 1), (0, 1, 1), (1, 0, 0), (1, 1, 2)]
        else:
            until(lambda: ink(page, f".media.custom:has(figcaption:text-is('{title}'))", COLORS[:1])[0] > 20)  # noqa: B023


@pytest.mark.parametrize(
    "config", [None, [], {"userQuery": 3}, {"userQuery": {"queryFields": [{"fields": [{"args": 1}]}]}}]
)
def test_odd_settings_of_a_chart_ask_for_nothing(config):
    found = custom.chart(config)
    assert found is None or (found["table"], found["summary"]) == (None, None)
    assert custom.of_run(json.dumps({"_wandb": {"value": {"visualize": {"k": {"panel_config": config}}}}})) == {}
