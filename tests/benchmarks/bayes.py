"""How near to a known minimum a bayes sweep comes in 40 trials, beside a random one, W&B's own `sweeps` package and
Optuna's TPE. How long the server thinks about a suggestion is in the benchmark `server`.

W&B's package cannot live beside ours (it pins NumPy below 2): it gets an environment of its own, made at the first run
in .vishwam/benchmarks/sweeps; where that cannot be made, its rows are left out and the reason is said.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks._functions import FUNCTIONS
from vishwam import state
from vishwam.server import bayes
from vishwam.server.search import Parameter, random_point, space

TRIALS, SEEDS = 40, 10
_PACKAGE = "sweeps==0.3.0"
_SECONDS = 1800

# The next point and its token, given the token and the loss of each point before.
Search = Callable[[list[tuple[Any, float]]], tuple[list[Any], Any]]


def run() -> list[dict]:
    """Regrets are medians over the seeds; a ratio is the other's regret over ours."""
    peers = {"random": _regrets(_random), "Optuna's TPE": _regrets(_tpe), "W&B's sweeps": _wandb_regrets()}
    ours = _regrets(_bayes)
    return [
        {
            "what": f"{name}, {peer}",
            "ours": median(ours[name]),
            "peer": median(theirs[name]),
            "ratio": round(median(theirs[name]) / max(median(ours[name]), 1e-12), 1),
            "unit": f"regret at {TRIALS} trials",
        }
        for peer, theirs in peers.items()
        if theirs is not None
        for name in FUNCTIONS
    ]


def _regrets(search: Callable[[list[Parameter], int], Search]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, (parameters, function, minimum) in FUNCTIONS.items():
        knobs = space({"method": "bayes", "parameters": parameters})
        found[name] = [_best(search(knobs, seed), function) - minimum for seed in range(SEEDS)]
    return found


def _best(search: Search, function: Callable[..., float]) -> float:
    seen: list[tuple[Any, float]] = []
    for _ in range(TRIALS):
        values, token = search(seen)
        seen.append((token, function(*values)))
    return min(loss for _, loss in seen)


def _bayes(knobs: list[Parameter], seed: int) -> Search:
    def search(seen: list[tuple[Any, float]]) -> tuple[list[Any], Any]:
        return bayes.suggest(knobs, False, [bayes.Observation(token, loss) for token, loss in seen], seed)

    return search


def _random(knobs: list[Parameter], seed: int) -> Search:
    return lambda seen: (random_point(knobs, f"{seed}/{len(seen)}"), None)


def _tpe(knobs: list[Parameter], seed: int) -> Search:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True))

    def search(seen: list[tuple[Any, float]]) -> tuple[list[Any], Any]:
        if seen:
            study.tell(*seen[-1])
        trial = study.ask()
        values = [
            knob.levels[trial.suggest_categorical(knob.name, range(len(knob.levels)))]
            if knob.levels
            else knob.value(trial.suggest_float(knob.name, 1e-9, 1 - 1e-9))
            for knob in knobs
        ]
        return values, trial.number

    return search


def _wandb_regrets() -> dict[str, list[float]] | None:
    folder = state.folder() / "benchmarks" / "sweeps"
    python = folder / "bin" / "python"
    try:
        if subprocess.run([python, "-c", "import sweeps"], capture_output=True).returncode:
            raise FileNotFoundError
    except FileNotFoundError:
        print(f"installing {_PACKAGE} into {folder}", file=sys.stderr)
        commands: list[list[str | Path]] = [
            [sys.executable, "-m", "venv", "--clear", folder],
            [python, "-m", "pip", "install", _PACKAGE],
        ]
        for command in commands:
            made = subprocess.run(command, capture_output=True, text=True)
            if made.returncode:
                reason = (made.stderr.strip() or made.stdout.strip() or "no reason given").splitlines()[-1]
                print(f"W&B's sweeps is left out: it cannot be installed here ({reason})", file=sys.stderr)
                return None
    script = Path(__file__).with_name("_wandb_sweeps.py")
    done = subprocess.run(
        [python, script, str(TRIALS), str(SEEDS)], capture_output=True, text=True, timeout=_SECONDS,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        print(f"W&B's sweeps is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)
