"""What anybody may have stored stays text: names, settings, metrics, tables, console, files, reports."""

import json
from urllib.parse import quote

from tests.server.pages.looking import until
from tests.server.pages.test_report_page import spec_of

IMG = "<img src=x onerror='window.hacked=1'>"
SCRIPT = "</script><script>window.hacked=1</script>"
EVIL = IMG + SCRIPT


def harmless(page):
    assert page.evaluate("window.hacked") is None
    assert page.locator("main img").count() == 0
    assert page.locator("main script").count() == 0


def test_a_script_in_a_run_does_not_run(site, page):
    world = site.world("evil")
    config = {"a": {"values": [1]}}
    sweep = site.call(
        world.sweep,
        config={
            "name": EVIL,
            "method": "grid",
            "metric": {"name": EVIL},
            "parameters": {EVIL: {"values": [1, 2]}} | config,
        },
        yaml=f"name: {EVIL}",
    )
    run = site.call(
        world.run,
        "r1",
        {EVIL: EVIL, "a": EVIL},
        sweep,
        display_name=EVIL,
        notes=EVIL,
        host=EVIL,
        tags_json=json.dumps([EVIL]),
    )
    site.call(world.log, run, [{"train/step": i, EVIL: i, "text": EVIL, "train/loss": 1.0} for i in range(3)])
    site.call(world.console, run, [EVIL, f"\x1b]0;{EVIL}\x07"])
    site.call(world.alert, run, EVIL, EVIL)
    site.call(world.table, run, EVIL, [EVIL], [[EVIL], [{"_type": EVIL}]])
    site.call(world.file, run, f"{EVIL}.html", EVIL.encode())
    site.call(
        world.file, run, "wandb-metadata.json", json.dumps({"program": EVIL, "args": [EVIL], "os": EVIL}).encode()
    )
    query = {"queryFields": [{"fields": [{"name": "summaryTable", "args": [{"name": "tableKey", "value": EVIL}]}]}]}
    chart = {"panelDefId": EVIL, "userQuery": query, "stringSettings": {"title": EVIL}}
    visualize = {"value": {"visualize": {EVIL: {"panel_config": chart}}}}
    stored_config = {EVIL: {"value": EVIL}, "a": {"value": EVIL}, "_wandb": visualize}
    site.call(world.set, run, config_json=json.dumps(stored_config))
    other = site.call(world.run, "r2", {EVIL: 2, "a": "b"}, sweep, display_name=EVIL, state="finished", group_name=EVIL)
    site.call(world.log, other, [{"train/step": i, EVIL: i, "train/loss": 2.0} for i in range(3)])
    site.call(world.agent, "abcd1234", EVIL, [run])
    named = EVIL.replace("/", "")
    artifact = site.call(
        world.artifact, named, "model", run, {f"{EVIL}.txt": EVIL.encode()}, [EVIL], description=EVIL,
        metadata_json=json.dumps({EVIL: EVIL}),
    )  # fmt: skip
    site.call(world.use, other, artifact)
    stored = "/local/evil/artifacts/model/" + quote(named, safe="")
    pages = ("", "/local", "/local/evil", "/local/evil/sweeps/abcd1234", "/local/evil/compare?run=r1&run=r2", stored)
    for path in (*pages, "/local/evil/runs/r1"):
        page.goto(site.url + path)
        if path.count("/") > 1:
            page.wait_for_selector("#live.on", state="attached")
            # The text itself is there, as text.
            until(lambda: "onerror" in page.locator("main").inner_text())
            for chart in page.locator(".chart .u-over").all()[:2]:
                chart.hover()
            for menu in page.locator("summary:visible").all():
                menu.click()
            while page.get_by_role("button", name="look").count():
                page.get_by_role("button", name="look").first.click()
        harmless(page)
    page.locator("#runs, #trials, #files").first.wait_for(state="attached")
    page.locator("#files a", has_text="html").wait_for()
    answer = page.request.get(site.url + page.locator("#files a", has_text="html").get_attribute("href"))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_script_in_a_report_does_not_run(site, page):
    import wandb_workspaces.reports.v2 as wr

    world = site.world("evilreport")
    for name in ("r1", "r2"):
        run = site.call(world.run, name, {"k": EVIL}, display_name=EVIL)
        site.call(world.log, run, [{EVIL: 1.0}, {EVIL: 2.0}])
        site.call(world.file, run, f"code/{EVIL}.py", f"{EVIL} {name}".encode())
    markdown = (
        f"{EVIL}\n\n[x](javascript:window.hacked=1) ![y](https://example.org/z.png) ![z](data:text/html,{SCRIPT})"
    )
    panels = [
        wr.MarkdownPanel(markdown),
        wr.LinePlot(title=EVIL, x="Step", y=[EVIL]),
        wr.BarPlot(title=EVIL, metrics=[EVIL]),
        wr.ScalarChart(metric=wr.SummaryMetric(EVIL)),
        wr.RunComparer(),
        wr.CodeComparer(),
        wr.CustomChart.from_table(EVIL, chart_fields={"x": EVIL}, chart_strings={"title": EVIL}),
        wr.WeavePanelArtifact(artifact=EVIL),
    ]
    blocks = [
        wr.H1(EVIL),
        wr.P([wr.Link(EVIL, "javascript:window.hacked=1"), wr.InlineCode(EVIL)]),
        wr.MarkdownBlock(markdown),
        wr.CodeBlock(EVIL),
        wr.Image("javascript:window.hacked=1", EVIL),
        wr.PanelGrid(runsets=[wr.Runset(project="evilreport", entity="local", name=EVIL)], panels=panels),
    ]
    spec = spec_of(blocks)
    spec["blocks"] += [
        {"type": EVIL},
        {"type": "soundcloud", "html": EVIL},
        {"type": "heading", "children": 3},
        "x",
        None,
    ]
    slug = site.call(world.report, "T", spec, description=EVIL)
    page.goto(f"{site.url}/local/evilreport/reports/{slug}")
    page.wait_for_selector("main[data-drawn=yes]", state="attached")
    until(lambda: "onerror" in page.locator(".comparer").inner_text())
    until(lambda: "onerror" in page.locator(".code-lines").inner_text())
    assert page.evaluate("window.hacked") is None
    assert page.locator("main script").count() == 0
    assert page.locator("main [onerror]").count() == 0
    assert page.locator("main a[href^='javascript']").count() == 0
    # What the policy stopped, and the artifact that is not there.
    page.complaints[:] = [
        text for text in page.complaints if "Content Security Policy" not in text and "404" not in text
    ]


def test_every_page_forbids_foreign_and_inline_scripts(site, page):
    for path in ("/", "/local", "/local/nothing/runs/x"):
        policy = page.request.get(site.url + path).headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
