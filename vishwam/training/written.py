"""What a model writes itself while it is trained, for the sequence-level unlikelihood of Welleck et al. (2020)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx

from data_pipelines.loader import Batch
from data_pipelines.tokenizer import MathTokenizer
from vishwam.decoding.greedy import greedy_decode

from .carried import speakable
from .experiment import Experiment

PREFIX = 4  # tokens of a training text that the model goes on from


def writer(experiment: Experiment, tokenizer: MathTokenizer, graphdef: nnx.GraphDef) -> Callable[[Any, Batch], Batch]:
    """A function of the parameters and of the stacked batches of a dispatch: what these carry beside, written by the
    model as it is when the dispatch begins, so that a resumed run writes the same. Nothing where the penalty has no
    weight.

    Carried are `written_tokens_BT`, prompts and what was written, and `written_weight_BT`: of each token that is part
    of a run of `written_ngram` tokens that stood before, one over all tokens that were written for the step; 0 of
    others, and of what is not speakable.
    """
    if not experiment.knobs.sequence_unlikelihood:
        return lambda params, batches: {}
    said, loop = speakable(tokenizer), experiment.loop

    def write(params: Any, batches: Batch) -> Batch:
        steps = len(batches["tokens_BT"])
        prompts_BT = batches["tokens_BT"][:, : loop.written_texts, :PREFIX].reshape(-1, PREFIX)
        lengths_B = np.full(len(prompts_BT), PREFIX)
        written_BT = greedy_decode(graphdef, params, prompts_BT, lengths_B, loop.written_tokens, tokenizer.eos_id)
        repeats_BT = [repeated(row, loop.written_ngram, tokenizer.pad_id) for row in written_BT.tolist()]
        lengths_S = np.count_nonzero(written_BT != tokenizer.pad_id, axis=1).reshape(steps, -1).sum(axis=1)
        shares_B = np.repeat(1 / np.maximum(lengths_S, 1), len(prompts_BT) // steps)
        weight_BT = repeats_BT * said[written_BT] * shares_B[:, None]
        carried = {
            "written_tokens_BT": np.concatenate([prompts_BT, written_BT], axis=1),
            "written_weight_BT": np.pad(weight_BT, ((0, 0), (PREFIX, 0))).astype(np.float32),
        }
        return {name: array.reshape(steps, -1, array.shape[1]) for name, array in carried.items()}

    return write


def repeated(text: list[int], n: int, pad_id: int) -> list[bool]:
    """Of each token, whether it is part of a run of n that stood in the text before."""
    parts = [False] * len(text)
    seen: set[tuple[int, ...]] = set()
    for start in range(len(text) - n + 1):
        run = tuple(text[start : start + n])
        if pad_id in run:
            break
        if run in seen:
            parts[start : start + n] = [True] * n
        seen.add(run)
    return parts
