"""Memory of the device, of JAX's allocator and of the host at one instant, as metrics.

JAX takes most of a GPU when it starts, so what the driver reports is flat and the allocator's peak is what a model
needs; both are given. What a device lacks is left out: there is no NVML without an NVIDIA driver, and no allocator
statistics on a CPU. What W&B's client measures itself (use, power, temperature of a GPU) is not logged once more.
"""

import importlib.util
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from vishwam.monitoring import cgroup, driver
from vishwam.monitoring.driver import HANGS_SECONDS, Driver
from vishwam.tracking import metrics as names


class MemoryMonitor:
    """Samples memory when asked to; starts no thread, and never waits for a driver.

    devices: those of JAX that this process computes on; all local ones unless given, which starts JAX.
    nvidia: who is asked about NVIDIA's devices; nobody where JAX computes on none, unless given.
    """

    def __init__(self, devices: Sequence[Any] | None = None, nvidia: Driver | None = None):
        if devices is None:
            import jax

            devices = jax.local_devices()
        self._devices = list(devices)
        if nvidia is None and any(device.platform in ("gpu", "cuda") for device in self._devices):
            nvidia = Driver()
        self._nvidia = nvidia
        self._allocators = Patient(lambda: [stats for stats in map(allocator, self._devices) if stats])
        self._host_limit = host_limit()
        self._latest: list[dict[str, Any]] = []

    @property
    def fault(self) -> str | None:
        """What is wrong with the driver or a GPU, for a person."""
        lost = [str(device["index"]) for device in self._latest if device.get("lost")]
        if lost:
            return f"GPU {', '.join(lost)} is lost: it has fallen off the bus, and only a restart of the machine helps"
        if self._nvidia and self._nvidia.fault:
            return self._nvidia.fault
        silent = self._allocators.silent_for
        return (
            f"JAX's allocator has not answered for {silent:.0f} s: the device hangs" if silent > HANGS_SECONDS else None
        )

    @property
    def throttle_reasons(self) -> list[str]:
        """Why clocks are held down, by the newest reading."""
        return sorted({why for device in self._latest for why in device.get("throttle") or ()})

    @property
    def ecc_errors(self) -> int:
        """Errors in memory since the driver started that could not be corrected, by the newest reading."""
        return sum(device.get("ecc_uncorrected") or 0 for device in self._latest)

    def sample(self) -> dict[str, float]:
        """Metrics by name; where there are several devices, those of the fullest one.

        `memory/device_used` and `memory/device_reserved`: bytes that all processes use on the device, and bytes that
        its driver keeps for itself; `memory/process_used`: this process's own. (NVML, since the last sample.)
        `memory/allocator_in_use`, `memory/allocator_peak`, `memory/allocator_largest_free`: bytes of JAX's allocator;
        `memory/fragmentation`: the fraction of its free bytes that the largest free block does not hold.
        `memory/limit`: bytes that this process may take: the allocator's, or on a CPU the host's.
        `memory/host_rss`: bytes of this process and its children; pages that they share count for each.
        `memory/headroom`: the fraction that was never used of what the allocator may take, or else of the device's
        memory that is free now, or else, computing on a CPU, of the host's.
        `memory/throttled`: 1 while clocks of a device are held down, else 0.
        """
        tree = process_tree(os.getpid())
        if self._nvidia and self._nvidia.pid:
            tree.discard(self._nvidia.pid)
        metrics: dict[str, float] = {names.HOST_RSS: float(sum(map(rss, tree)))}
        headrooms = self._of_driver(metrics, tree)
        limited = self._of_allocator(metrics)
        if all(device.platform == "cpu" for device in self._devices):
            metrics[names.MEMORY_LIMIT] = float(self._host_limit)
            headrooms = [max(0.0, host_available(self._host_limit) / self._host_limit)]
        if limited or headrooms:
            metrics[names.HEADROOM] = min(limited or headrooms)
        return metrics

    def close(self) -> None:
        if self._nvidia:
            self._nvidia.close()

    def _of_driver(self, metrics: dict[str, float], tree: set[int]) -> list[float]:
        """Adds what the driver says to `metrics`; returns headrooms by it."""
        devices = self._nvidia.poll() if self._nvidia else None
        if devices is None:
            return []
        self._latest = devices
        for metric, field in ((names.DEVICE_USED, "used"), (names.DEVICE_RESERVED, "reserved")):
            known = [device[field] for device in devices if device.get(field) is not None]
            if known:
                metrics[metric] = float(max(known))
        own = [
            one["bytes"]
            for device in devices
            for one in device.get("processes") or ()
            if one["pid"] in tree and one["bytes"] is not None
        ]
        if own:
            metrics[names.PROCESS_USED] = float(max(own))
        throttled = [device["throttle"] for device in devices if device.get("throttle") is not None]
        if throttled:
            metrics[names.THROTTLED] = float(any(throttled))
        free = [(device.get("free"), device.get("total")) for device in devices]
        return [left / total for left, total in free if left is not None and total]

    def _of_allocator(self, metrics: dict[str, float]) -> list[float]:
        """Adds what JAX's allocator says to `metrics`; returns headrooms by it."""
        if all(device.platform == "cpu" for device in self._devices):
            return []
        statistics = self._allocators.ask() or []
        for metric, field in (
            (names.ALLOCATOR_IN_USE, "bytes_in_use"),
            (names.ALLOCATOR_PEAK, "peak_bytes_in_use"),
        ):
            known = [stats[field] for stats in statistics if field in stats]
            if known:
                metrics[metric] = float(max(known))
        limits = [stats["bytes_limit"] for stats in statistics if stats.get("bytes_limit")]
        if limits:
            metrics[names.MEMORY_LIMIT] = float(min(limits))
        blocks = [stats["largest_free_block_bytes"] for stats in statistics if stats.get("largest_free_block_bytes")]
        if blocks:
            metrics[names.LARGEST_FREE] = float(min(blocks))
        fragmented = [value for value in map(fragmentation, statistics) if value is not None]
        if fragmented:
            metrics[names.FRAGMENTATION] = max(fragmented)
        return [
            1.0 - stats["peak_bytes_in_use"] / stats["bytes_limit"]
            for stats in statistics
            if stats.get("bytes_limit") and "peak_bytes_in_use" in stats
        ]


class Patient:
    """Asks, by a thread of its own, somebody who may never answer: a call into a device that hangs does not return."""

    def __init__(self, question: Callable[[], list[dict[str, int]]]):
        self._question = question
        self._answers: queue.SimpleQueue[list[dict[str, int]]] = queue.SimpleQueue()
        self._asked_at: float | None = None

    def ask(self, seconds: float = 0.5) -> list[dict[str, int]] | None:
        """The answer, if it comes in time; while one is missing nothing is asked anew."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
            threading.Thread(target=lambda: self._answers.put(self._question()), name="allocator", daemon=True).start()
        try:
            answer = self._answers.get(timeout=seconds)
        except queue.Empty:
            return None
        self._asked_at = None
        return answer

    @property
    def silent_for(self) -> float:
        """Seconds since what has not been answered."""
        return 0.0 if self._asked_at is None else time.monotonic() - self._asked_at


def allocator(device: Any) -> dict[str, int]:
    """Statistics of JAX's allocator on a device, of a GPU or a TPU; empty on a CPU."""
    try:
        return device.memory_stats() or {}
    except Exception:  # JAX raises its own, unexported, errors where a backend has none.
        return {}


def fragmentation(stats: Mapping[str, int]) -> float | None:
    """The fraction of an allocator's free bytes outside its largest free block; None where it does not say."""
    block = stats.get("largest_free_block_bytes")
    # An allocator that grows has taken `pool_bytes` of its limit so far, and its blocks are in there.
    free = (stats.get("pool_bytes") or stats.get("bytes_limit") or 0) - stats.get("bytes_in_use", 0)
    return None if not block or free < block else 1.0 - block / free


def device_limit() -> tuple[int, str]:
    """Bytes that a trial here may use, and of what; JAX is not started, which would take a busy GPU's memory.

    A GPU counts where JAX would use it: its CUDA plugin is installed and `JAX_PLATFORMS` does not rule it out.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    plugins = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    if (not platforms or "cuda" in platforms or "gpu" in platforms) and any(map(importlib.util.find_spec, plugins)):
        reading = driver.once()
        devices = driver.visible(reading["devices"]) if reading else []
        totals = [device["total"] for device in devices if device.get("total")]
        if totals:
            return int(min(totals) * jax_fraction()), "GPU memory that JAX may take"
    return host_limit(), "host memory"


def jax_fraction() -> float:
    """How much of a GPU JAX takes; an unreadable setting is JAX's own to refuse."""
    try:
        return float(os.environ.get("XLA_CLIENT_MEM_FRACTION") or 0.75)
    except ValueError:
        return 0.75


def host_limit() -> int:
    """Bytes of memory that this machine, or the control group that this process stands in, has."""
    return min(psutil.virtual_memory().total, cgroup.limit() or 1 << 62)


def host_available(limit: int) -> int:
    """Bytes of memory that this process could still take, of `host_limit`."""
    left = cgroup.available()
    return min(psutil.virtual_memory().available, limit if left is None else left)


def process_tree(pid: int) -> set[int]:
    """A process and those below it. The kernel keeps the list; walking all processes would hold the interpreter."""
    if not Path(f"/proc/{pid}/task/{pid}/children").exists():
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    found, waiting = set(), [pid]
    while waiting:
        one = waiting.pop()
        found.add(one)
        try:
            for thread in os.listdir(f"/proc/{one}/task"):
                with open(f"/proc/{one}/task/{thread}/children") as children:
                    waiting += [child for child in map(int, children.read().split()) if child not in found]
        except OSError:
            continue  # it has ended meanwhile
    return found


def rss(pid: int) -> int:
    """Bytes of a process that are in memory; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        pass
    try:
        return psutil.Process(pid).memory_info().rss  # not Linux
    except psutil.Error:
        return 0
