"""How near to a known minimum a bayes sweep comes in 40 trials, beside a random one, W&B's own `sweeps` package and
Optuna's TPE; and how long the server thinks about one suggestion.

W&B's package cannot live beside ours (it pins NumPy below 2): it gets an environment of its own, made at the first run
in .vishwam/benchmarks/sweeps; where that cannot be made, its rows are left out and the reason is said.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks._functions import FUNCTIONS
from tests.server.talk import Talk
from vishwam import state
from vishwam.server import bayes, local
from vishwam.server.search import Parameter, random_point, space

TRIALS, SEEDS = 40, 10
FINISHED, ASKED = 500, 5
_PACKAGE = "sweeps==0.3.0"
_SECONDS = 1800

# seed -> the next point, given (token of each point before, its loss); a token is what the search knows a point by.
Search = Callable[[list[tuple[Any, float]]], tuple[list[Any], Any]]


def run() -> list[dict]:
    """Regrets are medians over the seeds; a ratio is the other's regret over ours."""
    peers = {"random": _regrets(_random), "Optuna's TPE": _regrets(_tpe), "W&B's sweeps": _wandb_regrets()}
    ours = _regrets(_bayes)
    rows = [
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
    thought, waited = _thinking()
    return [
        *rows,
        _alone("bayes_suggestion_ms", thought, f"ms, {FINISHED} trials, 6 knobs"),
        _alone("longest request beside it", waited, "ms"),
    ]


def _alone(what: str, ours: float, unit: str) -> dict:
    return {"what": what, "ours": round(ours, 1), "peer": None, "ratio": None, "unit": unit}


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


# The server itself


def _thinking() -> tuple[float, float]:
    """Milliseconds of a suggestion over many finished trials, and of the slowest other request while it is made."""
    with tempfile.TemporaryDirectory() as folder:
        talk = Talk(local.start_or_reuse(Path(folder), port=local.free_port()))
        try:
            agents = _busy_sweep(talk)
            talk.heartbeat(agents.pop())  # the first one also pays for the import of SciPy
            thought, waited = [], [0.0]
            for agent in agents:
                over = threading.Event()
                pinging = threading.Thread(target=_ping, args=(talk, over, waited))
                pinging.start()
                began = time.perf_counter()
                talk.heartbeat(agent)
                thought.append(time.perf_counter() - began)
                over.set()
                pinging.join()
            return 1000 * median(thought), 1000 * max(waited)
        finally:
            local.stop(Path(folder))


def _ping(talk: Talk, over: threading.Event, waited: list[float]) -> None:
    while not over.is_set():
        began = time.perf_counter()
        talk.graphql("{ viewer { id } }")
        waited.append(time.perf_counter() - began)


def _busy_sweep(talk: Talk) -> list[str]:
    """Agents of a sweep that has adopted many finished runs."""
    parameters, function, _ = FUNCTIONS["Hartmann-6"]
    knobs = space({"method": "bayes", "parameters": parameters})
    names = [f"run{index}" for index in range(FINISHED)]
    for name in names:
        values = random_point(knobs, name)
        config = {knob.name: {"value": value} for knob, value in zip(knobs, values, strict=True)}
        talk.run("busy", name, config=json.dumps(config))
        row = json.dumps({"_step": 0, "loss": function(*values)})
        talk.stream("busy", name, {"wandb-history.jsonl": {"offset": 0, "content": [row]}}, complete=True, exitcode=0)
    query = "mutation M($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { name } } }"
    sweep_config = {"method": "bayes", "metric": {"name": "loss", "goal": "minimize"}, "parameters": parameters}
    filters = json.dumps({"$or": [{"name": name} for name in names]})
    given = {"projectName": "busy", "config": json.dumps(sweep_config), "priorRunsFilters": filters}
    sweep = talk.graphql(query, input=given)["upsertSweep"]["sweep"]["name"]
    return [talk.agent("busy", sweep) for _ in range(ASKED + 1)]
