"""The released test files of Saxton et al. 2019, from their folder: `interpolate/<module>.txt` and
`extrapolate/<set>.txt`, a question and its answer on alternating lines.
"""

import operator
from pathlib import Path
from typing import SupportsIndex

from data_pipelines import BadInput
from data_pipelines.modular_math.source import Question

SPLITS = ("interpolate", "extrapolate")


class ReleasedSet:
    """The questions of one file in its order: a random-access source like QuestionSource.

    Raises:
      BadInput: a file that is not there, is not text, or has a question without an answer.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = self.path.stem
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInput(f"{self.path}: {getattr(error, 'strerror', None) or 'not a text file'}") from None
        if len(lines) % 2:
            raise BadInput(f"{self.path}:{len(lines)}: a question without an answer; they are on alternating lines")
        for number, line in enumerate(lines, 1):
            if not line.strip():
                raise BadInput(f"{self.path}:{number}: empty; questions and answers are on alternating lines")
        self._lines = lines

    def __len__(self) -> int:
        return len(self._lines) // 2

    def __repr__(self) -> str:
        return f"ReleasedSet({str(self.path)!r})"

    def __getitem__(self, index: SupportsIndex) -> Question:
        index = operator.index(index)
        if not 0 <= index < len(self):
            raise IndexError(index)
        return Question(self.name, self._lines[2 * index], self._lines[2 * index + 1], index)


def sets(folder: str | Path, split: str) -> dict[str, ReleasedSet]:
    """The sets of a split by name, as ModularMath.sets gives them. `folder` is the unpacked archive.

    Raises:
      BadInput: no such split, or no files of it in `folder`.
    """
    if split not in SPLITS:
        raise BadInput(f"the released files have {' and '.join(SPLITS)}, not {split!r}")
    paths = sorted((Path(folder) / split).glob("*.txt"))
    if not paths:
        raise BadInput(f"{Path(folder) / split}: no .txt files; give the folder that has {' and '.join(SPLITS)} in it")
    return {path.stem: ReleasedSet(path) for path in paths}
