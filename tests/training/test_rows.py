import jax.numpy as jnp
import pytest

from vishwam.training import rows as rows_module
from vishwam.training.rows import Rows


class Clock:
    now = 0.0

    def perf_counter(self):
        return self.now


class Journal:
    def __init__(self):
        self.rows = []

    def log(self, step, metrics):
        self.rows.append(metrics)


def dispatch():
    return {
        "loss": jnp.ones(2), "gradient_norm": jnp.ones(2), "learning_rate": jnp.ones(2), "finite": jnp.ones(2, bool)
    }  # fmt: skip


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rows_module, "time", clock)
    return clock


def test_speed_is_of_training_alone(clock):
    journal = Journal()
    rows = Rows(journal, log_every=2, peak_flops=None)
    rows.collect(2, dispatch(), tokens=100, flops=1e6)
    clock.now = 50.0  # Compilation.
    rows.flush()
    clock.now = 100.0  # Validation, decoding.
    rows.write(2, {"validation/loss": 1.0})
    rows.collect(4, dispatch(), tokens=100, flops=1e6)
    clock.now = 102.0
    rows.flush()
    rows.write(4)
    assert "train/tokens_per_second" not in journal.rows[0]
    assert journal.rows[1]["train/tokens_per_second"] == pytest.approx(50)
    assert journal.rows[1]["train/flops_per_second"] == pytest.approx(5e5)
    assert "train/mfu" not in journal.rows[1], "no peak is known of this device"


def test_utilisation_is_a_fraction_of_the_devices_peak(clock):
    journal = Journal()
    rows = Rows(journal, log_every=2, peak_flops=1e6)
    rows.write(0)
    rows.collect(2, dispatch(), tokens=100, flops=1e6)
    clock.now = 4.0
    rows.flush()
    rows.write(2)
    assert journal.rows[1]["train/mfu"] == pytest.approx(0.25)


def test_tokens_are_counted_over_rows_and_on_from_a_resume(clock):
    journal = Journal()
    rows = Rows(journal, log_every=2, peak_flops=None, tokens=1000)
    for step, tokens in ((2, 100), (4, 70)):
        rows.collect(step, dispatch(), tokens=tokens, flops=1e6)
        rows.flush()
        rows.write(step)
    assert [row["train/tokens"] for row in journal.rows] == [1100, 1170]
    assert rows.tokens == 1170, "what a checkpoint of step 4 keeps"


def test_waiting_for_input_is_a_fraction_of_the_time_of_training(clock):
    journal = Journal()
    rows = Rows(journal, log_every=2, peak_flops=None)
    rows.collect(2, dispatch(), tokens=100, flops=1e6, waited=30.0)  # Nothing to wait for: compilation.
    rows.flush()
    rows.write(2)
    rows.collect(4, dispatch(), tokens=100, flops=1e6, waited=0.5)
    clock.now = 4.0
    rows.flush()
    assert rows.device_is_done()
    rows.write(4)
    assert "train/input_wait" not in journal.rows[0]
    assert journal.rows[1]["train/input_wait"] == pytest.approx(0.125)
