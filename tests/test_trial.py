"""`vishwam train` under one run id: killed, started twice, edited, and continued by another machine."""

import shutil
import signal
import subprocess

import pytest

from .test_launch import ROOT, VISHWAM, Clone


@pytest.fixture
def here(tmp_path, compiled_programs):
    clone = Clone(tmp_path, compiled_programs, 80, [0.01])
    clone.environment["WANDB_RUN_ID"] = "carried"
    yield clone
    clone.run("stop")


def begin(clone, *knobs):
    return subprocess.Popen(
        [VISHWAM, "train", str(clone.sweep.parent / "small.gin"), *knobs],
        cwd=ROOT, env=clone.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def refusal(trial):
    _, said = trial.communicate(timeout=60)
    assert trial.returncode == 2, said
    return [line for line in said.splitlines() if line.startswith("vishwam train: ")][-1]


RUN = """
run = api.run("local/vishwam/carried")
print(json.dumps({
    "state": run.state,
    "steps": [row["train/step"] for row in run.scan_history(keys=["train/step"])],
    "evaluated": [row["train/step"] for row in run.scan_history(keys=["train/step", "interpolate/exact_match"])],
    "aliases": [alias for artifact in run.logged_artifacts() if artifact.type == "model" for alias in artifact.aliases],
}))
"""


def test_a_run_goes_on_here_and_elsewhere_as_what_it_was(here):
    trial = begin(here)
    printed = ""
    for line in trial.stdout:
        printed += line
        if "step 40/80" in line:
            break
    trial.send_signal(signal.SIGSTOP)  # It would be at its end before the other begins.
    assert "is being trained by another process" in refusal(begin(here))
    trial.send_signal(signal.SIGTERM)
    trial.send_signal(signal.SIGCONT)
    printed += trial.communicate(timeout=60)[0]
    assert trial.returncode == 1 and "interrupted by SIGTERM" in printed

    assert "begun with Knobs.learning_rate = 0.006, which is now 0.5" in refusal(begin(here, "learning_rate=0.5"))

    # Another machine has the server's address and nothing else of this one.
    shutil.rmtree(here.home / "checkpoints")
    elsewhere = begin(here)
    printed, said = elsewhere.communicate(timeout=120)
    assert elsewhere.returncode == 0, said
    continued = [int(line.split()[-1]) for line in printed.splitlines() if "continuing from step" in line]
    assert continued and continued[0] >= 40, printed
    step = continued[0]
    found = here.ask(RUN)
    assert found["state"] == "finished"
    assert found["steps"] == sorted(set(found["steps"])) and found["steps"][-1] == 80
    assert found["evaluated"] == list(range(20, 81, 20))
    assert {f"step-{step}", "step-80", "latest", "best"} <= set(found["aliases"])

    # A finished run is none the worse for a wrong command.
    shutil.rmtree(here.home / "checkpoints")
    assert "begun with Knobs.learning_rate = 0.006" in refusal(begin(here, "learning_rate=0.5"))
    assert here.ask(RUN)["state"] == "finished"
