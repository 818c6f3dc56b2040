import math

import numpy as np
import pytest
from scipy import stats

from vishwam.evaluation.statistics import (
    bootstrap_interval,
    clustered_interval,
    holm,
    mcnemar_exact,
    paired_interval,
    share_interval,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, table I, method 3 (score, no continuity correction).
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_matches_newcombe(successes, count, low, high):
    assert wilson_interval(successes, count) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_wilson_interval_is_exact_at_the_ends():
    assert wilson_interval(0, 7)[0] == 0.0
    assert wilson_interval(7, 7)[1] == 1.0


@pytest.mark.parametrize(("successes", "count"), [(0, 0), (3, 2), (-1, 2)])
def test_no_proportion(successes, count):
    with pytest.raises(ValueError, match="no proportion"):
        wilson_interval(successes, count)


@pytest.mark.parametrize(
    ("first", "second"),
    [(0, 0), (1, 0), (5, 5), (6, 5), (10, 2), (2, 10), (60, 31), (50_500, 49_500), (60_000, 40_000)],
)
def test_mcnemar_is_the_binomial_test(first, second):
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_exact(first, second) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        # Airway hyper-responsiveness of 21 children before and after a transplantation: Bentur et al. in Fagerland,
        # Lydersen and Laake 2013, BMC Medical Research Methodology 13:91, table 1: 2 (1 + 8) / 256.
        (1, 7, 0.0703125),
        # Approval of a president in two surveys of the same 1,600 people: Agresti 1990, Categorical Data Analysis,
        # p. 350, whose approximate test gives z = 4.17; the exact one of R's exact2x2 gives 3.716e-05.
        (150, 86, 3.716e-05),
    ],
)
def test_mcnemar_as_published(first, second, p):
    assert mcnemar_exact(first, second) == pytest.approx(p, rel=1e-4)


def test_holm_as_published():
    # The example in the documentation of pingouin, which follows Holm 1979.
    adjusted = holm([0.50, 0.003, 0.32, 0.054, 0.0003])
    assert adjusted == pytest.approx([0.64, 0.012, 0.64, 0.162, 0.0015])


def test_holm_by_hand():
    # 4 x 0.005, then 3 x 0.01, 2 x 0.03, and 0.04 is raised to the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1] and holm([]) == []


def test_holm_keeps_false_alarms_of_a_family_rare():
    draw = np.random.default_rng(0)
    alarms = [min(holm(draw.random(8))) < 0.05 for _ in range(2_000)]
    assert 0.03 < np.mean(alarms) < 0.07


def test_paired_interval_is_that_of_newcombe():
    # Newcombe 1998, Statistics in Medicine 17, 2635-2650: 36, 12, 2 and 0 of 50, method 10.
    assert paired_interval(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)


def test_paired_interval_mirrors_and_covers():
    low, high = paired_interval(30, 9, 4, 7)
    assert paired_interval(30, 4, 9, 7) == pytest.approx((-high, -low))
    draw = np.random.default_rng(1)
    chances, hits = (0.6, 0.15, 0.05, 0.2), 0
    for counts in draw.multinomial(100, chances, size=1_000):
        low, high = paired_interval(*map(int, counts))
        hits += low <= 0.10 <= high
    assert hits > 930


def test_clustered_interval_by_hand():
    # Means of templates 1, 3 and 5: 3 and 2 / sqrt(3) x 4.3027.
    centre, low, high = clustered_interval([0, 2, 3, 3, 4, 6], "aabbcc")
    assert centre == 3
    assert high - centre == pytest.approx(2 / math.sqrt(3) * 4.30265, rel=1e-5) and high - centre == centre - low
    assert math.isnan(clustered_interval([1, 2], "aa")[1])
    assert math.isnan(clustered_interval([1, 2], "ab", "aa")[1])


def test_two_ways_of_clustering_by_hand():
    # Rows and columns sum to -4 and 4 about the mean, cells to -4, 0, 0 and 4; of each, G / (G - 1) x squares / 16.
    centre, low, high = clustered_interval([0, 4, 4, 8], "aabb", "xyxy")
    variance = (2 * 32 + 2 * 32 - 4 / 3 * 32) / 16
    assert centre == 4
    assert high - centre == pytest.approx(12.7062 * math.sqrt(variance), rel=1e-5) and high - centre == centre - low


def test_shares_stay_within_bounds_and_are_never_certain():
    # Wilson at 6 of 6: n / (n + z^2).
    assert share_interval([1.0] * 12, "abcdef" * 2) == (1, pytest.approx(6 / (6 + 1.959964**2)), 1)
    assert share_interval([1, 0, 0.5, 1], range(4)) == (0.625, *wilson_interval(2.5, 4))
    _, low, high = share_interval([1, 0, 1, 0, 1, 1], "aabbcc")
    assert 0 <= low < 2 / 3 < high <= 1


@pytest.mark.parametrize(("of_template", "of_word"), [(0.2, 0.0), (0.2, 0.2), (0.05, 0.2)])
def test_clustered_interval_covers_where_templates_and_words_differ(of_template, of_word):
    draw = np.random.default_rng(2)
    templates, words = np.repeat(np.arange(10), 20), np.tile(np.arange(20), 10)
    hits, naive = 0, 0
    for _ in range(500):
        chance = 0.5 + draw.normal(0, of_template, 10)[templates] + draw.normal(0, of_word, 20)[words]
        values = (draw.random(200) < chance).astype(float)
        _, low, high = clustered_interval(values, templates.tolist(), words.tolist())
        hits += low <= 0.5 <= high
        low, high = wilson_interval(int(values.sum()), 200)
        naive += low <= 0.5 <= high
    assert 0.92 < hits / 500 < 0.99
    assert naive / 500 < 0.9, "what an interval over all draws would cover"


def test_bootstrap_of_a_mean_is_near_its_t_interval_and_draws_whole_clusters():
    random = np.random.default_rng(3)
    clusters = np.repeat(np.arange(40), 5)
    values = np.repeat(random.normal(2, 1, 40), 5) + random.normal(0, 0.01, 200)

    def mean(drawn):
        assert len(np.unique(drawn[:5])) == 1
        return float(drawn @ values / drawn.sum())

    low, high = bootstrap_interval(mean, clusters)
    _, t_low, t_high = clustered_interval(values, clusters)
    assert (low, high) == (pytest.approx(t_low, abs=0.06), pytest.approx(t_high, abs=0.06))
    assert (low, high) == bootstrap_interval(mean, clusters), "the same at every call"
    assert math.isnan(bootstrap_interval(mean, [0] * 200)[0])
