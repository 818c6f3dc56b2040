"""Whoever writes to a run waits for nobody: with a client that blocks, and one that fails."""

import threading
import time
from types import SimpleNamespace

import pytest

from vishwam.monitoring.watch import Watch
from vishwam.tracking import run as tracking
from vishwam.tracking.run import Run


class Client:
    """W&B's, which takes a row only when `free` is set; keeps what it took, in order."""

    id, resumed, offline, config = "one", False, True, {}

    def __init__(self):
        self.settings = SimpleNamespace(base_url="http://127.0.0.1:9")
        self.free, self.taken = threading.Event(), []
        self.summary = self

    def log(self, row):
        self.free.wait(20)
        if row.get("train/loss") == "bad":
            raise TypeError("no such type")
        self.taken.append({name: value for name, value in row.items() if name != "_timestamp"})

    def update(self, values):
        self.free.wait(20)
        self.taken.append(values)

    def alert(self, title, text, level):
        self.free.wait(20)
        self.taken.append(title)

    def finish(self, exit_code):
        self.taken.append(exit_code)


@pytest.fixture
def client():
    client = Client()
    yield client
    client.free.set()


def test_a_client_that_blocks_holds_no_step_up(client):
    run = Run(client, threading.Event())
    sampled = threading.Event()

    def monitor():
        def sample():
            sampled.set()
            return {"memory/host_rss": 1.0}

        return SimpleNamespace(sample=sample, fault=None, ecc_errors=0, throttle_reasons=[], close=lambda: None)

    longest = 0.0
    with Watch(run, monitor, shortest=0.3) as watch:
        assert sampled.wait(10)  # A row of memory is with the client by now, or about to be, and does not come back.
        for step in range(1, 501):
            began = time.perf_counter()
            watch.at("evaluate" if step % 2 else "train")
            run.log(step, {"train/loss": 1.0})
            run.summarise({"parameters": step})
            longest = max(longest, time.perf_counter() - began)
    assert client.taken == []
    assert longest < 0.5  # A wait would be of 20 s.
    client.free.set()
    run.finish()
    assert [row["train/step"] for row in client.taken if isinstance(row, dict) and "train/step" in row] == [
        *range(1, 501)
    ]
    assert any(isinstance(row, dict) and "memory/host_rss" in row for row in client.taken)
    assert client.taken[-1] == 0  # Nothing comes after the end.


def test_things_arrive_in_the_order_in_which_they_were_said(client):
    client.free.set()
    run = Run(client, threading.Event())
    run.log(1, {"train/loss": 1.0})
    run.log_memory({"memory/host_rss": 5.0})
    run.fail("no room")
    run.log_memory({"memory/host_rss": 6.0})
    assert client.taken == [
        {"train/step": 1, "train/loss": 1.0}, {"memory/host_rss": 5.0}, {"failure": "no room"}, "Trial failed", 1,
    ]  # fmt: skip


def test_rows_of_memory_are_given_up_first(client, monkeypatch):
    monkeypatch.setattr(tracking, "MOST_WAITING", 5)
    run = Run(client, threading.Event())
    for i in range(20):
        run.log_memory({"memory/host_rss": float(i)})
    run.log(1, {"train/loss": 1.0})
    client.free.set()
    run.finish()
    assert len(client.taken) <= 8 and {"train/step": 1, "train/loss": 1.0} in client.taken


def test_a_row_that_the_client_refuses_ends_the_trial_and_not_silently(client):
    client.free.set()
    run = Run(client, threading.Event())
    run.log(1, {"train/loss": "bad"})
    run._outbox.flush()
    with pytest.raises(TypeError, match="no such type"):
        run.log(2, {"train/loss": 1.0})
    with pytest.raises(TypeError, match="no such type"):
        run.finish()
    assert client.taken == [1]


def test_what_the_client_refuses_of_memory_ends_nothing(client, caplog):
    client.free.set()
    run = Run(client, threading.Event())
    for _ in range(3):
        run.log_memory({"train/loss": "bad"})
    run.finish()
    assert client.taken == [0]
    assert caplog.text.count("did not take what was measured") == 1
