"""How much of what a model writes it has written before.

Texts are lists of token ids, of what the model generated alone; n-grams are of the tokeniser's tokens. Read all of them
beside the same figures of reference texts: sums of two numbers repeat digits, whoever writes them.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

SELF_BLEU_TEXTS = 64  # each against all others: two seconds for texts of 128 tokens
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


def figures(texts: Sequence[Sequence[int]], plain: Sequence[str]) -> dict[str, float]:
    """Everything that is cheap enough for every evaluation, by short names; what has no value is left out.

    texts: tokens of each generation, without padding and end token; plain: the same as text.
    """
    found = {
        "seq_rep_4": seq_rep(texts, 4),
        "distinct_1": distinct(texts, 1),
        "distinct_2": distinct(texts, 2),
        "zlib_ratio": zlib_ratio(plain),
        "unique_sentences": unique_sentences(plain),
    }
    return {name: value for name, value in found.items() if value is not None}


def ngrams(text: Sequence[int], n: int) -> Iterator[tuple[int, ...]]:
    """Every run of n tokens of one text."""
    return zip(*(text[start:] for start in range(n)), strict=False)


def seq_rep(texts: Sequence[Sequence[int]], n: int) -> float | None:
    """seq-rep-n (Welleck et al. 2020): the share of a text's n-grams that are duplicates within it, averaged over the
    texts that have one. 0 where nothing is said twice.
    """
    shares = [1 - len(set(ngrams(text, n))) / (len(text) - n + 1) for text in texts if len(text) >= n]
    return float(np.mean(shares)) if shares else None


def distinct(texts: Sequence[Sequence[int]], n: int) -> float | None:
    """distinct-n (Li et al. 2016): different n-grams in all texts over all tokens in them."""
    tokens = sum(map(len, texts))
    return len({gram for text in texts for gram in ngrams(text, n)}) / tokens if tokens else None


def zlib_ratio(texts: Sequence[str]) -> float | None:
    """Compressed over plain size, in bytes, of all texts a line each: the lower, the more is repeated."""
    plain = "\n".join(texts).encode()
    return len(zlib.compress(plain, 6)) / len(plain) if plain.strip() else None


def unique_sentences(texts: Sequence[str]) -> float | None:
    """Different sentences in all texts over all sentences in them; an answer without a full stop is one."""
    sentences = [found.strip() for text in texts for found in _SENTENCE.findall(text) if found.strip()]
    return len(set(sentences)) / len(sentences) if sentences else None


def self_bleu(texts: Sequence[Sequence[int]], n: int = 4) -> float | None:
    """Self-BLEU (Zhu et al. 2018): BLEU-n of each text with all others as references, averaged; 1 where all are alike.

    BLEU is that of Papineni et al. (2002) with uniform weights, for a text without any n-gram of an order in common
    smoothed by epsilon 0.1 (method 1 of Chen and Cherry 2014), as in Zhu et al.'s implementation. Takes the first
    `SELF_BLEU_TEXTS` texts that have n tokens.
    """
    long_enough = [text for text in texts if len(text) >= n][:SELF_BLEU_TEXTS]
    if len(long_enough) < 2:
        return None
    counts = [[Counter(ngrams(text, order)) for order in range(1, n + 1)] for text in long_enough]
    # The most often that a text, and any but that text, has an n-gram.
    first: list[Counter] = [Counter() for _ in range(n)]
    second: list[Counter] = [Counter() for _ in range(n)]
    for grams in counts:
        for order in range(n):
            for gram, count in grams[order].items():
                if count > first[order][gram]:
                    second[order][gram], first[order][gram] = first[order][gram], count
                elif count > second[order][gram]:
                    second[order][gram] = count
    lengths = [len(text) for text in long_enough]
    scores = []
    for text, grams in enumerate(counts):
        log_precision = 0.0
        for order in range(n):
            common = sum(
                min(count, second[order][gram] if count == first[order][gram] else first[order][gram])
                for gram, count in grams[order].items()
            )
            log_precision += math.log(max(common, 0.1) / grams[order].total()) / n
        others = lengths[:text] + lengths[text + 1 :]
        closest = min(others, key=lambda other: (abs(other - lengths[text]), other))
        scores.append(math.exp(log_precision + min(0.0, 1 - closest / lengths[text])))
    return float(np.mean(scores))
