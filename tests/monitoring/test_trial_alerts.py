"""Alerts of a real trial, through the real client, in the embedded server: of a device and a driver that misbehave."""

import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tests.test_launch import ROOT, Clone

# A trial whose device is nearly full, in pieces and throttled, and whose data source keeps what it should not; what
# takes minutes of evidence in earnest takes seconds.
MISBEHAVING = """
import os, sys, threading, time
from vishwam.monitoring import alerts, watch
from vishwam.monitoring.driver import Driver
from vishwam.monitoring.memory import MemoryMonitor

class Device:
    platform = "gpu"

    def memory_stats(self):
        return {"bytes_in_use": 40 << 30, "peak_bytes_in_use": 58 << 30, "bytes_limit": 60 << 30,
                "largest_free_block_bytes": 4 << 30}

alerts.SETTLED_SECONDS, alerts.EVIDENCE_SECONDS, alerts.EVIDENCE_SAMPLES, alerts.THROTTLED_SAMPLES = 2, 12, 12, 5
monitor = lambda: MemoryMonitor([Device(), Device()], Driver(sys.argv[1]))
watch.Watch.__init__.__defaults__ = (monitor, None, 0.5)
kept = []

def leak():
    while True:
        kept.append(os.urandom(1 << 21))
        time.sleep(0.25)

threading.Thread(target=leak, daemon=True).start()
from vishwam.cli import main
sys.exit(main(["train", *sys.argv[2:]]))
"""
EXPECTED = {
    "Memory is nearly full": "headroom is 3.3% of 64 GB",
    "Device memory is in pieces": "80% of the allocator's free memory lies outside its largest free block of 4.3 GB",
    "The GPU is throttled": "(heat (hardware))",
    "Host memory grows steadily": " MB a minute",
}


@pytest.mark.slow
def test_a_trial_that_goes_wrong_says_so_while_it_runs(nvml, tmp_path, compiled_programs):
    clone = Clone(tmp_path, compiled_programs, 100_000, [0.01])
    (tmp_path / "misbehaving.py").write_text(MISBEHAVING)
    gin = clone.sweep.parent / "small.gin"
    gin.write_text(gin.read_text().replace("evaluate_every = 20", "evaluate_every = 100000"))
    trial = subprocess.Popen(
        [sys.executable, str(tmp_path / "misbehaving.py"), nvml, str(gin)],
        cwd=ROOT, env=clone.environment | {"FAKE_NVML": "two,throttled", "WANDB_RUN_ID": "wrong"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        told = until_told(clone.home / "server" / "server.sqlite", trial)
    finally:
        trial.send_signal(signal.SIGTERM)
        printed, _ = trial.communicate(timeout=60)
        clone.run("stop")
    assert told.keys() == EXPECTED.keys(), printed
    assert all(words in told[title] for title, words in EXPECTED.items())


def until_told(database, trial):
    told = {}
    end = time.monotonic() + 150
    while told.keys() != EXPECTED.keys() and time.monotonic() < end and trial.poll() is None:
        time.sleep(1)
        if database.exists():
            with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
                told = dict(db.execute("SELECT title, text FROM alerts"))
    return told
