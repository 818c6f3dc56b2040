"""Run by the Python of an environment that has W&B's own `sweeps`: its bayes search over our functions, on stdout.

`python _wandb_sweeps.py TRIALS SEEDS` prints {function: [final regret of each seed]} as JSON.
"""

import json
import random
import sys
import warnings

warnings.simplefilter("ignore")
import numpy  # noqa: E402
import sweeps  # noqa: E402
from _functions import FUNCTIONS  # noqa: E402


def regret(name: str, trials: int, seed: int) -> float:
    random.seed(seed)
    numpy.random.seed(seed)
    parameters, function, minimum = FUNCTIONS[name]
    config = {"method": "bayes", "metric": {"name": "loss", "goal": "minimize"}, "parameters": parameters}
    runs: list[sweeps.SweepRun] = []
    for _ in range(trials):
        run = sweeps.next_run(config, runs)
        loss = function(*(run.config[name]["value"] for name in parameters))
        run.state, run.summary_metrics = sweeps.RunState.finished, {"loss": float(loss)}
        runs.append(run)
    return min(run.summary_metrics["loss"] for run in runs) - minimum


trials, seeds = map(int, sys.argv[1:])
print(json.dumps({name: [regret(name, trials, seed) for seed in range(seeds)] for name in FUNCTIONS}))
