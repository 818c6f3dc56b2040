"""Reports and workspaces saved and loaded by wandb-workspaces."""

from tests.conformance.conftest import Script


def test_a_report_is_saved_changed_and_loaded(script: Script) -> None:
    seen = script(
        """
        import wandb
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
        wandb.init(project="reports").finish()
        grid = wr.PanelGrid(
            runsets=[wr.Runset("local", "reports", name="all")],
            panels=[wr.LinePlot(x="train/step", y=["loss"]), wr.ScatterPlot(x="c::a", y="loss")],
        )
        report = wr.Report(project="reports", entity="local", title="First", blocks=[wr.H1("Head"), grid])
        report.save()
        loaded = wr.Report.from_url(report.url)
        loaded.title = "Second"
        loaded.save()
        same = wr.Report.from_url(report.url)
        space = ws.Workspace(entity="local", project="reports", name="space", sections=[ws.Section(name="s")])
        space.save()
        result(
            url=report.url, titles=[report.title, same.title], head=same.blocks[0].text,
            panels=[type(panel).__name__ for panel in same.blocks[1].panels],
            listed=[found.display_name for found in wandb.Api().reports("local/reports")],
            space=ws.Workspace.from_url(space.url).name,
        )
        """
    )
    assert "/local/reports/reports/First--" in seen["url"]
    assert seen["titles"] == ["First", "Second"] and seen["head"] == "Head"
    assert seen["panels"] == ["LinePlot", "ScatterPlot"]
    assert seen["listed"] == ["Second"] and seen["space"] == "space"
