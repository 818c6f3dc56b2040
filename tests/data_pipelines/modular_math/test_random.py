from collections import Counter

import pytest

from data_pipelines.modular_math.random import Stream, splitmix64, stream_key
from data_pipelines.modular_math.values import DIGIT, POWERS


def test_splitmix64_gives_the_reference_sequence():
    # The first outputs for seed 1234567 of the reference implementation (prng.di.unimi.it/splitmix64.c).
    golden = 0x9E3779B97F4A7C15
    assert [splitmix64(1234567 + step * golden & (1 << 64) - 1) for step in range(4)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
    ]


@pytest.mark.parametrize("count", [2, 10, 97])
def test_draws_are_uniform(count):
    drawn: Counter[int] = Counter()
    for index in range(2000):
        stream = Stream(b"key", index)
        drawn.update(stream.below(count) for _ in range(40))
    expected = 2000 * 40 / count
    chi_squared = sum((drawn[value] - expected) ** 2 / expected for value in range(count))
    # Six standard deviations of a chi-squared with count - 1 degrees of freedom.
    assert set(drawn) == set(range(count)) and chi_squared < count - 1 + 6 * (2 * (count - 1)) ** 0.5 + 10


@pytest.mark.parametrize("digits", [19, 20, 38, 39, 100])
def test_wide_draws_reach_the_whole_range(digits):
    stream = Stream(b"key", 0)
    drawn = [stream.below(10**digits) for _ in range(2000)]
    assert len(set(drawn)) == 2000
    first_digits = Counter(value // 10 ** (digits - 1) for value in drawn)
    last_digits = Counter(value % 10 for value in drawn)
    assert all(130 < counts[digit] < 270 for counts in (first_digits, last_digits) for digit in range(10))


def test_streams_differ_by_key_and_index():
    def start(key, index):
        return Stream(key, index).below(1 << 60)

    keys = [stream_key("a", 1), stream_key("a", 2), stream_key("a", "1"), stream_key("a1")]
    assert len({start(key, index) for key in keys for index in range(100)}) == 400


def test_shuffle_and_shares():
    stream = Stream(b"key", 1)
    firsts: Counter[str] = Counter()
    for _ in range(3000):
        shuffled = stream.shuffled("abcdef")
        assert sorted(shuffled) == list("abcdef")
        firsts[shuffled[0]] += 1
        shares = stream.shares(50, 4)
        assert sum(shares) == 50 and min(shares) >= 0
    assert all(400 < count < 600 for count in firsts.values())


def test_powers_are_tenth_powers_rounded_down():
    assert [POWERS[digits * DIGIT] for digits in range(20)] == [10**digits for digits in range(20)]
    assert all(abs(power - 10 ** (place / 16)) <= 1 for place, power in enumerate(POWERS[:160]))
