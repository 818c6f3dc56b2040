"""What in the course of a trial's memory a person should hear of while something can still be done."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vishwam.sizes import size
from vishwam.tracking import metrics as names

LEAST_HEADROOM = 0.08
MOST_FRAGMENTATION = 0.5
MOST_THROTTLED = 0.1  # of the samples

# A trial's first minutes are its start, and memory settles; growth is judged on what comes after, and while it trains:
# evaluations compile, and have questions and answers at hand.
TRAIN = names.PHASES.index("train")
SETTLED_SECONDS = 120.0
EVIDENCE_SECONDS = 300.0
EVIDENCE_SAMPLES = 30
# What a trial warms up grows, too, but by fits and starts: a leak lifts the floor of most of so many parts of the time,
# by so much of an equal share each.
PARTS, MOST_PARTS, OF_SHARE = 10, 0.7, 0.3
# Growth that would take so much of the host's memory within a day is a leak worth a word.
GROWTH_OF_LIMIT = 0.1
DAY = 86400.0
THROTTLED_SAMPLES = 30


@dataclass(frozen=True)
class Alert:
    """kind: one is raised once a run."""

    kind: str
    title: str
    text: str
    level: str = "WARN"


def raised(times: Sequence[float], samples: Sequence[Mapping[str, float]], reasons: Sequence[str] = ()) -> list[Alert]:
    """The alerts that these samples justify. times: seconds, ascending; reasons: why clocks are held down."""
    if not samples:
        return []
    found = []
    latest = samples[-1]
    headroom = latest.get(names.HEADROOM)
    if headroom is not None and headroom < LEAST_HEADROOM:
        found.append(
            Alert(
                "headroom",
                "Memory is nearly full",
                f"headroom is {headroom:.1%} of {size(latest.get(names.MEMORY_LIMIT, 0))}; "
                "a longer batch may end the trial: lower batch_size",
            )
        )
    fragmented = latest.get(names.FRAGMENTATION)
    # Free space that is small change of the whole is always in pieces.
    free = latest.get(names.MEMORY_LIMIT, 0.0) - latest.get(names.ALLOCATOR_IN_USE, 0.0)
    if fragmented is not None and fragmented > MOST_FRAGMENTATION and free > 0.05 * latest.get(names.MEMORY_LIMIT, 0.0):
        found.append(
            Alert(
                "fragmentation",
                "Device memory is in pieces",
                f"{fragmented:.0%} of the allocator's free memory lies outside its largest free block of "
                f"{size(latest[names.LARGEST_FREE])}; fewer length_buckets or a larger XLA_CLIENT_MEM_FRACTION help",
            )
        )
    throttled = [sample[names.THROTTLED] for sample in samples if names.THROTTLED in sample]
    if len(throttled) >= THROTTLED_SAMPLES and (share := statistics.fmean(throttled)) > MOST_THROTTLED:
        why = f" ({', '.join(reasons)})" if reasons else ""
        found.append(
            Alert(
                "throttled",
                "The GPU is throttled",
                f"its clocks were held down in {share:.0%} of {len(throttled)} samples{why}: "
                "see to its cooling or its power limit",
            )
        )
    if alert := growth(times, samples):
        found.append(alert)
    return found


def growth(times: Sequence[float], samples: Sequence[Mapping[str, float]]) -> Alert | None:
    """Whether host memory grows steadily: by the median slope, on enough evidence, in both halves of it and in most of
    its parts, and enough to matter within a day.
    """
    settled = [
        (time, sample[names.HOST_RSS])
        for time, sample in zip(times, samples, strict=True)
        if time - times[0] >= SETTLED_SECONDS and names.HOST_RSS in sample and sample.get(names.PHASE, TRAIN) == TRAIN
    ]
    if len(settled) < EVIDENCE_SAMPLES or settled[-1][0] - settled[0][0] < EVIDENCE_SECONDS:
        return None
    x, y = zip(*settled, strict=True)
    slope = theil_sen(x, y)
    middle = len(x) // 2
    # A single step up has a slope too, but not in both halves.
    if min(slope, theil_sen(x[:middle], y[:middle]), theil_sen(x[middle:], y[middle:])) < 0.5 * slope or slope <= 0:
        return None
    floors = [min(part) for part in parts(x, y) if part]
    if len(floors) < MOST_PARTS * PARTS:
        return None
    share = (floors[-1] - floors[0]) / (len(floors) - 1)
    rises = [later - earlier >= OF_SHARE * share for earlier, later in itertools.pairwise(floors)]
    if share <= 0 or statistics.fmean(rises) < MOST_PARTS:
        return None
    limit = samples[-1].get(names.MEMORY_LIMIT) or 0.0
    if slope * DAY < GROWTH_OF_LIMIT * (limit or y[-1]):
        return None
    return Alert(
        "growth",
        "Host memory grows steadily",
        f"by {size(slope * 60)} a minute over the last {(x[-1] - x[0]) / 60:.0f} minutes, to {size(y[-1])}; "
        "something is kept that should not be (the memory profile among the artifacts says what JAX holds)",
    )


def parts(x: Sequence[float], y: Sequence[float]) -> list[list[float]]:
    """`y` by the tenth of the time in which each falls."""
    found: list[list[float]] = [[] for _ in range(PARTS)]
    for time, value in zip(x, y, strict=True):
        found[min(PARTS - 1, int(PARTS * (time - x[0]) / (x[-1] - x[0])))].append(value)
    return found


def theil_sen(x: Sequence[float], y: Sequence[float], most: int = 60) -> float:
    """The median of the slopes of all pairs of points, of at most `most` of them evenly chosen: up to 29% of the
    points may be anything at all (Sen 1968).
    """
    step = max(1, -(-len(x) // most))
    x, y = x[::step], y[::step]
    slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i in range(len(x)) for j in range(i + 1, len(x)) if x[j] > x[i]]
    return statistics.median(slopes) if slopes else 0.0
