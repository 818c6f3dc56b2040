"""A worker: greedy decoding of a batch of prompts. Task: `folder` (weights as transformers reads them), batch, prompt
(tokens), new (tokens), and optionally `place`: then the model is MathReasoningLayer's of the 100k shape instead.
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
    if shape := task.get("place"):
        config = DecoderConfig(**shape | {"digit_token_ids": tuple(range(16, 26))})
        graphdef, params = decoder.init(config, jax.random.key(0))
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
    serve(max(0.0, first - (time.perf_counter() - begun)), work, said=said.tolist())


main(json.loads(sys.argv[1]))
