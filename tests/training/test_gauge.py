"""What was predicted of a trial's memory beside what was seen of it."""

import time

import jax
import numpy as np
import pytest

from tests.training.test_memory import MB, MODEL, WIDTH, Journal, arguments, step
from vishwam.decoding.greedy import greedy_decode
from vishwam.model import decoder
from vishwam.monitoring.watch import Watch
from vishwam.training import evaluation_memory, memory
from vishwam.training import gauge as gauge_module
from vishwam.training.evaluation_memory import Asked
from vishwam.training.gauge import Gauge, HostPeak
from vishwam.training.memory import NoRoom
from vishwam.training.step import evaluation_step, init_state

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SHORT = Asked(row=16, question=16, answer=16)


@pytest.fixture
def journal():
    return Journal()


def gauge(journal, asked=SHORT):
    return Gauge(journal, Watch(journal), MODEL, asked)


def test_predicted_and_measured_are_compared_in_the_run(journal):
    watched = gauge(journal)
    graphdef, state, batches, knobs = arguments(512)
    for _ in range(3):
        watched.before(step, graphdef, state, batches, knobs)
        state, metrics = step(graphdef, state, batches, knobs)
        jax.block_until_ready(metrics)
        watched.after()
    predicted, measured = journal.summary["memory/predicted_peak"], journal.summary["memory/measured_peak"]
    # Multiplying matrices takes some for itself, of which the compiler does not know.
    assert 0.85 * predicted < measured < 1.4 * predicted > 100 * MB
    assert journal.summary["memory/largest_batch"] > 512
    assert journal.summary["memory/peak_phase"] == "train"


def test_a_shape_is_compiled_once_for_prediction_and_step(journal):
    watched = gauge(journal)
    graphdef, state, batches, knobs = arguments(48, length=24)
    compiled = []

    def listen(event, duration_secs, **_):
        compiled.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    watched.before(step, graphdef, state, batches, knobs)
    before = compiled.count("/jax/core/compile/backend_compile_duration")
    assert before >= 1
    jax.block_until_ready(step(graphdef, state, batches, knobs)[1])
    assert compiled.count("/jax/core/compile/backend_compile_duration") == before
    jax.monitoring.unregister_event_duration_listener(listen)


def test_a_step_that_cannot_fit_is_refused_before_it_runs(journal, monkeypatch):
    monkeypatch.setattr(memory, "room", lambda live: (100 * MB, "memory that is left"))
    graphdef, state, batches, knobs = arguments(512)
    with pytest.raises(NoRoom, match="more than the 100 MB of memory that is left"):
        gauge(journal).before(step, graphdef, state, batches, knobs)
    assert journal.summary["memory/predicted_peak"] > 100 * MB  # The table of the report has it, too.
    assert not state.params.is_deleted()


def test_a_longer_shape_is_predicted_when_it_comes(journal):
    watched = gauge(journal)
    seen = []
    for length in (16, 64, 32):
        watched.before(step, *arguments(16, length))
        watched.after()
        seen.append(journal.summary["memory/predicted_peak"])
    assert seen[0] < seen[1] == seen[2]


def test_what_is_compiled_meanwhile_is_not_taken_for_arrays():
    seen = HostPeak()
    block = np.ones(40 * MB, np.uint8)
    first = seen.read()
    assert first is not None and first > 39 * MB
    salt = time.time_ns() % 10**6
    jax.jit(lambda x: x * salt + WIDTH)(np.float32(1))
    assert seen.read() is None and block.any()


@pytest.fixture(scope="module")
def model():
    graphdef, params = decoder.init(MODEL, jax.random.key(0))
    return graphdef, init_state(params)


def test_an_evaluation_that_takes_more_than_a_step_is_what_is_told(journal, model):
    """Said before by arithmetic, then by the compiler, which an evaluation need not ask again; then measured."""
    graphdef, state = model
    asked = Asked(row=96, question=96, answer=64)
    watched = gauge(journal, asked)
    batch = {"tokens_BT": np.ones((128, 96), np.int32), "loss_mask_BT": np.ones((128, 96), np.float32)}
    # What decoding compiles before its cache is at its largest is smaller, and nobody asked for it.
    greedy_decode(graphdef, state.averages, batch["tokens_BT"], np.full(128, 96), 64, eos_id=0)
    for _ in range(2):
        with watched.evaluation(graphdef, state, whole=True):
            compiled = gauge_module.compilations
            jax.block_until_ready(evaluation_step(graphdef, state.averages, jax.device_put(batch)))
            assert gauge_module.compilations == compiled
            time.sleep(0.2)  # until what it took is given back
            greedy_decode(graphdef, state.averages, batch["tokens_BT"], np.full(128, 96), 64, eos_id=0)
    predicted, measured = journal.summary["memory/predicted_peak"], journal.summary["memory/measured_peak"]
    assert journal.summary["memory/peak_phase"] == "evaluate"
    assert 0.7 * predicted < measured < 1.5 * predicted > 40 * MB
    by_arithmetic = evaluation_memory.estimate(MODEL, sum(leaf.size for leaf in jax.tree.leaves(state.params)), asked)
    assert 2 / 3 < by_arithmetic / predicted < 3 / 2


def test_an_evaluation_that_cannot_fit_is_refused_before_the_first_step(journal, model, monkeypatch):
    """By the compiler's account: arithmetic alone does not refuse what might fit."""
    graphdef, state = model
    monkeypatch.setattr(memory, "room", lambda live: (5 * MB, "device memory"))
    nothing = jax.jit(lambda graphdef, state, batches, knobs: state, static_argnums=0)
    with pytest.raises(NoRoom) as refused:
        gauge(journal).before(nothing, graphdef, state, {"tokens_BT": np.ones((1, 1, 8))}, np.float32(0.1))
    assert str(refused.value).startswith("an evaluation of 128 questions at once needs about ")
    assert "more than the 5.0 MB of device memory: lower the model's size" in str(refused.value)
    assert journal.summary["memory/peak_phase"] == "evaluate"


def test_a_checkpoint_is_measured_within_an_evaluation(journal, model):
    graphdef, state = model
    watched = gauge(journal)
    watched._exact = True
    with watched.evaluation(graphdef, state, whole=True), watched.checkpoint():
        block = np.ones(50 * MB, np.uint8)
    assert block.any() and watched._measured["checkpoint"] > 50 * MB > watched._measured["evaluate"]
