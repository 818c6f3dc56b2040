import itertools
from collections import Counter

import grain.checkpoint
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data_pipelines import BadInput
from data_pipelines.loader import row_batches
from data_pipelines.mixture import Mixture


class Numbered:
    """Row i holds `first` + i, so that a batch tells which rows it is made of."""

    def __init__(self, first: int, count: int, length: int = 2):
        self.first, self.count, self.length = first, count, length

    def __len__(self):
        return self.count

    def rows(self, indices):
        indices = np.asarray(indices)
        assert (indices >= 0).all() and (indices < self.count).all()
        return {"tokens_BT": np.repeat(self.first + indices[:, None], self.length, axis=1).astype(np.int32)}


def numbers(batch):
    return batch["tokens_BT"][:, 0].tolist()


def first(batches, count):
    found = [number for batch in itertools.islice(batches, count) for number in numbers(batch)]
    batches.close()
    return found


def test_each_row_comes_once_a_round_and_rounds_differ():
    mixture = Mixture([Numbered(100, 50)], seed=1)
    rounds = [numbers(mixture.rows(range(start, start + 50))) for start in (0, 50, 100)]
    assert all(sorted(each) == list(range(100, 150)) for each in rounds)
    assert len({tuple(each) for each in rounds}) == 3 and rounds[0] != sorted(rounds[0])
    assert numbers(mixture.rows([70, 3])) == [rounds[1][20], rounds[0][3]]
    assert numbers(Mixture([Numbered(100, 50)], seed=2).rows(range(50))) != rounds[0]


def test_sources_take_turns_by_their_weights():
    mixture = Mixture([Numbered(0, 40), Numbered(1000, 10), Numbered(2000, 7)], (0.5, 0.3, 0.2), seed=5)
    drawn = numbers(mixture.rows(range(400)))
    counts = Counter(number // 1000 for number in drawn)
    assert all(abs(counts[source] - wanted) <= 1 for source, wanted in ((0, 200), (1, 120), (2, 80)))
    # Within a stretch of ten, too: no source is left out for long.
    assert all(abs(sum(n < 1000 for n in drawn[start : start + 10]) - 5) <= 1 for start in range(0, 400, 10))
    of_third = [number for number in drawn if number >= 2000]
    assert sorted(of_third[:7]) == list(range(2000, 2007)), "a small source begins again when it is through"


def test_a_batch_is_a_function_of_seed_step_and_shard_however_many_shards():
    """The union over shards is the unsharded stream, also when their number changes on the way."""
    mixture = Mixture([Numbered(0, 37), Numbered(1000, 11)], (2, 1), seed=9)
    whole = first(row_batches(mixture, 8, 0), 12)
    pieces = []
    for start, steps, shards in ((0, 4, 1), (4, 4, 2), (8, 4, 4)):
        streams = [
            np.reshape(first(row_batches(mixture, 8, start, shard=shard, shards=shards), steps), (steps, -1))
            for shard in range(shards)
        ]
        pieces += np.concatenate(streams, axis=1).ravel().tolist()
    assert pieces == whole


def test_the_place_in_the_stream_survives_a_checkpoint(tmp_path):
    mixture = Mixture([Numbered(0, 37)], seed=9)
    whole = first(row_batches(mixture, 4, 0), 9)
    batches = row_batches(mixture, 4, 0)
    for _ in range(5):
        next(batches)
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(5, args=ocp.args.Composite(data=grain.checkpoint.CheckpointSave(batches)))
    batches.close()
    again = row_batches(mixture, 4, 0)
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.restore(5, args=ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(again)))
    assert first(again, 4) == whole[20:]


@pytest.mark.parametrize(
    ("sources", "weights", "words"),
    [
        ([], (), "needs a source"),
        ([Numbered(0, 3), Numbered(0, 3, 4)], (), r"one length, not \[2, 4\]"),
        ([Numbered(0, 0)], (), "has no rows"),
        ([Numbered(0, 3)], (1, 2), "for each of 1 sources"),
        ([Numbered(0, 3)], (0,), "above 0"),
    ],
)
def test_what_cannot_be_mixed_is_named(sources, weights, words):
    with pytest.raises(BadInput, match=words):
        Mixture(sources, weights)


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(BadInput, match="batch_size 8 cannot be cut into 3 shards"):
        row_batches(Mixture([Numbered(0, 3)]), 8, 0, shards=3)
