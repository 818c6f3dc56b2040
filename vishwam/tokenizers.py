"""The tokeniser that an experiment names, from a folder, from the hub, or made here."""

import contextlib
import functools
import os
import socket
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines import BadInput as BadData
from data_pipelines import planted_bias
from vishwam import state
from vishwam.errors import BadInput
from vishwam.knobs import nearest

if TYPE_CHECKING:
    from data_pipelines.tokenizer import MathTokenizer
    from vishwam.training.experiment import TokenizerConfig

# By name, the words that are one token each; all else is bytes.
MADE_HERE: dict[str, Callable[[], Sequence[str]]] = {"characters": tuple, "planted_bias": planted_bias.vocabulary}


@functools.cache
def open_tokenizer(wanted: "TokenizerConfig") -> "MathTokenizer":
    """The tokeniser of an experiment; those of `MADE_HERE` are made on first use.

    Raises:
        BadInput: no such tokeniser.
    """
    from data_pipelines.tokenizer import load_tokenizer

    name = wanted.name
    if name in MADE_HERE:
        name = str(_made(state.folder() / "tokenizers" / name, MADE_HERE[name]()))
    elif not Path(name).is_dir() and not _hub_answers():
        # Without it the hub's client tries for most of a minute; what it has stored it still finds.
        os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        return load_tokenizer(name, wanted.reverse_digits)
    except BadData as error:
        raise BadInput(f"{error}{nearest(wanted.name, MADE_HERE)}") from None


def _made(folder: Path, words: Sequence[str]) -> Path:
    from data_pipelines.tokenizer import make_character_tokenizer

    if not (folder / "tokenizer_config.json").exists():
        # Two trials may begin at once: each makes its own, and the rename of the first wins.
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}")
        make_character_tokenizer(temporary, words)
        with contextlib.suppress(OSError):
            temporary.rename(folder)
    return folder


def _hub_answers() -> bool:
    host = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    try:
        socket.create_connection((host, 443), timeout=2).close()
    except OSError:
        return False
    return True
