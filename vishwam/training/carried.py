"""What a training batch carries beside its texts, for the penalties of `mitigation`: made on the host, by row."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from data_pipelines.loader import Batch
from data_pipelines.planted_bias import Counterfactuals, PlantedBias
from data_pipelines.tokenizer import MathTokenizer

from .experiment import Experiment

Beside = Callable[[range, Batch], Batch]


def carried(experiment: Experiment, tokenizer: MathTokenizer) -> Beside:
    """What batches carry: what the penalties with a weight read, and nothing else."""
    parts: list[Beside] = []
    if experiment.knobs.pairing and isinstance(experiment.data, PlantedBias):
        pairs, lengths = experiment.data.counterfactuals(), experiment.loop.length_buckets
        parts.append(lambda rows, _: pair_rows(pairs, rows, tokenizer, lengths))
    if experiment.knobs.unlikelihood:
        said = speakable(tokenizer)
        parts.append(lambda _, batch: {"repeatable_BT": said[batch["tokens_BT"]].astype(np.float32)})
    return lambda rows, batch: functools.reduce(lambda whole, part: whole | part(rows, batch), parts, {})


def pair_rows(
    pairs: Counterfactuals, rows: Sequence[int], tokenizer: MathTokenizer, length_buckets: Sequence[int]
) -> Batch:
    """A pair for each of `rows`, as `pairs_tokens_BT` and `pairs_mask_BT`; as wide as the least of `length_buckets`
    that holds all of them, else as the longest.
    """
    texts = [text for row in rows for text in pairs[row]]
    # A text begins with the end of its question, which is empty.
    befores = tokenizer.encode_batch([f"\n{before}" for before, _ in texts])
    afters = tokenizer.encode_batch([after for _, after in texts])
    longest = max(len(before) + len(after) for before, after in zip(befores, afters, strict=True))
    width = min((length for length in length_buckets if length >= longest), default=longest)
    tokens_BT = np.full((len(texts), width), tokenizer.pad_id, np.int32)
    mask_BT = np.zeros((len(texts), width), np.float32)
    for row, (before, after) in enumerate(zip(befores, afters, strict=True)):
        end = len(before) + len(after)
        tokens_BT[row, :end] = np.concatenate([before, after])
        mask_BT[row, len(before) : end] = 1
    return {"pairs_tokens_BT": tokens_BT, "pairs_mask_BT": mask_BT}


def speakable(tokenizer: MathTokenizer) -> np.ndarray:
    """Of every token, whether it has a letter in it: digits and operators have none, and a sum may say them as often as
    it must.
    """
    ids = range(tokenizer.vocab_size)
    special = (tokenizer.pad_id, tokenizer.eos_id)
    return np.array([i not in special and any(map(str.isalpha, tokenizer.decode([i]))) for i in ids])
