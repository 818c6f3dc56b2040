"""A worker: greedy decoding of a batch of prompts. Task: batch, prompt (tokens), new (tokens), and of the model
`folder` (weights as transformers reads them) or, for random weights, `config` (fields of DecoderConfig).
"""

import json
import sys
import time
from typing import Any

import jax
import numpy as np

from tests.benchmarks._workers import serve
from vishwam.decoding.greedy import greedy_decode
from vishwam.model import decoder, pretrained
from vishwam.model.config import DecoderConfig


def main(task: dict[str, Any]) -> None:
    if fields := task.get("config"):
        config = DecoderConfig(**fields | {"digit_token_ids": tuple(fields.get("digit_token_ids", ()))})
        graphdef, params = decoder.graph(config), jax.jit(lambda key: decoder.init(config, key)[1])(jax.random.key(0))
    else:
        config, loaded = pretrained.load(task["folder"])
        graphdef, params = decoder.graph(config), jax.device_put(loaded)
    prompts = np.random.default_rng(0).integers(2, config.vocab_size, (task["batch"], task["prompt"])).astype(np.int32)
    lengths = np.full(task["batch"], task["prompt"])

    def work() -> np.ndarray:
        return greedy_decode(graphdef, params, prompts, lengths, task["new"], config.vocab_size)

    begun = time.perf_counter()
    work()
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    said = work()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    serve(max(0.0, first - (time.perf_counter() - begun)), work, said=said.tolist(), parameters=parameters)


main(json.loads(sys.argv[1]))
