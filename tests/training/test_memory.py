"""What a trial needs in memory: predicted, insisted on, and compared with what was seen."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest
from flax import struct

from vishwam.model import decoder
from vishwam.model.config import DecoderConfig
from vishwam.training import memory
from vishwam.training.memory import NoRoom, Prediction, predict

MB = 1_000_000


@struct.dataclass
class State:
    params: jax.Array
    moment: jax.Array


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def step(graphdef, state, batches, knobs):
    """Keeps a [batch, length, 1024] activation."""

    def loss(params):
        return jnp.mean(jnp.tanh(jnp.tanh(batches["tokens_BT"][0][..., None] * params[0]) @ params) ** 2)

    gradient = jax.grad(loss)(state.params)
    moment = 0.9 * state.moment + gradient
    return State(state.params - knobs * moment, moment), {"loss": jnp.zeros(())}


WIDTH = 1024
OF_PARAMETERS = 4 * WIDTH * WIDTH


def arguments(batch, length=32):
    state = State(jnp.full((WIDTH, WIDTH), 0.01, jnp.float32), jnp.zeros((WIDTH, WIDTH)))
    return None, state, {"tokens_BT": jnp.ones((1, batch, length))}, jnp.float32(0.1)


def prediction(batch, limit=10**12):
    graphdef, state, batches, knobs = arguments(batch)
    return predict(step, graphdef, state, batches, knobs, limit, "memory")


def test_a_prediction_holds_state_gradient_and_activations():
    found = prediction(64)
    activation = 4 * 64 * 32 * WIDTH
    assert found.fixed == 3 * OF_PARAMETERS
    assert found.fixed + activation < found.peak < found.fixed + 6 * activation
    assert found.batch == 64


def test_activations_grow_with_the_batch_and_the_state_does_not():
    small, large = prediction(64), prediction(256)
    assert small.fixed == large.fixed
    assert (large.peak - large.fixed) / (small.peak - small.fixed) == pytest.approx(4, rel=0.15)


def test_the_largest_batch_is_one_that_fits_and_nearly_fills():
    limit = prediction(256).peak
    largest = prediction(64, limit).largest_batch
    assert largest == pytest.approx(256, rel=0.15)
    # A compilation at that size agrees.
    assert prediction(largest).peak == pytest.approx(limit, rel=0.1)


def test_what_does_not_fit_says_so_with_figures():
    with pytest.raises(NoRoom) as refused:
        Prediction(peak=90 * MB, fixed=10 * MB, batch=64, limit=50 * MB, limit_of="device memory").insist()
    assert str(refused.value) == (
        "a step on a batch of 64 needs about 90 MB, more than the 50 MB of device memory; the largest batch that fits "
        "is about 32: lower batch_size or the model's size"
    )
    with pytest.raises(NoRoom, match="not even a batch of 1 fits: lower the model's size"):
        Prediction(peak=90 * MB, fixed=60 * MB, batch=64, limit=50 * MB, limit_of="device memory").insist()
    Prediction(peak=50 * MB, fixed=10 * MB, batch=64, limit=50 * MB, limit_of="device memory").insist()


MODEL = DecoderConfig(vocab_size=256, num_layers=2, model_dim=64, num_heads=4, mlp_dim=64, position="rope")


class Journal:
    def __init__(self):
        self.summary = {}

    def log_memory(self, metrics): ...

    def alert(self, title, text, level): ...

    def attach(self, name, kind, file, content): ...

    def summarise(self, values):
        self.summary.update(values)


def test_far_too_much_is_refused_without_compiling(monkeypatch):
    monkeypatch.setattr(memory, "room", lambda: (100 * MB, "device memory"))
    journal = Journal()
    memory.insist(journal, MODEL, 16, 32)
    assert not journal.summary
    with pytest.raises(NoRoom, match=r"a batch of 100,000 needs about .* largest batch that fits is about"):
        memory.insist(journal, MODEL, 100_000, 32)
    assert (
        journal.summary["memory/predicted_peak"] > 1000 * MB and 0 < journal.summary["memory/largest_batch"] < 100_000
    )


def test_the_largest_batch_by_arithmetic_is_the_last_that_fits():
    parameters = memory.parameter_count(MODEL)
    largest = memory.largest_batch(MODEL, parameters, 32, 500 * MB)
    assert memory.estimate(MODEL, parameters, largest, 32) <= 500 * MB
    assert memory.estimate(MODEL, parameters, largest + 1, 32) > 500 * MB
    assert memory.largest_batch(MODEL, parameters, 32, 1000) == 0


def test_running_out_all_the_same_is_explained():
    said = memory.exhausted(MODEL, 64, 32, "train", "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore")
    assert said.startswith("out of memory: a step on a batch of 64 was estimated to need")
    assert "to 32 say" in said and "more" not in said.split("(")[-1]
    said = memory.exhausted(MODEL, 64, 32, "evaluate", "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.")
    assert said.startswith("out of memory in an evaluation") and "batch_size" not in said


def test_what_is_computed_again_is_not_kept():
    """Of a training step, by XLA's account, which finds recomputation in vain where layers are written out."""

    def kept(remat):
        config = dataclasses.replace(MODEL, num_layers=6, remat=remat)
        params = jax.eval_shape(lambda key: decoder.init(config, key)[1], jax.random.key(0))
        gradient = jax.jit(jax.grad(lambda params, tokens: decoder.apply(decoder.graph(config), params, tokens).sum()))
        tokens = jax.ShapeDtypeStruct((16, 64), "int32")
        return gradient.lower(params, tokens).compile().memory_analysis().temp_size_in_bytes

    assert kept("all") < 0.5 * kept("none")


@pytest.mark.parametrize("position", ["place", "rope", "none"])
def test_parameters_have_the_types_that_a_step_returns(position):
    """Weakly typed ones do not come back as such, and the step would be compiled twice."""
    config = dataclasses.replace(MODEL, position=position, digit_token_ids=tuple(range(10)))
    params = jax.eval_shape(lambda key: decoder.init(config, key)[1], jax.random.key(0))
    assert not [leaf for leaf in jax.tree.leaves(params) if leaf.weak_type]
