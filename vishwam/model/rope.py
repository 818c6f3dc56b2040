"""Rotary position embeddings (Su et al. 2021) and the ways to stretch them beyond the length they were trained at.

linear: every angle is slowed down by the factor (Chen et al. 2023). llama3: only slow angles are, with a ramp between
(Llama 3.1). yarn: the same over another ramp, and attention is sharpened (Peng et al. 2023).
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vishwam.model.config import DecoderConfig


class Rotation(NamedTuple):
    """Of each token; B is 1 where all rows have the same positions, K here is half a head's width."""

    cos_BTK: jax.Array
    sin_BTK: jax.Array


def frequencies(config: DecoderConfig) -> tuple[np.ndarray, float]:
    """Radians a token, float32 [head width / 2], and the factor by which queries and keys grow."""
    width, factor = config.head_width, config.rope_factor
    plain = config.rope_theta ** (-np.arange(0, width, 2) / width)
    growth = 1.0
    if config.rope_scaling == "linear":
        plain = plain / factor
    elif config.rope_scaling == "llama3":
        turns = config.rope_original_length * plain / (2 * math.pi)
        low, high = config.rope_low_frequency, config.rope_high_frequency
        kept = np.clip((turns - low) / (high - low), 0, 1)
        plain = plain * (kept + (1 - kept) / factor)
    elif config.rope_scaling == "yarn":

        def index_with(turns: float) -> float:
            """Where in the head the angle makes so many turns over the original length."""
            whole = config.rope_original_length / (turns * 2 * math.pi)
            return width * math.log(whole) / (2 * math.log(config.rope_theta))

        first = max(math.floor(index_with(config.rope_beta_fast)), 0)
        last = min(math.ceil(index_with(config.rope_beta_slow)), width - 1)
        slowed = np.clip((np.arange(width // 2) - first) / max(last - first, 1e-3), 0, 1)
        plain = plain * (1 - slowed + slowed / factor)
        growth = config.rope_attention_factor or (0.1 * math.log(factor) + 1.0 if factor > 1 else 1.0)
    return plain.astype(np.float32), growth


def rotation(config: DecoderConfig, positions_BT: jax.Array) -> Rotation:
    frequency_K, growth = frequencies(config)
    angle_BTK = positions_BT[..., None].astype(jnp.float32) * frequency_K
    return Rotation(jnp.cos(angle_BTK) * growth, jnp.sin(angle_BTK) * growth)


def rotate(x_BHTK: jax.Array, turned: Rotation) -> jax.Array:
    """The first half of a head is turned against its second half, as transformers stores weights."""
    cos_BTK = jnp.concatenate([turned.cos_BTK, turned.cos_BTK], axis=-1)[:, None]
    sin_BTK = jnp.concatenate([-turned.sin_BTK, turned.sin_BTK], axis=-1)[:, None]
    x = x_BHTK.astype(jnp.float32)
    first, second = jnp.split(x, 2, axis=-1)
    return (x * cos_BTK + jnp.concatenate([second, first], axis=-1) * sin_BTK).astype(x_BHTK.dtype)
