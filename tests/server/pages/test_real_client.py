"""The unmodified client on one side, a browser on the other."""

import os
import signal
import subprocess
import sys
import textwrap

from tests.conftest import wandb_env
from tests.server.pages.looking import COLORS, ink, until

SCRIPT = """
    import pathlib, sys, wandb
    run = wandb.init(project="browsed", id="r1", name="real", config={"lr": 0.1, "model": {"layers": 2}})
    run.define_metric("train/step")
    run.define_metric("*", step_metric="train/step")
    for step in range(60):
        run.log({"train/step": 10 * step, "train/loss": 1 / (step + 1)})
    print("half way", flush=True)
    sys.stdin.readline()
    for step in range(60, 120):
        run.log({"train/step": 10 * step, "train/loss": 1 / (step + 1)})
    run.log({"samples": wandb.Table(columns=["question", "right"], data=[["1+1=<b>", True]])})
    artifact = wandb.Artifact("weights", "model")
    pathlib.Path("weights.txt").write_text("x" * 2000)
    artifact.add_file("weights.txt")
    run.log_artifact(artifact, aliases=["best"]).wait()
    print("all done", flush=True)
    run.finish()

    import wandb_workspaces.reports.v2 as wr
    runs = wr.Runset(project="browsed", entity=run.entity, filters="Metric('ID') == 'r1'")
    panels = [wr.LinePlot(x="train/step", y=["train/loss"]), wr.WeavePanelSummaryTable(table_name="samples")]
    blocks = [wr.PanelGrid([runs], panels=panels)]
    report = wr.Report(project="browsed", entity=run.entity, title="What it learnt", blocks=blocks)
    print("REPORT", report.save().url, flush=True)
"""


def test_a_real_run_and_its_report_are_shown_while_they_grow(server, page, tmp_path):
    environment = wandb_env(server, tmp_path)
    script = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)],
        env=environment, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        address = f"{server.url}/{server.entity}/browsed/runs/r1"
        until(lambda: page.request.get(address).ok, 60)
        page.goto(address)
        chart = page.locator(".chart:has(figcaption:text-is('train/loss'))")
        until(lambda: chart.count() and chart.get_attribute("data-points") == "60", 30)
        until(lambda: "half way" in page.locator("#console").inner_text(), 30)
        assert page.locator("#state .badge.running").count() == 1
        assert script.stdin is not None
        script.stdin.write("go\n")
        script.stdin.flush()
        until(lambda: chart.get_attribute("data-points") == "120", 30)
        until(lambda: page.locator("#state .badge.finished").count() == 1, 60)
        assert ink(page, ".chart:has(figcaption:text-is('train/loss'))", COLORS[:1])[0] > 30
        until(lambda: page.locator("#media td").all_inner_texts() == ["1+1=<b>", "✓"])
        assert "all done" in page.locator("#console").inner_text()
        until(lambda: "weights:v0" in page.locator("#artifacts").inner_text())
        assert "best" in page.locator("#artifacts .alias").all_inner_texts()
        assert "model.layers" in page.locator("#config").inner_text()
        output, _ = script.communicate(timeout=60)
        assert script.returncode == 0, output
        page.goto(output.split("REPORT ")[1].strip())
        page.wait_for_selector("main[data-drawn=yes]", state="attached")
        until(lambda: ink(page, ".panel[data-kind='Run History Line Plot']", COLORS[:1])[0] > 30)
        until(lambda: "1+1=<b>" in page.locator(".panel[data-kind=Weave]").inner_text())
    finally:
        if script.poll() is None:
            os.killpg(script.pid, signal.SIGKILL)
