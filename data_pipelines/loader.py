"""Batches: each a pure function of (seed, step, shard), so the step is all the state there is.

An example is the tokens of `question + "\\n"`, then of the answer, then the end token; the loss looks at the answer and
the end only. A row holds one example and is padded to a bucket of lengths, or several, packed to one length (see
`packing`). Axis letters: B batch, T time.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import grain
import numpy as np

from data_pipelines import BadInput
from data_pipelines.mixture import Endless
from data_pipelines.modular_math.random import splitmix64
from data_pipelines.modular_math.source import Question
from data_pipelines.packing import Batch, encode
from data_pipelines.tokenizer import MathTokenizer

__all__ = ["Batch", "evaluation_batches", "make_batch", "row_batches", "training_batches"]

# Two batches wait while a third is made: more would only age the state in a checkpoint.
_AHEAD = 2


class Questions(Protocol):
    """Questions by index, with no end that is ever reached."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Question: ...


def make_batch(
    questions: Sequence[Question], tokenizer: MathTokenizer, length_buckets: Sequence[int], rows: int | None = None
) -> Batch:
    """The batch of `questions`, padded to `rows` rows and to the smallest of `length_buckets` that holds its longest
    example: `tokens_BT` int32, `loss_mask_BT` float32, 1 where the token is of an answer or ends it.

    Raises:
      BadInput: an example is longer than every bucket.
    """
    encoded = encode(questions, tokenizer)
    width = _bucket([len(tokens) for tokens, _ in encoded], questions, length_buckets)
    tokens_BT = np.full((rows or len(questions), width), tokenizer.pad_id, np.int32)
    loss_mask_BT = np.zeros(tokens_BT.shape, np.float32)
    for row, (tokens, answer) in enumerate(encoded):
        tokens_BT[row, : len(tokens)] = tokens
        loss_mask_BT[row, answer : len(tokens)] = 1
    return {"tokens_BT": tokens_BT, "loss_mask_BT": loss_mask_BT}


def training_batches(
    source: Questions,
    tokenizer: MathTokenizer,
    batch_size: int,
    seed: int,
    start_step: int,
    length_buckets: Sequence[int],
    *,
    shard: int = 0,
    shards: int = 1,
    beside: Callable[[range, Batch], Batch] = lambda rows, batch: {},
) -> grain.DatasetIterator[Batch]:
    """Endless training batches from `start_step` on, made ahead in a background thread.

    The iterator is Grain's: `grain.checkpoint.CheckpointSave` stores its step, and `close` ends the thread. Questions
    are independent draws by index, so the seed chooses where in the source the stream begins and nothing is shuffled.
    Shard k of n takes its nth of every batch's rows: resuming with another number of shards continues the same stream
    without repeats or gaps. `beside` says what else a batch carries, from the numbers of its rows and from itself.

    Raises:
      BadInput: the batch cannot be cut into shards, or several shards have a choice of buckets (their shapes would
        differ).
    """
    buckets = tuple(sorted(length_buckets))
    if not buckets or buckets[0] < 2:
        raise BadInput(f"length_buckets needs lengths of 2 or more, not {tuple(length_buckets)!r}")
    if shards > 1 and len(buckets) > 1:
        raise BadInput(
            f"with {shards} shards give one length bucket, not {buckets}: every shard's batch must have one shape"
        )
    offset = splitmix64(seed & ((1 << 64) - 1)) % len(source)

    def make(places: range) -> Batch:
        return make_batch([source[(offset + place) % len(source)] for place in places], tokenizer, buckets)

    return _endless(make, beside, batch_size, start_step, shard, shards)


def row_batches(
    rows: Endless,
    batch_size: int,
    start_step: int,
    *,
    shard: int = 0,
    shards: int = 1,
    beside: Callable[[range, Batch], Batch] = lambda rows, batch: {},
) -> grain.DatasetIterator[Batch]:
    """Endless training batches of packed rows, as `training_batches`: batch s holds rows s * batch_size and on (see
    `mixture`).

    Raises:
      BadInput: the batch cannot be cut into shards.
    """
    return _endless(rows.rows, beside, batch_size, start_step, shard, shards)


def evaluation_batches(
    source: Questions, tokenizer: MathTokenizer, batch_size: int, count: int, length_buckets: Sequence[int]
) -> Iterator[Batch]:
    """The first `count` questions in order; the last batch is filled up with rows whose mask is 0."""
    for start in range(0, count, batch_size):
        questions = [source[index] for index in range(start, min(count, start + batch_size))]
        yield make_batch(questions, tokenizer, length_buckets, batch_size)


def _bucket(lengths: list[int], questions: Sequence[Question], length_buckets: Sequence[int]) -> int:
    longest = max(lengths)
    fitting = [bucket for bucket in length_buckets if bucket >= longest]
    if not fitting:
        question = questions[lengths.index(longest)]
        raise BadInput(
            f"question {question.index} of {question.module} is {longest} tokens long, more than the longest of "
            f"length_buckets {tuple(length_buckets)}"
        )
    return min(fitting)


def _endless(
    make: Callable[[range], Batch],
    beside: Callable[[range, Batch], Batch],
    batch_size: int,
    start_step: int,
    shard: int,
    shards: int,
) -> grain.DatasetIterator[Batch]:
    if batch_size < 1 or batch_size % shards:
        raise BadInput(f"batch_size {batch_size} cannot be cut into {shards} shards")

    def whole(rows: range) -> Batch:
        batch = make(rows)
        return batch | beside(rows, batch)

    dataset = _TrainingBatches(whole, batch_size, start_step, shard, shards)
    return iter(grain.experimental.ThreadPrefetchIterDataset(dataset, prefetch_buffer_size=_AHEAD))


class _TrainingBatches(grain.IterDataset):
    """The endless stream: shard k of n makes its nth of the rows of every batch."""

    def __init__(self, make: Callable[[range], Batch], batch_size: int, start_step: int, shard: int, shards: int):
        super().__init__()
        self.start_step = start_step
        self._make = make
        self._batch_size = batch_size
        self._rows = range(shard * batch_size // shards, (shard + 1) * batch_size // shards)

    def batch(self, step: int) -> Batch:
        first = step * self._batch_size
        return self._make(range(first + self._rows.start, first + self._rows.stop))

    def __iter__(self) -> grain.DatasetIterator[Batch]:
        return _TrainingIterator(self)


class _TrainingIterator(grain.DatasetIterator):
    def __init__(self, dataset: _TrainingBatches):
        super().__init__()
        self._dataset = dataset
        self._step = dataset.start_step

    def __next__(self) -> Batch:
        batch = self._dataset.batch(self._step)
        self._step += 1
        return batch

    def get_state(self) -> dict[str, int]:
        return {"step": self._step}

    def set_state(self, state: dict[str, int]) -> None:
        self._step = state["step"]
