"""NVIDIA's driver by a process of its own, against a fake one that hangs, crashes, refuses and lies."""

import logging
import time

import pytest

from vishwam.monitoring import driver
from vishwam.monitoring.driver import Driver, once, visible

GIB = 1 << 30
PATIENCE = 20  # seconds; an answer takes a tenth


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(driver, "_complained", set())


def read(nvml, monkeypatch, behaviour):
    monkeypatch.setenv("FAKE_NVML", behaviour)
    reading = once(PATIENCE, nvml)
    assert reading is not None
    return reading


def test_everything_that_a_gpu_tells(nvml, monkeypatch):
    reading = read(nvml, monkeypatch, "")
    assert (reading["driver"], reading["cuda"], reading["errors"]) == ("570.86.15", "13.0", {})
    (device,) = reading["devices"]
    assert device == {
        "index": 0, "uuid": "GPU-1", "name": "Fake H1", "lost": False,
        "total": 80 * GIB, "used": 4 * GIB, "reserved": GIB // 2, "free": 75.5 * GIB,
        "processes": [{"pid": 4242, "bytes": 3 * GIB}],
        "utilisation": 97, "power_w": 431.5, "power_limit_w": 700.0, "throttle": [], "ecc_uncorrected": 0,
    }  # fmt: skip


def test_two_gpus(nvml, monkeypatch):
    first, second = read(nvml, monkeypatch, "two")["devices"]
    assert (first["uuid"], second["uuid"]) == ("GPU-1", "GPU-2")
    assert second["used"] == 5 * GIB and second["processes"] == []


def test_slices_of_a_gpu_have_memory_of_their_own(nvml, monkeypatch):
    slices = read(nvml, monkeypatch, "mig,throttled")["devices"]
    assert [one["uuid"] for one in slices] == ["MIG-11", "MIG-12"]
    assert [one["used"] for one in slices] == [4 * GIB, 5 * GIB] and slices[0]["total"] == 10 * GIB
    assert slices[0]["processes"] == [{"pid": 4242, "bytes": 3 * GIB}] and slices[1]["processes"] == []
    assert slices[1]["parent"] == "GPU-1" and slices[1]["throttle"] == ["heat (hardware)"]


def test_values_that_no_device_can_have_are_left_out(nvml, monkeypatch):
    (device,) = read(nvml, monkeypatch, "nonsense")["devices"]
    for name in ("used", "reserved", "free", "utilisation", "power_w"):
        assert device[name] is None
    assert device["total"] == 80 * GIB and device["processes"] == [{"pid": 4242, "bytes": None}]


@pytest.mark.parametrize(
    ("call", "field"),
    [
        ("nvmlDeviceGetMemoryInfo_v2", "used"),
        ("nvmlDeviceGetComputeRunningProcesses_v3", "processes"),
        ("nvmlDeviceGetUtilizationRates", "utilisation"),
        ("nvmlDeviceGetPowerUsage", "power_w"),
        ("nvmlDeviceGetTotalEccErrors", "ecc_uncorrected"),
    ],
)
def test_one_call_that_fails_costs_one_metric(nvml, monkeypatch, caplog, call, field):
    (whole,) = read(nvml, monkeypatch, "")["devices"]
    (device,) = read(nvml, monkeypatch, f"fail={call}")["devices"]
    absent = {name for name, value in device.items() if value is None}
    assert field in absent and absent <= {field, "total", "used", "reserved", "free"}
    assert all(device[name] == whole[name] for name in device.keys() - absent)
    assert not caplog.records  # What a card does not support is no news.


def test_a_refusal_is_said_once(nvml, monkeypatch, caplog):
    monkeypatch.setenv("FAKE_NVML", "denied=nvmlDeviceGetComputeRunningProcesses_v3")
    asked = Driver(nvml)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert asked.wait(PATIENCE)
    asked.close()
    assert [record.getMessage() for record in caplog.records] == [
        "NVML: nvmlDeviceGetComputeRunningProcesses_v3: Insufficient Permissions; its metrics are left out"
    ]


def test_an_older_driver_lacks_functions(build_nvml, monkeypatch):
    (device,) = read(build_nvml("-DOLD"), monkeypatch, "throttled")["devices"]
    assert device["throttle"] == ["power cap", "heat (hardware)"]
    assert device["ecc_uncorrected"] is None and device["used"] == 4 * GIB


def test_a_driver_that_does_not_start_is_asked_again(nvml, monkeypatch):
    reading = read(nvml, monkeypatch, "denied=nvmlInitWithFlags")
    assert reading == {"devices": [], "errors": {"nvmlInit": "Insufficient Permissions"}}


def test_a_slow_driver_is_not_waited_for_and_not_given_up(nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "slow=30")  # milliseconds a call, and there are more than ten
    asked = Driver(nvml)
    polls = 0
    while (devices := asked.poll()) is None:
        polls += 1
        time.sleep(0.01)
    assert polls > 10 and devices[0]["used"] == 4 * GIB and asked.fault is None
    asked.close()


def test_a_driver_that_hangs_is_said_once_and_waited_for_by_nobody(nvml, monkeypatch, caplog):
    monkeypatch.setenv("FAKE_NVML", "hang=nvmlDeviceGetMemoryInfo_v2")
    asked = Driver(nvml, hangs_after=0.5)
    process = asked._process
    with caplog.at_level(logging.WARNING):
        end = time.monotonic() + PATIENCE
        while asked.fault is None and time.monotonic() < end:
            assert asked.poll() is None
            time.sleep(0.01)
        for _ in range(3):
            assert asked.poll() is None and asked.wait(PATIENCE) is None
    assert asked.fault == "NVIDIA's driver has not answered for 0.5 s"
    assert len(caplog.records) == 1
    assert process is not None and process.wait(5) != 0  # Nothing is left behind.


def test_a_driver_that_crashes_takes_nobody_along(nvml, monkeypatch, caplog):
    monkeypatch.setenv("FAKE_NVML", "crash=nvmlDeviceGetName")
    asked = Driver(nvml)
    with caplog.at_level(logging.WARNING):
        assert asked.wait(PATIENCE) is None and asked.wait(PATIENCE) is None
    assert asked.fault is not None and "has ended" in asked.fault
    assert len(caplog.records) == 1


def test_a_gpu_falls_off_the_bus(nvml, monkeypatch, tmp_path):
    monkeypatch.setenv("FAKE_NVML", f"two,lost={tmp_path}/lost")
    asked = Driver(nvml)
    before = asked.wait(PATIENCE)
    (tmp_path / "lost").touch()
    after = asked.wait(PATIENCE)
    asked.close()
    assert before and after
    assert [device["lost"] for device in before["devices"]] == [False, False]
    assert [device["lost"] for device in after["devices"]] == [True, True]


def test_no_driver_starts_no_process(tmp_path, caplog):
    absent = Driver(str(tmp_path / "libnvidia-ml.so.1"))
    assert absent.pid is None and absent.poll() is None and absent.wait(PATIENCE) is None and absent.fault is None
    assert not caplog.records


def test_only_visible_gpus_count():
    devices = [{"index": 0, "uuid": "GPU-aa"}, {"index": 1, "uuid": "GPU-ab"}, {"index": 1, "uuid": "MIG-7"}]
    assert visible(devices, {}) == devices
    assert visible(devices, {"CUDA_VISIBLE_DEVICES": "GPU-ab,0"}) == [devices[1], devices[0]]
    assert visible(devices, {"CUDA_VISIBLE_DEVICES": "MIG-7"}) == [devices[2]]
    assert visible(devices, {"CUDA_VISIBLE_DEVICES": "0,-1,1"}) == devices[:1]
    assert visible(devices, {"CUDA_VISIBLE_DEVICES": ""}) == []
