"""A trial, as `vishwam train` with these arguments, that notes where its seconds go: a line to $TRIAL_PHASES with its
run's id and when each phase ended, by the clock.
"""

import functools
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psutil

JAX = "Python, importing JAX and Flax"
OTHERS = "importing W&B, Orbax and the rest"
SETTINGS = "Gin files, knobs, proof, tokeniser"
BEGUN = "W&B's client started, the run begun"
CONFIG = "config, files of the run, a look at the memory there is"
MODEL = "weights, data, the first batches"
COMPILED = "the step traced, and compiled or read from the cache"
STEPS = "the first dispatch, until its row is with W&B's client"


def main(arguments: list[str]) -> int:
    ended: list[tuple[str, float]] = [("", psutil.Process().create_time())]

    def mark(phase: str) -> None:
        if phase not in dict(ended):
            ended.append((phase, time.time()))

    def marking(owner: Any, name: str, before: str = "", after: str = "") -> None:
        wrapped: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(wrapped)
        def call(*args: Any, **named: Any) -> Any:
            if before:
                mark(before)
            found = wrapped(*args, **named)
            if after:
                mark(after)
            return found

        setattr(owner, name, call)

    def connect() -> None:
        mark(SETTINGS)
        environment.apply()

    # In the order in which a trial asks for them.
    import flax.nnx  # noqa: F401
    import jax  # noqa: F401

    mark(JAX)
    from vishwam import config, environment, trial
    from vishwam.tracking import run as tracking
    from vishwam.training import loop, memory  # noqa: F401
    from vishwam.training.gauge import Gauge

    mark(OTHERS)
    marking(tracking, "start", after=BEGUN)
    marking(memory, "insist", after=CONFIG)
    marking(Gauge, "before", before=MODEL)
    marking(Gauge, "after", before=COMPILED)
    marking(tracking.Run, "log", after=STEPS)
    code = trial.run(*config.split_arguments(arguments), connect)
    seconds = {phase: when - before for (_, before), (phase, when) in itertools.pairwise(ended)}
    with open(os.environ["TRIAL_PHASES"], "a") as file:
        file.write(json.dumps([os.environ["WANDB_RUN_ID"], seconds]) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
