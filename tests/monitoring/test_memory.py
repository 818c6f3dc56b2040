"""Memory metrics: what a device has is given, what it lacks is left out."""

import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from vishwam.monitoring import driver, memory
from vishwam.monitoring.driver import Driver
from vishwam.monitoring.memory import MemoryMonitor

GIB = 1 << 30


class Device:
    def __init__(self, platform, stats=None):
        self.platform = platform
        self._stats = stats

    def memory_stats(self):
        if isinstance(self._stats, Exception):
            raise self._stats
        return self._stats


class Readings(Driver):
    """A driver that has answered already."""

    def __init__(self, *devices):
        super().__init__(library="absent")
        self.devices = list(devices)

    def poll(self):
        return self.devices


def gpu(total, used, reserved, **more):
    free = (total - used - reserved) * GIB
    return {"index": 0, "total": total * GIB, "used": used * GIB, "reserved": reserved * GIB, "free": free} | more


def test_a_cpu_has_host_memory_and_headroom_alone():
    sample = MemoryMonitor().sample()
    assert set(sample) == {"memory/host_rss", "memory/headroom", "memory/limit"}
    assert 0 < sample["memory/headroom"] < 1
    assert sample["memory/limit"] <= psutil.virtual_memory().total


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


def test_the_process_tree_is_that_of_psutil():
    inner = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', 'print(1, flush=True); input()'])"
    child = subprocess.Popen([sys.executable, "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"1\n"
    process = psutil.Process(child.pid)
    expected = {process.pid, *(below.pid for below in process.children(recursive=True))}
    assert memory.process_tree(child.pid) == expected and len(expected) == 2
    child.communicate(b"\n")


def test_a_gpu_gives_driver_and_allocator():
    stats = {"bytes_in_use": 10 * GIB, "peak_bytes_in_use": 15 * GIB, "bytes_limit": 60 * GIB}
    stats |= {"largest_free_block_bytes": 20 * GIB}
    own = {"processes": [{"pid": psutil.Process().pid, "bytes": 50 * GIB}, {"pid": 1, "bytes": 9 * GIB}]}
    reading = gpu(80, 60, 1, throttle=["power cap"], ecc_uncorrected=2, **own)
    monitor = MemoryMonitor([Device("gpu", stats)], Readings(reading))
    sample = monitor.sample()
    assert sample.pop("memory/host_rss") > 0
    assert sample == {
        "memory/device_used": 60 * GIB,
        "memory/device_reserved": 1 * GIB,
        "memory/process_used": 50 * GIB,
        "memory/allocator_in_use": 10 * GIB,
        "memory/allocator_peak": 15 * GIB,
        "memory/allocator_largest_free": 20 * GIB,
        "memory/limit": 60 * GIB,
        "memory/fragmentation": 1 - 20 / 50,
        "memory/headroom": 0.75,
        "memory/throttled": 1.0,
    }
    assert monitor.throttle_reasons == ["power cap"] and monitor.ecc_errors == 2


def test_of_several_devices_the_fullest_counts():
    stats = [{"peak_bytes_in_use": peak * GIB, "bytes_limit": 60 * GIB} for peak in (30, 54)]
    monitor = MemoryMonitor([Device("gpu", each) for each in stats], Readings(gpu(80, 10, 1), gpu(80, 70, 2)))
    sample = monitor.sample()
    assert sample["memory/device_used"] == 70 * GIB
    assert sample["memory/headroom"] == pytest.approx(0.1)


def test_a_tpu_is_known_by_its_allocator():
    stats = {"bytes_in_use": 4 * GIB, "peak_bytes_in_use": 8 * GIB, "bytes_limit": 16 * GIB}
    sample = MemoryMonitor([Device("tpu", stats)]).sample()
    assert sample["memory/allocator_peak"] == 8 * GIB and sample["memory/headroom"] == 0.5
    assert "memory/device_used" not in sample


def test_fragmentation_is_of_the_pool_that_has_been_taken():
    grown = {"bytes_limit": 60, "pool_bytes": 20, "bytes_in_use": 10, "largest_free_block_bytes": 5}
    assert memory.fragmentation(grown) == 0.5
    assert memory.fragmentation({"bytes_limit": 60, "bytes_in_use": 10}) is None
    # More than all there is free: the allocator counts something else.
    assert memory.fragmentation({"bytes_limit": 60, "bytes_in_use": 50, "largest_free_block_bytes": 20}) is None


def test_a_device_that_lacks_everything_leaves_the_host():
    lost = {"index": 3, "lost": True}
    for devices in ([], [lost], [{"index": 0, "total": None, "used": None, "reserved": None, "processes": None}]):
        monitor = MemoryMonitor([Device("gpu", RuntimeError("no statistics"))], Readings(*devices))
        assert set(monitor.sample()) == {"memory/host_rss"}
    monitor = MemoryMonitor([Device("gpu")], Readings(lost))
    monitor.sample()
    assert monitor.fault is not None and "GPU 3 is lost" in monitor.fault


def test_an_allocator_that_hangs_is_told_and_not_waited_for(monkeypatch):
    class Hanging(Device):
        free = threading.Event()

        def memory_stats(self):
            self.free.wait(20)
            return {"bytes_in_use": 1, "peak_bytes_in_use": 1, "bytes_limit": 2}

    monitor = MemoryMonitor([Hanging("gpu")], Readings(gpu(80, 10, 1)))
    began = time.monotonic()
    for _ in range(2):
        sample = monitor.sample()
        assert sample["memory/device_used"] == 10 * GIB and "memory/allocator_peak" not in sample
    assert time.monotonic() - began < 5 and monitor.fault is None
    monkeypatch.setattr(memory, "HANGS_SECONDS", 0.1)
    assert monitor.fault is not None and "allocator has not answered" in monitor.fault
    Hanging.free.set()
    assert monitor.sample()["memory/allocator_peak"] == 1 and monitor.fault is None


def test_the_limit_is_the_gpu_share_that_jax_may_take(monkeypatch):
    monkeypatch.setattr(driver, "once", lambda: {"devices": [gpu(80, 10, 1), gpu(40, 1, 1)]})
    monkeypatch.setattr(memory.importlib.util, "find_spec", lambda name: name == "jax_cuda13_plugin")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("XLA_CLIENT_MEM_FRACTION", "0.5")
    assert memory.device_limit() == (20 * GIB, "GPU memory that JAX may take")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    limit, what = memory.device_limit()
    assert what == "host memory" and 0 < limit <= psutil.virtual_memory().total


def test_a_sample_of_a_real_process_and_the_fake_driver(nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", f"throttled,pid={psutil.Process().pid}")
    nvidia = Driver(nvml)
    monitor = MemoryMonitor([Device("gpu")], nvidia)
    first = monitor.sample()
    assert "memory/device_used" not in first  # It asks, and waits for no answer.
    assert nvidia.wait(10)
    nvidia.poll()
    while "memory/device_used" not in (sample := monitor.sample()):
        pass
    assert sample["memory/device_used"] == 4 * GIB and sample["memory/process_used"] == 3 * GIB
    assert sample["memory/throttled"] == 1
    # The process that asks is no part of the trial.
    assert sample["memory/host_rss"] < sum(map(memory.rss, memory.process_tree(psutil.Process().pid)))
    monitor.close()
