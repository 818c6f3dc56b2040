"""`wandb sync`: runs that were offline arrive whole, and finished ones move from one server to another."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import graphql
from tests.conftest import wandb_env
from vishwam.server import local
from vishwam.server.local import Address

RUN = """
import pathlib, sys, wandb
folder = pathlib.Path("folder"); folder.mkdir(); (folder / "weights").write_bytes(bytes(range(256)) * 100)
with wandb.init(
    project="moved", id=sys.argv[1], name="a name", config={"rate": 0.5, "nested": {"k": [1, 2]}},
    tags=["t"], notes="words", group="g", job_type="j",
) as run:
    run.define_metric("loss", summary="min")
    for step in range(5):
        run.log({"loss": 1 / (step + 1), "bad": float("nan"), "deep": {"x": step}})
    run.log({"table": wandb.Table(columns=["q"], data=[["1+1"]]), "histogram": wandb.Histogram([1, 2, 2])})
    run.summary["text"] = "done"
    (pathlib.Path(run.dir) / "note.txt").write_text("kept")
    run.save(str(pathlib.Path(run.dir) / "note.txt"), base_path=run.dir, policy="end")
    artifact = wandb.Artifact("checkpoint-" + sys.argv[1], "model", metadata={"step": 5})
    artifact.add_dir(str(folder))
    artifact.add_reference("http://127.0.0.1:9/elsewhere", name="away", checksum=False)
    run.log_artifact(artifact, aliases=["best"])
    for line in range(3):
        print("line", line)
"""
# What a person sees of a run. Versions, dates and machines differ, and so does what is measured of them.
QUERY = """query Q($name: String!) { project(name: "moved", entityName: "local") {
run(name: $name) {
  displayName state exitcode tags notes group jobType config summaryMetrics history historyLineCount
  logLines(first: 100) { edges { node { line } } }
  files { edges { node { name sizeBytes } } }
  outputArtifacts { edges { node {
    versionIndex digest metadata aliases { alias } files { edges { node { name digest sizeBytes } } } } } }
} } }"""
PROCESS = ("_timestamp", "_runtime", "_wandb")


def client(address: Address, folder: Path, *command: str, **extra: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=wandb_env(address, folder, **extra), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def seen(address: Address, name: str) -> dict[str, Any]:
    """The run as the server has it, but for clocks and the client's own notes."""
    run = graphql(address, QUERY, name=name)["project"]["run"]
    run["history"] = [{k: v for k, v in json.loads(row).items() if k not in PROCESS} for row in run["history"]]
    run["summaryMetrics"] = {k: v for k, v in json.loads(run["summaryMetrics"]).items() if k not in PROCESS}
    for row in (*run["history"], run["summaryMetrics"]):
        for name in ("artifact_path", "_latest_artifact_path"):  # an offline client has but its own id of the artifact
            row.get("table", {}).pop(name, None)
    run["config"] = {k: v for k, v in json.loads(run["config"]).items() if k not in PROCESS}
    run["logLines"] = [edge["node"]["line"] for edge in run["logLines"]["edges"] if "line" in edge["node"]["line"]]
    kept = ("note.txt", "media/", "output.log", "config.yaml", "requirements.txt")
    run["files"] = sorted(
        edge["node"]["name"] for edge in run["files"]["edges"] if edge["node"]["name"].startswith(kept)
    )
    for edge in run["outputArtifacts"]["edges"]:
        edge["node"]["aliases"] = sorted(alias["alias"] for alias in edge["node"]["aliases"])
    # The artifact of the table is named after the run.
    run["outputArtifacts"] = sorted((edge["node"] for edge in run["outputArtifacts"]["edges"]), key=str)
    return run


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Address]:
    """Another server than the session's, with a user of the same name and another key."""
    folder = tmp_path / "elsewhere"
    yield local.start_or_reuse(folder, port=local.free_port())
    local.stop(folder)


def test_a_run_moves_to_another_server_whole_and_an_offline_one_arrives_the_same(
    server: Address, elsewhere: Address, tmp_path: Path
) -> None:
    wandb = str(Path(sys.executable).with_name("wandb"))
    online, offline = tmp_path / "online", tmp_path / "offline"
    for folder, name, mode in ((online, "first", "online"), (offline, "second", "offline")):
        folder.mkdir()
        client(server, folder, sys.executable, "-c", RUN, name, WANDB_MODE=mode)
    (finished,) = online.glob("wandb/run-*")
    (waiting,) = offline.glob("wandb/offline-run-*")
    client(elsewhere, online, wandb, "sync", "--include-online", "--include-synced", str(finished))
    client(server, offline, wandb, "sync", str(waiting))
    before, after, arrived = seen(server, "first"), seen(elsewhere, "first"), seen(server, "second")
    assert before["state"] == "finished" and before["historyLineCount"] == 6 and before["tags"] == ["t"]
    assert before["summaryMetrics"]["loss"] == {"min": 0.2} and before["summaryMetrics"]["text"] == "done"
    assert before["logLines"] == ["line 0", "line 1", "line 2"]
    assert {"note.txt", "config.yaml", "output.log"} <= set(before["files"])
    assert any(
        [file["node"]["name"] for file in artifact["files"]["edges"]] == ["away", "weights"]
        and artifact["aliases"] == ["best", "latest"]
        for artifact in before["outputArtifacts"]
    )
    # The client keeps no artifact of an online run in the file that it syncs from: those are copied by themselves.
    assert after == {**before, "outputArtifacts": []}
    as_first = json.loads(json.dumps(arrived).replace("second", "first"))
    assert as_first == before, "offline and online differ in nothing"
