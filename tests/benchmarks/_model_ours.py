"""A worker: training steps of the decoder. Task: `config` (fields of DecoderConfig), batch, length, and optionally
steps (a dispatch). Or instead gemm: it multiplies square matrices of that size; or points: a list of such tasks, which
it measures by itself.
"""

import json
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks._workers import serve
from vishwam.model import decoder
from vishwam.model.config import DecoderConfig
from vishwam.model.flops import flops_per_token
from vishwam.training.optimizer import Knobs
from vishwam.training.step import TrainState, init_state, train_steps


def main(task: dict[str, Any]) -> None:
    if size := task.get("gemm"):
        square = jnp.ones((size, size))
        multiply = jax.jit(jnp.matmul)
        multiply(square, square).block_until_ready()
        serve(0.0, lambda: multiply(square, square).block_until_ready(), flops=2.0 * size**3)
        return
    if points := task.get("points"):
        # The middle points of several axes are one and the same.
        once = {key: measure(json.loads(key)) for key in dict.fromkeys(json.dumps(point) for point in points)}
        serve(0.0, lambda: None, points=[once[json.dumps(point)] for point in points])
        return
    program, state, batches, knobs, facts = compiled(task)

    def work() -> None:
        nonlocal state
        state, metrics = program(state, batches, knobs)
        jax.block_until_ready(metrics)

    work()

    def peak_mb() -> float:
        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**20

    on_device = jax.devices()[0].memory_stats() is not None
    serve(facts.pop("compile_s"), work, peak_mb if on_device else None, **facts)


def compiled(task: dict[str, Any]) -> tuple[Any, TrainState, Any, Knobs, dict[str, Any]]:
    """The program of a dispatch, what it takes, and its facts."""
    config = DecoderConfig(**task["config"] | {"digit_token_ids": tuple(task["config"].get("digit_token_ids", ()))})
    steps, batch, length = task.get("steps", 1), task["batch"], task["length"]
    graphdef, params = decoder.graph(config), jax.jit(lambda key: decoder.init(config, key)[1])(jax.random.key(0))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    state = init_state(params)
    tokens = np.random.default_rng(0).integers(0, config.vocab_size, (steps, batch, length + 1)).astype(np.int32)
    batches = jax.device_put({"tokens_BT": tokens, "loss_mask_BT": np.ones(tokens.shape, np.float32)})
    knobs = Knobs().on_device()
    begun = time.perf_counter()
    program = train_steps.lower(graphdef, state, batches, knobs).compile()
    compile_s = time.perf_counter() - begun
    planned: Any = program.memory_analysis()
    facts = {
        "compile_s": compile_s,
        "parameters": parameters,
        "flops": flops_per_token(config, length) * batch * length * steps,
        "planned_mb": (planned.argument_size_in_bytes + planned.temp_size_in_bytes) / 2**20,
    }
    return program, state, batches, knobs, facts


def measure(point: dict[str, Any]) -> dict[str, Any]:
    """The facts of one point and the least processor time of its step, without a peer to take turns with."""
    program, state, batches, knobs, facts = compiled(point)
    best = float("inf")
    for _ in range(4):
        begun = time.process_time()
        state, metrics = program(state, batches, knobs)
        jax.block_until_ready(metrics)
        best = min(best, time.process_time() - begun)
    return facts | {"cpu_s": best}


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
