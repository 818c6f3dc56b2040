"""Intervals and tests for proportions."""

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np


def wilson_interval(successes: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval for a proportion (Wilson 1927); `z` 1.96 covers 95%.

    It stays inside [0, 1] and is honest at 0 and 100%, where the normal approximation claims certainty.

    Raises:
        ValueError: `count` is not positive, or `successes` lies outside [0, count].
    """
    if count <= 0 or not 0 <= successes <= count:
        raise ValueError(f"{successes} successes of {count} is no proportion")
    proportion = successes / count
    centre = proportion + z * z / (2 * count)
    spread = z * math.sqrt(proportion * (1 - proportion) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    # At 0% and 100% the bound is exact; rounding must not leave it an epsilon off.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == count else (centre + spread) / scale
    return low, high


def paired_interval(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """The 95% interval of the difference of two proportions on the same questions, those that `both`, only the `first`,
    only the `second` or `neither` got right: Newcombe (1998), method 10.

    Raises:
        ValueError: there are no questions.
    """
    count = both + first + second + neither
    p1, p2 = (both + first) / count if count else 0, (both + second) / count if count else 0
    low1, high1 = wilson_interval(both + first, count)
    low2, high2 = wilson_interval(both + second, count)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    association = both * neither - first * second
    # With a correction for continuity, towards 0, where they go together.
    corrected = max(0.0, association - count / 2) if association > 0 else association
    phi = corrected / math.sqrt(margins) if margins else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return p1 - p2 - reach(p1 - low1, high2 - p2), p1 - p2 + reach(high1 - p1, p2 - low2)


def mcnemar_exact(first: int, second: int) -> float:
    """The two-sided p-value that two models are equally good, by the questions only one of them got right: McNemar's
    test (1947) by the binomial distribution, exactly.
    """
    count, fewer = first + second, min(first, second)
    # The largest term of the tail, and how many times as large all of them are: as many of them count as a few times
    # the square root of the number of questions.
    log_largest = math.lgamma(count + 1) - math.lgamma(fewer + 1) - math.lgamma(count - fewer + 1)
    term, times, k = 1.0, 1.0, fewer
    while k > 0 and term > 1e-17:
        term *= k / (count - k + 1)
        times += term
        k -= 1
    return min(1.0, 2 * times * math.exp(log_largest - count * math.log(2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of one family of tests, adjusted so that any false alarm in it stays as rare as in one (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def clustered_interval(values: Sequence[float], *clusterings: Sequence[Hashable]) -> tuple[float, float, float]:
    """Mean with its 95% t-interval, values of one cluster going together in any of one or two ways of clustering.

    With one clustering of equal clusters it is the t-interval of the clusters' means; with two, say templates and the
    words put into them, variances add as in Cameron, Gelbach and Miller (2011). Degrees of freedom are those of the
    fewer clusters. An interval over all values, as if independent, would cover far less than it says. Bounds are NaN
    where there is but one cluster.
    """
    centred = np.asarray(values, float)
    centre = float(centred.mean())
    centred = centred - centre
    ways = [list(clustering) for clustering in clusterings]
    fewest = min(len(set(way)) for way in ways)
    if fewest < 2:
        return centre, math.nan, math.nan
    variances = [_variance(centred, way) for way in ways]
    # Where both go together is in both; an estimate below either of them would be noise.
    both = _variance(centred, list(zip(*ways, strict=True))) if len(ways) > 1 else 0.0
    variance = max(*variances, sum(variances) - both) if len(ways) > 1 else variances[0]
    from scipy.special import stdtrit  # Half a second: for those who need it.

    half = float(stdtrit(fewest - 1, 0.975) * math.sqrt(variance))
    return centre, centre - half, centre + half


def share_interval(values: Sequence[float], *clusterings: Sequence[Hashable]) -> tuple[float, float, float]:
    """A share and its 95% interval, within [0, 1]; `values` are 1, 0, or a half for neither, or shares themselves.

    `clustered_interval`, but Wilson's where each value is a cluster of its own and not a share, and where all clusters
    are alike, over the clusters: six templates that agree are six observations, and no certainty.
    """
    fewest = min(len(set(clustering)) for clustering in clusterings)
    centre, low, high = clustered_interval(values, *clusterings)
    if (fewest == len(values) and set(values) <= {0.0, 0.5, 1.0}) or high - low < 1e-9:
        low, high = wilson_interval(centre * fewest, fewest)
    return centre, max(low, 0.0), min(high, 1.0)


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float], clusters: Sequence[Hashable], resamples: int = 1000
) -> tuple[float, float]:
    """The 95% percentile interval (Efron 1979) of what has no formula, whole clusters drawn with replacement.

    statistic: from how often each item was drawn, float64 [N], its value. The same draws at every call. Bounds are NaN
    where there is but one cluster.
    """
    number: dict[Hashable, int] = {}
    of_N = np.array([number.setdefault(cluster, len(number)) for cluster in clusters])
    count = len(number)
    if count < 2:
        return math.nan, math.nan
    random = np.random.default_rng(0)
    drawn = (random.multinomial(count, np.full(count, 1 / count)) for _ in range(resamples))
    low, high = np.quantile([statistic(times.astype(float)[of_N]) for times in drawn], [0.025, 0.975])
    return float(low), float(high)


def _variance(centred: np.ndarray, clusters: Sequence[Hashable]) -> float:
    """Of the mean, as the sums of clusters show it."""
    number: dict[Hashable, int] = {}
    of = [number.setdefault(cluster, len(number)) for cluster in clusters]
    sums = np.bincount(of, centred)
    return float(len(sums) / max(1, len(sums) - 1) * np.sum(sums**2)) / len(centred) ** 2
