"""A worker: turns of training steps with tracking and without. Task: that of `_model_ours`, with steps a dispatch and a
point, `folder` (an empty one) and pairs (of turns).
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import psutil

from tests.benchmarks._model_ours import compiled
from tests.benchmarks._workers import serve
from vishwam.monitoring.watch import Watch
from vishwam.tracking import run as tracking
from vishwam.training.rows import Rows

DISPATCHES = 5  # a turn
UPLOAD_SECONDS = 1.5  # after a turn with an upload, that what is left of it burdens no turn without


class Off:
    """A run that takes what a trial hands over, and leaves it at that."""

    def log(self, step: int, metrics: Any) -> None: ...


class Timed:
    """The real run, and how long the thread that trains was held by it."""

    def __init__(self, run: tracking.Run):
        self._run = run
        self.held, self.points = 0.0, 0

    def log(self, step: int, metrics: Any) -> None:
        begun = time.perf_counter()
        self._run.log(step, metrics)
        self.held += time.perf_counter() - begun
        self.points += 1


def main(task: dict[str, Any]) -> None:
    program, state, batches, knobs, facts = compiled(task)
    steps = task["steps"]
    folder = _checkpoint(Path(task["folder"], "run"))
    writer = tracking.start(tracking.new_id())
    timed = Timed(writer)
    on, off = Rows(timed, steps, None), Rows(Off(), steps, None)  # type: ignore[arg-type]
    step = 0
    checkpoint_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))

    def turn(rows: Rows) -> tuple[float, float]:
        """Seconds by the clock, and of processors, that a turn took."""
        nonlocal state, step
        cpu, wall = _cpu_seconds(), time.perf_counter()
        for _ in range(DISPATCHES):
            state, metrics = program(state, batches, knobs)
            step += steps
            rows.collect(step, metrics, 1, facts["flops"])
        rows.flush()
        rows.write_if_due()
        return time.perf_counter() - wall, _cpu_seconds() - cpu

    turn(off)
    walls, cpus, noise, handed, without = [], [], [], [], []
    with_tracking = 0.0
    for number in range(task["pairs"]):
        first, cpu_off = turn(off)
        (folder / "state").write_bytes(os.urandom(checkpoint_bytes))  # what W&B has already is not sent again
        begun = time.perf_counter()
        writer.checkpoint(folder, number, best=False, metadata={})
        handed.append(time.perf_counter() - begun)
        with Watch(writer):
            second, cpu_on = turn(on)
        time.sleep(UPLOAD_SECONDS)
        third, _ = turn(off)
        wall = (first + third) / 2
        walls.append(100 * (second / wall - 1))
        cpus.append(100 * (cpu_on / cpu_off - 1))
        noise.append(100 * abs(first / third - 1))
        without.append(wall)
        with_tracking += second
    writer.finish()
    quartiles = statistics.quantiles(walls, n=4)
    serve(
        facts["compile_s"],
        lambda: None,
        wall_percent=statistics.median(walls),
        wall_quartiles=[quartiles[0], quartiles[2]],
        noise_percent=statistics.median(noise),
        held_percent=100 * timed.held / with_tracking,
        cpu_percent=statistics.median(cpus),
        step_ms=1000 * statistics.median(without) / DISPATCHES / steps,
        handed_ms=1000 * statistics.median(handed),
        points=timed.points,
        uploads=len(handed),
        checkpoint_bytes=checkpoint_bytes,
    )


def _checkpoint(folder: Path) -> Path:
    """The folder of a step, in that of a run."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "1").mkdir()
    for name in ("tokenizer/tokenizer.json", "config.gin", "operative_config.gin"):
        (folder / name).write_text("{}")
    return folder / "1"


def _cpu_seconds() -> float:
    """Of this process and of W&B's beside it."""
    own = psutil.Process()
    times = [each.cpu_times() for each in (own, *own.children(recursive=True))]
    return sum(each.user + each.system for each in times)


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    main(json.loads(sys.argv[1]))
