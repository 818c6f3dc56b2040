"""Which way attention is computed: by cuDNN where it is right and there, else by products, to the same numbers."""

import dataclasses

import jax
import numpy as np
import pytest

from tests.model.test_decoder import make, some_tokens
from vishwam.model import attention, decoder
from vishwam.model.config import DecoderConfig

pytestmark = pytest.mark.usefixtures("quickly_compiled")

CONFIG = DecoderConfig(
    vocab_size=20,
    position="rope",
    model_dim=32,
    num_heads=4,
    num_kv_heads=2,
    mlp_dim=20,
    compute_dtype="bfloat16",
    attention="auto",
)
TOKENS = some_tokens()


def logits(config, params, *segments):
    # A function of its own, for jit would find the program of the test before.
    return jax.jit(lambda *inputs: decoder.apply(decoder.graph(config), *inputs))(params, TOKENS, *segments)


@pytest.fixture
def kernel(monkeypatch):
    """As if cuDNN were there, with JAX's own attention in its place; how often it was asked."""
    asked, real = [], attention.fused

    def fused(q_BHTK, keys_values):
        asked.append(q_BHTK.shape)
        return real(q_BHTK, keys_values, implementation="xla")

    monkeypatch.setattr(attention, "has_cudnn", lambda: True)
    monkeypatch.setattr(attention, "fused", fused)
    return asked


def test_auto_is_the_same_as_products_where_there_is_no_cudnn():
    _, params = make(CONFIG)
    by_products = logits(dataclasses.replace(CONFIG, attention="xla"), params)
    np.testing.assert_array_equal(logits(CONFIG, params), by_products)


def test_what_the_kernel_is_asked_is_what_the_products_compute(kernel):
    """Scale, order of heads, shared keys and causality, in float32, where a difference would show."""
    _, params = make(CONFIG)
    full = dataclasses.replace(CONFIG, attention="xla", compute_dtype="float32")
    by_products = logits(full, params)
    assert not kernel
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(DecoderConfig, "fits_cudnn", property(lambda self: True))
        by_kernel = logits(dataclasses.replace(full, attention="auto"), params)
    assert kernel == [(*TOKENS.shape[:1], 4, TOKENS.shape[1], 8)] * 2
    np.testing.assert_allclose(by_kernel, by_products, atol=2e-5)


def test_packed_rows_never_reach_the_kernel(kernel):
    _, params = make(CONFIG)
    segments = np.where(np.arange(TOKENS.shape[1]) < 5, 1, 2).astype(np.int32) * np.ones_like(TOKENS)
    logits(CONFIG, params, segments)
    assert not kernel
    logits(CONFIG, params)
    assert kernel


@pytest.mark.parametrize("change", [{"compute_dtype": "float32"}, {"head_dim": 12}, {"head_dim": 256}])
def test_what_the_kernel_cannot_compute_is_computed_by_products(kernel, change):
    config = dataclasses.replace(CONFIG, **change)
    logits(config, make(config)[1])
    assert not kernel
    with pytest.raises(ValueError, match="attention 'cudnn' needs"):
        dataclasses.replace(config, attention="cudnn")


def test_cudnn_is_refused_without_an_nvidia_gpu(monkeypatch):
    monkeypatch.setattr(decoder, "has_cudnn", lambda: False)
    with pytest.raises(ValueError, match="needs an NVIDIA GPU"):
        decoder.graph(dataclasses.replace(CONFIG, attention="cudnn"))
    with pytest.raises(ValueError, match="attention must be one of auto, xla, cudnn, not 'flash'"):
        dataclasses.replace(CONFIG, attention="flash")
