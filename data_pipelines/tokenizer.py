"""Text to token ids and back, through any Hugging Face tokeniser, with digits optionally least-significant first.

Reversing every run of digits is a transform of the text in front of the tokeniser and its own inverse, so matching is
done on the original text; whether it is on is saved beside the tokeniser. The tokeniser made here has one token a byte
(Xue et al. 2022, ByT5) in the byte-level BPE format without merges, and is encoded by table look-up: the same ids as
`AutoTokenizer`, forty times as fast and without importing transformers.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from data_pipelines import BadInput

PAD, EOS = "<pad>", "<eos>"
_VOCABULARY_SIZE = 256
_TRANSFORM_FILE = "text_transform.json"
_DIGITS = re.compile("[0-9]+")


def reverse_digit_runs(text: str) -> str:
    """`text` with every maximal run of ASCII digits reversed; its own inverse."""
    return _DIGITS.sub(lambda run: run[0][::-1], text)


def make_character_tokenizer(folder: str | Path, words: Sequence[str] = ()) -> Path:
    """Writes a byte-level tokeniser of 256 tokens, and one more for each of `words`, as a Hugging Face folder and
    returns the folder.

    Ids: 0 `<pad>`, 1 `<eos>`, then the 243 bytes that occur in UTF-8 in order, then names no text can produce, free for
      later use; then the words, each of letters alone or of a space before them. Text is cut as GPT-2 cuts it (Radford
      et al. 2019), and a piece that is no word is its bytes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    symbols = _byte_symbols()
    names = [PAD, EOS, *(symbols[byte] for byte in range(256) if not _never_in_utf8(byte))]
    names += [f"<reserved_{place}>" for place in range(_VOCABULARY_SIZE - len(names))]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    names += ["".join(symbols[byte] for byte in word.encode()) for word in words]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": bool(words)}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": place, "content": name, **special} for place, name in enumerate((PAD, EOS))],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {name: place for place, name in enumerate(names)}, "merges": []}
        | ({"ignore_merges": True} if words else {}),  # what is in the vocabulary is one token
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": EOS,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=1), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    return folder


def load_tokenizer(name_or_path: str | Path, reverse_digits: bool | None = None) -> "MathTokenizer":
    """The tokeniser in a folder or of a name on the hub.

    Args:
      name_or_path: a folder written by `make_character_tokenizer` or `MathTokenizer.save`, or what
        `AutoTokenizer.from_pretrained` takes.
      reverse_digits: digits least-significant first; None takes what the folder records (off where it records nothing).

    Raises:
      BadInput: no such tokeniser, none with an end token, or a folder that records the other choice of
        `reverse_digits`.
    """
    folder = Path(name_or_path)
    recorded = None
    if (folder / _TRANSFORM_FILE).is_file():
        recorded = bool(json.loads((folder / _TRANSFORM_FILE).read_text())["reverse_digits"])
    if reverse_digits is None:
        reverse_digits = bool(recorded)
    elif recorded is not None and recorded != reverse_digits:
        raise BadInput(f"tokenizer {name_or_path} was saved with reverse_digits={recorded}, not {reverse_digits}")
    bytewise = _Bytewise.read(folder)
    return MathTokenizer(bytewise or _HuggingFace(str(name_or_path)), reverse_digits)


class MathTokenizer:
    """Encodes and decodes text; see `load_tokenizer`.

    Attributes:
      vocab_size: number of ids.
      pad_id, eos_id: padding and end of an answer.
      digit_token_ids: the ids of '0' to '9', or () where they are not single tokens.
      reverse_digits: whether digits stand least-significant first in the tokens.
    """

    def __init__(self, backend: "_Bytewise | _HuggingFace", reverse_digits: bool):
        self._backend = backend
        self.reverse_digits = reverse_digits
        self.vocab_size = backend.vocab_size
        self.pad_id = backend.pad_id
        self.eos_id = backend.eos_id
        digits = [backend.encode_batch([digit])[0] for digit in "0123456789"]
        # Ten different ids: a vocabulary without digits may give each of them the same unknown token.
        single = all(len(ids) == 1 for ids in digits) and len({int(ids[0]) for ids in digits}) == 10
        self.digit_token_ids: tuple[int, ...] = tuple(int(ids[0]) for ids in digits) if single else ()

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, without an end token; text that spells a special token is text."""
        return self.encode_batch([text])[0].tolist()

    def encode_batch(self, texts: Iterable[str]) -> list[np.ndarray]:
        """An int32 array of ids for each text."""
        if self.reverse_digits:
            texts = map(reverse_digit_runs, texts)
        return self._backend.encode_batch(list(texts))

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of `ids` up to the first end token, without padding; ids that are no valid UTF-8 give U+FFFD."""
        kept: list[int] = []
        for token in np.asarray(ids).tolist():
            if token == self.eos_id:
                break
            if token != self.pad_id:
                kept.append(token)
        text = self._backend.decode(kept)
        return reverse_digit_runs(text) if self.reverse_digits else text

    def chat(self, messages: Sequence[Mapping[str, str]], add_generation_prompt: bool = True) -> str:
        """The text of a conversation, by the tokeniser's own template; without one, every message on its own line."""
        return self._backend.chat([dict(message) for message in messages], add_generation_prompt)

    def fingerprint(self) -> str:
        """The same for the same tokeniser alone: rows that were packed with another are not its own."""
        said = f"{self.vocab_size} {self.pad_id} {self.eos_id} {self.reverse_digits}\n{self._backend.definition()}"
        return blake2b(said.encode(), digest_size=8).hexdigest()

    def save(self, folder: str | Path) -> None:
        """Writes a folder that `load_tokenizer` and, for the tokeniser alone, `AutoTokenizer` load."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._backend.save(folder)
        (folder / _TRANSFORM_FILE).write_text(json.dumps({"reverse_digits": self.reverse_digits}) + "\n")


class _Bytewise:
    """A byte-level BPE without merges, as a table from bytes to ids."""

    def __init__(self, files: dict[str, bytes], vocabulary: dict[str, int], pad_id: int, eos_id: int):
        self._files = files
        self.vocab_size = max(vocabulary.values()) + 1
        self.pad_id = pad_id
        self.eos_id = eos_id
        symbols = _byte_symbols()
        self._ids = np.array([vocabulary.get(symbols[byte], -1) for byte in range(256)], np.int32)
        self._bytes = {int(token): byte for byte, token in enumerate(self._ids) if token >= 0}

    @classmethod
    def read(cls, folder: Path) -> "_Bytewise | None":
        """None where the folder holds something else, which is then `AutoTokenizer`'s."""
        try:
            files = {name: (folder / name).read_bytes() for name in ("tokenizer.json", "tokenizer_config.json")}
        except OSError:
            return None
        tokenizer, config = (json.loads(text) for text in files.values())
        model, split = tokenizer["model"], tokenizer["pre_tokenizer"] or {}
        simple = (
            model["type"] == "BPE"
            and not model["merges"]
            and not model.get("ignore_merges")
            and tokenizer["normalizer"] is None
            and tokenizer["post_processor"] is None
            and split.get("type") == "ByteLevel"
            and not split["add_prefix_space"]
        )
        vocabulary = model["vocab"]
        symbols = _byte_symbols()
        if not simple or any(symbols[byte] not in vocabulary for byte in range(256) if not _never_in_utf8(byte)):
            return None
        return cls(files, vocabulary, vocabulary[config["pad_token"]], vocabulary[config["eos_token"]])

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        encoded = [text.encode() for text in texts]
        ids = self._ids[np.frombuffer(b"".join(encoded), np.uint8)]
        rows = []
        start = 0
        for text in encoded:
            rows.append(ids[start : start + len(text)])
            start += len(text)
        return rows

    def decode(self, ids: list[int]) -> str:
        return bytes(self._bytes[token] for token in ids if token in self._bytes).decode(errors="replace")

    def chat(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        return _line_by_line(messages)

    def definition(self) -> str:
        return self._files["tokenizer.json"].decode()

    def save(self, folder: Path) -> None:
        for name, text in self._files.items():
            (folder / name).write_bytes(text)


class _HuggingFace:
    """Whatever `AutoTokenizer` loads."""

    def __init__(self, name: str):
        # It would tell everyone that PyTorch is missing, which no tokeniser needs.
        os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
        from transformers import AutoTokenizer  # 1.7 s with what it pulls in: only for those who need it.

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise BadInput(
                f"no tokenizer {name!r}: neither a folder with one nor a name that loads ({reason})"
            ) from None
        if self._tokenizer.eos_token_id is None:
            raise BadInput(f"tokenizer {name!r} has no end-of-text token, so answers would never end")
        self.vocab_size = len(self._tokenizer)
        self.eos_id = self._tokenizer.eos_token_id
        self.pad_id = self.eos_id if self._tokenizer.pad_token_id is None else self._tokenizer.pad_token_id

    def encode_batch(self, texts: list[str]) -> list[np.ndarray]:
        if not texts:
            return []
        rows = self._tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [np.array(row, np.int32) for row in rows]

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(
            ids,  # type: ignore[return-value]  # a list only for a list of lists
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )

    def chat(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        if not self._tokenizer.chat_template:
            return _line_by_line(messages)
        text = self._tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return str(text)

    def definition(self) -> str:
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        return backend.to_str() if backend else json.dumps(sorted(self._tokenizer.get_vocab().items()))

    def save(self, folder: Path) -> None:
        self._tokenizer.save_pretrained(folder)


def _line_by_line(messages: list[dict[str, str]]) -> str:
    """As questions and their answers are trained on: a line break ends a question."""
    return "".join(f"{message['content']}\n" for message in messages)


def _never_in_utf8(byte: int) -> bool:
    return byte in (0xC0, 0xC1) or byte >= 0xF5


def _byte_symbols() -> list[str]:
    """The printable character that byte-level BPE (Radford et al. 2019) writes for each byte."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    symbols = []
    moved = 256
    for byte in range(256):
        if byte in printable:
            symbols.append(chr(byte))
        else:
            symbols.append(chr(moved))
            moved += 1
    return symbols
