"""What tracking costs a trial: steps of the 100k-parameter model with a point every 10, and an upload of its checkpoint
under way every 50, beside the same steps with tracking off, in turns in one process against the embedded server on this
machine.

Shares are medians over pairs of turns, of the clock and of the processor time of the trial and of W&B's client beside
it. The peer is the 1% that tracking may cost.
"""

import tempfile
from pathlib import Path

from tests.benchmarks._workers import MALLOC, Worker, workers
from tests.benchmarks.model import DIGITS, SMALL_SHAPE
from tests.benchmarks.trial import environment
from vishwam.server import local

ALLOWED = 1.0  # percent
PAIRS = 20


def run() -> list[dict]:
    task = {"config": {**SMALL_SHAPE, "digit_token_ids": DIGITS}, "length": 50, "batch": 64, "steps": 10}
    task |= {"pairs": PAIRS}
    with tempfile.TemporaryDirectory() as folder:
        try:
            surroundings = environment(Path(folder)) | MALLOC
            with workers(lambda: Worker("_tracking_ours.py", task | {"folder": folder}, **surroundings)) as (worker,):
                found = worker.ready
                worker.end()
        finally:
            local.stop(Path(folder, "server"))
    points = f"{found['points']} points, {found['uploads']} uploads of {found['checkpoint_bytes'] / 1e6:.1f} MB"
    return [
        _row(f"time of a step more than with tracking off ({points})", found["wall_percent"], ALLOWED, "%"),
        _row("the same, lower quartile of the pairs", found["wall_quartiles"][0], None, "%"),
        _row("the same, upper quartile of the pairs", found["wall_quartiles"][1], None, "%"),
        _row("two turns with tracking off, one beside the other: what noise is", found["noise_percent"], None, "%"),
        _row("of a step, while the thread that trains is held", found["held_percent"], ALLOWED, "%"),
        _row("processor time more, of trial and client", found["cpu_percent"], None, "%"),
        _row("a step", found["step_ms"], None, "ms"),
        _row("handing a checkpoint over, once an evaluation", found["handed_ms"], None, "ms"),
    ]


def _row(what: str, ours: float, peer: float | None, unit: str) -> dict:
    ratio = peer / ours if peer and ours > 0 else None
    return {"what": what, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit}
