"""Causal attention over a sequence or over a cache of keys and values, with rotary positions or none."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vishwam.model.config import DecoderConfig
from vishwam.model.layers import Dense, RMSNorm
from vishwam.model.rope import Rotation, rotate


class KeysValues(NamedTuple):
    """What a layer attended to, of its heads of keys and values; the keys have their rotary positions already."""

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
    relative_end_BTS: jax.Array  # the same, where a query that is no digit stands above the number before it
    numbers_ago_BTS: jax.Array  # how many numbers before the query's own


class Context(NamedTuple):
    """What every layer needs to know of the tokens. B is 1 where it is the same for all rows."""

    rotation: Rotation | None  # of each query in its text, for models with rotary heads
    visible_BTS: jax.Array  # the key is a token of the same row and not later than the query
    relations: PlaceRelations | None = None  # for models that go by place


@jax.custom_vjp
def masked_softmax(scores: jax.Array, seen: jax.Array, sink: jax.Array | float = -jnp.inf) -> jax.Array:
    """Softmax over the last axis of float32 `scores` where `seen`; 0 where nothing is.

    `sink` is the logit of a key that is always there and has no value, so the rest may sum to less than 1. The backward
    pass keeps the result alone.
    """
    scores = jnp.where(seen, scores, -jnp.inf)
    largest = jnp.maximum(jnp.max(scores, axis=-1, keepdims=True), sink)
    largest = jnp.maximum(largest, -1e30)  # finite where nothing is seen
    weights = jnp.exp(scores - largest)
    total = jnp.sum(weights, axis=-1, keepdims=True) + jnp.exp(sink - largest)
    return weights / jnp.maximum(total, 1e-30)


def _softmax_forward(scores, seen, sink=-jnp.inf):
    weights = masked_softmax(scores, seen, sink)
    return weights, (weights, sink)


def _softmax_backward(kept, slope):
    weights, sink = kept
    product = slope * weights
    total = jnp.sum(product, axis=-1, keepdims=True)
    by_sink = None
    if isinstance(sink, jax.Array):
        by_sink = -total * (1 - jnp.sum(weights, axis=-1, keepdims=True))
        by_sink = jnp.sum(by_sink, axis=tuple(range(by_sink.ndim - sink.ndim)))
        by_sink = jnp.sum(by_sink, axis=[i for i, n in enumerate(sink.shape) if n == 1], keepdims=True)
    return product - weights * total, None, by_sink


masked_softmax.defvjp(_softmax_forward, _softmax_backward)


class Attention(nnx.Module):
    """Multi-head attention, each head of keys and values shared by a group of queries' heads (Ainslie et al. 2023).

    The last `rotary_heads` heads are rotary, the others know no positions.
    """

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        width, bias = config.model_dim, config.qkv_bias
        self.query = Dense(width, config.num_heads * config.head_width, rngs, bias=bias)
        self.key = Dense(width, config.kv_heads * config.head_width, rngs, bias=bias)
        self.value = Dense(width, config.kv_heads * config.head_width, rngs, bias=bias)
        scale = (2 * config.num_layers) ** -0.5
        self.out = Dense(config.num_heads * config.head_width, width, rngs, scale=scale, bias=config.out_bias)
        if config.qk_norm:
            self.query_norm = RMSNorm(config.head_width, config.norm_epsilon)
            self.key_norm = RMSNorm(config.head_width, config.norm_epsilon)
        self.config = config

    def probabilities(self, scores_BHTS: jax.Array, context: Context) -> jax.Array:
        return masked_softmax(scores_BHTS, context.visible_BTS[:, None])

    def __call__(self, x_BTD: jax.Array, context: Context, cache: Cache | None = None) -> tuple[jax.Array, KeysValues]:
        """Attends to `x_BTD` itself, or, one token a row, to a cache after its key and value are written there."""
        config = self.config
        B, T, _ = x_BTD.shape

        def heads(x_BTD: jax.Array) -> jax.Array:
            return x_BTD.reshape(B, T, -1, config.head_width).transpose(0, 2, 1, 3)

        q_BHTK, k_BHSK, v_BHSK = heads(self.query(x_BTD)), heads(self.key(x_BTD)), heads(self.value(x_BTD))
        if config.qk_norm:
            q_BHTK, k_BHSK = self.query_norm(q_BHTK), self.key_norm(k_BHSK)
        if context.rotation is not None:
            q_BHTK, k_BHSK = self.rotated(q_BHTK, context.rotation), self.rotated(k_BHSK, context.rotation)
        q_BHTK *= config.head_width**-0.5
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

    def rotated(self, x_BHTK: jax.Array, rotation: Rotation) -> jax.Array:
        """All heads of `x` but the first that go without positions."""
        first = x_BHTK.shape[1] * (self.config.num_heads - self.config.rotary_heads) // self.config.num_heads
        if not first:
            return rotate(x_BHTK, rotation)
        plain, rotary = jnp.split(x_BHTK, [first], axis=1)
        return jnp.concatenate([plain, rotate(rotary, rotation)], axis=1)

    def over_sequence(self, q_BHTK: jax.Array, k_BHSK: jax.Array, v_BHSK: jax.Array, context: Context) -> jax.Array:
        """Heads folded into the batch: plain batched products, which XLA runs fastest on CPU."""
        B, H, T, K = q_BHTK.shape
        S = k_BHSK.shape[2]
        k, v = (x.reshape(-1, S, K) for x in (k_BHSK, v_BHSK))
        q = q_BHTK.reshape(k.shape[0], -1, K)  # the queries of a group one after another
        scores = jnp.einsum("ntk,nsk->nts", q, k, preferred_element_type=jnp.float32)
        p_BHTS = self.probabilities(scores.reshape(B, H, T, S), context).astype(v.dtype)
        return jnp.einsum("nts,nsk->ntk", p_BHTS.reshape(k.shape[0], -1, S), v).reshape(B, H, T, K)

    def over_cache(self, q_BHTK: jax.Array, cached: KeysValues, context: Context) -> jax.Array:
        """One query a row by products and sums: as matrix products, XLA would copy the whole cache at each token; and
        one head of a group after another, since over five axes its sums are eight times slower.
        """
        B, H, _, K = q_BHTK.shape
        keys_BHKS, values_BHSK = cached
        q_BHGK = q_BHTK.astype(jnp.float32).reshape(B, self.config.kv_heads, -1, K)
        groups = range(q_BHGK.shape[2])
        scores = [jnp.sum(q_BHGK[:, :, g, :, None] * keys_BHKS, axis=2) for g in groups]
        scores_BHS = (scores[0] if len(scores) == 1 else jnp.stack(scores, axis=2)).reshape(B, H, -1)
        p_BHTS = self.probabilities(scores_BHS[:, :, None], context)
        p_BHGS = p_BHTS.reshape(B, self.config.kv_heads, len(groups), -1)
        y = [jnp.sum(p_BHGS[:, :, g, :, None] * values_BHSK, axis=2) for g in groups]
        y_BHGK = y[0] if len(y) == 1 else jnp.stack(y, axis=2)
        return y_BHGK.reshape(B, H, 1, K).astype(q_BHTK.dtype)
