"""What watching a trial's memory costs: of a step's time, and of the thread that trains.

The watch asks JAX's allocator, the process tree and the driver where there is one, and writes to a run that is offline,
at the rate of a trial's first minutes, beside steps of some milliseconds. Its share is the CPU time of the threads that
sample and write, of the time that passes: an upper bound of what it takes from a step. The peer is the 0.5% that it may
cost. The thread that trains hands its own rows over meanwhile: how long that takes, with the real client, and with one
that takes 0.2 s over every row, which nobody must wait for.
"""

import statistics
import tempfile
import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import wandb

from vishwam.monitoring.memory import MemoryMonitor
from vishwam.monitoring.watch import SHORTEST, Watch
from vishwam.tracking.run import Run

ALLOWED = 0.005
SECONDS = 30.0
SAMPLES = 200


class Client:
    """W&B's run, and the CPU time of the thread that writes to it."""

    def __init__(self, run: wandb.Run, delay: float = 0.0):
        self._run, self._delay = run, delay
        self.cpu = 0.0

    def log(self, row: dict) -> None:
        time.sleep(self._delay)
        self._run.log(row)
        self.cpu = time.thread_time()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)


class Monitor(MemoryMonitor):
    """The real one, and the CPU time of the thread that asks it."""

    cpu = 0.0

    def sample(self) -> dict[str, float]:
        Monitor.cpu = time.thread_time()
        return super().sample()


def run() -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        settings = wandb.Settings(mode="offline", root_dir=folder, silent=True, x_disable_stats=True)
        client = Client(wandb.init(settings=settings))
        writer = Run(client, threading.Event())  # type: ignore[arg-type]
        with Watch(writer, Monitor) as watch:
            _train(watch, writer, 2.0)
            began, cpu = time.perf_counter(), client.cpu + Monitor.cpu
            _train(watch, None, SECONDS)
            share = (client.cpu + Monitor.cpu - cpu) / (time.perf_counter() - began)
            handed = _train(watch, writer, 10.0)
            client._delay = 0.2
            slow = _train(watch, writer, 10.0, every=0.25)
        client._delay = 0.0
        writer.finish()
    monitor = MemoryMonitor()
    began = time.thread_time()
    for _ in range(SAMPLES):
        monitor.sample()
    sample = (time.thread_time() - began) / SAMPLES
    return [
        _row("CPU of the watch, of the time that passes", 100 * share, 100 * ALLOWED, "%"),
        _row(f"the same by arithmetic, a sample every {SHORTEST:g} s", 100 * sample / SHORTEST, 100 * ALLOWED, "%"),
        _row("one sample", 1000 * sample, None, "ms"),
        _row("a step hands its row over, median", 1000 * statistics.median(handed), None, "ms"),
        _row("a step hands its row over, longest", 1000 * max(handed), None, "ms"),
        _row("the same, client takes 200 ms a row, median", 1000 * statistics.median(slow), 200.0, "ms"),
        _row("the same, client takes 200 ms a row, longest", 1000 * max(slow), 200.0, "ms"),
    ]


def _train(watch: Watch, writer: Run | None, seconds: float, every: float = 0.05) -> list[float]:
    """Steps, of which one each `every` seconds leaves a row; how long the thread that trains was held for a row."""
    step, state = _step()
    began, handed = time.perf_counter(), [0.0]
    while (now := time.perf_counter()) - began < seconds:
        state = jax.block_until_ready(step(state))
        watch.at("train")
        if writer and now - began > len(handed) * every:
            asked = time.perf_counter()
            writer.log(time.monotonic_ns(), {"train/loss": 1.0, "train/tokens_per_second": 1.0})
            handed.append(time.perf_counter() - asked)
    return handed[1:]


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
