"""Several texts in a row know nothing of each other: each is computed as if it stood alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.model.test_decoder import VARIANTS, make, some_tokens
from vishwam.model import decoder
from vishwam.training.step import token_losses

pytestmark = pytest.mark.usefixtures("quickly_compiled")

LENGTHS = (5, 3, 7)  # of three texts, before three columns of padding
SEGMENTS = np.repeat([1, 2, 3, 0], [*LENGTHS, 3]).astype(np.int32)[None]
TOKENS = np.where(SEGMENTS, some_tokens(1, SEGMENTS.shape[1], seed=4), 0)

# The same texts, each a row of its own.
ALONE = np.zeros((3, SEGMENTS.shape[1]), np.int32)
for row, length in enumerate(LENGTHS):
    ALONE[row, :length] = TOKENS[row + 1 == SEGMENTS]

apply = jax.jit(decoder.apply, static_argnums=0)
losses_of = jax.jit(token_losses, static_argnums=0)


@pytest.mark.parametrize("name", ["place", "all that goes by numbers", "abacus", "none"])
def test_a_text_in_a_row_has_the_logits_it_has_alone(name):
    graphdef, params = make(VARIANTS[name])
    packed = apply(graphdef, params, TOKENS, SEGMENTS)[0]
    alone = apply(graphdef, params, ALONE)
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(packed[row + 1 == SEGMENTS[0]], alone[row, :length], atol=2e-5)
    assert np.isfinite(packed).all(), "padding, too"


@pytest.mark.parametrize("name", ["place", "rope"])
def test_changing_one_text_changes_no_other_s_loss_or_gradient(name):
    """By not one bit, even where the mask asks for a text's first token."""
    graphdef, params = make(VARIANTS[name])
    mask = (SEGMENTS > 0).astype(np.float32)

    @jax.jit
    def of_second(tokens_BT):
        """Loss and gradient of the second text's predictions."""

        def loss(params):
            losses_BT, mask_BT = token_losses(
                graphdef, params, {"tokens_BT": tokens_BT, "segments_BT": SEGMENTS, "loss_mask_BT": mask}
            )
            return jnp.sum(losses_BT * mask_BT * (SEGMENTS[:, 1:] == 2))

        return jax.value_and_grad(loss)(params)

    before = of_second(TOKENS)
    changed = np.where((SEGMENTS == 1) | (SEGMENTS == 3), (TOKENS + 1) % 16, TOKENS)
    for left, right in zip(jax.tree.leaves(before), jax.tree.leaves(of_second(changed)), strict=True):
        np.testing.assert_array_equal(left, right)
    own = of_second(np.where(SEGMENTS == 2, (TOKENS + 1) % 16, TOKENS))
    assert own[0] != before[0], "its own tokens count"


def test_the_loss_of_packed_texts_is_that_of_rows_of_their_own():
    graphdef, params = make(VARIANTS["place"])
    mask = np.array([[0 < place < length for place in range(ALONE.shape[1])] for length in LENGTHS], np.float32)
    losses, counted = losses_of(graphdef, params, {"tokens_BT": ALONE, "loss_mask_BT": mask})
    packed = {"tokens_BT": TOKENS, "segments_BT": SEGMENTS, "loss_mask_BT": (SEGMENTS > 0).astype(np.float32)}
    packed_losses, packed_counted = losses_of(graphdef, params, packed)
    assert counted.sum() == packed_counted.sum() == sum(LENGTHS) - 3
    np.testing.assert_allclose((losses * counted).sum(), (packed_losses * packed_counted).sum(), rtol=1e-5)
