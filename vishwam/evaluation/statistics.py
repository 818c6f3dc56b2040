"""Intervals for proportions."""

import math


def wilson_interval(successes: int, count: int, z: float = 1.959964) -> tuple[float, float]:
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
