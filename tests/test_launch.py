"""`vishwam launch` from end to end: the real client, agent, embedded server and trials, on a model of a few weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vishwam.launch import exit_code

ROOT = Path(__file__).parents[1]
VISHWAM = str(Path(sys.executable).parent / "vishwam")

# The knobs of gin/math.gin, with sizes for seconds instead of minutes.
SMALL = {
    "max_digits": 2, "num_layers": 1, "model_dim": 16, "num_heads": 2, "mlp_dim": 16, "place_heads": 1,
    "batch_size": 8, "warmup_steps": 2,
}  # fmt: skip
LOOP = """
LoopConfig.steps_per_dispatch = 2
LoopConfig.log_every = 2
LoopConfig.validate_every = 10
LoopConfig.evaluate_every = 20
LoopConfig.validation_questions = 16
LoopConfig.evaluation_questions = 4
LoopConfig.final_questions = 8
LoopConfig.max_answer_tokens = 8
"""


class Clone:
    """A place of its own: home, state, sweep and Gin file; only compiled programs are those of all."""

    def __init__(self, folder: Path, compiled_programs: Path, steps: int, rates: list[float]):
        self.home = folder / "state"
        self.home.mkdir()
        (self.home / "compile_cache").symlink_to(compiled_programs)
        gin = folder / "small.gin"
        lines = (ROOT / "gin" / "math.gin").read_text().splitlines()
        own = SMALL | {"steps": steps}
        kept = [f"{line.split(' = ')[0]} = {own[line.split(' = ')[0]]}" if line.split(" = ")[0] in own else line
                for line in lines if not line.startswith("LoopConfig.") or "length_buckets" in line]  # fmt: skip
        gin.write_text("\n".join(kept).replace("include '", f"include '{ROOT}/gin/") + LOOP)
        self.sweep = folder / "small.yaml"
        self.sweep.write_text(
            json.dumps(
                {
                    "method": "grid",
                    "metric": {"name": "validation/loss", "goal": "minimize"},
                    "parameters": {"learning_rate": {"values": rates}},
                    "command": ["vishwam", "train", str(gin), "${args_no_hyphens}"],
                }
            )
        )
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")} | {
            "HOME": str(folder),
            "VISHWAM_HOME": str(self.home),
        }

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [VISHWAM, "launch", str(self.sweep)],
            cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            # Who runs tests in a shell's background ignores Ctrl-C, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [VISHWAM, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120
        )

    def ask(self, program: str):
        """What `program`, which sees `api` and prints JSON, finds through the client's public API."""
        exports = self.run("env").stdout
        variables = dict(line.removeprefix("export ").split("=", 1) for line in exports.splitlines())
        said = subprocess.run(
            [sys.executable, "-c", "import json, wandb; api = wandb.Api()\n" + program],
            env=self.environment | {name: value.strip("'") for name, value in variables.items()},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert said.returncode == 0, said.stderr
        return json.loads(said.stdout.splitlines()[-1])

    def processes(self) -> list[str]:
        """Command lines of what was started here and still runs, the server apart."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"VISHWAM_HOME={self.home}".encode() not in (process / "environ").read_bytes():
                    continue
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if command and "vishwam.server" not in command:
                found.append(command)
        return found


@pytest.fixture
def clone(tmp_path, compiled_programs):
    made = []

    def make(steps, rates):
        made.append(Clone(tmp_path, compiled_programs, steps, rates))
        return made[0]

    yield make
    for one in made:
        one.run("stop")


def until(condition, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.5)
    return False


RUNS = """
sweep = api.sweep("{sweep}")
print(json.dumps({{"state": sweep.state, "runs": [
    {{"id": run.id, "state": run.state, "config": dict(run.config), "summary": {{
        name: value for name, value in dict(run.summary).items() if isinstance(value, (int, float, str))}},
     "steps": [row["train/step"] for row in run.scan_history(keys=["train/step"])],
     "aliases": sorted(alias for artifact in run.logged_artifacts() if artifact.type == "model"
                       for alias in artifact.aliases)}}
    for run in sweep.runs]}}))
"""


METRICS = {
    "train/loss",
    "validation/loss",
    "interpolate/exact_match",
    "extrapolate/exact_match",
    "exact_match/extrapolate/100_digits",
    "train/tokens_per_second",
    "memory/host_rss",
}


def sweep_path(output: str) -> str:
    return next(line.split()[1] for line in output.splitlines() if line.startswith("sweep "))


def test_an_agent_that_dies_when_all_is_done_spoils_nothing():
    assert exit_code(0, "FINISHED", ["failed", "finished"]) == 0
    assert exit_code(0, "FINISHED", ["failed"]) == exit_code(0, "FINISHED", []) == 1
    assert exit_code(-signal.SIGABRT, "FINISHED", ["finished"]) == 0
    assert exit_code(-signal.SIGKILL, "RUNNING", ["finished"]) == -signal.SIGKILL
    assert exit_code(130, "FINISHED", ["finished"]) == 130


def test_from_a_sweep_file_to_a_table_a_report_and_a_checkpoint(clone):
    here = clone(steps=20, rates=[0.01, 0.001])
    launched = here.start()
    output = launched.communicate(timeout=300)[0]
    assert launched.returncode == 0, output
    assert "/reports/" in output
    assert "learning_rate" in output and "interpolate" in output

    found = here.ask(RUNS.format(sweep=sweep_path(output)))
    assert found["state"] == "FINISHED"
    assert [run["state"] for run in found["runs"]] == ["finished"] * 2
    assert {run["config"]["learning_rate"] for run in found["runs"]} == {0.01, 0.001}
    for run in found["runs"]:
        assert run["steps"] == sorted(set(run["steps"])) and run["steps"][-1] == 20
        assert {"best", "latest", "step-20"} <= set(run["aliases"])
        assert "learning_rate = " in run["config"]["gin_config"]
        assert "LoopConfig.steps" in run["config"]["gin_operative_config"]
        assert set(run["summary"]) >= METRICS

    best = next(line.split()[-1] for line in output.splitlines() if line.startswith("evaluate"))
    evaluated = here.run("evaluate", best)
    assert evaluated.returncode == 0, evaluated.stderr
    rows = [line.split() for line in evaluated.stdout.splitlines() if line.startswith(("interpolate", "extrapolate"))]
    assert len(rows) == 3
    for row in rows:
        assert row[2] == row[-1], "the artifact alone gives the figure that was logged"
    assert here.processes() == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_a_trial_nothing_stays_behind_and_the_run_goes_on(clone, number):
    here = clone(steps=300, rates=[0.01])
    launched = here.start()
    printed = ""
    for line in launched.stdout:
        printed += line
        if "step 100/300" in line:
            break
    launched.send_signal(number)
    launched.wait(timeout=40)
    if number == signal.SIGINT:
        assert launched.returncode == 130
    assert until(lambda: not here.processes(), 30), here.processes()
    if number == signal.SIGINT:  # A person may pause it meanwhile; who starts it again wants it to go on.
        pause = ["wandb", "sweep", "--pause", sweep_path(printed)]
        here.ask(f"import subprocess; subprocess.run({pause}, check=True); print(1)")

    again = here.start()
    output = again.communicate(timeout=300)[0]
    assert again.returncode == 0, output
    assert "was not finished: going on with it" in output
    assert ("was paused: resuming it" in output) == (number == signal.SIGINT)
    assert "continuing from step" in output
    found = here.ask(RUNS.format(sweep=sweep_path(output)))
    (run,) = found["runs"]
    assert (found["state"], run["state"]) == ("FINISHED", "finished")
    assert run["steps"] == sorted(set(run["steps"])) and run["steps"][-1] == 300
