"""Penalties beside the loss, against bias and against repetition, as pure functions.

A batch asks for one by carrying what it reads; where it carries nothing of it, nothing is computed:

- `pairs_tokens_BT`, `pairs_mask_BT`: rows 2k and 2k + 1 are each other's counterfactuals; the mask is 1 on what stands
  after the group's words, the same tokens in both.
- `repeatable_BT`, beside `tokens_BT`: 1 where the token may be held against the model that says it again.
- `written_tokens_BT`, `written_weight_BT`: what the model wrote itself, and how much each token counts as a repetition.
"""

from typing import Protocol

import jax
import jax.numpy as jnp

from vishwam.model.decoder import Decoder

from .optimizer import Knobs

# The least that 1 - p is taken for: a model that is certain has a bounded gradient.
LEAST = 1e-5


class Model(Protocol):
    """What is asked of a decoder."""

    def __call__(self, tokens_BT: jax.Array, segments_BT: jax.Array | None = None, /) -> jax.Array: ...


def penalty(model: Decoder, batch: dict[str, jax.Array], knobs: Knobs, tokens: jax.Array) -> jax.Array:
    """All that `batch` asks for, each times its weight; to be added to the loss of the batch, or of one of its
    `micro_batches`, whose penalties add up to that of the whole.

    tokens: that are predicted in the whole batch.
    """
    total = jnp.zeros(())
    if "pairs_tokens_BT" in batch:
        gap = logit_pairing(model, batch["pairs_tokens_BT"], batch["pairs_mask_BT"])
        total += knobs.pairing * gap / model.config.micro_batches
    if "repeatable_BT" in batch:
        total += knobs.unlikelihood * token_unlikelihood(model, batch) / jnp.maximum(tokens, 1.0)
    if "written_tokens_BT" in batch:
        written = sequence_unlikelihood(model, batch["written_tokens_BT"], batch["written_weight_BT"])
        total += knobs.sequence_unlikelihood * written
    return total


def logit_pairing(model: Model, tokens_BT: jax.Array, mask_BT: jax.Array) -> jax.Array:
    """Counterfactual logit pairing (Garg et al. 2019) for a language model: by how much the log-likelihood of the same
    token moves with the group that was named before it; mean absolute difference (nats) over a pair's tokens, then over
    pairs. Their logit is of a class; here it is the logarithm of the softmax of what stands in both.
    """
    log_p_BT = _log_likelihoods(model(tokens_BT[:, :-1]), tokens_BT[:, 1:])
    mask_BT = mask_BT[:, 1:]
    # Groups have names of different lengths: the tokens behind them are moved to the front of the row.
    place_T = jnp.arange(mask_BT.shape[1])
    first_B1 = jnp.argmax(mask_BT > 0, axis=1, keepdims=True)
    aligned_BT = jnp.take_along_axis(log_p_BT, jnp.minimum(first_B1 + place_T, place_T[-1]), axis=1)
    lengths_P = jnp.sum(mask_BT[::2], axis=1)
    apart_PT = jnp.abs(aligned_BT[::2] - aligned_BT[1::2]) * (place_T < lengths_P[:, None])
    return jnp.mean(jnp.sum(apart_PT, axis=1) / jnp.maximum(lengths_P, 1.0))


def token_unlikelihood(model: Model, batch: dict[str, jax.Array]) -> jax.Array:
    """Token-level unlikelihood (Welleck et al. 2020, equations 4 and 5), summed over the predicted tokens: at each,
    -log(1 - p) of every token that stands before it in its text, but of the right one.
    """
    inputs_BT, targets_BT = batch["tokens_BT"][:, :-1], batch["tokens_BT"][:, 1:]
    counts_BT, segments_BT = batch["loss_mask_BT"][:, 1:], batch.get("segments_BT")
    logits_BTV = model(inputs_BT, None if segments_BT is None else segments_BT[:, :-1])
    place_T = jnp.arange(inputs_BT.shape[1])
    before_BTS = (place_T[:, None] >= place_T)[None] & (batch["repeatable_BT"][:, None, :-1] > 0)
    if segments_BT is not None:
        before_BTS = before_BTS & (segments_BT[:, 1:, None] == segments_BT[:, None, :-1])
        counts_BT = counts_BT * (segments_BT[:, 1:] == segments_BT[:, :-1])
    vocabulary = logits_BTV.shape[-1]
    seen_BSV = jax.nn.one_hot(inputs_BT, vocabulary, dtype=logits_BTV.dtype)
    said_BTV = jnp.einsum("bts,bsv->btv", before_BTS.astype(logits_BTV.dtype), seen_BSV) > 0
    candidates_BTV = said_BTV & ~jax.nn.one_hot(targets_BT, vocabulary, dtype=jnp.bool_)
    return jnp.sum(jnp.sum(_unlikely(jax.nn.softmax(logits_BTV)) * candidates_BTV, axis=-1) * counts_BT)


def sequence_unlikelihood(model: Model, tokens_BT: jax.Array, weight_BT: jax.Array) -> jax.Array:
    """Sequence-level unlikelihood (Welleck et al. 2020, equations 7 and 8): -log(1 - p) of tokens that the model itself
    wrote, each times its weight, summed.
    """
    log_p_BT = _log_likelihoods(model(tokens_BT[:, :-1]), tokens_BT[:, 1:])
    return jnp.sum(_unlikely(jnp.exp(log_p_BT)) * weight_BT[:, 1:])


def _log_likelihoods(logits_BTV: jax.Array, targets_BT: jax.Array) -> jax.Array:
    """Of each target, [B, T]."""
    # A one-hot product instead of a gather, as in the loss.
    target_BTV = jax.nn.one_hot(targets_BT, logits_BTV.shape[-1], dtype=logits_BTV.dtype)
    return jnp.sum(logits_BTV * target_BTV, axis=-1) - jax.nn.logsumexp(logits_BTV, axis=-1)


def _unlikely(p: jax.Array) -> jax.Array:
    return -jnp.log(jnp.maximum(1.0 - p, LEAST))
