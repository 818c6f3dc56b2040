"""Rows of several sources, shuffled and mixed by weights: row i of the mixture is a function of its arguments and i."""

import math
from collections.abc import Sequence
from typing import Protocol

import grain
import numpy as np

from data_pipelines import BadInput
from data_pipelines.packing import Batch


class Endless(Protocol):
    """Rows by any numbers from 0 on."""

    def rows(self, indices: Sequence[int] | np.ndarray) -> Batch: ...


class Rows(Endless, Protocol):
    """So many rows of one length, by their numbers; see `packing`."""

    length: int

    def __len__(self) -> int: ...


class Mixture:
    """An endless stream over `sources`: each is shuffled anew every time it has been gone through, and they take turns
    in the proportion of their weights (Grain's index shuffle and mixing: nothing is read or kept to find a row).

    Raises:
      BadInput: no sources, rows of several lengths, an empty source, or weights that are not one above 0 for each.
    """

    def __init__(self, sources: Sequence[Rows], weights: Sequence[float] = (), seed: int = 0):
        if not sources:
            raise BadInput("a mixture needs a source")
        if len(lengths := {source.length for source in sources}) > 1:
            raise BadInput(f"a mixture needs rows of one length, not {sorted(lengths)}")
        if empty := [source for source in sources if not len(source)]:
            raise BadInput(f"{empty[0]!r} has no rows")
        weights = list(weights) or [1.0] * len(sources)
        if len(weights) != len(sources) or not all(math.isfinite(weight) and weight > 0 for weight in weights):
            raise BadInput(f"a mixture needs a weight above 0 for each of {len(sources)} sources, not {weights}")
        self.length = sources[0].length
        self._sources = list(sources)
        # A row of the mixture is found as the number it has in all sources behind each other.
        self._starts = np.cumsum([0, *map(len, sources)])
        shuffled = [
            grain.MapDataset.range(int(start), int(start) + len(source)).seed(seed + place).shuffle().repeat()
            for place, (source, start) in enumerate(zip(sources, self._starts[:-1], strict=True))
        ]
        self._order = grain.MapDataset.mix(shuffled, weights) if len(shuffled) > 1 else shuffled[0]

    def rows(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The batch of these rows of the mixture."""
        found = np.array([self._order[int(index)] for index in indices])
        source_of = np.searchsorted(self._starts, found, "right") - 1
        parts = [
            (np.flatnonzero(source_of == place), source.rows(found[source_of == place] - self._starts[place]))
            for place, source in enumerate(self._sources)
            if (source_of == place).any()
        ]
        if len(parts) == 1:
            return parts[0][1]
        batch = {name: np.empty((len(found), self.length), array.dtype) for name, array in parts[0][1].items()}
        for where, part in parts:
            for name, array in part.items():
                batch[name][where] = array
        return batch
