"""What watching a trial's memory costs: of a step's time, and of the thread that trains.

The watch asks JAX's allocator, the process tree and the driver where there is one, and writes to a run that is offline,
at the rate of a trial's first minutes, beside steps of some milliseconds. Its share is the CPU time of its thread,
of the time that passes: an upper bound of what it takes from a step. The peer is the 0.5% that it may cost.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import wandb

from vishwam.monitoring.memory import MemoryMonitor
from vishwam.monitoring.watch import SHORTEST, Watch

ALLOWED = 0.005
SECONDS = 40.0
SAMPLES = 200


class Offline:
    """A run that is written to this machine's disk; `seconds` of CPU of each row, on the thread that writes."""

    def __init__(self, folder: str):
        settings = wandb.Settings(mode="offline", root_dir=folder, silent=True, x_disable_stats=True)
        self._run = wandb.init(settings=settings)
        self._lock = threading.Lock()
        self.held: list[float] = []
        self.cpu: float = 0.0

    def log_memory(self, metrics: Mapping[str, float]) -> None:
        began = time.perf_counter()
        with self._lock:
            self._run.log(dict(metrics))
        self.held.append(time.perf_counter() - began)
        self.cpu = time.thread_time()  # of the watch's thread, since it began

    def alert(self, title: str, text: str, level: str) -> None:
        pass

    def attach(self, name: str, kind: str, file: str, content: bytes) -> None:
        pass

    def finish(self) -> None:
        self._run.finish()


def run() -> list[dict]:
    step, state = _step()
    with tempfile.TemporaryDirectory() as folder:
        run = Offline(folder)
        with Watch(run) as watch:
            began, cpu = time.perf_counter(), run.cpu
            while time.perf_counter() - began < SECONDS:
                state = jax.block_until_ready(step(state))
                watch.at("train")
            share = (run.cpu - cpu) / (time.perf_counter() - began)
        run.finish()
    monitor = MemoryMonitor()
    began = time.thread_time()
    for _ in range(SAMPLES):
        monitor.sample()
    sample = (time.thread_time() - began) / SAMPLES
    held = sorted(run.held[1:])  # The first row comes before the first step.
    return [
        _row("CPU of the watch, of the time that passes", 100 * share, 100 * ALLOWED, "%"),
        _row(f"the same by arithmetic, a sample every {SHORTEST:g} s", 100 * sample / SHORTEST, 100 * ALLOWED, "%"),
        _row("one sample", 1000 * sample, None, "ms"),
        _row("a row holds the writer, median", 1000 * statistics.median(held), None, "ms"),
        _row("a row holds the writer, longest", 1000 * held[-1], None, "ms"),
    ]


def _step() -> tuple[Any, Any]:
    """A step of some milliseconds."""
    size = 512

    @jax.jit
    def step(state: jax.Array) -> jax.Array:
        for _ in range(4):
            state = jnp.tanh(state @ state) / size
        return state

    return step, jax.block_until_ready(step(jnp.ones((size, size))))


def _row(what: str, ours: float, peer: float | None, unit: str) -> dict:
    return {"what": what, "ours": ours, "peer": peer, "ratio": peer / ours if peer else None, "unit": unit}
