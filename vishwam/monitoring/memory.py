"""Memory of the device, of JAX's allocator and of the host, as metrics.

JAX takes most of a GPU when it starts, so what the driver reports is flat and the allocator's peak is what a model
needs; both are given. What a device lacks is left out: there is no NVML without an NVIDIA driver, and no allocator
statistics on a CPU.
"""

import importlib.util
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pynvml

from vishwam.tracking.metrics import ALLOCATOR_PEAK, DEVICE_RESERVED, DEVICE_USED, HEADROOM, HOST_RSS

log = logging.getLogger(__name__)


class MemoryMonitor:
    """Samples memory when asked to; starts no thread.

    devices: those of JAX that this process computes on; all local ones unless given, which starts JAX.
    """

    def __init__(self, devices: Sequence[Any] | None = None):
        if devices is None:
            import jax

            devices = jax.local_devices()
        self._devices = list(devices)
        self._handles = nvml_handles() if any(device.platform in ("gpu", "cuda") for device in self._devices) else []
        self._process = psutil.Process()

    def sample(self) -> dict[str, float]:
        """Metrics by name; where there are several devices, those of the fullest one.

        `memory/device_used` and `memory/device_reserved`: bytes that all processes use on the device, and bytes that
        its driver keeps for itself (NVML, the second version of its structure, which tells them apart).
        `memory/allocator_peak`: the most bytes that this process has had in use on the device.
        `memory/host_rss`: bytes of this process and its children; pages that they share count for each.
        `memory/headroom`: the fraction that was never used of what the allocator may take, or else of the device's
        memory that is free now, or else, computing on a CPU, of the host's.
        """
        metrics: dict[str, float] = {HOST_RSS: float(self._host_rss())}
        headrooms: list[float] = []
        readings = [reading for reading in map(_nvml_memory, self._handles) if reading is not None]
        if readings:
            metrics[DEVICE_USED] = float(max(reading.used for reading in readings))
            metrics[DEVICE_RESERVED] = float(max(reading.reserved for reading in readings))
            headrooms = [reading.free / reading.total for reading in readings if reading.total]
        statistics = [stats for stats in map(_allocator, self._devices) if stats]
        peaks = [stats["peak_bytes_in_use"] for stats in statistics if "peak_bytes_in_use" in stats]
        if peaks:
            metrics[ALLOCATOR_PEAK] = float(max(peaks))
        limited = [
            1.0 - stats["peak_bytes_in_use"] / stats["bytes_limit"]
            for stats in statistics
            if stats.get("bytes_limit") and "peak_bytes_in_use" in stats
        ]
        if all(device.platform == "cpu" for device in self._devices):
            limit = host_limit()
            headrooms = [max(0.0, min(psutil.virtual_memory().available, limit - _cgroup_used()) / limit)]
        if limited or headrooms:
            metrics[HEADROOM] = min(limited or headrooms)
        return metrics

    def _host_rss(self) -> int:
        total = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.Error:
                continue  # it has ended meanwhile
        return total


def device_limit() -> tuple[int, str]:
    """Bytes that a trial here may use, and of what; JAX is not started, which would take a busy GPU's memory.

    A GPU counts where JAX would use it: its CUDA plugin is installed and `JAX_PLATFORMS` does not rule it out.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    plugins = ("jax_cuda13_plugin", "jax_cuda12_plugin")
    if (not platforms or "cuda" in platforms or "gpu" in platforms) and any(map(importlib.util.find_spec, plugins)):
        readings = [reading for reading in map(_nvml_memory, nvml_handles()) if reading is not None]
        if readings:
            fraction = float(os.environ.get("XLA_CLIENT_MEM_FRACTION") or 0.75)
            return int(min(reading.total for reading in readings) * fraction), "GPU memory that JAX may take"
    return host_limit(), "host memory"


def host_limit() -> int:
    """Bytes of memory that this machine, or the control group that this process stands in, has."""
    return min(psutil.virtual_memory().total, _cgroup("memory.max") or 1 << 62)


def nvml_handles() -> list[Any]:
    """NVML's handles of the GPUs that `CUDA_VISIBLE_DEVICES` leaves to this process; empty without a driver."""
    if _guarded(pynvml.nvmlInit) is _FAILED:
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        count = _guarded(pynvml.nvmlDeviceGetCount)
        names = [str(index) for index in range(0 if count is _FAILED else count)]
    else:
        names = [name.strip() for name in visible.split(",") if name.strip()]
    handles = [
        _guarded(pynvml.nvmlDeviceGetHandleByIndex, int(name))
        if name.isdigit()
        else _guarded(pynvml.nvmlDeviceGetHandleByUUID, name)
        for name in names
    ]
    return [handle for handle in handles if handle is not _FAILED]


_FAILED = object()
_complained: set[str] = set()


def _guarded(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Any call of NVML may be unsupported, by card, driver or permission; each is said once, no driver at all never."""
    try:
        return call(*arguments, **keywords)
    except (pynvml.NVMLError, OSError) as error:
        missing = (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded)
        if not isinstance(error, missing) and call.__name__ not in _complained:
            _complained.add(call.__name__)
            log.warning("NVML: %s: %s; its metrics are left out", call.__name__, error)
        return _FAILED


def _nvml_memory(handle: Any) -> Any:
    reading = _guarded(pynvml.nvmlDeviceGetMemoryInfo, handle, version=pynvml.nvmlMemory_v2)
    return None if reading is _FAILED else reading


def _allocator(device: Any) -> dict[str, int]:
    try:
        return device.memory_stats() or {}
    except Exception:  # JAX raises its own, unexported, errors where a backend has none.
        return {}


def _cgroup(name: str) -> int | None:
    try:
        text = (Path("/sys/fs/cgroup") / name).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _cgroup_used() -> int:
    """Bytes in use that cannot be given back; file pages that are not in use can."""
    try:
        lines = Path("/sys/fs/cgroup/memory.stat").read_text().splitlines()
    except OSError:
        return 0
    statistics = dict(line.split() for line in lines)
    return max(0, (_cgroup("memory.current") or 0) - int(statistics.get("inactive_file", 0)))
