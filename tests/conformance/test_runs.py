"""One run's life: logged, watched, resumed, read back by wandb.Api()."""

from tests.conformance.conftest import Script, graphql
from vishwam.server.local import Address


def test_everything_a_run_logs_comes_back(script: Script) -> None:
    seen = script(
        """
        import pathlib, wandb
        config = {"a": 1, "nested": {"b": [1, 2]}}
        with wandb.init(project="life", config=config, tags=["t"], group="g", notes="n") as run:
            run.define_metric("validation/loss", step_metric="train/step")
            for step in range(7):
                run.log({"loss": 1 / (step + 1), "train/step": 10 * step, "deep": {"x": step}, "bad": float("nan")})
            run.log({"table": wandb.Table(columns=["q", "a"], data=[["1+1", "2"]]), "h": wandb.Histogram([1, 2, 2])})
            run.summary["text"] = "done"
            run.alert("title", "words", level=wandb.AlertLevel.WARN)
            pathlib.Path("note.txt").write_text("kept")
            run.save("note.txt", policy="now")
            print("a line on the console")
            name = f"{run.entity}/{run.project}/{run.id}"
        run = wandb.Api().run(name)
        rows = list(run.scan_history())
        run.file("note.txt").download("got", replace=True)
        result(
            state=run.state, config=run.config, tags=run.tags, group=run.group, notes=run.notes, name=name,
            losses=[row["loss"] for row in run.scan_history(keys=["loss"])],
            sampled=[row["loss"] for row in run.history(keys=["loss"], pandas=False)],
            system=len(run.history(stream="system", pandas=False)) > 0,
            deep=rows[6]["deep"], nan=repr(rows[0]["bad"]), table=rows[7]["table"]["_type"],
            text=run.summary["text"], last=run.lastHistoryStep,
            files=sorted(file.name for file in run.files()), kept=pathlib.Path("got/note.txt").read_text(),
            user=run.user.username,
        )
        """
    )
    losses = [1 / (step + 1) for step in range(7)]
    assert seen["state"] == "finished"
    assert seen["config"] == {"a": 1, "nested": {"b": [1, 2]}}
    assert (seen["tags"], seen["group"], seen["notes"], seen["user"]) == (["t"], "g", "n", "local")
    assert seen["losses"] == seen["sampled"] == losses
    assert seen["deep"] == {"x": 6} and seen["nan"] == "nan" and seen["table"] == "table-file"
    assert seen["text"] == "done" and seen["last"] == 7 and seen["system"]
    assert seen["kept"] == "kept"
    assert {"config.yaml", "note.txt", "output.log", "wandb-metadata.json", "wandb-summary.json"} <= set(seen["files"])


def test_a_resumed_run_goes_on_where_it_was(script: Script, server: Address) -> None:
    code = """
        import wandb
        run = wandb.init(project="resumed", config={"x": 1})
        result(resumed=run.resumed, start=run.starting_step)
        for value in range(3):
            run.log({"value": value})
            print("line", value)
        run.finish(exit_code=int(sys.argv[1]))
        """
    environment = {"WANDB_RUN_ID": "again", "WANDB_RESUME": "allow"}
    assert script(code, "1", **environment) == {"resumed": False, "start": 0}
    assert script(code, "0", **environment) == {"resumed": True, "start": 3}
    run = graphql(
        server,
        """query { project(name: "resumed", entityName: "local") { run(name: "again") {
        state historyLineCount history logLines(first: 100) { edges { node { line } } } } } }""",
    )["project"]["run"]
    assert run["state"] == "finished" and run["historyLineCount"] == 6
    steps = [row.split('"_step":')[1].split(",")[0].rstrip("}") for row in run["history"]]
    assert steps == ["0", "1", "2", "3", "4", "5"]
    lines = [edge["node"]["line"] for edge in run["logLines"]["edges"]]
    assert [line for line in lines if line.startswith("line")] == ["line 0", "line 1", "line 2"] * 2


def test_runs_are_filtered_and_ordered_by_the_server(script: Script) -> None:
    seen = script(
        """
        import wandb
        for a, loss in ((1, 0.5), (2, 0.25), (3, 1.0)):
            with wandb.init(project="filters", name=f"run-{a}", config={"a": a, "deep": {"k": a * 10}}) as run:
                run.log({"loss": loss})
        api = wandb.Api()
        def names(filters=None, **more): return [run.name for run in api.runs("local/filters", filters or {}, **more)]
        result(
            all=names(), best=names(order="+summary_metrics.loss"), worst=names(order="-summary_metrics.loss"),
            equal=names({"config.a": 2}), value=names({"config.a.value": 2}), nested=names({"config.deep.value.k": 30}),
            either=names({"$or": [{"config.a": 1}, {"summary_metrics.loss": {"$gte": 1}}]}),
            regex=names({"display_name": {"$regex": "[12]$"}}), none=names({"state": "crashed"}),
            pages=names(per_page=1),
        )
        """
    )
    assert seen["all"] == seen["pages"] == ["run-1", "run-2", "run-3"]
    assert seen["best"] == ["run-2", "run-1", "run-3"] and seen["worst"] == ["run-3", "run-1", "run-2"]
    assert seen["equal"] == seen["value"] == ["run-2"] and seen["nested"] == ["run-3"]
    assert seen["either"] == ["run-1", "run-3"] and seen["regex"] == ["run-1", "run-2"] and seen["none"] == []


def test_runs_are_forked_and_rewound_in_their_middle(script: Script) -> None:
    seen = script(
        """
        import wandb
        def log(run, values):
            for value in values:
                run.log({"value": value})
        def read(name):
            run = wandb.Api().run(f"local/branches/{name}")
            return [[row["_step"], row["value"]] for row in run.scan_history(keys=["_step", "value"])]
        with wandb.init(project="branches", id="trunk") as run:
            log(run, [0, 1, 2, 3])
        with wandb.init(project="branches", id="fork", fork_from="trunk?_step=1") as run:
            log(run, [20])
            summary = dict(wandb.Api().run("local/branches/fork").summary)
        with wandb.init(project="branches", id="fork", resume="must") as run:
            log(run, [30])
        fork = read("fork")
        with wandb.init(project="branches", id="trunk", resume_from="trunk?_step=2") as run:
            log(run, [300])
        result(fork=fork, trunk=read("trunk"), inherited=summary.get("value"))
        """
    )
    assert seen["fork"] == [[0, 0], [1, 1], [2, 20], [3, 30]]
    assert seen["trunk"] == [[0, 0], [1, 1], [2, 2], [3, 300]]


def test_custom_charts_keep_their_tables_and_own_ones_their_specification(script: Script) -> None:
    """Whatever draws them reads a table, and the fields of it that the run's configuration names."""
    seen = script(
        """
        import wandb
        api = wandb.Api()
        own = dict(entity="local", name="mine", display_name="Mine", spec_type="vega2", access="private")
        names = [api.create_custom_chart(**own, spec={"mark": "bar"}) for _ in range(2)]
        try:
            api.create_custom_chart(**own, spec={"mark": "line"})
        except Exception as error:
            refused = str(error)
        table = lambda: wandb.Table(columns=["x", "y"], data=[[0, 1.0], [1, 0.5]])
        with wandb.init(project="charts", id="all") as run:
            run.log({
                "line": wandb.plot.line(table(), "x", "y"), "histogram": wandb.plot.histogram(table(), "x"),
                "confusion": wandb.plot.confusion_matrix(y_true=[0, 1], preds=[0, 0], class_names=["no", "yes"]),
                "series": wandb.plot.line_series(xs=[0, 1], ys=[[1, 2], [3, 4]], keys=["a", "b"]),
                "own": wandb.plot_table(names[0], table(), {"x": "x"}, {"title": "t"}),
            })
            run.log({"line": wandb.plot.line(wandb.Table(columns=["x", "y"], data=[[7, 8]]), "x", "y")})
        run = api.run("local/charts/all")
        panels = {key: one["panel_config"] for key, one in run.rawconfig["_wandb"]["visualize"].items()}
        tables = {artifact.name: next(iter(artifact.manifest.entries)) for artifact in run.logged_artifacts()}
        result(
            names=names, refused=refused,
            asked={key: [one["panelDefId"], one["fieldSettings"]] for key, one in panels.items()},
            columns={name: api.artifact(f"local/charts/{name}").get(path.split(".")[0]).columns
                     for name, path in tables.items()},
            last=run.summary["line_table"]["nrows"], key=api.viewer.api_keys,
        )
        """
    )
    assert seen["names"] == ["local/mine"] * 2 and "there is another chart local/mine" in seen["refused"]
    assert seen["asked"]["line"] == ["wandb/line/v0", {"x": "x", "y": "y", "stroke": None}]
    assert seen["asked"]["own"] == ["local/mine", {"x": "x"}]
    assert set(seen["asked"]) == {"line", "histogram", "confusion", "series", "own"}
    assert seen["columns"]["run-all-confusion_table:v0"] == ["Actual", "Predicted", "nPredictions"]
    assert len(seen["columns"]) == 6 and seen["last"] == 1, "both lines are there, the last one in the summary"
    assert [len(key) for key in seen["key"]] == [8]


def test_media_come_back_byte_for_byte(script: Script) -> None:
    """Images need Pillow, which is not among what we install: W&B's own system tests cover them."""
    seen = script(
        """
        import hashlib, pathlib, wandb
        pathlib.Path("tone.wav").write_bytes(b"RIFF" + bytes(range(256)))
        pathlib.Path("film.mp4").write_bytes(b"ftyp" + bytes(range(200)))
        points = wandb.Table(columns=["step", "value"], data=[[0, 1.0], [1, 0.5]])
        with wandb.init(project="media", id="all") as run:
            run.log({
                "audio": wandb.Audio("tone.wav", caption="a tone"), "video": wandb.Video("film.mp4"),
                "many": [wandb.Html("a"), wandb.Html("b")], "html": wandb.Html("<b>x</b>"),
                "table": wandb.Table(columns=["q", "page"], data=[["1+1", wandb.Html("<i>2</i>")]]),
                "histogram": wandb.Histogram([1, 2, 2, 3]), "chart": wandb.plot.line(points, "step", "value"),
            })
            run.log({"audio": wandb.Audio("tone.wav", caption="again")})
        run = wandb.Api().run("local/media/all")
        rows = list(run.scan_history())
        broken, found = [], {}
        for key, value in rows[0].items():
            if isinstance(value, dict) and "_type" in value:
                found[key] = value["_type"]
                if "path" in value:
                    contents = pathlib.Path(run.file(value["path"]).download("got", replace=True).name).read_bytes()
                    if hashlib.sha256(contents).hexdigest() != value["sha256"]:
                        broken.append(key)
        (table,) = [artifact.get("table") for artifact in run.logged_artifacts() if artifact.name.endswith("table:v0")
                    and "chart" not in artifact.name]
        result(
            found=found, broken=broken, captions=[row["audio"]["caption"] for row in rows],
            steps=[row["_step"] for row in rows], cells=[type(cell).__name__ for cell in table.data[0]],
            files=sorted({file.name.split("/")[1] for file in run.files() if file.name.startswith("media/")}),
        )
        """
    )
    assert seen["broken"] == [] and seen["steps"] == [0, 1]
    assert seen["found"] == {
        "audio": "audio-file", "video": "video-file", "many": "html", "html": "html-file",
        "table": "table-file", "histogram": "histogram", "chart_table": "table-file",
    }  # fmt: skip
    assert seen["captions"] == ["a tone", "again"] and seen["cells"] == ["str", "Html"]
    assert seen["files"] == ["audio", "html", "table", "videos"]
