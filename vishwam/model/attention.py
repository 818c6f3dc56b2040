"""Causal attention over a sequence or over a cache of keys and values, with rotary positions or none."""

import functools
import itertools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vishwam.model.config import DecoderConfig
from vishwam.model.layers import Dense, RMSNorm, together
from vishwam.model.rope import Rotation, rotate

# A text's queries come in blocks of at least so many tokens, at most so many of them: each is compiled for itself.
BLOCK, BLOCKS = 64, 4


class KeysValues(NamedTuple):
    """What a layer attended to, of its heads of keys and values; the keys have their rotary positions already.

    Heads are folded into the batch (N): over four axes XLA would copy a cache on CPU at every token.
    """

    keys_NSK: jax.Array
    values_NSK: jax.Array


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
    causal: bool = False  # what is visible is all that is not later: each row is one text

    def of_queries(self, first: int, end: int) -> "Context":
        """What `probabilities` asks of those queries alone, and of the keys before `end`."""

        def part(leaf_BTS: jax.Array) -> jax.Array:
            return leaf_BTS[:, first:end, :end]

        relations = self.relations
        if relations is not None:
            digit_key_BS, *others = relations
            relations = PlaceRelations(digit_key_BS[:, :end], *map(part, others))
        return self._replace(visible_BTS=part(self.visible_BTS), relations=relations)


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


@functools.cache
def has_cudnn() -> bool:
    """Whether this is an NVIDIA GPU on which cuDNN has attention: Ampere or later."""
    device = jax.devices()[0]
    generation = str(getattr(device, "compute_capability", "")).partition(".")[0]
    return device.platform == "gpu" and generation.isdigit() and int(generation) >= 8


def fused(q_BHTK: jax.Array, keys_values: KeysValues, implementation: Literal["cudnn", "xla"] = "cudnn") -> jax.Array:
    """Causal attention in one kernel that never holds the scores (Dao 2023); queries are scaled already.

    It knows no texts within a row: of packed rows, one would attend to the one before it.
    """
    B, _, T, K = q_BHTK.shape
    k_BTHK, v_BTHK = (x.reshape(B, -1, T, K).transpose(0, 2, 1, 3) for x in keys_values)
    y_BTHK = jax.nn.dot_product_attention(
        q_BHTK.transpose(0, 2, 1, 3), k_BTHK, v_BTHK, scale=1.0, is_causal=True, implementation=implementation
    )
    return y_BTHK.transpose(0, 2, 1, 3)


def blocks_of(length: int) -> int:
    """In how many blocks the queries of a text come."""
    return max(1, min(length // BLOCK, BLOCKS))


def share_of_scores(length: int) -> float:
    """How many of a text's scores, one for each query and each key, are computed at all."""
    return (1 + 1 / blocks_of(length)) / 2


class Attention(nnx.Module):
    """Multi-head attention, each head of keys and values shared by a group of queries' heads (Ainslie et al. 2023).

    The last `rotary_heads` heads are rotary, the others know no positions.
    """

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        width, bias = config.model_dim, config.qkv_bias
        self.query = Dense(width, config.num_heads * config.head_width, rngs, bias=bias)
        self.key = Dense(width, config.kv_heads * config.head_width, rngs, bias=bias)
        self.value = Dense(width, config.kv_heads * config.head_width, rngs, bias=bias)
        scale = (2 * config.depth) ** -0.5
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

        q_BHTK, k_BHSK, v_BHSK = map(heads, together(config, x_BTD, self.query, self.key, self.value))
        if config.qk_norm:
            q_BHTK, k_BHSK = self.query_norm(q_BHTK), self.key_norm(k_BHSK)
        if context.rotation is not None:
            q_BHTK, k_BHSK = self.rotated(q_BHTK, context.rotation), self.rotated(k_BHSK, context.rotation)
        q_BHTK *= config.head_width**-0.5
        keys_values = KeysValues(*(x.reshape(-1, T, config.head_width) for x in (k_BHSK, v_BHSK)))
        if cache is not None:
            start = (0, cache.slot, 0)
            pairs = zip(cache.keys_values, keys_values, strict=True)
            keys_values = KeysValues(*(jax.lax.dynamic_update_slice(old, new, start) for old, new in pairs))
        y_BHTK = self.attend(q_BHTK, keys_values, context)
        return self.out(y_BHTK.transpose(0, 2, 1, 3).reshape(B, T, -1)), keys_values

    def rotated(self, x_BHTK: jax.Array, rotation: Rotation) -> jax.Array:
        """All heads of `x` but the first that go without positions."""
        first = x_BHTK.shape[1] * (self.config.num_heads - self.config.rotary_heads) // self.config.num_heads
        if not first:
            return rotate(x_BHTK, rotation)
        plain, rotary = jnp.split(x_BHTK, [first], axis=1)
        return jnp.concatenate([plain, rotate(rotary, rotation)], axis=1)

    def attend(self, q_BHTK: jax.Array, keys_values: KeysValues, context: Context) -> jax.Array:
        """Of queries to the keys of their text, or of one query to a cache."""
        T = q_BHTK.shape[2]
        if context.causal and self.config.attention != "xla" and self.config.fits_cudnn and has_cudnn():
            return fused(q_BHTK, keys_values)
        blocks = blocks_of(T)
        if blocks == 1 or keys_values.keys_NSK.shape[1] != T:
            return self.attend_to(q_BHTK, keys_values, context)
        # No query sees a later key, so each block has to do with those up to its own end.
        parts = []
        for first, end in itertools.pairwise(T * block // blocks for block in range(blocks + 1)):
            seen = KeysValues(*(x_NSK[:, :end] for x_NSK in keys_values))
            parts.append(self.attend_to(q_BHTK[:, :, first:end], seen, context.of_queries(first, end)))
        return jnp.concatenate(parts, axis=2)

    def attend_to(self, q_BHTK: jax.Array, keys_values: KeysValues, context: Context) -> jax.Array:
        """Plain batched products, which XLA runs fastest on CPU."""
        B, H, T, K = q_BHTK.shape
        keys_NSK, values_NSK = keys_values
        q_NTK = q_BHTK.reshape(keys_NSK.shape[0], -1, K)  # the queries of a group one after another
        scores = jnp.einsum("ntk,nsk->nts", q_NTK, keys_NSK, preferred_element_type=jnp.float32)
        p_BHTS = self.probabilities(scores.reshape(B, H, T, -1), context).astype(values_NSK.dtype)
        p_NTS = p_BHTS.reshape(scores.shape)
        return jnp.einsum("nts,nsk->ntk", p_NTS, values_NSK).reshape(B, H, T, K)
