"""The report of a sweep, saved to a real embedded server and read back through the client."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import wandb_env
from vishwam import cli
from vishwam.errors import BadInput
from vishwam.tracking import metrics, panels, report, sweeps

ROOT = Path(__file__).parent.parent.parent
SETS = {"interpolate": ["arithmetic__add_or_sub"], "extrapolate": ["50_digits", "100_digits"]}
# What a trial of experiments/math.yaml writes, without the minutes it takes.
TRIAL = """\
import wandb
run = wandb.init()
score = {"rope": 0.25, "place": 0.75}[run.config["position"]] if run.config["learning_rate"] > 1e-4 else 0.0
run.define_metric("train/step")
run.define_metric("*", step_metric="train/step")
for step in (10, 20):
    row = {"train/step": step, "train/loss": 1 - score, "validation/loss": 1 - score, "interpolate/exact_match": score}
    row |= {"interpolate/exact_match_count": 500, "exact_match/interpolate/arithmetic__add_or_sub": score}
    row |= {f"exact_match/extrapolate/{digits}_digits": score for digits in (50, 100)}
    run.log(row)
run.finish()
"""


@pytest.fixture(scope="module")
def wandb_server(server, tmp_path_factory):
    """The session's server, with this process's client pointed at it."""
    folder = tmp_path_factory.mktemp("client")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in wandb_env(server, folder, WANDB_PROJECT="reports", VISHWAM_HOME=str(folder)).items():
            patch.setenv(name, value)
        yield server


def new_sweep(address, **changes) -> str:
    import wandb

    content = yaml.safe_load((ROOT / "experiments" / "math.yaml").read_text()) | changes
    return wandb.sweep(content, entity=address.entity, project="reports")


def saved(address, sweep: str) -> list:
    import wandb

    reports = wandb.Api().reports(f"{address.entity}/reports")
    return [each for each in reports if each.description == f"Sweep {address.entity}/reports/{sweep}"]


def panels_of(spec: dict) -> list[dict]:
    grids = [block["metadata"] for block in spec["blocks"] if block["type"] == "panel-grid"]
    return [panel for grid in grids for panel in grid["panelBankSectionConfig"]["panels"]]


def test_a_sweep_has_its_report_before_its_first_trial(wandb_server, monkeypatch):
    monkeypatch.chdir(ROOT)
    sweep = new_sweep(wandb_server)
    url = report.build(wandb_server.entity, "reports", sweep)
    [found] = saved(wandb_server, sweep)
    assert url.startswith(f"{wandb_server.url}/{wandb_server.entity}/reports/reports/math-{sweep}--")
    lines = [panel["config"] for panel in panels_of(found.spec) if panel["viewType"] == "Run History Line Plot"]
    drawn = {name for line in lines for name in line["metrics"]}
    assert {metrics.VALIDATION_LOSS, metrics.TRAIN_LOSS, metrics.INTERPOLATE, metrics.EXTRAPOLATE} <= drawn
    assert {"exact_match/extrapolate/50_digits", "exact_match/extrapolate/100_digits"} <= drawn
    [by_digits] = [line for line in lines if line["metrics"] == [metrics.BY_DIGITS]]
    assert by_digits["xAxis"] == metrics.DIGITS
    by_step = [line for line in lines if not line["metrics"][0].startswith(("memory/", "length/"))]
    assert all(line["xAxis"] == "train/step" for line in by_step)
    [parallel] = [panel for panel in panels_of(found.spec) if panel["viewType"] == "Parallel Coordinates Plot"]
    accessors = [column["accessor"] for column in parallel["config"]["columns"]]
    assert set(accessors[:2]) == {"config:position.value", "config:learning_rate.value"}
    assert accessors[-1] == "summary:interpolate/exact_match"


def test_every_panel_shows_this_sweep_alone(wandb_server, monkeypatch):
    monkeypatch.chdir(ROOT)
    sweep = new_sweep(wandb_server)
    report.build(wandb_server.entity, "reports", sweep)
    [found] = saved(wandb_server, sweep)
    grids = [block["metadata"] for block in found.spec["blocks"] if block["type"] == "panel-grid"]
    for grid in grids:
        for runs in grid["runSets"]:
            [chosen] = runs["filters"]["filters"]
            assert (chosen["key"]["name"], chosen["op"], chosen["value"]) == ("sweep", "=", sweep)


def test_built_again_it_is_the_same_report(wandb_server, monkeypatch):
    monkeypatch.chdir(ROOT)
    sweep, other = new_sweep(wandb_server), new_sweep(wandb_server)
    first = report.build(wandb_server.entity, "reports", sweep)
    assert report.build(wandb_server.entity, "reports", other) != first
    assert report.build(wandb_server.entity, "reports", sweep) == first
    assert len(saved(wandb_server, sweep)) == 1


def test_wandb_workspaces_reads_it_back(wandb_server, monkeypatch):
    import wandb_workspaces.reports.v2 as wr

    monkeypatch.chdir(ROOT)
    sweep = new_sweep(wandb_server, name="sums / of #10 digits?")
    read = wr.Report.from_url(report.build(wandb_server.entity, "reports", sweep))
    assert read.title == f"sums of 10 digits {sweep}"
    headings = [block.text for block in read.blocks if isinstance(block, wr.H1)]
    assert headings[0] == "Results" and "Using the best checkpoint" in headings


def test_results_are_those_of_the_trials(wandb_server, tmp_path, monkeypatch):
    (tmp_path / "trial.py").write_text(TRIAL)
    monkeypatch.chdir(tmp_path)  # without the Gin files: the names of the sets come from the trials
    sweep = new_sweep(
        wandb_server,
        program="trial.py",
        command=[sys.executable, "trial.py"],
        early_terminate={"type": "hyperband", "min_iter": 100},
    )
    path = f"{wandb_server.entity}/reports/{sweep}"
    agent = [sys.executable, "-m", "wandb", "agent", "--count", "2", path]
    # Its exit code is not looked at: Python may abort at the end of W&B's agent, whose threads still print then.
    said = subprocess.run(agent, capture_output=True, text=True, timeout=120)
    assert [trial.state for trial in sweeps.trials(path)] == ["finished"] * 2, said.stderr
    best = sweeps.best(sweeps.trials(path))
    assert best is not None and best.summary["interpolate/exact_match"] == 0.75
    report.build(*path.split("/"))
    [found] = saved(wandb_server, sweep)
    text = "\n".join(block["content"] for block in found.spec["blocks"] if block["type"] == "markdown-block")
    assert "`position` = place" in text and "75.0%" in text
    assert f"checkpoint-{best.id}:best" in text
    drawn = {name for panel in panels_of(found.spec) for name in panel["config"].get("metrics", ())}
    assert metrics.HOST_RSS in drawn and metrics.DEVICE_USED not in drawn  # no trial had a device
    weighed = [p["config"]["targetKey"] for p in panels_of(found.spec) if p["viewType"] == "Parameter Importance"]
    assert weighed == [metrics.INTERPOLATE, metrics.VALIDATION_LOSS]
    assert not any("Bias" in str(block) for block in found.spec["blocks"])  # no trial logged any
    [bars] = [panel["config"] for panel in panels_of(found.spec) if panel["viewType"] == "Bar Chart"]
    assert bars["metrics"] == [metrics.exact_match(split, name) for split, names in SETS.items() for name in names]


def test_bias_and_benchmarks_have_sections_when_trials_log_them():
    summary = {"bias/crows_pairs": 3.0, "benchmark/gsm8k": 0.25, "benchmark/note": "text"}
    blocks = panels.when_logged([sweeps.Trial("a", "finished", {}, summary, 1.0)], lambda *panels: panels)
    assert [block.text for block in blocks[::3]] == ["Bias", "Benchmarks"]
    assert [bars.metrics for bars, *_ in blocks[2::3]] == [["bias/crows_pairs"], ["benchmark/gsm8k"]]


def test_the_command_prints_its_address_and_writes_a_page(wandb_server, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(ROOT)
    sweep = new_sweep(wandb_server)
    capsys.readouterr()
    assert cli.main(["report", sweep, "--html", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert f"math {sweep}" in page and "Best exact match in range" in page and "<script src" not in page
    assert cli.main(["report", sweep, "--html", str(tmp_path / "no" / "report.html")]) == 2
    assert "No such file or directory" in capsys.readouterr().err
    assert cli.main(["report", sweep]) == 0
    out = capsys.readouterr().out
    assert out == report.build(wandb_server.entity, "reports", sweep) + "\n"


def test_an_unknown_sweep_is_named_with_its_neighbour(wandb_server):
    sweep = new_sweep(wandb_server)
    with pytest.raises(BadInput, match=rf"no sweep .*; did you mean '{sweep}'\?"):
        report.build(wandb_server.entity, "reports", sweep[:-1] + ("a" if sweep[-1] != "a" else "b"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("me/maths/abc", ("me", "maths", "abc")), ("maths/abc", ("us", "maths", "abc")), ("abc", ("us", "sums", "abc"))],
)
def test_a_sweep_may_be_named_by_its_last_part(monkeypatch, text, expected):
    monkeypatch.setenv("WANDB_ENTITY", "us")
    monkeypatch.setenv("WANDB_PROJECT", "sums")
    assert report.resolve(text) == expected


def test_what_is_no_sweep_is_refused():
    with pytest.raises(BadInput, match="'a/b/c/d' is no sweep"):
        report.resolve("a/b/c/d")


def test_bounds_and_signed_gaps_have_no_panels_and_who_knows_nothing_has_no_bias():
    summary = {"bias/gap": 0.1, "bias/gap_low": 0.0, "bias/gap_high": 0.2, "bias/signed/age/old": 0.1}

    def blocks(knows):
        trial = sweeps.Trial("a", "finished", {}, summary | {metrics.KNOWS_LANGUAGE: knows}, 1.0)
        return panels.when_logged([trial], lambda *panels: panels)

    _, _, (bars, *curves) = blocks(1.0)
    assert bars.metrics == ["bias/gap"] and len(curves) == 1
    _, told = blocks(0.0)
    assert told.text == panels.KNOWS_NOTHING
