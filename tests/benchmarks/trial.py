"""What a trial costs beside its training: from the agent's claim to the first step, and from one trial's end to the
next one's first step, with an empty compile cache and with a full one. The peer is a script that does nothing but log
one row to W&B under the same agent, so the ratio shows what is ours to save. Below stands where the seconds go, from
the start of Python to the first row; those after the claim that are not among them are the agent's.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from vishwam import state
from vishwam.server import local

ROOT = Path(__file__).parents[2]

# Notes when the script it wraps ends; a trial's first step is known from its first row.
WRAPPER = """
import json, os, subprocess, sys, time
code = subprocess.call(sys.argv[1:])
with open(os.environ["TRIAL_ENDS"], "a") as file:
    file.write(json.dumps([os.environ["WANDB_RUN_ID"], time.time()]) + "\\n")
sys.exit(code)
"""
BARE = """
import wandb
with wandb.init() as run:
    run.log({"train/step": 1})
"""
STEPS = 20
TRIALS = 6


def run() -> list[dict]:
    python = sys.executable
    with tempfile.TemporaryDirectory() as folder:
        wrapper, bare = Path(folder, "wrapper.py"), Path(folder, "bare.py")
        wrapper.write_text(WRAPPER)
        bare.write_text(BARE)
        trial = [python, str(Path(__file__).with_name("_trial_ours.py"))]
        ours = [python, str(wrapper), *trial, str(ROOT / "gin" / "math.gin"), f"steps={STEPS}"]
        surroundings = environment(Path(folder))
        try:
            cold, warm, gap = _measure(Path(folder), ours, surroundings)
            phases = [json.loads(line)[1] for line in Path(folder, "phases.jsonl").read_text().splitlines()]
            _, floor, floor_gap = _measure(Path(folder), [python, str(wrapper), python, str(bare)], surroundings)
        finally:
            local.stop(Path(folder, "server"))
    return [
        _row("claim to first step, cold", cold, None),
        _row("claim to first step, warm", warm, floor),
        _row("end of script to next first step, warm", gap, floor_gap),
        *({**_row(f"  {phase}", seconds, None), "cold s": phases[0][phase]} for phase, seconds in phases[-1].items()),
    ]


def environment(folder: Path) -> dict[str, str]:
    """Of a process whose W&B is an embedded server of its own, with its data in `folder`; started here."""
    address = local.start_or_reuse(folder / "server", port=local.free_port())
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return kept | {
        "HOME": str(folder),
        "VISHWAM_HOME": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "WANDB_BASE_URL": address.url,
        "WANDB_API_KEY": address.api_key,
        "WANDB_ENTITY": address.entity,
        "WANDB_PROJECT": "benchmark",
        "WANDB_DIR": str(folder),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
        "TRIAL_ENDS": str(folder / "ends.jsonl"),
        "TRIAL_PHASES": str(folder / "phases.jsonl"),
    }


def _measure(folder: Path, command: list[str], environment: dict[str, str]) -> tuple[float, float, float]:
    """Seconds from claim to first step, of the first trial and of those after it, and from one's end to the next one's
    first step: medians, for the agent looks every five seconds whether a trial has ended.
    """
    sweep = folder / "sweep.yaml"
    arguments = ["${args_no_hyphens}"] if command[-1].startswith("steps=") else []
    sweep.write_text(
        json.dumps(
            {
                "method": "grid",
                "parameters": {"seed": {"values": list(range(TRIALS))}},
                "command": [*command, *arguments],
            }
        )
    )
    wandb = str(Path(sys.executable).parent / "wandb")
    made = subprocess.run([wandb, "sweep", str(sweep)], env=environment, capture_output=True, text=True, check=True)
    path = (made.stdout + made.stderr).split("wandb agent ")[1].split()[0]
    log = state.folder() / "logs" / "benchmark-trial.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        subprocess.run([wandb, "agent", path], env=environment, stdout=file, stderr=file, check=True)
    os.environ.update({name: value for name, value in environment.items() if name.startswith("WANDB_")})
    import wandb as client

    runs = sorted(client.Api().sweep(path).runs, key=lambda run: run.created_at)
    claimed = [datetime.fromisoformat(run.created_at.replace("Z", "+00:00")).timestamp() for run in runs]
    # Memory is measured before the first step, in rows without one.
    first = [min(row["_timestamp"] for row in run.scan_history(keys=["_timestamp", "train/step"])) for run in runs]
    ends = dict(json.loads(line) for line in Path(environment["TRIAL_ENDS"]).read_text().splitlines())
    to_first_step = [step - claim for step, claim in zip(first, claimed, strict=True)]
    gaps = [step - ends[before.id] for step, before in zip(first[1:], runs, strict=False)]
    return to_first_step[0], statistics.median(to_first_step[1:]), statistics.median(gaps)


def _row(what: str, ours: float, peer: float | None) -> dict:
    return {"what": what, "ours": ours, "peer": peer, "ratio": peer / ours if peer else None, "unit": "s"}
