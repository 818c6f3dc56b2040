"""`wandb sweep` and `wandb agent` where things change or go wrong: updates, priors, refusals, an agent that burns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.conftest import graphql
from tests.conftest import wandb_env
from tests.server.talk import Talk
from vishwam.server.local import Address

BIN = Path(sys.executable).parent
GRID = "{method: grid, metric: {name: loss}, program: t.py, parameters: {x: {values: [%s]}}}\n"


def wandb(
    server: Address, folder: Path, project: str, *arguments: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    environment = wandb_env(server, folder, WANDB_PROJECT=project, PATH=f"{BIN}:{os.environ['PATH']}", **extra)
    del environment["WANDB_SILENT"]
    return subprocess.run(
        [str(BIN / "wandb"), *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def made(server: Address, folder: Path, project: str, yaml: str, *options: str) -> str:
    """The id of the sweep that `wandb sweep` made."""
    (folder / "sweep.yaml").write_text(yaml)
    done = wandb(server, folder, project, "sweep", *options, "sweep.yaml")
    found = re.search(rf"wandb agent local/{project}/(\w+)", done.stderr)
    assert found, done.stderr
    return found[1]


def test_a_sweep_that_cannot_work_is_refused_with_the_field(server: Address, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text("{method: random, parameters: {x: {distribution: unifrom, min: 0, max: 1}}}")
    done = wandb(server, tmp_path, "refused", "sweep", "sweep.yaml")
    assert done.returncode != 0
    assert "parameter x: unknown distribution 'unifrom'; did you mean uniform?" in done.stderr


def test_a_strange_word_is_told_and_the_sweep_is_made(server: Address, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(GRID.replace("program:", "colour: red, program:") % "1")
    done = wandb(server, tmp_path, "strange", "sweep", "sweep.yaml")
    assert "unknown key 'colour'" in done.stderr and "wandb agent local/strange/" in done.stderr


def test_update_and_prior_run_as_the_command_line_sends_them(server: Address, tmp_path: Path) -> None:
    talk = Talk(server)
    talk.run("changed", "before", config='{"x": {"value": 2}}')
    talk.stream("changed", "before", complete=True, exitcode=0)
    sweep = made(server, tmp_path, "changed", GRID % "1, 2", "--prior_run", "before")
    assert made(server, tmp_path, "changed", GRID % "1, 2, 3", "--update", f"local/changed/{sweep}") == sweep
    agent = talk.agent("changed", sweep)
    points = []
    while command := talk.trial("changed", agent, "loss", 1.0):
        points.append(command["args"]["x"]["value"])
    assert points == [1, 3], "2 was there before"


@pytest.mark.slow
def test_the_person_at_a_burning_agent_reads_why_it_ends(server: Address, tmp_path: Path) -> None:
    yaml = "{method: random, command: ['false'], parameters: {x: {min: 0.0, max: 1.0}}}"
    sweep = made(server, tmp_path, "burning", yaml)
    switches = {"WANDB_AGENT_DISABLE_FLAPPING": "true", "WANDB_AGENT_MAX_INITIAL_FAILURES": "100"}
    done = wandb(server, tmp_path, "burning", "agent", f"local/burning/{sweep}", **switches)
    assert done.returncode == 0
    told = [line for line in done.stderr.splitlines() if "gives this agent no more trials" in line]
    assert len(told) == 1 and " - ERROR - Run " in told[0] and "failed within a minute each" in told[0]
    query = (
        'query Q($s: String!) { project(name: "burning", entityName: "local") { sweep(sweepName: $s) { runCount } } }'
    )
    assert graphql(server, query, s=sweep)["project"]["sweep"]["runCount"] == 5
