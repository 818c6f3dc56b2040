"""A worker on PyTorch: transformers' `generate` of the same prompts and weights. Task: folder, batch, prompt, new,
device.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from tests.benchmarks._workers import serve


def main(task: dict[str, Any]) -> None:
    model = AutoModelForCausalLM.from_pretrained(task["folder"], dtype=torch.float32).to(task["device"]).eval()
    vocabulary = model.config.vocab_size
    prompts = torch.tensor(np.random.default_rng(0).integers(2, vocabulary, (task["batch"], task["prompt"])))
    prompts = prompts.to(task["device"])
    seen = torch.ones_like(prompts)

    def work() -> list:
        said = model.generate(
            prompts, attention_mask=seen, max_new_tokens=task["new"], do_sample=False, eos_token_id=None
        )
        return said[:, task["prompt"] :].tolist()

    begun = time.perf_counter()
    work()
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    said = work()
    serve(max(0.0, first - (time.perf_counter() - begun)), work, said=said)


main(json.loads(sys.argv[1]))
