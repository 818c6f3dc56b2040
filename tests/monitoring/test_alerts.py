"""Alerts on courses of memory whose truth is known."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from vishwam.monitoring.alerts import growth, raised, theil_sen

GB = 1e9
EVERY = 5.0  # seconds


def course(minutes, of_rss, **more):
    times = [EVERY * i for i in range(int(minutes * 60 / EVERY))]
    return times, [{"memory/host_rss": of_rss(time), "memory/limit": 32 * GB} | more for time in times]


def kinds(times, samples):
    return [alert.kind for alert in raised(times, samples)]


def test_the_slope_is_that_of_theil_and_sen():
    x = np.sort(np.random.default_rng(1).uniform(0, 100, 50))
    y = 3 * x + np.random.default_rng(2).normal(0, 5, 50)
    y[:10] += 1e4  # a fifth of the points is nonsense
    assert theil_sen(list(x), list(y)) == pytest.approx(stats.theilslopes(y, x).slope)
    assert abs(theil_sen(list(x), list(y)) - 3) < 1.0


def test_a_leak_is_told_with_its_rate():
    noise = random.Random(3)
    times, samples = course(15, lambda t: 4 * GB + 5e4 * t + noise.gauss(0, 2e5))
    (alert,) = raised(times, samples)
    assert alert.kind == "growth" and "3.0 MB a minute" in alert.text


@pytest.mark.parametrize(
    ("what", "rss"),
    [
        ("steady", lambda t: 4 * GB),
        ("noise", lambda t: 4 * GB + random.Random(t).gauss(0, 5e7)),
        ("one step up", lambda t: 4 * GB + (2 * GB if t > 400 else 0)),
        ("a start that settles", lambda t: 4 * GB * (1 - 0.9 * 0.97**t)),
        ("a sawtooth of evaluations", lambda t: 4 * GB + 1e9 * (t % 60 < 15)),
        ("so slow that it never matters", lambda t: 4 * GB + 100 * t),
        ("shrinking", lambda t: 4 * GB - 5e4 * t),
    ],
)
def test_what_is_no_leak(what, rss):
    assert growth(*course(15, rss)) is None


def test_growth_needs_evidence():
    assert growth(*course(5, lambda t: 4 * GB + 1e6 * t)) is None


COURSES = json.loads(Path(__file__).with_name("courses.json").read_text())


@pytest.mark.parametrize("name", COURSES)
def test_real_trials(name):
    """[seconds, megabytes, phase] of trials that ran: a leak is told while it runs, and warming up is none."""
    times = [float(second) for second, _, _ in COURSES[name]]
    samples = [
        {"memory/host_rss": 1e6 * used, "memory/phase": phase, "memory/limit": 25 * GB}
        for _, used, phase in COURSES[name]
    ]
    told = [n for n in range(30, len(times), 3) if growth(times[:n], samples[:n])]
    assert bool(told) == ("leak" in name)


def test_what_grows_in_evaluations_alone_is_no_leak():
    times, samples = course(15, lambda t: 4 * GB + 1e5 * t)
    for time, sample in zip(times, samples, strict=True):
        sample["memory/phase"] = 3.0 if time % 300 < 250 else 2.0
        if sample["memory/phase"] == 2.0:
            sample["memory/host_rss"] = 4 * GB
    assert growth(times, samples) is None


def test_spikes_do_not_hide_a_leak():
    times, samples = course(15, lambda t: 4 * GB + 1e5 * t + (8 * GB if t % 50 == 0 else 0))
    assert growth(times, samples) is not None


@pytest.mark.parametrize(("headroom", "expected"), [(0.079, ["headroom"]), (0.081, [])])
def test_little_headroom(headroom, expected):
    assert kinds([0.0], [{"memory/headroom": headroom, "memory/limit": 60 * GB}]) == expected


@pytest.mark.parametrize(
    ("fragmentation", "in_use", "expected"),
    [(0.51, 30, ["fragmentation"]), (0.49, 30, []), (0.9, 59, [])],  # the last has hardly anything free to be in pieces
)
def test_fragmented_memory(fragmentation, in_use, expected):
    sample = {
        "memory/fragmentation": fragmentation,
        "memory/allocator_in_use": in_use * GB,
        "memory/allocator_largest_free": 3 * GB,
        "memory/limit": 60 * GB,
    }
    assert kinds([0.0], [sample]) == expected


@pytest.mark.parametrize(("throttled", "samples", "expected"), [(6, 50, ["throttled"]), (5, 50, []), (20, 20, [])])
def test_throttling_counts_from_a_tenth_of_enough_samples(throttled, samples, expected):
    found = [{"memory/throttled": float(i < throttled)} for i in range(samples)]
    assert kinds([EVERY * i for i in range(samples)], found) == expected


def test_the_reasons_are_named():
    (alert,) = raised([0.0] * 40, [{"memory/throttled": 1.0}] * 40, ["power cap"])
    assert "100% of 40 samples (power cap)" in alert.text
