"""What a trial needs in memory, by arithmetic: an answer in milliseconds, where XLA's own takes a compilation."""

import math

import jax

from vishwam.model import decoder

# Copies of the parameters: themselves, their average, Adam's two moments, the gradient and the update.
COPIES = 6

# Floats kept for the backward pass, fitted to XLA's memory analysis of `train_step` over twelve shapes.
PER_LAYER_WIDTH = 12
PER_LAYER_HIDDEN = 8
PER_LAYER_ATTENTION = 4  # of each head's row of the attention matrix
ONCE_WIDTH = 18
ONCE_VOCABULARY = 2


def parameter_count(config: decoder.DecoderConfig) -> int:
    """Parameters of the model, which is traced and not made.

    Raises:
        ValueError, TypeError: these numbers make no model.
    """
    shapes = jax.eval_shape(lambda key: decoder.init(config, key)[1], jax.eval_shape(lambda: jax.random.key(0)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def estimate(config: decoder.DecoderConfig, parameters: int, batch_size: int, length: int) -> int:
    """Bytes that a training step on a batch of `batch_size` rows of `length` tokens needs, good to about a third."""
    layer = (
        PER_LAYER_WIDTH * config.model_dim
        + PER_LAYER_HIDDEN * config.mlp_dim
        + PER_LAYER_ATTENTION * config.num_heads * length
    )
    token = config.num_layers * layer + ONCE_WIDTH * config.model_dim + ONCE_VOCABULARY * config.vocab_size
    return 4 * (COPIES * parameters + batch_size * length * token)
