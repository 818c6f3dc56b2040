"""The thread that watches a trial: what it logs, what it raises, and that it holds nobody up."""

import threading
import time

from tests.monitoring.test_memory import GIB, Device, Readings, gpu
from vishwam.monitoring.driver import Driver
from vishwam.monitoring.memory import MemoryMonitor
from vishwam.monitoring.watch import Watch
from vishwam.tracking.metrics import PHASES


class Journal:
    def __init__(self):
        self.rows, self.alerts, self.attached = [], [], []

    def log_memory(self, metrics):
        self.rows.append(dict(metrics))

    def alert(self, title, text, level):
        self.alerts.append((title, level))

    def attach(self, name, kind, file, content):
        self.attached.append((kind, file, content))

    def phases(self):
        named = [PHASES[row["memory/phase"]] for row in self.rows]
        return [name for i, name in enumerate(named) if i == 0 or name != named[i - 1]]


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def monitor(stats=None, *devices):
    return lambda: MemoryMonitor([Device("gpu", stats)], Readings(*devices))


def test_phases_are_logged_however_short():
    journal = Journal()
    with Watch(journal, monitor()) as watch:
        until(lambda: journal.rows)
        for phase in ("compile", "train", "evaluate"):
            watch.at(phase)
        with watch.phase("checkpoint"):
            pass
        watch.at("train")
    assert journal.phases() == ["start", "compile", "train", "evaluate", "checkpoint", "evaluate", "train"]
    assert journal.rows[-1]["memory/host_rss"] > 0
    stamps = [row["_timestamp"] for row in journal.rows if "_timestamp" in row]
    assert stamps == sorted(stamps) and len(stamps) == 6


def test_samples_come_by_themselves():
    journal = Journal()
    with Watch(journal, monitor(), shortest=0.3):
        until(lambda: len(journal.rows) >= 3)


def test_an_alert_is_raised_once_and_brings_the_profile():
    journal = Journal()
    full = {"bytes_in_use": 9 * GIB, "peak_bytes_in_use": 59 * GIB, "bytes_limit": 60 * GIB}
    with Watch(journal, monitor(full), profile=lambda: b"pprof", shortest=0.3):
        until(lambda: len(journal.rows) >= 3)
    assert journal.alerts == [("Memory is nearly full", "WARN")]
    assert journal.attached == [("profile", "headroom.pprof.gz", b"pprof")]


def test_a_profile_of_jax_is_a_gzip_of_pprof():
    import gzip

    from vishwam.monitoring.watch import device_memory_profile

    assert gzip.decompress(device_memory_profile())


def test_faulty_memory_and_lost_gpus_are_told():
    journal = Journal()
    with Watch(journal, monitor(None, gpu(80, 1, 1, ecc_uncorrected=3), {"index": 1, "lost": True}), shortest=0.3):
        until(lambda: len(journal.rows) >= 2)
    assert journal.alerts == [("The GPU does not answer", "ERROR"), ("The GPU's memory is faulty", "ERROR")]


def test_a_driver_that_hangs_is_told_once_and_delays_neither_samples_nor_the_end(nvml, monkeypatch):
    monkeypatch.setenv("FAKE_NVML", "hang=nvmlDeviceGetMemoryInfo_v2")
    journal = Journal()

    def make():
        return MemoryMonitor([Device("gpu")], Driver(nvml, hangs_after=0.6))

    with Watch(journal, make, shortest=0.3):
        until(lambda: len(journal.rows) >= 5)
        began = time.monotonic()
    assert journal.alerts == [("The GPU does not answer", "ERROR")]
    assert time.monotonic() - began < 2
    assert all("memory/host_rss" in row for row in journal.rows)


def test_a_writer_that_fails_ends_the_watch_and_not_the_trial(caplog):
    class Broken(Journal):
        def log_memory(self, metrics):
            raise RuntimeError("no such run")

    with Watch(Broken(), monitor()) as watch:
        until(lambda: "memory is no longer sampled" in caplog.text)
        watch.at("train")
    assert "memory" not in [thread.name for thread in threading.enumerate()]
