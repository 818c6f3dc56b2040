"""Greedy decoding beside transformers' `generate` on the same weights, which must say the same tokens.

On CPU a batch of 64 by processor time (tokens a CPU-second), on a GPU a batch of 256 by the clock.
"""

import functools
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tests.benchmarks._workers import MALLOC, PEER_PYTHON, Worker, peer_python, take_turns, workers
from tests.benchmarks.model import CPU_SHAPE, SMALL_SHAPE
from vishwam.model import decoder, pretrained
from vishwam.model.config import DecoderConfig

PROMPT, NEW = 32, 96


def run() -> list[dict]:
    python = peer_python("transformers")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, shape in (("4 layers of 256", CPU_SHAPE), ("100k parameters", SMALL_SHAPE)):
            weights = Path(folder, name.replace(" ", "-"))
            fields: dict[str, Any] = {**shape, "position": "rope", "scaled_embeddings": False}
            _random_weights(DecoderConfig(**fields), weights)
            rows.append(_compare(f"{name}, batch 64", {"folder": str(weights), "batch": 64}, "cpu", python))
            if jax.default_backend() == "gpu":
                rows.append(_compare(f"GPU: {name}, batch 256", {"folder": str(weights), "batch": 256}, "cuda", python))
            else:
                unit = "tokens/s (needs a GPU)"
                what = f"GPU: {name}, batch 256"
                rows.append({"what": what, "ours": None, "peer": None, "ratio": None, "unit": unit})
        # It has no peer: beside generate of the RoPE model of its size.
        task = {"folder": str(weights), "batch": 64, "place": SMALL_SHAPE}
        rows.append(_compare("100k parameters, MathReasoningLayer, batch 64", task, "cpu", python))
    return rows


def _random_weights(config: DecoderConfig, folder: Path) -> None:
    """Far from flat, so that rounding moves no choice."""
    _, params = decoder.init(config, jax.random.key(0))
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.05 * random.normal(size=leaf.shape).astype(np.float32), params)
    pretrained.save(folder, config, params)


def _compare(what: str, task: dict[str, Any], device: str, python: str | None) -> dict:
    task = {**task, "prompt": PROMPT, "new": NEW, "device": device}
    environment = {"JAX_PLATFORMS": "cpu", **MALLOC} if device == "cpu" else {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    made = [functools.partial(Worker, "_decode_ours.py", task, **environment)]
    if python:
        made.append(functools.partial(Worker, "_decode_peer.py", task, python))
    with workers(*made) as running:
        seconds = take_turns(running, 1, 3, "cpu_s" if device == "cpu" else "wall_s")
        if len(running) == 2 and "place" not in task:
            ours, theirs = (np.array(worker.ready["said"]) for worker in running)
            alike = np.mean((ours == theirs).all(axis=1))
            what += f"; {alike:.0%} of texts the same"
        tokens = [task["batch"] * NEW / each for each in seconds]
        compiling = [worker.ready["compile_s"] for worker in running]
        peaks = [worker.end()["peak_mb"] for worker in running]
    if not python:
        what += f"; no PyTorch and transformers here: {PEER_PYTHON} may name a Python with both"
    peer = tokens[1] if python else None
    return {
        "what": what,
        "ours": tokens[0],
        "peer": peer,
        "ratio": tokens[0] / peer if peer else None,
        "unit": "tokens/CPU-s" if device == "cpu" else "tokens/s",
        "compile s": compiling[0],
        "peer's compile s": compiling[1] if python else None,
        "peak MB": peaks[0],
        "peer's peak MB": peaks[1] if python else None,
    }
