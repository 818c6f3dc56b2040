import math
import random
import zlib
from collections import Counter

import pytest

from vishwam.evaluation import repetition


def test_seq_rep_by_hand():
    # a b a b a b: five 2-grams, of which ab and ba are different ones; 1 - 2/5.
    assert repetition.seq_rep([[1, 2, 1, 2, 1, 2]], 2) == pytest.approx(0.6)
    # Three 4-grams, abab, baba, abab.
    assert repetition.seq_rep([[1, 2, 1, 2, 1, 2]], 4) == pytest.approx(1 / 3)
    assert repetition.seq_rep([[1, 2, 1, 2, 1, 2], [1, 2, 3, 4]], 4) == pytest.approx(1 / 6)
    assert repetition.seq_rep([[1, 2, 3, 4], [7]], 4) == 0
    assert repetition.seq_rep([[7] * 100], 4) == pytest.approx(1 - 1 / 97)
    assert repetition.seq_rep([[1, 2]], 4) is None


def test_distinct_by_hand():
    # "i am fine", "i am ok": 6 tokens, 4 different ones, 3 different pairs.
    texts = [[1, 2, 3], [1, 2, 4]]
    assert repetition.distinct(texts, 1) == pytest.approx(4 / 6)
    assert repetition.distinct(texts, 2) == pytest.approx(3 / 6)
    assert repetition.distinct([[]], 1) is None


def test_zlib_ratio_falls_with_repetition():
    draw = random.Random(0)
    text = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=2_000))
    assert repetition.zlib_ratio([text]) == len(zlib.compress(text.encode())) / 2_000
    assert repetition.zlib_ratio(["ab" * 1_000]) < 0.05 < repetition.zlib_ratio([text])
    assert repetition.zlib_ratio(["", ""]) is None


def test_unique_sentences_by_hand():
    texts = ["I am. I am. You are!", "12\n12", "You are! Who?"]
    # I am. I am. You are! 12 12 You are! Who? : seven, four of them different.
    assert repetition.unique_sentences(texts) == pytest.approx(4 / 7)
    assert repetition.unique_sentences(["", "..."]) is None


def bleu_as_published(text, others, n=4):
    """Papineni et al. (2002), section 2, written out; 0.1 where no n-gram is common (Chen and Cherry 2014)."""

    def grams(words, order):
        return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))

    product = 1.0
    for order in range(1, n + 1):
        mine = grams(text, order)
        clipped = sum(min(count, max(grams(other, order)[gram] for other in others)) for gram, count in mine.items())
        product *= (clipped or 0.1) / sum(mine.values())
    closest = sorted((abs(len(other) - len(text)), len(other)) for other in others)[0][1]
    return min(1.0, math.exp(1 - closest / len(text))) * product ** (1 / n)


def test_self_bleu_is_bleu_of_each_against_the_others():
    draw = random.Random(1)
    texts = [[draw.randrange(6) for _ in range(draw.randint(4, 15))] for _ in range(12)]
    expected = [bleu_as_published(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)]
    assert repetition.self_bleu(texts) == pytest.approx(sum(expected) / len(expected))


def test_self_bleu_by_hand():
    assert repetition.self_bleu([[1, 2, 3, 4, 5]] * 3) == pytest.approx(1)
    # abcde and abcdf: 4 of 5, 3 of 4, 2 of 3 and 1 of 2 n-grams in common: (1/5)**(1/4).
    assert repetition.self_bleu([[1, 2, 3, 4, 5], [1, 2, 3, 4, 6]]) == pytest.approx(0.2**0.25)
    assert repetition.self_bleu([[1, 2, 3, 4]]) is None


def test_figures_leave_out_what_has_no_value():
    assert set(repetition.figures([[1]], ["1"])) == {"distinct_1", "distinct_2", "zlib_ratio", "unique_sentences"}
    assert repetition.figures([[]], [""]) == {}
