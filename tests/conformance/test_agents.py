"""`wandb sweep` and `wandb agent`, several scenarios side by side: an agent mostly waits for its clock."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conformance.conftest import Script, graphql
from tests.conftest import wandb_env
from vishwam.server.local import Address

BIN = Path(sys.executable).parent
SECONDS = 120

# Imports nothing but wandb; arguments and wandb.config must agree.
FOREIGN = """
import sys
import wandb
given = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[1:])
with wandb.init() as run:
    assert {key: str(value) for key, value in run.config.items()} == given, (dict(run.config), given)
    for step in range(3):
        run.log({"loss": run.config["rate"] / (step + 1)})
    run.summary["given"] = given
"""
# Judged at its second value; a hopeless trial logs on until somebody stops it.
SLOW = """
import time
import wandb
with wandb.init() as run:
    run.log({"loss": run.config["rate"]})
    run.log({"loss": run.config["rate"]})
    for _ in range(300 if run.config["rate"] > 1 else 0):
        run.log({"loss": run.config["rate"]})
        time.sleep(0.2)
"""
SCENARIOS: dict[str, tuple[str, str, list[list[str]]]] = {
    "foreign": (
        FOREIGN,
        """
        program: trial.py
        method: random
        metric: {name: loss, goal: minimize}
        parameters:
          rate: {distribution: log_uniform_values, min: 0.001, max: 0.1}
          units: {values: [8, 16]}
        """,
        [["--count", "3"]],
    ),
    "grid": (
        FOREIGN,
        """
        program: trial.py
        method: grid
        metric: {name: loss, goal: minimize}
        parameters:
          rate: {values: [0.5, 0.25]}
          units: {values: [8, 16]}
        """,
        [[], []],
    ),
    "early": (
        SLOW,
        """
        program: trial.py
        method: grid
        metric: {name: loss, goal: minimize}
        early_terminate: {type: hyperband, min_iter: 2, eta: 3}
        parameters:
          rate: {values: [0.1, 50.0]}
        """,
        [[]],
    ),
    "canceled": (
        SLOW,
        """
        program: trial.py
        method: grid
        metric: {name: loss, goal: minimize}
        parameters:
          rate: {values: [10.0, 20.0]}
        """,
        [[]],
    ),
}
QUERY = """query Q($project: String!, $sweep: String!) { project(name: $project, entityName: "local") {
sweep(sweepName: $sweep) { state bestLoss runs { edges { node {
name state config summaryMetrics historyLineCount stopped exitcode } } } } } }"""


def _launch(address: Address, name: str, folder: Path) -> tuple[str, list[subprocess.Popen], dict[str, str]]:
    code, config, agents = SCENARIOS[name]
    environment = wandb_env(address, folder, WANDB_PROJECT=name, PATH=f"{BIN}:{os.environ['PATH']}")
    del environment["WANDB_SILENT"]
    (folder / "trial.py").write_text(code)
    (folder / "sweep.yaml").write_text(config)
    made = subprocess.run(
        [str(BIN / "wandb"), "sweep", "sweep.yaml"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(rf"wandb agent local/{name}/(\w+)", made.stderr)
    assert found, made.stderr
    processes = []
    for index, options in enumerate(agents):
        with (folder / f"agent-{index}.log").open("w") as log:
            processes.append(
                subprocess.Popen(
                    [str(BIN / "wandb"), "agent", "--forward-signals", *options, f"local/{name}/{found[1]}"],
                    cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip
    return found[1], processes, environment


@pytest.fixture(scope="module")
def outcomes(server: Address, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """Scenario -> its sweep as the server has it when its agents have ended, and their exit codes."""
    folders = {name: tmp_path_factory.mktemp(name) for name in SCENARIOS}
    launched = {name: _launch(server, name, folders[name]) for name in SCENARIOS}
    try:
        _cancel_when_running(server, launched["canceled"][0], launched["canceled"][2], folders["canceled"])
        deadline = time.monotonic() + SECONDS
        found: dict[str, dict[str, Any]] = {}
        for name, (sweep, processes, _) in launched.items():
            codes = [process.wait(max(1, deadline - time.monotonic())) for process in processes]
            data = graphql(server, QUERY, project=name, sweep=sweep)["project"]["sweep"]
            runs = [edge["node"] for edge in data["runs"]["edges"]]
            logs = "\n".join(path.read_text() for path in folders[name].glob("agent-*.log"))
            found[name] = {**data, "runs": runs, "codes": codes, "logs": logs, "sweep": sweep}
        yield found
    finally:
        for _, processes, _ in launched.values():
            for process in processes:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    process.wait()


def _cancel_when_running(address: Address, sweep: str, environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        data = graphql(address, QUERY, project="canceled", sweep=sweep)["project"]["sweep"]
        if any(edge["node"]["historyLineCount"] for edge in data["runs"]["edges"]):
            break
        time.sleep(0.5)
    command = [str(BIN / "wandb"), "sweep", "--cancel", f"local/canceled/{sweep}"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=60)


def test_a_foreign_script_runs_to_its_end_under_count_3(outcomes: dict[str, dict[str, Any]]) -> None:
    seen = outcomes["foreign"]
    assert seen["codes"] == [0], seen["logs"]
    assert [run["state"] for run in seen["runs"]] == ["finished"] * 3
    assert [run["historyLineCount"] for run in seen["runs"]] == [3] * 3
    assert len({run["config"] for run in seen["runs"]}) == 3
    assert seen["state"] == "RUNNING", "a random search ends when someone ends it"


def test_two_agents_share_a_grid_without_a_point_twice(outcomes: dict[str, dict[str, Any]]) -> None:
    seen = outcomes["grid"]
    assert seen["codes"] == [0, 0], seen["logs"]
    assert seen["state"] == "FINISHED"
    assert [run["state"] for run in seen["runs"]] == ["finished"] * 4
    points = [tuple(re.findall(r'"(?:rate|units)": \{"value": ([\d.]+)', run["config"])) for run in seen["runs"]]
    assert sorted(tuple(sorted(point)) for point in points) == [
        ("0.25", "16"), ("0.25", "8"), ("0.5", "16"), ("0.5", "8"),
    ]  # fmt: skip
    assert seen["bestLoss"] == pytest.approx(0.25 / 3)


def test_early_stopping_ends_a_hopeless_trial_and_keeps_it(outcomes: dict[str, dict[str, Any]]) -> None:
    seen = outcomes["early"]
    assert seen["codes"] == [0], seen["logs"]
    assert seen["state"] == "FINISHED"
    good, hopeless = seen["runs"]
    assert (good["state"], good["stopped"], good["historyLineCount"]) == ("finished", False, 2)
    assert (hopeless["state"], hopeless["stopped"]) == ("finished", True)
    assert hopeless["historyLineCount"] >= 2


def test_cancel_ends_the_running_trial_and_the_agent(outcomes: dict[str, dict[str, Any]]) -> None:
    seen = outcomes["canceled"]
    assert seen["state"] == "CANCELED"
    assert [run["state"] for run in seen["runs"]] == ["killed"], "and the second point was never begun"


def test_the_public_api_reads_the_sweep(outcomes: dict[str, dict[str, Any]], script: Script) -> None:
    seen = script(
        """
        import wandb
        sweep = wandb.Api().sweep(sys.argv[1])
        best = sweep.best_run()
        result(
            state=sweep.state, best=best.config, loss=best.summary["loss"], runs=len(sweep.runs),
            expected=sweep.expected_run_count, method=sweep.config["method"], agents=len(sweep.agents()),
            listed=[found.id for found in wandb.Api().project("grid", "local").sweeps()],
            finished=[found.id for found in wandb.Api().project("grid", "local").sweeps(filters={"state": "FINISHED"})],
            running=[found.id for found in wandb.Api().project("grid", "local").sweeps(filters={"state": "RUNNING"})],
        )
        """,
        f"local/grid/{outcomes['grid']['sweep']}",
    )
    assert seen["state"] == "FINISHED" and seen["method"] == "grid"
    assert seen["best"]["rate"] == 0.25 and seen["loss"] == pytest.approx(0.25 / 3)
    assert (seen["runs"], seen["expected"], seen["agents"]) == (4, 4, 2)
    assert seen["listed"] == seen["finished"] == [outcomes["grid"]["sweep"]] and seen["running"] == []


def test_a_function_runs_under_an_agent_in_the_same_process(script: Script) -> None:
    seen = script(
        """
        import wandb
        def trial():
            with wandb.init() as run:
                run.log({"loss": run.config["x"] ** 2})
        parameters = {"x": {"min": -1.0, "max": 1.0}, "o": {"parameters": {"k": {"values": ["a"]}}}}
        config = {"method": "bayes", "metric": {"name": "loss", "goal": "minimize"}, "parameters": parameters}
        sweep = wandb.sweep(config, project="function")
        wandb.agent(sweep, function=trial, count=2, project="function")
        runs = wandb.Api().sweep(f"local/function/{sweep}").runs
        result(states=[run.state for run in runs], nested=[run.config["o"] for run in runs])
        """
    )
    assert seen == {"states": ["finished"] * 2, "nested": [{"k": "a"}] * 2}


def test_pause_resume_and_stop_from_the_command_line(
    outcomes: dict[str, dict[str, Any]], server: Address, tmp_path: Path
) -> None:
    sweep = outcomes["foreign"]["sweep"]
    environment = wandb_env(server, tmp_path)
    states = []
    for option in ("--pause", "--resume", "--stop"):
        command = [str(BIN / "wandb"), "sweep", option, f"local/foreign/{sweep}"]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
        states.append(graphql(server, QUERY, project="foreign", sweep=sweep)["project"]["sweep"]["state"])
    assert states == ["PAUSED", "RUNNING", "FINISHED"]


RESUMABLE = """
import pathlib, time
import wandb
with wandb.init(resume="allow") as run:
    begun = run.starting_step
    run.log({"loss": begun})
    while begun == 0:
        time.sleep(1)
"""


@pytest.mark.slow
def test_a_trial_that_vanished_with_its_agent_is_resumed_by_the_next(
    server: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a shell or a machine is gone: the same run goes on, and the sweep ends with nothing lost."""
    config = "program: trial.py\nmethod: grid\nmetric: {name: loss}\nparameters: {x: {values: [1]}}\n"
    monkeypatch.setitem(SCENARIOS, "vanished", (RESUMABLE, config, [["--count", "1"]]))
    sweep, (first,), environment = _launch(server, "vanished", tmp_path)

    def runs() -> list[dict[str, Any]]:
        edges = graphql(server, QUERY, project="vanished", sweep=sweep)["project"]["sweep"]["runs"]["edges"]
        return [edge["node"] for edge in edges]

    deadline = time.monotonic() + 60
    while not (runs() and runs()[0]["historyLineCount"]) and time.monotonic() < deadline:
        time.sleep(0.5)
    for process in psutil.Process(first.pid).children(recursive=True):
        process.kill()
    first.kill()
    first.wait()
    command = [str(BIN / "wandb"), "agent", f"local/vanished/{sweep}"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=180)
    (run,) = runs()
    assert (run["state"], run["historyLineCount"]) == ("finished", 2)
    assert graphql(server, QUERY, project="vanished", sweep=sweep)["project"]["sweep"]["state"] == "FINISHED"
