import itertools

import grain.checkpoint
import numpy as np
import orbax.checkpoint as ocp
import pytest

from data_pipelines import BadInput
from data_pipelines.loader import evaluation_batches, make_batch, training_batches
from data_pipelines.modular_math import ModularMath, Question
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer

ADD = "arithmetic__add_or_sub"
BARE = {ADD: {"operations": "add", "max_digits": 10, "extrapolate_digits": (50, 100), "phrasing": "bare"}}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


@pytest.fixture(scope="module")
def source():
    return ModularMath((ADD,), seed=3, settings=BARE).train_source()


def first(iterator, count):
    batches = list(itertools.islice(iterator, count))
    iterator.close()
    return batches


def same(left, right):
    return len(left) == len(right) and all(
        np.array_equal(a[key], b[key]) for a, b in zip(left, right, strict=True) for key in a
    )


def test_an_example_is_question_newline_answer_end(tokenizer):
    batch = make_batch([Question(ADD, "12+9", "21", 0), Question(ADD, "1+1", "2", 1)], tokenizer, (12, 16))
    text = tokenizer.decode(batch["tokens_BT"][0])
    assert text == "12+9\n21"
    assert batch["tokens_BT"].shape == (2, 12) and batch["tokens_BT"].dtype == np.int32
    assert batch["tokens_BT"][0, :5].tolist() == tokenizer.encode("12+9\n")
    assert batch["tokens_BT"][0, 5:8].tolist() == [*tokenizer.encode("21"), tokenizer.eos_id]
    assert batch["loss_mask_BT"].dtype == np.float32
    assert batch["loss_mask_BT"].tolist() == [[0] * 5 + [1] * 3 + [0] * 4, [0] * 4 + [1] * 2 + [0] * 6]
    assert (batch["tokens_BT"][1, 6:] == tokenizer.pad_id).all()


def test_the_bucket_is_the_smallest_that_fits(tokenizer):
    def width(question, buckets):
        return make_batch([Question(ADD, question, "2", 0)], tokenizer, buckets)["tokens_BT"].shape[1]

    assert width("1" * 5, (16, 8)) == 8
    assert width("1" * 6, (16, 8)) == 16
    with pytest.raises(BadInput, match=r"17 tokens.*length_buckets"):
        width("1" * 14, (16, 8))


def test_batches_are_a_function_of_seed_and_step(source, tokenizer):
    def batches(seed, start, count=4):
        return first(training_batches(source, tokenizer, 8, seed, start, (34,)), count)

    assert same(batches(0, 0)[2:], batches(0, 2, 2))
    assert not same(batches(0, 0), batches(1, 0))
    assert not same(batches(0, 0, 1), batches(0, 1, 1))


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_cut_the_same_batches(source, tokenizer, shards):
    whole = first(training_batches(source, tokenizer, 8, 0, 5, (34,)), 2)
    parts = [
        first(training_batches(source, tokenizer, 8, 0, 5, (34,), shard=shard, shards=shards), 2)
        for shard in range(shards)
    ]
    for step in range(2):
        together = np.concatenate([part[step]["tokens_BT"] for part in parts])
        assert np.array_equal(together, whole[step]["tokens_BT"])


def test_wrong_sizes_are_refused(source, tokenizer):
    with pytest.raises(BadInput, match="batch_size 8 cannot be cut into 3"):
        training_batches(source, tokenizer, 8, 0, 0, (34,), shards=3)
    with pytest.raises(BadInput, match="one length bucket"):
        training_batches(source, tokenizer, 8, 0, 0, (34, 40), shards=2)
    with pytest.raises(BadInput, match="length_buckets"):
        training_batches(source, tokenizer, 8, 0, 0, ())


def test_a_question_too_long_is_reported_through_the_thread(source, tokenizer):
    iterator = training_batches(source, tokenizer, 64, 0, 0, (16,))
    with pytest.raises(BadInput, match=r"arithmetic__add_or_sub is \d+ tokens long"):
        next(iterator)
    iterator.close()


def test_grain_checkpoint_restores_the_next_batches(source, tokenizer, tmp_path):
    iterator = training_batches(source, tokenizer, 8, 0, 0, (34,))
    for _ in range(3):
        next(iterator)
    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(3, args=ocp.args.Composite(data=grain.checkpoint.CheckpointSave(iterator)))
        manager.wait_until_finished()
        expected = first(iterator, 3)
        restored = training_batches(source, tokenizer, 8, 0, 0, (34,))
        manager.restore(3, args=ocp.args.Composite(data=grain.checkpoint.CheckpointRestore(restored)))
    assert same(first(restored, 3), expected)


def test_evaluation_batches_hold_the_first_questions_in_order(source, tokenizer):
    batches = list(evaluation_batches(source, tokenizer, 8, 11, (34,)))
    assert [batch["tokens_BT"].shape for batch in batches] == [(8, 34), (8, 34)]
    texts = [tokenizer.decode(row) for batch in batches for row in batch["tokens_BT"]]
    assert texts == [f"{source[i].question}\n{source[i].answer}" for i in range(11)] + [""] * 5
    assert batches[1]["loss_mask_BT"][3:].sum() == 0
