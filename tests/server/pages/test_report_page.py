import base64
import json
from unittest import mock

import pytest
import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2 import interface, internal

from tests.server.pages.looking import COLORS, ink, until
from tests.server.pages.world import fill_sweep

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
DIGITS = ["exact_match/extrapolate/50_digits", "exact_match/extrapolate/100_digits"]
KNOB, SUMMARY = wr.Config, wr.SummaryMetric


def spec_of(blocks: list) -> dict:
    """The spec that wandb-workspaces would send, without a server to look the project up."""
    project = {"project": {"internalId": "1"}}
    with (
        mock.patch.object(interface, "execute_graphql", return_value=project),
        mock.patch.object(interface, "_get_api"),
    ):
        model = wr.Report(project="p", entity="local", title="t", blocks=blocks)._to_model()
        return json.loads(model.spec.model_dump_json(by_alias=True, exclude_none=True))


def trials(project: str, filters: str = "Metric('Sweep') == 'abcd1234'") -> wr.Runset:
    return wr.Runset(project=project, entity="local", name="Trials", filters=filters)


def panel(kind: str, place: int = 0) -> str:
    return f".panel[data-kind='{kind}'] >> nth={place}"


@pytest.fixture(scope="module")
def filled(site):
    """A sweep of four trials, and a run outside it that no run set chooses."""
    world = site.world("reported")
    site.call(fill_sweep, world, 4, 120)
    site.call(world.run, "stranger", {"position": "none"}, display_name="stranger")
    return world


def open_report(site, page, world, blocks, title="A report"):
    slug = site.call(world.report, title, spec_of(blocks))
    page.goto(f"{site.url}/local/{world.project}/reports/{slug}")
    page.wait_for_selector("main[data-drawn=yes]", state="attached")


def test_charts_of_a_report_draw_the_runs_of_the_run_set(site, page, filled):
    columns = [
        wr.ParallelCoordinatesPlotColumn(KNOB("position")),
        wr.ParallelCoordinatesPlotColumn(SUMMARY("train/loss")),
    ]
    panels = [
        wr.LinePlot(title="Loss", x="train/step", y=["train/loss"], log_y=True),
        wr.LinePlot(title="By row", x="Step", y=["train/loss"]),
        wr.LinePlot(title="By time", x="WallTime", y=["train/loss"]),
        wr.BarPlot(title="Digits", metrics=DIGITS),
        wr.BarPlot(title="Loss", metrics=["train/loss"]),
        wr.ScatterPlot(title="Rate", x=KNOB("learning_rate"), y=SUMMARY("validation/loss")),
        wr.ParallelCoordinatesPlot(title="Knobs", columns=columns),
    ]
    open_report(site, page, filled, [wr.PanelGrid(runsets=[trials("reported")], panels=panels)])
    legend = page.locator(".legend a").all_inner_texts()
    assert len(legend) == 4
    assert not any("stranger" in text for text in legend)
    for place in range(3):
        until(lambda: min(ink(page, panel("Run History Line Plot", place), COLORS)) > 15)  # noqa: B023
    # The first trial answered 2 and 0 of a hundred, the second 98 and 94; the early-stopped third and the running
    # fourth have no such numbers yet.
    first, second, third, fourth = until(lambda: ink(page, panel("Bar Chart"), COLORS))
    assert 0 < first < second / 20
    assert max(third, fourth) == 0
    until(lambda: min(ink(page, panel("Bar Chart", 1), COLORS)) > 500)
    until(lambda: min(ink(page, panel("Scatter Plot"), COLORS)) > 20)
    until(lambda: min(ink(page, panel("Parallel Coordinates Plot"), COLORS)) > 60)


def test_bars_have_their_intervals_and_the_line_of_chance(site, page):
    world = site.world("benchmarks")
    for i, name in enumerate(("a", "b")):
        number = site.call(world.run, name, {})
        logged = {"benchmark/mmlu": 0.3 + i / 5, "benchmark/gsm8k": 0.1, "benchmark/mmlu_chance": 0.25}
        site.call(
            world.log, number, [], **logged, **{"benchmark/mmlu_low": 0.2 + i / 5, "benchmark/mmlu_high": 0.4 + i / 5}
        )
    names = ["benchmark/mmlu", "benchmark/gsm8k"]
    panels = [wr.BarPlot(title="Both", metrics=names), wr.BarPlot(title="One", metrics=names[:1])]
    open_report(site, page, world, [wr.PanelGrid(runsets=[trials("benchmarks", "")], panels=panels)])

    def lines(place):
        """[x1, y1, x2, y2] of what stands over the bars, rounded to pixels."""
        script = """(host) => {
          const graph = [...host.querySelectorAll("div")].find((one) => one.graph).graph;
          const all = graph.made?.getZr().storage.getDisplayList() ?? [];
          return all.filter((one) => one.type === "line" && one.z === 5)
            .map(({ shape }) => [shape.x1, shape.y1, shape.x2, shape.y2].map(Math.round));
        }"""
        page.locator(panel("Bar Chart", place)).scroll_into_view_if_needed()
        return page.locator(panel("Bar Chart", place)).evaluate(script)

    # Two runs, each with an interval of three strokes and the line of chance, over one of two groups.
    drawn = until(lambda: len(found := lines(0)) == 8 and found)
    heights = sorted({line[1] for line in drawn if line[1] == line[3]})
    assert len(heights) == 4, "of 0.2 to 0.4, of 0.4 to 0.6, and chance"
    assert len(until(lambda: len(found := lines(1)) == 8 and found)) == 8


def test_a_scatter_has_its_running_line_its_trend_and_the_colours_of_its_third_value(site, page):
    world = site.world("front")
    for name, gap, right, loss in [("a", 0.1, 0.5, 1.0), ("b", 0.2, 0.4, 2.0), ("c", 0.3, 0.9, 3.0)]:
        number = site.call(world.run, name, {})
        site.call(world.log, number, [], **{"gap": gap, "right": right, "loss": loss})
    scatter = wr.ScatterPlot(
        title="Front",
        x=SUMMARY("gap"),
        y=SUMMARY("right"),
        z=SUMMARY("loss"),
        range_y=(0.0, 1.0),
        running_ymax=True,
        regression=True,
        gradient=[wr.GradientPoint(color="#00ff00", offset=0), wr.GradientPoint(color="#ff0000", offset=100)],
    )
    open_report(site, page, world, [wr.PanelGrid(runsets=[trials("front", "")], panels=[scatter])])
    until(lambda: ink(page, panel("Scatter Plot"), [(255, 0, 0)])[0] > 20)
    options = page.evaluate(
        "() => [...document.querySelectorAll('.panel div')].find((one) => one.graph).graph.made.getOption()"
    )
    points, running, trend = options["series"]
    assert sorted(point["value"] for point in points["data"]) == [[0.1, 0.5, 1.0], [0.2, 0.4, 2.0], [0.3, 0.9, 3.0]]
    assert running["data"] == [[0.1, 0.5], [0.2, 0.5], [0.3, 0.9]], "the best so far, from left to right"
    slope, middle = (0.9 - 0.5) / 0.2, (0.5 + 0.4 + 0.9) / 3  # by least squares over three even steps
    assert trend["data"][0] == pytest.approx([0.1, middle - 0.1 * slope])
    assert trend["data"][1] == pytest.approx([0.3, middle + 0.1 * slope])
    assert (options["yAxis"][0]["min"], options["yAxis"][0]["max"]) == (0, 1)
    assert options["visualMap"][0]["inRange"]["color"] == ["#00ff00", "#ff0000"]
    assert (options["visualMap"][0]["min"], options["visualMap"][0]["max"]) == (1, 3)


def test_figures_tables_and_comparisons_of_a_report(site, page, filled):
    panels = [
        wr.ScalarChart(title="Best", metric=SUMMARY(DIGITS[1]), groupby_aggfunc="max"),
        wr.ParameterImportancePlot(with_respect_to="validation/loss"),
        wr.RunComparer(diff_only="split"),
        wr.MediaBrowser(media_keys=["samples/extrapolate"]),
        wr.WeavePanelSummaryTable(table_name="samples/extrapolate"),
        wr.MarkdownPanel("a **bold** word"),
    ]
    table = wr.WeaveBlockSummaryTable("local", "reported", "samples/extrapolate")
    open_report(site, page, filled, [wr.PanelGrid(runsets=[trials("reported")], panels=panels), table])
    assert "0.941" in page.locator(panel("Scalar Chart")).inner_text()
    text = page.locator(panel("Parameter Importance")).inner_text()
    assert "learning_rate" in text
    assert "3 trials ended" in text
    text = page.locator(panel("Run Comparer")).inner_text()
    assert "weight_decay" in text
    assert "num_layers" not in text, "the same in every run"
    for place in ("Media Browser", "Weave"):
        until(lambda: page.locator(panel(place)).locator("tbody tr").count() == 20)  # noqa: B023
        assert "question" in page.locator(panel(place)).inner_text()
    until(lambda: page.locator(".summary-table tbody tr").count() == 20)
    assert page.locator(panel("Markdown Panel")).locator("strong").inner_text() == "bold"


def test_the_table_of_a_run_set_has_its_columns_and_order(site, page, filled):
    runset = wr.Runset(
        project="reported",
        entity="local",
        filters="Metric('Sweep') == 'abcd1234' and SummaryMetric('train/loss') >= 0",
        order=[wr.OrderBy(SUMMARY("train/loss"), ascending=True)],
        pinned_columns=["run:displayName", "run:state", "config:weight_decay.value"],
        visible_columns=["summary:train/loss"],
    )
    open_report(site, page, filled, [wr.PanelGrid(runsets=[runset], panels=[wr.RunComparer()])])
    heads = [text.strip() for text in page.locator(".runs thead th").all_inner_texts()]
    assert heads == ["Run", "State", "weight_decay", "train/loss", "Runtime"]
    losses = [float(text) for text in page.locator(".runs tbody td:nth-child(4)").all_inner_texts()]
    assert len(losses) == 4
    assert losses == sorted(losses)


def test_the_text_of_a_report(site, page, filled):
    blocks = [
        wr.TableOfContents(),
        wr.H1("First"),
        wr.P(["plain ", wr.InlineCode("code"), " and ", wr.Link("a link", "https://example.org/x")]),
        wr.UnorderedList(["one", "two"]),
        wr.OrderedList(["three"]),
        wr.CheckedList([wr.CheckedListItem("done", checked=True)]),
        wr.CodeBlock("wandb agent x", language="python"),
        wr.MarkdownBlock("| a | b |\n|---|---|\n| 1 | 2 |\n\n[x](https://example.org) costs $5 or $6: $\\frac{a}{b}$"),
        wr.LatexBlock("e = mc^2"),
        wr.BlockQuote("quoted"),
        wr.CalloutBlock("called out"),
        wr.HorizontalRule(),
        wr.Image("https://example.org/a.png", "a caption"),
        wr.Gallery([interface.GalleryURL("https://example.org/g", title="elsewhere")]),
        interface.Spotify("abc"),
    ]
    open_report(site, page, filled, blocks, "Title & more / all")
    main = page.locator("main")
    assert page.locator("h1").inner_text() == "Title & more / all"
    assert main.locator(".contents a").inner_text() == "First"
    assert main.locator("h2").inner_text() == "First"
    assert main.locator("p code").inner_text() == "code"
    assert main.get_by_role("link", name="a link").get_attribute("href") == "https://example.org/x"
    assert main.locator("ol li").inner_text() == "three"
    assert main.locator("input[type=checkbox]").is_checked()
    assert main.locator("pre").all_inner_texts() == ["wandb agent x"]
    assert main.locator("math[display=block] msup").text_content() == "c2"
    fraction = main.locator("p math mfrac")
    assert [fraction.locator("mi").nth(i).text_content() for i in (0, 1)] == ["a", "b"]
    above, below = (fraction.locator("mi").nth(i).bounding_box()["y"] for i in (0, 1))
    assert above < below, "drawn as a fraction"
    assert main.locator("td").all_inner_texts() == ["1", "2"]
    assert "costs $5 or $6:" in main.inner_text()
    assert main.locator("blockquote").inner_text() == "quoted"
    assert main.locator(".callout").inner_text() == "called out"
    assert main.locator("img").count() == 0, "nothing is fetched from elsewhere"
    assert "a caption" in main.inner_text()
    assert "“spotify” is not drawn" in main.inner_text()


def test_a_report_fills_while_its_runs_go_on(site, page):
    world = site.world("filling")
    sweep = site.call(world.sweep)
    panels = [wr.LinePlot(x="train/step", y=["train/loss"]), wr.ScalarChart(metric=SUMMARY("train/loss"))]
    open_report(site, page, world, [wr.PanelGrid(runsets=[trials("filling")], panels=panels)])
    assert "No points yet" in page.locator(panel("Run History Line Plot")).inner_text()
    run = site.call(world.run, "late", {"position": "place"}, sweep)
    site.call(world.log, run, [{"train/step": step, "train/loss": 1 / (step + 1)} for step in range(50)])
    until(lambda: ink(page, panel("Run History Line Plot"), COLORS[:1])[0] > 30)
    until(lambda: "0.02" in page.locator(panel("Scalar Chart")).inner_text())


def test_a_report_in_one_file_draws_all_without_a_server(site, page, filled, tmp_path):
    picture = "media/images/p_0.png"
    first = site.call(filled.number_of, "run00000")
    site.call(filled.file, first, picture, PIXEL)
    site.call(filled.log, first, [], picture={"_type": "image-file", "path": picture})
    knobs = ["position", "learning_rate"]
    columns = [wr.ParallelCoordinatesPlotColumn(KNOB(knob)) for knob in knobs]
    panels = [
        wr.LinePlot(title="Loss", x="train/step", y=["train/loss"], log_y=True),
        wr.LinePlot(title="By pattern", x="WallTime", metric_regex="^train/lo"),
        wr.BarPlot(title="Digits", metrics=DIGITS),
        wr.ScatterPlot(title="Rate", x=KNOB("learning_rate"), y=SUMMARY("validation/loss")),
        wr.ParallelCoordinatesPlot(
            title="Knobs", columns=[*columns, wr.ParallelCoordinatesPlotColumn(SUMMARY("train/loss"))]
        ),
        wr.ScalarChart(title="Best", metric=SUMMARY(DIGITS[1]), groupby_aggfunc="max"),
        wr.ParameterImportancePlot(with_respect_to="validation/loss"),
        wr.RunComparer(diff_only="split"),
        wr.MediaBrowser(media_keys=["picture"]),
        wr.WeavePanelSummaryTable(table_name="samples/extrapolate"),
        wr.MarkdownPanel("a **bold** word"),
    ]
    table = wr.WeaveBlockSummaryTable("local", "reported", "samples/extrapolate")
    evil = wr.MarkdownBlock("</script><script>window.hacked=1</script> <img src=x onerror='window.hacked=1'>")
    open_report(
        site, page, filled, [evil, wr.PanelGrid(runsets=[trials("reported")], panels=panels), table], "In a file"
    )
    link = page.get_by_role("link", name="download as one page")
    answer = page.request.get(site.url + link.get_attribute("href"))
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''In-a-file.html"
    file = tmp_path / "report.html"
    file.write_bytes(answer.body())
    page.goto("about:blank")  # the live page asks on until it is left
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector("main[data-drawn=yes]", state="attached")
    for place in (0, 1):
        until(lambda: min(ink(page, panel("Run History Line Plot", place), COLORS)) > 15)  # noqa: B023
    until(lambda: ink(page, panel("Bar Chart"), COLORS)[1] > 500)
    until(lambda: min(ink(page, panel("Scatter Plot"), COLORS)) > 20)
    until(lambda: min(ink(page, panel("Parallel Coordinates Plot"), COLORS)) > 60)
    assert "0.941" in page.locator(panel("Scalar Chart")).inner_text()
    assert "learning_rate" in page.locator(panel("Parameter Importance")).inner_text()
    assert "weight_decay" in page.locator(panel("Run Comparer")).inner_text()
    assert page.evaluate("document.querySelector('.panel img').naturalWidth") == 1
    until(lambda: page.locator(panel("Weave")).locator("tbody tr").count() == 20)
    until(lambda: page.locator(".summary-table tbody tr").count() == 20)
    assert page.locator(".legend a").first.get_attribute("href") == f"{site.url}/local/reported/runs/run00000"
    assert page.evaluate("window.hacked") is None
    # Nothing was fetched, and nothing else may run in it.
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy and "unsafe-inline' " not in policy.split("style-src")[0]


def test_a_report_prints_whole(site, page, filled):
    panels = [wr.LinePlot(title="Loss", x="train/step", y=["train/loss"], layout=wr.Layout(0, 90, 24, 8))]
    grid = wr.PanelGrid(runsets=[trials("reported")], panels=panels)
    open_report(site, page, filled, [*(wr.P("text") for _ in range(80)), grid])
    assert page.locator(panel("Run History Line Plot") + " canvas").count() == 0, "far below the window"
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    until(lambda: page.locator(".panel canvas").count() == 1)
    assert not page.locator("header.top").is_visible()


def test_every_kind_of_panel_that_can_be_saved_draws_or_says_what_it_is(site, page, filled):
    known = set(internal.panel_type_mapping)
    drawn = {"Run History Line Plot", "Bar Chart", "Scatter Plot", "Scalar Chart", "Parallel Coordinates Plot",
             "Parameter Importance", "Run Comparer", "Media Browser", "Markdown Panel", "Code Comparer", "Vega2",
             "Weave"}  # fmt: skip
    assert known == drawn | {"Weave Trace"}, "wandb-workspaces has a new kind"
    first, second = (site.call(filled.number_of, f"run0000{i}") for i in (0, 1))
    for run, rate in ((first, 1), (second, 2)):
        shared = "".join(f"line {i}\n" for i in range(30))
        site.call(filled.file, run, "code/train.py", f"{shared}rate = {rate}\n".encode())
        site.call(filled.table, run, "curve_table", ["x", "y"], [[i, i * rate] for i in range(12)])
    site.call(filled.artifact, "words", "dataset", first, {"a.txt": b"1", "b.txt": b"2"}, ["final"])
    panels = [
        wr.CodeComparer(),
        wr.CodeComparer(diff="unified"),
        line_chart("curve_table"),
        wr.CustomChart(
            query={"summary": {"keys": ["train/loss", "validation/loss"]}}, chart_name="wandb/scatter/v0",
            chart_fields={"x": "train/loss", "y": "validation/loss"},
        ),
        wr.CustomChart.from_table("curve_table", chart_fields={"x": "x"}, chart_strings={}),
        wr.WeavePanelArtifact(artifact="words"),
        wr.WeavePanelArtifactVersionedFile(artifact="words", version="final", file="b.txt"),
        wr.WeavePanel(),
    ]  # fmt: skip
    blocks = [
        wr.PanelGrid(runsets=[trials("reported")], panels=panels),
        wr.WeaveBlockArtifact("local", "reported", "words"),
    ]
    open_report(site, page, filled, blocks)
    check_other_kinds(page)
    # And in one file.
    link = page.get_by_role("link", name="download as one page").get_attribute("href")
    text = page.request.get(site.url + link).text()
    page.goto("about:blank")
    page.set_content(text)
    page.wait_for_selector("main[data-drawn=yes]", state="attached")
    check_other_kinds(page)


def line_chart(table):
    chart = wr.CustomChart.from_table(table, chart_fields={"x": "x", "y": "y"}, chart_strings={"title": "Two lines"})
    chart.chart_name = "wandb/line/v0"
    return chart


def check_other_kinds(page):
    split, unified = (page.locator(panel("Code Comparer", i)) for i in (0, 1))
    for comparer in (split, unified):
        comparer.get_by_label("Left run").select_option("run00000")
        comparer.get_by_label("Right run").select_option("run00001")
    until(lambda: split.locator("td.gone").all_inner_texts() == ["rate = 1"])
    assert split.locator("td.new").all_inner_texts() == ["rate = 2"]
    assert split.locator(".fold").inner_text() == "27 lines the same"
    until(lambda: unified.locator("td.gone, td.new").all_inner_texts() == ["rate = 1", "rate = 2"])
    assert "Two lines" in page.locator(panel("Vega2")).inner_text()
    until(lambda: min(ink(page, panel("Vega2"), COLORS[:2])) > 50)
    until(lambda: min(ink(page, panel("Vega2", 1), COLORS[:2])) > 10)
    until(lambda: page.locator(panel("Vega2", 2)).locator("tbody tr").count() == 12)
    assert "is not drawn here" in page.locator(panel("Vega2", 2)).inner_text()
    until(lambda: "a.txt" in page.locator(panel("Weave")).inner_text())
    assert "words:v0" in page.locator(panel("Weave")).inner_text()
    assert page.locator(panel("Weave", 1)).locator(".files a").all_inner_texts() == ["b.txt"]
    assert "other than a logged table" in page.locator(panel("Weave", 2)).inner_text()
    assert "b.txt" in page.locator("[data-artifact]").inner_text()
