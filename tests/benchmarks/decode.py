"""Greedy decoding beside transformers' `generate` on the same weights, which must say the same tokens.

On CPU a batch of 64 by processor time (tokens a CPU-second), on a GPU a batch of 256 by the clock, and there a model of
1B parameters beside what the memory can deliver.
"""

import functools
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from tests.benchmarks._workers import MALLOC, PEER_PYTHON, Worker, peer_python, take_turns, workers
from tests.benchmarks.model import CPU_SHAPE, DIGITS, GPU_MODELS, GPU_VOCABULARY, NEEDS_GPU, SMALL_SHAPE
from vishwam.model import decoder, pretrained
from vishwam.model.config import DecoderConfig

PROMPT, NEW = 32, 96

# Bytes a second of a GPU's memory, by the end of JAX's `device_kind`; nvidia.com/en-us/data-center/{h200,h100,a100}.
BANDWIDTHS = {"H200": 4.8e12, "H100 80GB HBM3": 3.35e12, "A100-SXM4-80GB": 2.039e12}


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
                unit = f"tokens/s ({NEEDS_GPU})"
                what = f"GPU: {name}, batch 256"
                rows.append({"what": what, "ours": None, "peer": None, "ratio": None, "unit": unit})
        # It has no peer: beside generate of the RoPE model of its size.
        config = SMALL_SHAPE | {"digit_token_ids": DIGITS}
        task = {"folder": str(weights), "batch": 64, "config": config}
        rows.append(_compare("100k parameters, MathReasoningLayer, batch 64", task, "cpu", python))
    return [*rows, _of_bandwidth()]


def _of_bandwidth() -> dict:
    """1B parameters in bfloat16: the bytes that each token must read, its weights and all keys and values so far, in a
    second, beside what the memory can deliver. The table that embeddings are read from, and logits made with, is
    float32; the seconds are with those in which the prompts are read.
    """
    name, shape, *_ = GPU_MODELS[-1]
    batch = 64
    what, unit = f"GPU: {name}, batch {batch}, of the memory's bandwidth", "bytes/s"
    device = jax.devices()[0]
    if device.platform != "gpu":
        return {"what": what, "ours": None, "peer": None, "ratio": None, "unit": f"{unit} ({NEEDS_GPU})"}
    config = {**shape, "vocab_size": GPU_VOCABULARY, "position": "rope", "compute_dtype": "bfloat16"}
    task = {"config": config, "batch": batch, "prompt": PROMPT, "new": NEW}
    with workers(functools.partial(Worker, "_decode_ours.py", task)) as (worker,):
        (seconds,) = take_turns([worker], 1, 3, "wall_s")
        weights = 2 * (worker.ready["parameters"] + GPU_VOCABULARY * shape["model_dim"])
        compiling, peak = worker.ready["compile_s"], worker.end()["peak_mb"]
    slot = 2 * 2 * shape["num_layers"] * shape["model_dim"] * batch  # a key and a value of every layer and text
    read = sum(weights + slot * (PROMPT + step) for step in range(1, NEW))
    peer = next((rate for kind, rate in BANDWIDTHS.items() if device.device_kind.endswith(kind)), None)
    return {
        "what": what,
        "ours": read / seconds,
        "peer": peer,
        "ratio": read / seconds / peer if peer else None,
        "unit": unit,
        "compile s": compiling,
        "peak MB": peak,
    }


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
        if len(running) == 2 and "config" not in task:
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
