"""Tokens a second a core on their way into a step, of CPU time and all threads: batches of packed rows beside a bare
copy of the same memory, which is the limit, and beside tf.data over the same rows where TENSORFLOW_PYTHON names an
interpreter that has it; and batches whose questions are made as they are needed.
"""

import itertools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from data_pipelines.loader import Batch, row_batches, training_batches
from data_pipelines.mixture import Mixture
from data_pipelines.modular_math.source import ModularMath
from data_pipelines.packing import PackedRows, RowsOnTheFly
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer

_LENGTH, _BATCH, _ROWS, _BATCHES = 1024, 64, 65_536, 1_000
_MADE = 30  # batches whose questions are made as they are needed

_TENSORFLOW = """
import sys, time
import tensorflow as tf
path, length, batch, batches = sys.argv[1], *map(int, sys.argv[2:])
def widen(row):
    stored = tf.reshape(tf.cast(tf.io.decode_raw(row, tf.uint16), tf.int32), [2, length])
    documents = tf.bitwise.bitwise_and(stored[1], 0x7FFF)
    return {"tokens": stored[0], "segments": documents, "loss_mask": tf.cast(stored[1] >= 0x8000, tf.float32)}
rows = tf.data.FixedLengthRecordDataset(path, 4 * length).shuffle(8192, seed=0).repeat()
data = rows.map(widen, num_parallel_calls=tf.data.AUTOTUNE).batch(batch).prefetch(tf.data.AUTOTUNE).as_numpy_iterator()
next(data)
started = time.process_time()
for _ in range(batches):
    next(data)
print(batch * length * batches / (time.process_time() - started))
"""


def run() -> list[dict]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = load_tokenizer(make_character_tokenizer(folder / "tokenizer"), reverse_digits=True)
        source = ModularMath(("arithmetic__add_or_sub", "numbers__gcd")).train_source()
        made = RowsOnTheFly(source, len(source), tokenizer, _LENGTH)
        packed = _packed(folder / "rows", made, tokenizer)
        ours = _rate(row_batches(Mixture([packed]), _BATCH, 0), _BATCHES)
        on_the_fly = _rate(row_batches(made, _BATCH, 0), _MADE)
        one_a_row = _rate(training_batches(source, tokenizer, _BATCH, 0, 0, (72, 128, 192)), 10 * _MADE)
        return [
            _row("packed rows, beside a bare copy of the same rows", ours, _bare(packed)),
            _row("packed rows, beside tf.data", ours, _tensorflow(folder / "rows")),
            _row("packed on the fly, beside packed once", on_the_fly, ours),
            _row("one question a row, beside packed on the fly", one_a_row, on_the_fly),
        ]


def _row(what: str, ours: float, peer: float | None) -> dict:
    ratio = peer and round(ours / peer, 3)
    return {"what": what, "ours": ours / 1e6, "peer": peer and peer / 1e6, "ratio": ratio, "unit": "Mtok/s a core"}


def _packed(folder: Path, made: RowsOnTheFly, tokenizer) -> PackedRows:
    """As many rows as a shuffle has to work on, by repeating some: what is in them takes no time to copy."""
    few = made.rows(range(256))
    stored = np.stack([few["tokens_BT"], few["segments_BT"] | (few["loss_mask_BT"] > 0) * 0x8000]).astype(np.uint16)
    stored = np.tile(stored, (1, _ROWS // 256, 1))
    folder.mkdir()
    np.save(folder / "rows-00000.npy", stored)
    stored.transpose(1, 0, 2).tofile(folder / "rows.raw")
    index = {
        "format": 1, "what": "benchmark", "tokenizer": tokenizer.fingerprint(), "length": _LENGTH,
        "shards": [{"rows": _ROWS, "tokens": int(np.count_nonzero(stored[1]))}],
    }  # fmt: skip
    (folder / "packed.json").write_text(json.dumps(index))
    return PackedRows(folder, tokenizer)


def _rate(batches: Iterator[Batch], count: int) -> float:
    """Tokens in a second of CPU time, without padding."""
    filled = next(batches)["tokens_BT"] > 0
    started = time.process_time()
    size = sum(batch["tokens_BT"].size for batch in itertools.islice(batches, count))
    seconds = time.process_time() - started
    batches.close()  # type: ignore[attr-defined]
    return size * filled.mean() / seconds


def _bare(packed: PackedRows) -> float:
    """Copies random rows of the memory map and widens nothing."""
    shard = np.load(packed.folder / "rows-00000.npy", mmap_mode="r")
    order = np.random.default_rng(0).permutation(_ROWS)
    shard[:, order[:_BATCH]]
    started = time.process_time()
    for start in range(_BATCHES):
        first = start * _BATCH % _ROWS
        np.take(shard, order[first : first + _BATCH], axis=1)
    return _BATCHES * _BATCH * _LENGTH / (time.process_time() - started)


def _tensorflow(folder: Path) -> float | None:
    python = os.environ.get("TENSORFLOW_PYTHON")
    if not python:
        return None
    arguments = [str(folder / "rows.raw"), str(_LENGTH), str(_BATCH), str(_BATCHES)]
    done = subprocess.run([python, "-c", _TENSORFLOW, *arguments], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
