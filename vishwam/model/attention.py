"""Causal attention over a sequence or over a cache of keys and values, with rotary positions or none."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vishwam.model.config import DecoderConfig
from vishwam.model.layers import Dense


class KeysValues(NamedTuple):
    """What a layer attended to; rotary positions are already applied to the keys."""

    keys_BHKS: jax.Array  # time last, which is how one query runs through them fastest
    values_BHSK: jax.Array


class Cache(NamedTuple):
    """Room for S keys and values of one layer, and the slot where those of the one token of this call are written."""

    keys_values: KeysValues
    slot: jax.Array


class PlaceRelations(NamedTuple):
    """How each key (S) stands to each query (T) in the numbers of their text; see `math_reasoning`."""

    digit_key_BS: jax.Array  # whether the key is a digit
    relative_place_BTS: jax.Array  # the key's place minus the query's
    numbers_ago_BTS: jax.Array  # how many numbers before the query's own


class Context(NamedTuple):
    """What every layer needs to know of the tokens."""

    positions_BT: jax.Array  # index of each query in its text
    visible_BTS: jax.Array  # the key is a token of the same row and not later than the query
    relations: PlaceRelations | None = None  # for models that go by place


def masked_softmax(scores: jax.Array, seen: jax.Array, sink: jax.Array | float = -jnp.inf) -> jax.Array:
    """Softmax over the last axis of float32 `scores` where `seen`; 0 where nothing is.

    `sink` is the logit of a key that is always there and has no value, so the rest may sum to less than 1.
    """
    scores = jnp.where(seen, scores, -jnp.inf)
    largest = jnp.maximum(jnp.max(scores, axis=-1, keepdims=True), sink)
    largest = jax.lax.stop_gradient(jnp.maximum(largest, -1e30))  # finite where nothing is seen
    weights = jnp.exp(scores - largest)
    total = jnp.sum(weights, axis=-1, keepdims=True) + jnp.exp(sink - largest)
    return weights / jnp.maximum(total, 1e-30)


def rotate(x_BHTK: jax.Array, positions_BT: jax.Array, theta: float) -> jax.Array:
    """Rotary position embedding (Su et al. 2021), first half of a head against its second half."""
    half = x_BHTK.shape[-1] // 2
    frequency_K = theta ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle_BTK = positions_BT[..., None].astype(jnp.float32) * frequency_K
    cos, sin = jnp.cos(angle_BTK)[:, None], jnp.sin(angle_BTK)[:, None]
    first, second = jnp.split(x_BHTK.astype(jnp.float32), 2, axis=-1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).astype(x_BHTK.dtype)


class Attention(nnx.Module):
    """Multi-head attention; the last `rotary_heads` heads are rotary, the others know no positions."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        width = config.model_dim
        self.query = Dense(width, width, rngs)
        self.key = Dense(width, width, rngs)
        self.value = Dense(width, width, rngs)
        self.out = Dense(width, width, rngs, scale=(2 * config.num_layers) ** -0.5)
        self.config = config

    def probabilities(self, scores_BHTS: jax.Array, context: Context) -> jax.Array:
        return masked_softmax(scores_BHTS, context.visible_BTS[:, None])

    def __call__(self, x_BTD: jax.Array, context: Context, cache: Cache | None = None) -> tuple[jax.Array, KeysValues]:
        """Attends to `x_BTD` itself, or, one token a row, to a cache after its key and value are written there."""
        config = self.config
        B, T, _ = x_BTD.shape

        def heads(x_BTD: jax.Array) -> jax.Array:
            return x_BTD.reshape(B, T, config.num_heads, config.head_dim).transpose(0, 2, 1, 3)

        q_BHTK, k_BHSK, v_BHSK = heads(self.query(x_BTD)), heads(self.key(x_BTD)), heads(self.value(x_BTD))
        if config.rotary_heads:
            q_BHTK, k_BHSK = self.rotated(q_BHTK, context), self.rotated(k_BHSK, context)
        q_BHTK *= config.head_dim**-0.5
        keys_values = KeysValues(k_BHSK.transpose(0, 1, 3, 2), v_BHSK)
        if cache is None:
            y_BHTK = self.over_sequence(q_BHTK, k_BHSK, v_BHSK, context)
        else:
            keys_values = KeysValues(
                jax.lax.dynamic_update_slice(cache.keys_values.keys_BHKS, keys_values.keys_BHKS, (0, 0, 0, cache.slot)),
                jax.lax.dynamic_update_slice(cache.keys_values.values_BHSK, v_BHSK, (0, 0, cache.slot, 0)),
            )
            y_BHTK = self.over_cache(q_BHTK, keys_values, context)
        return self.out(y_BHTK.transpose(0, 2, 1, 3).reshape(B, T, -1)), keys_values

    def rotated(self, x_BHTK: jax.Array, context: Context) -> jax.Array:
        plain, rotary = jnp.split(x_BHTK, [self.config.num_heads - self.config.rotary_heads], axis=1)
        return jnp.concatenate([plain, rotate(rotary, context.positions_BT, self.config.rope_theta)], axis=1)

    def over_sequence(self, q_BHTK: jax.Array, k_BHSK: jax.Array, v_BHSK: jax.Array, context: Context) -> jax.Array:
        """Heads folded into the batch: plain batched products, which XLA runs fastest on CPU."""
        B, H, T, K = q_BHTK.shape
        S = k_BHSK.shape[2]
        q, k, v = (x.reshape(B * H, -1, K) for x in (q_BHTK, k_BHSK, v_BHSK))
        scores = jnp.einsum("ntk,nsk->nts", q, k, preferred_element_type=jnp.float32)
        p_BHTS = self.probabilities(scores.reshape(B, H, T, S), context).astype(v.dtype)
        return jnp.einsum("nts,nsk->ntk", p_BHTS.reshape(B * H, T, S), v).reshape(B, H, T, K)

    def over_cache(self, q_BHTK: jax.Array, cached: KeysValues, context: Context) -> jax.Array:
        """One query a row by products and sums: as matrix products, XLA would copy the whole cache at each token."""
        q_BHK1 = q_BHTK.transpose(0, 1, 3, 2).astype(jnp.float32)
        scores_BHS = jnp.sum(q_BHK1 * cached.keys_BHKS, axis=2)
        p_BHTS = self.probabilities(scores_BHS[:, :, None], context)
        return jnp.sum(p_BHTS[:, :, 0, :, None] * cached.values_BHSK, axis=2, keepdims=True).astype(q_BHTK.dtype)
