"""Reading files that somebody else published, and saying which one is not as published."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_pipelines import BadInput


@contextmanager
def as_published(place: str) -> Iterator[None]:
    """Turns what goes wrong inside into BadInput that names `place`: a file, or a line or a record of one."""
    try:
        yield
    except BadInput:
        raise  # It names the place already.
    except KeyError as error:
        raise BadInput(f"{place}: no {error.args[0]!r} here, which the published file has") from None
    except (ValueError, csv.Error, TypeError, AttributeError, IndexError, StopIteration) as error:
        raise BadInput(f"{place}: not as published ({error or type(error).__name__})") from None


def find(folder: Path, name: str) -> Path:
    """The file of that name. Raises BadInput where it is not there."""
    path = folder / name
    if not path.is_file():
        raise BadInput(f"no {name} in {folder}: put the official file there")
    return path


def read_text(path: Path) -> str:
    with as_published(str(path)):
        text = path.read_text(encoding="utf-8")
    if text.startswith("version https://git-lfs.github.com/"):
        raise BadInput(f"{path}: only a pointer of Git LFS; `git lfs pull` gets the file itself")
    return text


def read_lines(path: Path) -> list[str]:
    """Without the line breaks. Only these part lines: JSON may hold other separators as they are."""
    return read_text(path).rstrip("\n").split("\n")


def read_json(path: Path) -> Any:
    text = read_text(path)
    with as_published(str(path)):
        return json.loads(text)
