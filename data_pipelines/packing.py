"""Examples packed once into rows of one length and memory-mapped, so that a training step reads by copying memory.

A folder holds `packed.json` and the shards `rows-00000.npy` and on, each an array [2, rows, T]: the tokens, and beneath
each the number of its document in the row (0 is padding) with the highest bit set where the loss looks at it. Examples
are packed best fit decreasing within a shard (Johnson 1973; Krell et al. 2021 for language models), so every shard is a
function of its own examples: it can be made by any process, and one that is there is never made again.
Axis letters: B rows, T time.
"""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from data_pipelines import BadInput
from data_pipelines.modular_math.random import splitmix64
from data_pipelines.processes import pool as process_pool
from data_pipelines.tokenizer import MathTokenizer

Batch = dict[str, np.ndarray]

EXAMPLES_A_SHARD = 65_536
INDEX = "packed.json"
_FORMAT = 1
_LOSS = 0x8000  # of the documents' numbers, which are 16 bits wide: the loss looks at this token
_CHUNK = 4096


class Example(Protocol):
    """What is packed: the loss looks at the answer and at the end after it."""

    @property
    def question(self) -> str: ...

    @property
    def answer(self) -> str: ...


class Examples(Protocol):
    """A random-access source of a known length; it pickles where several processes pack."""

    def __getitem__(self, index: int, /) -> Example: ...


def encode(examples: Sequence[Example], tokenizer: MathTokenizer) -> list[tuple[np.ndarray, int]]:
    """Of each example its tokens, `question + "\\n"`, answer and end, and where the answer begins."""
    prompts = tokenizer.encode_batch([f"{example.question}\n" for example in examples])
    answers = tokenizer.encode_batch([example.answer for example in examples])
    end = np.array([tokenizer.eos_id], np.int32)
    return [
        (np.concatenate([prompt, answer, end]), len(prompt)) for prompt, answer in zip(prompts, answers, strict=True)
    ]


def best_fit(lengths: Sequence[int], length: int, most: int = _LOSS - 1) -> list[list[int]]:
    """Items of `lengths` as rows that hold `length` and at most `most` items, longest first, each into the fullest row
    that has room for it; a deterministic function of its arguments.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    by_room: list[list[int]] = [[] for _ in range(length + 1)]
    some = 0  # bit r is set where a row has room for exactly r: the lowest bit from an item's length on is its best fit
    for item in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        fitting = some >> lengths[item]
        if fitting:
            old = lengths[item] + (fitting & -fitting).bit_length() - 1
            row = by_room[old].pop()
            some &= ~(1 << old) if not by_room[old] else -1
        else:
            row = len(rows)
            rows.append([])
            room.append(length)
        rows[row].append(item)
        room[row] -= lengths[item]
        if room[row] and len(rows[row]) < most:
            by_room[room[row]].append(row)
            some |= 1 << room[row]
    return rows


def laid_out(encoded: Sequence[tuple[np.ndarray, int]], rows: Sequence[Sequence[int]], length: int, dtype: Any) -> Any:
    """The stored form [2, rows, T] of encoded examples in these rows."""
    stored = np.zeros((2, len(rows), length), dtype)
    for row, items in enumerate(rows):
        start = 0
        for document, item in enumerate(items, 1):
            tokens, answer = encoded[item]
            end = start + len(tokens)
            stored[0, row, start:end] = tokens
            stored[1, row, start:end] = document
            stored[1, row, start + answer : end] |= _LOSS
            start = end
    return stored


def widened(stored: np.ndarray, pad_id: int) -> Batch:
    """What a step takes: `tokens_BT` int32, `segments_BT` int32 (0 padding, 1.. documents), `loss_mask_BT` float32."""
    documents = stored[1] & (_LOSS - 1)
    tokens_BT = stored[0].astype(np.int32)
    if pad_id:
        tokens_BT[documents == 0] = pad_id
    return {
        "tokens_BT": tokens_BT,
        "segments_BT": documents.astype(np.int32),
        "loss_mask_BT": (stored[1] >= _LOSS).astype(np.float32),
    }


def pack(
    examples: Examples,
    count: int,
    tokenizer: MathTokenizer,
    length: int,
    folder: str | Path,
    what: str,
    *,
    processes: int = 1,
    progress: Callable[[int], None] = lambda done: None,
) -> "PackedRows":
    """Packs the first `count` examples into rows of `length` tokens; goes on where an earlier call was cut off.

    Args:
      what: says what the examples are; a folder begun with other words is refused.
      processes: how many make shards; the bytes are the same for any number.
      progress: is told how many examples are done.

    Raises:
      BadInput: the folder holds something else, or an example is longer than a row (nothing of its shard is written).
    """
    if length < 2 or count < 1:
        raise BadInput(f"packing needs rows of 2 tokens or more and an example or more, not {length} and {count}")
    folder = Path(folder)
    plan: dict[str, Any] = {
        "format": _FORMAT,
        "what": what,
        "tokenizer": tokenizer.fingerprint(),
        "examples": count,
        "length": length,
        "dtype": "uint16" if tokenizer.vocab_size <= 1 << 16 else "uint32",
    }
    folder.mkdir(parents=True, exist_ok=True)
    _insist_on(folder, plan)
    shares = [range(start, min(start + EXAMPLES_A_SHARD, count)) for start in range(0, count, EXAMPLES_A_SHARD)]
    paths = [folder / f"rows-{number:05}.npy" for number in range(len(shares))]
    missing = [(share, path) for share, path in zip(shares, paths, strict=True) if not path.exists()]
    done = count - sum(len(share) for share, _ in missing)
    progress(done)
    make = partial(_make_shard, examples, tokenizer, length, plan["dtype"])
    if processes > 1 and len(missing) > 1:
        with process_pool(min(processes, len(missing))) as pool:
            for size in pool.map(make, *zip(*missing, strict=True)):
                progress(done := done + size)
    else:
        for share, path in missing:
            progress(done := done + make(share, path))
    shards = [_facts(path) for path in paths]
    _write(folder / INDEX, json.dumps(plan | {"shards": shards}, indent=1).encode())
    return PackedRows(folder, tokenizer)


class PackedRows:
    """The rows of a packed folder: Grain's random access by `[i]`, many at once by `rows`. It pickles as its folder.

    Raises:
      BadInput: no such folder, one that was not packed to its end, or for another tokeniser.
    """

    def __init__(self, folder: str | Path, tokenizer: MathTokenizer):
        self.folder = Path(folder)
        self._tokenizer = tokenizer
        index = _read(self.folder)
        if index is None:
            raise BadInput(f"no packed rows in {folder}: `vishwam prepare` makes them")
        if index["format"] != _FORMAT:
            raise BadInput(f"{self.folder / INDEX} is of format {index['format']}, not {_FORMAT}: pack it again")
        if "shards" not in index:
            raise BadInput(f"{folder} was not packed to its end: run the same `vishwam prepare` again")
        if index["tokenizer"] != tokenizer.fingerprint():
            raise BadInput(f"{folder} was packed with another tokeniser or reverse_digits: pack it again")
        self.length: int = index["length"]
        self.what: str = index["what"]
        self._shards = []
        for number, facts in enumerate(index["shards"]):
            path = self.folder / f"rows-{number:05}.npy"
            try:
                shard = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise BadInput(f"{path}: {error}; remove it and run the same `vishwam prepare` again") from None
            if shard.shape != (2, facts["rows"], self.length):
                raise BadInput(f"{path} is not what {INDEX} says; remove it and run the same `vishwam prepare` again")
            self._shards.append(shard)
        self._starts = np.cumsum([0, *(len(shard[0]) for shard in self._shards)])
        self.tokens = sum(facts["tokens"] for facts in index["shards"])  # without padding

    def __reduce__(self) -> tuple[Any, ...]:
        return PackedRows, (self.folder, self._tokenizer)

    def __repr__(self) -> str:
        return f"PackedRows({str(self.folder)!r})"

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return {name[: -len("_BT")] + "_T": array[0] for name, array in self.rows([index]).items()}

    def rows(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The batch of these rows; see `widened`."""
        wanted = np.asarray(indices)
        stored = np.empty((2, len(wanted), self.length), self._shards[0].dtype)
        shard_of = np.searchsorted(self._starts, wanted, "right") - 1
        local = wanted - self._starts[shard_of]
        for row, (shard, at) in enumerate(zip(shard_of.tolist(), local.tolist(), strict=True)):
            stored[:, row] = self._shards[shard][:, at]
        return widened(stored, self._tokenizer.pad_id)


class RowsOnTheFly:
    """Rows packed when they are asked for, from an endless source: row i is a function of the source, the seed and i.

    A row holds the examples from a multiple of C on, up to the first that has no more room; C is more than a row can
    hold, and the numbers that are left over are never asked: an endless source has more. The seed chooses the first.
    """

    def __init__(self, examples: Examples, count: int, tokenizer: MathTokenizer, length: int, seed: int = 0):
        self._examples, self._tokenizer, self.length = examples, tokenizer, length
        # The shortest example has a token of the question, one of the answer and the end.
        self._stride = max(1, length // 3)
        self._rows = count // self._stride
        self._first = splitmix64(seed) % self._rows
        self._dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32

    def __len__(self) -> int:
        return self._rows

    def rows(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The batch of these rows; see `widened`.

        Raises:
          BadInput: an example is longer than a row.
        """
        encoded: list[tuple[np.ndarray, int]] = []
        rows = []
        for index in indices:
            row: list[int] = []
            room, at = self.length, (self._first + int(index)) % self._rows * self._stride
            ahead: list[tuple[np.ndarray, int]] = []
            while room:
                if not ahead:
                    # About as many as still fit, so that tokenisers work on several at a time.
                    size = max(2, room // 32)
                    ahead = encode([self._examples[at + place] for place in range(size)], self._tokenizer)[::-1]
                    at += size
                tokens, answer = ahead.pop()
                if len(tokens) > self.length:
                    raise _too_long(self._examples, at - len(ahead) - 1, len(tokens), self.length)
                if len(tokens) > room:
                    break
                row.append(len(encoded))
                encoded.append((tokens, answer))
                room -= len(tokens)
            rows.append(row)
        return widened(laid_out(encoded, rows, self.length, self._dtype), self._tokenizer.pad_id)


def _make_shard(examples: Examples, tokenizer: MathTokenizer, length: int, dtype: str, share: range, path: Path) -> int:
    encoded: list[tuple[np.ndarray, int]] = []
    for start in range(0, len(share), _CHUNK):
        encoded += encode([examples[index] for index in share[start : start + _CHUNK]], tokenizer)
    lengths = [len(tokens) for tokens, _ in encoded]
    longest = lengths.index(max(lengths))
    if lengths[longest] > length:
        raise _too_long(examples, share[longest], lengths[longest], length)
    rows = best_fit(lengths, length)
    # They come sorted by the longest of their examples.
    mixed = [rows[at] for at in np.random.default_rng(share.start).permutation(len(rows))]
    stored = laid_out(encoded, mixed, length, np.dtype(dtype))
    temporary = path.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as file:
        np.save(file, stored)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    return len(share)


def _too_long(examples: Examples, index: int, tokens: int, length: int) -> BadInput:
    return BadInput(f"example {index} ({examples[index].question[:60]!r}) has {tokens} tokens, a row only {length}")


def _facts(path: Path) -> dict[str, int]:
    stored = np.load(path, mmap_mode="r")
    return {"rows": stored.shape[1], "tokens": int(np.count_nonzero(stored[1]))}


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / INDEX).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder / INDEX} cannot be read ({error}): pack it again") from None


def _insist_on(folder: Path, plan: dict[str, Any]) -> None:
    """Writes the plan into a new folder; refuses one that was begun with another."""
    before = _read(folder)
    if before is None:
        if stray := next(folder.glob("rows-*.npy"), None):
            raise BadInput(f"{stray} lies there without {INDEX}: give an empty folder")
        _write(folder / INDEX, json.dumps(plan, indent=1).encode())
        return
    for name, value in plan.items():
        if before.get(name) != value:
            raise BadInput(f"{folder} was packed with {name} {before.get(name)!r}, not {value!r}: give another folder")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_bytes(content)
    temporary.rename(path)
