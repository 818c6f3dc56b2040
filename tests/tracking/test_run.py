"""The writer of a trial through the real client and the embedded server, killed and resumed under one run id."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# `start` continues the run "one"; the folder is laid out as a trial's.
HEADER = """
import json, os, pathlib, signal, sys
import psutil
from vishwam.tracking import run as tracking

folder = pathlib.Path("one")
for step in (10, 20):
    (folder / str(step) / "state").mkdir(parents=True, exist_ok=True)
    (folder / str(step) / "state" / "weights").write_text(str(step))
(folder / "tokenizer").mkdir(exist_ok=True)
for name in ("config.gin", "operative_config.gin", "tokenizer/vocabulary"):
    (folder / name).write_text("x")
run = tracking.start("one")

def evaluate(step, best):
    evaluation = {"step": step, "questions": 8, "validation/loss": 1 / step}
    evaluation |= {f"exact_match/interpolate/module_{number}": 0.5 for number in range(120)}
    (folder / str(step) / "evaluation.json").write_text(json.dumps(evaluation))
    run.checkpoint(folder / str(step), step, best, evaluation)

def killed():
    for process in psutil.Process().children(recursive=True):
        process.kill()
    os.kill(os.getpid(), signal.SIGKILL)

def result(**values):
    print("RESULT " + json.dumps(values), flush=True)
"""


@pytest.fixture
def script(request: pytest.FixtureRequest, tmp_path: Path, client_env: dict[str, str]):
    client_env["WANDB_PROJECT"] = request.node.name

    def run(code: str, kills_itself: bool = False) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", HEADER + code],
            cwd=tmp_path, env=client_env, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == (-9 if kills_itself else 0), done.stdout + done.stderr
        lines = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        return json.loads(lines[-1]) if lines else {}

    return run


def test_a_resumed_writer_knows_what_arrived_and_sends_the_rest(script) -> None:
    script(
        """
run.log(10, {"train/loss": 1.0, "validation/loss": 0.1})
evaluate(10, best=True)
run.finish()
"""
    )
    script(
        """
run.log(10, {"train/loss": -1.0})
run.log(20, {"train/loss": 0.5, "validation/loss": 0.05})
import time, wandb
while not wandb.Api().run(run.path).summary.get("train/step") == 20:
    time.sleep(0.5)
(folder / "20" / "state" / "weights").write_bytes(os.urandom(50_000_000))
evaluate(20, best=True)
killed()
""",
        kills_itself=True,
    )
    found = script(
        """
import wandb
before = {step: run.has_checkpoint(step) for step in (10, 20)}
known = run.logged(20)
run.log(20, {"train/loss": -1.0})
evaluate(20, best=True)
run.finish()
api = wandb.Api()
logged = api.run(run.path)
best = api.artifact(run.checkpoint_name("best"), type="model")
result(
    before=before,
    known=known,
    after=run.has_checkpoint(20),
    aliases=sorted(best.aliases),
    metadata=best.metadata,
    steps=[row["train/step"] for row in logged.scan_history()],
    loss=[row["train/loss"] for row in logged.scan_history(keys=["train/loss"])],
    files=sorted(best.manifest.entries),
)
"""
    )
    assert found["before"] == {"10": True, "20": False}
    assert found["known"]
    assert found["after"]
    assert {"best", "latest", "step-20"} <= set(found["aliases"])
    assert found["metadata"] == {"step": 20, "questions": 8, "validation/loss": 0.05}
    assert {"state/weights", "evaluation.json", "config.gin", "tokenizer/vocabulary"} <= set(found["files"])
    assert found["steps"] == [10, 20]
    assert found["loss"] == [1.0, 0.5]


def test_a_checkpoint_of_an_interrupted_step_is_not_taken_for_an_evaluated_one(script) -> None:
    found = script(
        """
run.checkpoint(folder / "20", 20, best=False, metadata={"step": 20})
run.finish()
result(evaluated=run.has_checkpoint(20))
"""
    )
    assert found["evaluated"] is False


def test_a_trial_that_ends_leaves_its_exact_match_by_digits(script) -> None:
    found = script(
        """
import wandb
run.config({"max_digits": 10})
for step, score in ((10, 0.2), (20, 0.5)):
    sets = {f"exact_match/extrapolate/{digits}_digits": score * 10 / digits for digits in (100, 50)}
    run.log(step, {"interpolate/exact_match": score, "exact_match/interpolate/sums": score, **sets})
run.log(30, {"train/loss": 1.0})
run.finish()
keys = ["length/digits", "length/exact_match"]
result(rows=[[row[key] for key in keys] for row in wandb.Api().run(run.path).scan_history(keys=keys)])
"""
    )
    assert found["rows"] == [[10, 0.5], [50, 0.1], [100, 0.05]]
