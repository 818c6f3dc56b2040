"""`vishwam doctor`: what it sees, what it calls wrong, and the remedy it names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import wandb_env
from tests.monitoring.test_memory import gpu
from vishwam import doctor
from vishwam.monitoring import driver

VISHWAM = str(Path(sys.executable).parent / "vishwam")
FITTING = {"jax": "0.10.2", "jaxlib": "0.10.2", "jax-cuda13-plugin": "0.10.2", "jax-cuda12-plugin": None}
READING = {"driver": "580.1", "cuda": "13.0", "devices": [{"index": 0}], "errors": {}}


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "XLA_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)


def run(server, tmp_path, **more):
    environment = {**wandb_env(server, tmp_path), "VISHWAM_HOME": str(tmp_path / "state"), **more}
    return subprocess.run([VISHWAM, "doctor"], env=environment, capture_output=True, text=True, timeout=60)


def test_all_is_well_on_this_machine(server, tmp_path):
    done = run(server, tmp_path, LD_LIBRARY_PATH="", JAX_PLATFORMS="cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok  ") for line in lines)
    assert [line.split("  ")[1] for line in lines] == [
        "JAX", "devices", "host memory", "disk", "compile cache", "W&B"
    ]  # fmt: skip
    assert "the key works" in lines[-1] and server.url in lines[-1]


def test_what_is_wrong_has_its_remedy_and_exit_2(server, tmp_path, build_nvml):
    library = str(Path(build_nvml()).parent)
    done = run(server, tmp_path, LD_LIBRARY_PATH=library, FAKE_NVML="hang=nvmlInitWithFlags", WANDB_API_KEY="x" * 40)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "vishwam doctor: to be put right before a sweep: driver, W&B"
    lines = [line.strip() for line in done.stdout.splitlines()]
    wrong = [i for i, line in enumerate(lines) if line.startswith("!!")]
    assert len(wrong) == 2 and all(lines[i + 1].startswith("-> ") for i in wrong)
    assert "does not answer in time" in lines[wrong[0]] and "the key is refused" in lines[wrong[1]]
    assert "wandb login" in lines[wrong[1] + 1]


def test_a_server_that_is_not_there():
    found = doctor._viewer("http://127.0.0.1:9", "http://127.0.0.1:9", "x" * 40, 1.0)
    assert found.remedy and "does not answer" in found.seen


def test_versions_that_fit_say_nothing():
    assert list(doctor.unfit(FITTING, READING, "gpu")) == []
    assert list(doctor.unfit(FITTING, None, "cpu")) == []


@pytest.mark.parametrize(
    ("versions", "reading", "platform", "said"),
    [
        ({"jaxlib": "0.4.1"}, None, "", "needs jaxlib"),
        ({"jax-cuda13-plugin": "0.10.1"}, None, "", "jax-cuda13-plugin 0.10.1 beside jaxlib 0.10.2"),
        ({}, {"cuda": "12.8"}, "", "knows CUDA 12.8, the plugin is for 13"),
        ({"jax-cuda13-plugin": None}, {}, "cpu", "it has no CUDA plugin"),
        ({}, {}, "cpu", "computes on the CPU"),
    ],
)
def test_versions_that_do_not_fit(versions, reading, platform, said):
    found, *_ = doctor.unfit(FITTING | versions, None if reading is None else READING | reading, platform)
    assert said in found.seen and found.remedy


def test_a_gpu_in_one_line():
    named = {"uuid": "GPU-1", "name": "H1", "utilisation": 97, "power_w": 431.5, "power_limit_w": 700.0}
    found = doctor._device(gpu(80, 3, 1, processes=[{"pid": os.getpid(), "bytes": 3 << 30}], **named))
    assert found.remedy is None
    assert found.seen.startswith("H1; 82 GB free of 86 GB; taken: 3.2 GB by ") and f"({os.getpid()}" in found.seen
    assert found.seen.endswith("97% busy; 432 W of 700")


def test_slices_are_told_apart_and_what_the_driver_does_not_know_is_no_zero():
    one = gpu(10, 1, 1, processes=[{"pid": 0, "bytes": None}], uuid="MIG-1a2b3c4d-5e6f", name="H1 MIG", parent="GPU-1")
    found = doctor._device(one)
    assert found.what == "GPU 0 MIG-1a2b3c"
    assert "taken: by process 0" in found.seen and "0 B" not in found.seen


@pytest.mark.parametrize(
    ("device", "said", "remedy"),
    [
        ({"index": 1, "lost": True}, "fallen off the bus", "restart the machine"),
        (gpu(80, 40, 1, uuid="GPU-1"), "42 GB free", "XLA_CLIENT_MEM_FRACTION=0.40"),
        (gpu(80, 1, 1, uuid="GPU-1", ecc_uncorrected=2), "2 uncorrected memory errors", "nvidia-smi -r"),
    ],
)
def test_a_gpu_that_will_not_do(device, said, remedy):
    found = doctor._device(device)
    assert said in found.seen and found.remedy and remedy in found.remedy


def test_gpus_hidden_by_the_environment(nvml, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    nvidia = driver.Driver(nvml)
    *_, found = doctor._devices(nvidia, nvidia.wait(20))
    nvidia.close()
    assert found.seen == "CUDA_VISIBLE_DEVICES='7' leaves no GPU" and found.remedy == "unset CUDA_VISIBLE_DEVICES"


def test_a_disk_that_is_full_or_closed(monkeypatch, tmp_path):
    monkeypatch.setenv("VISHWAM_HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "LEAST_DISK", 1e18)
    full, cache = doctor._disk()
    assert full.remedy and "--gc" in full.remedy
    assert cache.seen.startswith("empty")
