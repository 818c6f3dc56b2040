"""The names under which a trial writes what it measures, and which way each is better."""

import re
from collections.abc import Iterable, Mapping

STEP = "train/step"

TRAIN_LOSS = "train/loss"
LEARNING_RATE = "train/learning_rate"
GRADIENT_NORM = "train/gradient_norm"
# Those trained on since the first step, padding apart: an axis to compare batch sizes over.
TOKENS = "train/tokens"
# Of the time, at most, in which the device had nothing to do because its batches were not there yet.
INPUT_WAIT = "train/input_wait"
TOKENS_PER_SECOND = "train/tokens_per_second"
FLOPS_PER_SECOND = "train/flops_per_second"
MFU = "train/mfu"
VALIDATION_LOSS = "validation/loss"
INTERPOLATE = "interpolate/exact_match"
EXTRAPOLATE = "extrapolate/exact_match"
# 1 once a trial that runs until it is right often enough is; its last step says how long that took.
REACHED = "until/reached"

# Bytes, each row one instant; `vishwam.monitoring.memory` says what each is.
DEVICE_USED = "memory/device_used"
DEVICE_RESERVED = "memory/device_reserved"
PROCESS_USED = "memory/process_used"
ALLOCATOR_IN_USE = "memory/allocator_in_use"
ALLOCATOR_PEAK = "memory/allocator_peak"
LARGEST_FREE = "memory/allocator_largest_free"
MEMORY_LIMIT = "memory/limit"
HOST_RSS = "memory/host_rss"
# Fractions.
FRAGMENTATION = "memory/fragmentation"
HEADROOM = "memory/headroom"
# 1 while a GPU's clocks are held down by heat or power.
THROTTLED = "memory/throttled"
# What a trial is at: its place in PHASES.
PHASE = "memory/phase"
PHASES = ("start", "compile", "train", "evaluate", "checkpoint")
# In the summary, once for a trial: what the compiled step was said to need, what was seen, and what would have fitted.
PREDICTED_PEAK = "memory/predicted_peak"
MEASURED_PEAK = "memory/measured_peak"
LARGEST_BATCH = "memory/largest_batch"
# One of PHASES: the one that was said to take most, and of which both peaks are.
PEAK_PHASE = "memory/peak_phase"

SAMPLES = "samples"
# Tables beside it: exact match by what a question is like, and mistakes with their kind.
ERRORS = "errors"
CONFUSIONS = "confusions"
# Every figure of bias with its interval.
BIAS = "bias"

BIAS_GAP = "bias/gap"
# What of it depends on what is said of a group, without what any two words make of a sentence.
TRAIT_GAP = "bias/trait_gap"
# By how many nats a stereotype is likelier of the group that it is told of.
STEREOTYPE_GAP = "bias/stereotype_gap"
# 1 where a model tells sentences from reversed ones, without which its bias says nothing.
KNOWS_LANGUAGE = "bias/knows_language"

# Of published test sets: benchmark/gsm8k with its 95% interval, and benchmark/mmlu_chance, what guessing gets.
BENCHMARK = "benchmark/"

INTERPOLATE_EQUIVALENT = "interpolate/equivalent"
EXTRAPOLATE_EQUIVALENT = "extrapolate/equivalent"
UNDECIDED = "equivalent/undecided"  # answers, where there were any

# Exact match over the digits of a question's numbers, once, when a trial ends: its own axis.
DIGITS = "length/digits"
BY_DIGITS = "length/exact_match"

# The goal a sweep may have with a metric.
GOALS = {
    TRAIN_LOSS: "minimize",
    VALIDATION_LOSS: "minimize",
    INTERPOLATE: "maximize",
    EXTRAPOLATE: "maximize",
    INTERPOLATE_EQUIVALENT: "maximize",
    EXTRAPOLATE_EQUIVALENT: "maximize",
    BIAS_GAP: "minimize",
    TRAIT_GAP: "minimize",
    STEREOTYPE_GAP: "minimize",
}

# Logged, but nothing to steer a sweep by.
OTHERS = (
    STEP,
    REACHED,
    LEARNING_RATE,
    GRADIENT_NORM,
    TOKENS,
    TOKENS_PER_SECOND,
    INPUT_WAIT,
    FLOPS_PER_SECOND,
    MFU,
    DEVICE_USED,
    DEVICE_RESERVED,
    PROCESS_USED,
    ALLOCATOR_IN_USE,
    ALLOCATOR_PEAK,
    LARGEST_FREE,
    MEMORY_LIMIT,
    HOST_RSS,
    FRAGMENTATION,
    HEADROOM,
    THROTTLED,
    PHASE,
    PREDICTED_PEAK,
    MEASURED_PEAK,
    LARGEST_BATCH,
    PEAK_PHASE,
)


def exact_match(split: str, name: str) -> str:
    """The metric of one evaluation set: a module's, or one of digit lengths such as `100_digits`."""
    return f"exact_match/{split}/{name}"


def equivalent(split: str, name: str) -> str:
    """The same counted by meaning."""
    return f"equivalent/{split}/{name}"


def repetition(name: str) -> str:
    """A figure of `evaluation.repetition` over all answers of an evaluation; with `_reference`, over the right ones."""
    return f"repetition/{name}"


def digits_of(name: str) -> int | None:
    """100 of `exact_match/extrapolate/100_digits`, and of `100_digits`; None for sets of another kind."""
    found = re.fullmatch(r"(?:.*/)?(\d+)_digits", name)
    return int(found[1]) if found else None


def goals(sets: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Every metric that a sweep may optimise, with its goal; `sets` names the evaluation sets of each split."""
    of_sets = {
        metric(split, name): "maximize"
        for metric in (exact_match, equivalent)
        for split, names in sets.items()
        for name in names
    }
    # Without an extrapolation set nothing is extrapolated.
    summed = {
        name: goal for name, goal in GOALS.items() if not name.startswith("extrapolate/") or sets.get("extrapolate")
    }
    return summed | of_sets
