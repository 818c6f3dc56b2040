"""Memory metrics: what a device has is given, what it lacks is left out, a complaint is made once."""

import logging
import subprocess
import sys
import types

import numpy as np
import psutil
import pynvml
import pytest

from vishwam.monitoring import memory
from vishwam.monitoring.memory import MemoryMonitor

GIB = 1 << 30


class Device:
    def __init__(self, platform, stats=None):
        self.platform = platform
        self._stats = stats

    def memory_stats(self):
        return self._stats


@pytest.fixture
def nvml(monkeypatch):
    """Two GPUs behind the functions of `pynvml` that are called here; `memory[i]` is what the i-th reports."""
    state = types.SimpleNamespace(memory=[], asked=[])

    def info(handle, version=None):
        state.asked.append(handle)
        # The first version of the structure counts what is reserved as used.
        assert version == pynvml.nvmlMemory_v2
        if isinstance(state.memory[handle], Exception):
            raise state.memory[handle]
        return types.SimpleNamespace(**state.memory[handle])

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: len(state.memory))
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda name: {"GPU-b": 1}[name])
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", info)
    monkeypatch.setattr(memory, "_complained", set())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    info.__name__ = "nvmlDeviceGetMemoryInfo"
    return state


def gpu(total, used, reserved):
    return {
        "total": total * GIB,
        "used": used * GIB,
        "reserved": reserved * GIB,
        "free": (total - used - reserved) * GIB,
    }


def test_a_cpu_has_host_memory_and_headroom_alone():
    sample = MemoryMonitor().sample()
    assert set(sample) == {"memory/host_rss", "memory/headroom"}
    assert 0 < sample["memory/headroom"] < 1


def test_host_rss_follows_this_process_and_its_children():
    monitor = MemoryMonitor([Device("cpu")])
    before = monitor.sample()["memory/host_rss"]
    block = np.ones(64 * 1024 * 1024, np.uint8)
    with_block = monitor.sample()["memory/host_rss"]
    assert with_block - before > 0.9 * block.nbytes
    script = "x = b'1' * (96 << 20); print('ready', flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"ready\n"
    of_child = psutil.Process(child.pid).memory_info().rss
    with_child = monitor.sample()["memory/host_rss"]
    child.communicate(b"\n")
    assert with_child - with_block > 0.8 * of_child > 70 << 20


def test_a_gpu_gives_driver_and_allocator(nvml):
    nvml.memory = [gpu(80, 60, 1)]
    stats = {"peak_bytes_in_use": 15 * GIB, "bytes_limit": 60 * GIB}
    sample = MemoryMonitor([Device("gpu", stats)]).sample()
    assert sample["memory/device_used"] == 60 * GIB
    assert sample["memory/device_reserved"] == 1 * GIB
    assert sample["memory/allocator_peak"] == 15 * GIB
    assert sample["memory/headroom"] == 0.75


def test_of_several_devices_the_fullest_counts(nvml):
    nvml.memory = [gpu(80, 10, 1), gpu(80, 70, 2)]
    stats = [{"peak_bytes_in_use": peak * GIB, "bytes_limit": 60 * GIB} for peak in (30, 54)]
    sample = MemoryMonitor([Device("gpu", each) for each in stats]).sample()
    assert sample["memory/device_used"] == 70 * GIB
    assert sample["memory/headroom"] == pytest.approx(0.1)


@pytest.mark.parametrize(("visible", "asked"), [("1", [1]), ("GPU-b", [1]), ("1,0", [1, 0]), ("", [])])
def test_only_visible_gpus_are_asked(nvml, monkeypatch, visible, asked):
    nvml.memory = [gpu(80, 10, 1), gpu(80, 70, 2)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    MemoryMonitor([Device("gpu")]).sample()
    assert nvml.asked == asked


def test_what_nvml_refuses_is_left_out_and_said_once(nvml, caplog):
    nvml.memory = [pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)]
    monitor = MemoryMonitor([Device("gpu", {"peak_bytes_in_use": 5 * GIB})])
    with caplog.at_level(logging.WARNING):
        samples = [monitor.sample() for _ in range(3)]
    assert all(set(sample) == {"memory/host_rss", "memory/allocator_peak"} for sample in samples)
    assert len(caplog.records) == 1


def test_no_driver_is_no_news(caplog, monkeypatch):
    def absent():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    with caplog.at_level(logging.DEBUG):
        assert set(MemoryMonitor([Device("gpu")]).sample()) == {"memory/host_rss"}
    assert not caplog.records


def test_the_limit_is_the_gpu_share_that_jax_may_take(nvml, monkeypatch):
    nvml.memory = [gpu(80, 10, 1), gpu(40, 1, 1)]
    monkeypatch.setattr(memory.importlib.util, "find_spec", lambda name: name == "jax_cuda13_plugin")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    assert memory.device_limit() == (20 * GIB, "GPU memory that JAX may take")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    limit, what = memory.device_limit()
    assert what == "host memory" and 0 < limit <= psutil.virtual_memory().total
