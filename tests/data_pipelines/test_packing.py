import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines import BadInput, packing
from data_pipelines.modular_math import ModularMath, Question
from data_pipelines.packing import PackedRows, RowsOnTheFly, best_fit, pack
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer

LENGTH = 96


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


@pytest.fixture(scope="module")
def source():
    return ModularMath(("arithmetic__add_or_sub", "numbers__gcd"), seed=3).train_source()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(packing, "EXAMPLES_A_SHARD", 100)


def documents(rows, tokenizer):
    """(text, text that the loss looks at) of every document, by numbers and tokens alone."""
    batch = rows.rows(range(len(rows))) if isinstance(rows, PackedRows) else rows
    found = []
    for tokens, segments, mask in zip(batch["tokens_BT"], batch["segments_BT"], batch["loss_mask_BT"], strict=True):
        for number in range(1, segments.max() + 1):
            own = np.flatnonzero(segments == number)
            assert (np.diff(own) == 1).all(), "a document stands in one piece"
            assert tokens[own[-1]] == tokenizer.eos_id and mask[own[-1]] == 1
            found.append((tokenizer.decode(tokens[own]), tokenizer.decode(tokens[own][mask[own] == 1])))
        empty = segments == 0
        assert (tokens[empty] == tokenizer.pad_id).all() and not mask[empty].any()
        assert not empty.any() or empty[np.argmax(empty) :].all(), "padding stands at the end"
    return found


def test_every_example_is_there_once_with_its_answer(tmp_path, tokenizer, source):
    rows = pack(source, 250, tokenizer, LENGTH, tmp_path, "questions")
    wanted = [(f"{source[i].question}\n{source[i].answer}", source[i].answer) for i in range(250)]
    assert sorted(documents(rows, tokenizer)) == sorted(wanted)
    assert rows.tokens == sum(len(tokenizer.encode(text)) + 1 for text, _ in wanted)
    batch = rows.rows([0, len(rows) - 1])
    assert {name: array.dtype for name, array in batch.items()} == {
        "tokens_BT": np.int32,
        "segments_BT": np.int32,
        "loss_mask_BT": np.float32,
    }
    single = rows[len(rows) - 1]
    assert all(np.array_equal(single[name[:-2] + "T"], array[1]) for name, array in batch.items())
    with pytest.raises(IndexError):
        rows[len(rows)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(50, 70), st.integers(1, 9))
def test_best_fit_is_that_of_the_textbook(lengths, length, most):
    """Beside a search through all open rows, longest item first: the same fill of every row."""
    open_rows: list[list[int]] = []
    for item in sorted(lengths, reverse=True):
        fitting = [row for row in open_rows if sum(row) + item <= length and len(row) < most]
        if fitting:
            max(fitting, key=sum).append(item)
        else:
            open_rows.append([item])
    rows = best_fit(lengths, length, most)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    assert sorted(sum(lengths[item] for item in row) for row in rows) == sorted(map(sum, open_rows))
    assert max(map(len, rows)) <= most


def test_little_is_padding(tmp_path, tokenizer, source, monkeypatch):
    monkeypatch.setattr(packing, "EXAMPLES_A_SHARD", 2000)
    rows = pack(source, 2000, tokenizer, 256, tmp_path, "questions")
    assert rows.tokens / (len(rows) * 256) > 0.98


def _pack_slowly(folder, tokenizer, source):
    packing.EXAMPLES_A_SHARD = 100
    pack(source, 1000, tokenizer, LENGTH, folder, "questions", progress=lambda done: time.sleep(0.05))


def test_cut_off_it_goes_on_to_the_same_bytes(tmp_path, tokenizer, source):
    whole = pack(source, 1000, tokenizer, LENGTH, tmp_path / "whole", "questions")
    cut = tmp_path / "cut"
    process = multiprocessing.get_context("spawn").Process(target=_pack_slowly, args=(cut, tokenizer, source))
    process.start()
    while len(list(cut.glob("rows-*.npy"))) < 3:
        assert process.exitcode is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(BadInput, match="not packed to its end"):
        PackedRows(cut, tokenizer)
    kept = {path: path.stat().st_mtime_ns for path in cut.glob("rows-*.npy")}
    done = []
    pack(source, 1000, tokenizer, LENGTH, cut, "questions", progress=done.append)
    assert done[0] == 100 * len(kept) and done[-1] == 1000
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items()), "what was there was not made again"
    for path in whole.folder.iterdir():
        assert (cut / path.name).read_bytes() == path.read_bytes()


def test_more_processes_write_the_same(tmp_path, tokenizer, source):
    one = pack(source, 250, tokenizer, LENGTH, tmp_path / "one", "questions")
    two = pack(source, 250, tokenizer, LENGTH, tmp_path / "two", "questions", processes=2)
    for path in one.folder.iterdir():
        assert (two.folder / path.name).read_bytes() == path.read_bytes()


def test_what_does_not_fit_together_is_refused(tmp_path, tokenizer, source):
    folder = tmp_path / "rows"
    pack(source, 50, tokenizer, LENGTH, folder, "questions")
    with pytest.raises(BadInput, match="packed with examples 50, not 60: give another folder"):
        pack(source, 60, tokenizer, LENGTH, folder, "questions")
    with pytest.raises(BadInput, match="what 'questions', not 'others'"):
        pack(source, 50, tokenizer, LENGTH, folder, "others")
    plain = load_tokenizer(make_character_tokenizer(tmp_path / "plain"), reverse_digits=False)
    with pytest.raises(BadInput, match="another tokeniser or reverse_digits"):
        PackedRows(folder, plain)
    with pytest.raises(BadInput, match="no packed rows"):
        PackedRows(tmp_path / "nothing", tokenizer)
    with pytest.raises(BadInput, match=r"example 1 \('1\+1.*has 102 tokens, a row only 96"):
        pack([Question("m", "1+1", "2", 0), Question("m", "1+1" + " " * 96, "2", 1)], 2, tokenizer, LENGTH,
             tmp_path / "long", "two")  # fmt: skip
    (folder / "rows-00000.npy").write_bytes(b"nothing")
    with pytest.raises(BadInput, match=r"rows-00000\.npy"):
        PackedRows(folder, tokenizer)


def test_a_large_vocabulary_is_not_cut(tmp_path, tokenizer):
    class Large:
        vocab_size, pad_id, eos_id, reverse_digits = 100_000, 99_998, 99_999, False

        def fingerprint(self):
            return "large"

        def encode_batch(self, texts):
            return [np.array([70_000 + ord(letter) for letter in text], np.int32) for text in texts]

    rows = pack([Question("m", "1+1", "2", 0)], 1, Large(), 8, tmp_path, "one")
    assert rows[0]["tokens_T"].tolist() == [*(70_000 + ord(letter) for letter in "1+1\n2"), 99_999, 99_998, 99_998]


def test_rows_on_the_fly_are_functions_of_their_number(tokenizer, source):
    rows = RowsOnTheFly(source, len(source), tokenizer, LENGTH)
    batch = rows.rows([7, 0])
    assert all(np.array_equal(array[:1], rows.rows([7])[name]) for name, array in batch.items())
    texts = [text for text, _ in documents(batch, tokenizer)]
    assert len(set(texts)) == len(texts) >= 3
    again = RowsOnTheFly(source, len(source), tokenizer, LENGTH, seed=1).rows([7, 0])
    assert not set(texts) & {text for text, _ in documents(again, tokenizer)}, "another seed, other questions"
    few = RowsOnTheFly(source, 64, tokenizer, LENGTH)
    assert len(few) == 2
    asked = [f"{source[i].question}\n{source[i].answer}" for i in range(64)]
    told = [text for text, _ in documents(few.rows([0, 1]), tokenizer)]
    assert set(told) <= set(asked) and {asked.index(text) // 32 for text in told} == {0, 1}
    with pytest.raises(BadInput, match="a row only 8"):
        RowsOnTheFly(source, 100, tokenizer, 8).rows([0])
