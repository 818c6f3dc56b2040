"""Queries that come in several blocks, each against the keys up to its own end, compute what one block does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.test_decoder import VARIANTS, NumPyDecoder, make, some_tokens
from vishwam.model import attention, decoder

pytestmark = pytest.mark.usefixtures("quickly_compiled")

NAMES = ["place", "all that goes by numbers", "rope", "shared keys", "soft mask"]
TOKENS = some_tokens()  # 14 a row: three blocks, of which the middle one is longer


@pytest.fixture
def blocks(monkeypatch):
    monkeypatch.setattr(attention, "BLOCK", 4)
    assert attention.blocks_of(TOKENS.shape[1]) == 3


def logits(graphdef, params, *segments):
    # A function of its own, for jit would find the program of another test.
    return jax.jit(lambda *inputs: decoder.apply(graphdef, *inputs))(params, TOKENS, *segments)


@pytest.mark.parametrize("name", NAMES)
def test_logits_agree_with_numpy(name, blocks):
    graphdef, params = make(VARIANTS[name])
    reference = NumPyDecoder(VARIANTS[name], params)
    for tokens, found in zip(TOKENS, logits(graphdef, params), strict=True):
        np.testing.assert_allclose(found, reference.logits(tokens), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("name", "packed"), [*((name, True) for name in NAMES), ("place", False), ("shared keys", False)]
)
def test_gradients_are_those_of_one_block(name, packed, monkeypatch):
    graphdef, params = make(VARIANTS[name])
    segments = [np.sort(np.random.default_rng(3).integers(1, 4, TOKENS.shape)).astype(np.int32)] if packed else []

    def found():
        def total(params):
            return jnp.sum(jnp.sin(decoder.apply(graphdef, params, TOKENS, *segments)))

        return jax.jit(jax.grad(total))(params)

    whole = found()
    monkeypatch.setattr(attention, "BLOCK", 4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), found(), whole)


def test_what_is_computed_of_the_scores():
    assert [attention.blocks_of(length) for length in (1, 64, 127, 128, 200, 256, 4096)] == [1, 1, 1, 2, 3, 4, 4]
    # Of 4 x 4 quarters those on the diagonal and below it: 10.
    assert attention.share_of_scores(256) == 10 / 16
    assert attention.share_of_scores(64) == 1
