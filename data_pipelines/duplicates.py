"""What of a training set stands in an evaluation set already: near-duplicates and shared n-grams.

Near-duplicates: documents whose sets of shingles (runs of a few words) have a Jaccard similarity of 0.8 or more.
MinHash with locality-sensitive hashing (Broder 1997; Indyk and Motwani 1998; the `rensa` library) proposes pairs, and
the sets themselves decide, so nothing is reported that is not so; at the threshold 0.07% of the pairs escape, above it
fewer.

Contamination: 13 words in a row shared with an evaluation document, as in Brown et al. 2020, appendix C: without case
and punctuation; n is the length of the evaluation set's shortest documents (the 5th percentile), from 8 to 13.

Questions of mathematics are written by templates, whose words are shared by design, and their signs carry the meaning.
Hence for them (`QUESTIONS`) signs are words too, shingles are of 3 words, and the n-grams are 13 numbers in a row; a
question of fewer numbers is contaminated by all of its words in their order. (13 numbers and signs in a row would be
found in 40% of the questions of polynomials__expand: pieces as `2*x**2 + 3*x + 1`, which are no leak.)
"""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import rensa

THRESHOLD = 0.8
LONGEST, SHORTEST = 13, 8

# 24 bands of 6: at a similarity of 0.8 a pair escapes with 0.07%, at 0.5 it is proposed in vain with 31%.
_PERMUTATIONS, _BANDS, _SEED = 144, 24, 1
_PERCENTILE = 20  # one in twenty is shorter

Gram = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How documents of a kind are read.

    Attributes:
      words: a text as words, for shingles and for documents that are compared whole.
      shingle: words a shingle.
      content: what the n-grams are over.
      gram: n for an evaluation set whose documents have these numbers of words.
    """

    words: Callable[[str], list[str]]
    shingle: int
    content: Callable[[str], list[str]]
    gram: Callable[[Sequence[int]], int]

    def shingles(self, text: str) -> list[str]:
        """The set, each once. A text shorter than a shingle is one shingle."""
        words = self.words(text)
        starts = range(max(1, len(words) - self.shingle + 1))
        return list({" ".join(words[start : start + self.shingle]) for start in starts})


def _fifth_percentile(lengths: Sequence[int]) -> int:
    typical = sorted(lengths)[len(lengths) // _PERCENTILE] if lengths else LONGEST
    return min(LONGEST, max(SHORTEST, typical))


_WORD = re.compile(r"[^\W_]+")
_WORD_OR_SIGN = re.compile(r"[^\W_]+|\*\*|[^\w\s]")
_NUMBER = re.compile(r"\d+")


def _plain_words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


TEXTS = Reading(_plain_words, 5, _plain_words, _fifth_percentile)
QUESTIONS = Reading(lambda text: _WORD_OR_SIGN.findall(text.casefold()), 3, _NUMBER.findall, lambda lengths: LONGEST)


@dataclasses.dataclass(frozen=True)
class Leak:
    """What of one document is in evaluation sets: their names, sorted; `near` is the highest similarity, 0 if below
    the threshold.
    """

    near_duplicate: tuple[str, ...]
    contaminated: tuple[str, ...]
    near: float

    def __bool__(self) -> bool:
        return bool(self.near_duplicate or self.contaminated)


class EvaluationSets:
    """Evaluation sets, indexed once; any number of documents are then looked up.

    Args:
      sets: the documents by the name of their set.
      reading: TEXTS or QUESTIONS.
    """

    def __init__(self, sets: Mapping[str, Iterable[str]], reading: Reading = TEXTS):
        self._reading = reading
        self._names: list[str] = []
        self._shingles: list[frozenset[str]] = []
        self._lsh = rensa.RMinHashLSH(THRESHOLD, _PERMUTATIONS, _BANDS)
        self._grams: dict[int, dict[Gram, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._whole: dict[Gram, set[str]] = defaultdict(set)
        for name, documents in sets.items():
            self._add(name, list(documents))

    def __len__(self) -> int:
        return len(self._names)

    def _add(self, name: str, texts: list[str]) -> None:
        reading = self._reading
        shingles = [reading.shingles(text) for text in texts]
        self._lsh.insert_many(_sketches(shingles), start_key=len(self._names))
        self._names += [name] * len(texts)
        self._shingles += map(frozenset, shingles)
        contents = [reading.content(text) for text in texts]
        size = reading.gram([len(content) for content in contents])
        grams = self._grams[size]
        for text, content in zip(texts, contents, strict=True):
            for gram in _grams(content, size):
                grams[gram].add(name)
            if len(content) < size and (words := tuple(reading.words(text))):
                self._whole[words].add(name)

    def find(self, texts: Sequence[str], besides: Iterable[str] = ()) -> list[Leak]:
        """What of each document is in sets other than `besides`."""
        besides = frozenset(besides)
        shingles = [self._reading.shingles(text) for text in texts]
        proposals = self._lsh.query_all(_sketches(shingles)) if texts and self._names else [[]] * len(texts)
        return [
            self._leak(text, frozenset(own), keys, besides)
            for text, own, keys in zip(texts, shingles, proposals, strict=True)
        ]

    def _leak(self, text: str, own: frozenset[str], keys: Iterable[int], besides: frozenset[str]) -> Leak:
        near: set[str] = set()
        highest = 0.0
        for key in keys:
            other = self._shingles[key]
            if self._names[key] in besides:
                continue
            shared = len(own & other)
            union = len(own) + len(other) - shared
            if shared >= THRESHOLD * union:
                near.add(self._names[key])
                highest = max(highest, shared / union)
        content = self._reading.content(text)
        found: set[str] = set()
        for size, known in self._grams.items():
            for gram in _grams(content, size):
                found |= known.get(gram, set())
        if self._whole:
            found |= self._whole.get(tuple(self._reading.words(text)), set())
        return Leak(tuple(sorted(near)), tuple(sorted(found - besides)), highest)


def figures(leaks: Iterable[Leak]) -> dict[str, Any]:
    """Counts for a run's config: documents looked up, near-duplicates, contaminated, either, and these by set."""
    looked_up = near = contaminated = either = 0
    by_set: dict[str, int] = defaultdict(int)
    for leak in leaks:
        looked_up += 1
        near += bool(leak.near_duplicate)
        contaminated += bool(leak.contaminated)
        either += bool(leak)
        for name in {*leak.near_duplicate, *leak.contaminated}:
            by_set[name] += 1
    return {
        "documents": looked_up,
        "near_duplicates": near,
        "contaminated": contaminated,
        "leaked": either,
        "by_set": dict(sorted(by_set.items())),
    }


def _sketches(shingles: Sequence[Sequence[str]]) -> list[rensa.RMinHash]:
    return rensa.RMinHash.from_token_sets(shingles, num_perm=_PERMUTATIONS, seed=_SEED)


def _grams(words: Sequence[str], size: int) -> Iterable[Gram]:
    return (tuple(words[start : start + size]) for start in range(len(words) - size + 1))
