"""Greedy decoding of a batch of prompts with a static cache of keys and values.

Shapes are rounded up to buckets, so prompts of any length run a handful of compiled programs. Prompts of different
lengths stand left-aligned in one batch; generated tokens share slots after the longest prompt's bucket, and the empty
slots between are masked. A batch stops as soon as all of its rows have.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vishwam.model.attention import KeysValues
from vishwam.model.decoder import Decoder, Params
from vishwam.model.math_reasoning import Places, is_digit, next_places


def bucket(size: int, smallest: int = 16) -> int:
    """The least of 16, 24, 32, 48, 64, 96, ... that holds `size`: at most a third is wasted, few programs are made."""
    power = smallest
    while power < size:
        if power * 3 // 2 >= size:
            return power * 3 // 2
        power *= 2
    return power


def greedy_decode(
    graphdef: nnx.GraphDef,
    params: Params,
    prompt_tokens_BT: np.ndarray,
    prompt_lengths_B: np.ndarray,
    max_new_tokens: int,
    eos_id: int,
) -> np.ndarray:
    """The likeliest continuation of each prompt, int32 [B, max_new_tokens]: up to and with `eos_id`, then pad.

    `prompt_tokens_BT` is padded on the right; every prompt has at least one token, else ValueError.
    """
    prompt_tokens_BT = np.asarray(prompt_tokens_BT, np.int32)
    prompt_lengths_B = np.asarray(prompt_lengths_B, np.int32)
    B, T = prompt_tokens_BT.shape
    if B == 0 or max_new_tokens == 0:
        return np.zeros((B, max_new_tokens), np.int32)
    if prompt_lengths_B.min() < 1 or prompt_lengths_B.max() > T:
        raise ValueError(
            f"prompt lengths must lie in 1 to {T}, not {prompt_lengths_B.min()} to {prompt_lengths_B.max()}"
        )
    T = int(prompt_lengths_B.max())
    # Rows that fill the bucket are one pad token long and count as finished from the start.
    rows, columns = bucket(B, smallest=8), bucket(T)
    tokens = np.zeros((rows, columns), np.int32)
    tokens[:B, :T] = prompt_tokens_BT[:, :T]
    lengths = np.ones((rows,), np.int32)
    lengths[:B] = prompt_lengths_B
    inputs = jax.device_put((tokens, lengths, np.int32(B), np.int32(max_new_tokens), np.int32(eos_id)))
    generated = _decode(graphdef, params, inputs, bucket(max_new_tokens))
    return np.asarray(generated)[:B, :max_new_tokens]


def lower(graphdef: nnx.GraphDef, params: Params, rows: int, columns: int, max_new_tokens: int) -> jax.stages.Lowered:
    """The program that `greedy_decode` runs for so many prompts of so many tokens, to be compiled and looked at."""
    shape = (bucket(rows, smallest=8), bucket(columns))
    nothing = np.int32(0)
    inputs = jax.device_put((np.zeros(shape, np.int32), np.zeros(shape[:1], np.int32), nothing, nothing, nothing))
    return _decode.lower(graphdef, params, inputs, bucket(max_new_tokens))


class _Progress(NamedTuple):
    step: jax.Array  # tokens generated so far, the same for all rows
    token_B1: jax.Array  # the last of them
    last: Places  # its place and ordinal
    done_B: jax.Array
    generated_BN: jax.Array
    keys: Places  # place and ordinal of every slot [B, S]
    digit_key_BS: jax.Array
    caches: list[KeysValues]


@functools.partial(jax.jit, static_argnums=(0, 3))
def _decode(graphdef: nnx.GraphDef, params: Params, inputs: tuple, room: int) -> jax.Array:
    tokens_BT, length_B, rows, max_new_tokens, eos_id = inputs
    model: Decoder = nnx.merge(graphdef, params)
    pad_id, digits = model.config.pad_id, model.config.digit_token_ids
    B, T = tokens_BT.shape
    filled_BS = jnp.pad(jnp.arange(T) < length_B[:, None], ((0, 0), (0, room)))
    slot_S = jnp.arange(T + room)

    def widen(leaf: jax.Array, axis: int) -> jax.Array:
        widths = [(0, 0)] * leaf.ndim
        widths[axis] = (0, room)
        return jnp.pad(leaf, widths)

    def choose(x_B1D: jax.Array, done_B: jax.Array) -> tuple[jax.Array, jax.Array]:
        token_B = jnp.argmax(model.logits(x_B1D)[:, 0], axis=-1).astype(jnp.int32)
        token_B = jnp.where(done_B, pad_id, token_B)
        return token_B[:, None], done_B | (token_B == eos_id)

    context, places = model.context(tokens_BT)
    x_BTD, caches = model.run_layers_cached(model.embed(tokens_BT), context, None, jnp.int32(0))
    last_B1 = length_B[:, None] - 1
    token_B1, done_B = choose(jnp.take_along_axis(x_BTD, last_B1[..., None], axis=1), jnp.arange(B) >= rows)
    last = jax.tree.map(lambda leaf: jnp.take_along_axis(leaf, last_B1, axis=1), places)
    start = _Progress(
        step=jnp.int32(1),
        token_B1=token_B1,
        last=next_places(token_B1, last, digits),
        done_B=done_B,
        generated_BN=jnp.full((B, room), pad_id, jnp.int32).at[:, 0].set(token_B1[:, 0]),
        keys=jax.tree.map(lambda leaf: widen(leaf, 1), places),
        digit_key_BS=widen(is_digit(tokens_BT, digits), 1),
        caches=[KeysValues(widen(cache.keys_BHKS, 3), widen(cache.values_BHSK, 2)) for cache in caches],
    )

    def unfinished(progress: _Progress) -> jax.Array:
        return (progress.step < max_new_tokens) & ~jnp.all(progress.done_B)

    def advance(progress: _Progress) -> _Progress:
        token_B1 = progress.token_B1
        slot = T + progress.step - 1

        def write(slots: jax.Array, value: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice(slots, value, (0, slot))

        keys = jax.tree.map(write, progress.keys, progress.last)
        digit_key_BS = write(progress.digit_key_BS, is_digit(token_B1, digits))
        visible_BS = filled_BS | ((slot_S >= T) & (slot_S <= slot))
        positions_B1 = length_B[:, None] + progress.step - 1
        context = model.relate(positions_B1, visible_BS[:, None], progress.last, keys, digit_key_BS)
        x_B1D, caches = model.run_layers_cached(model.embed(token_B1), context, progress.caches, slot)
        next_B1, done_B = choose(x_B1D, progress.done_B)
        return _Progress(
            step=progress.step + 1,
            token_B1=next_B1,
            last=next_places(next_B1, progress.last, digits),
            done_B=done_B,
            generated_BN=jax.lax.dynamic_update_slice(progress.generated_BN, next_B1, (0, progress.step)),
            keys=keys,
            digit_key_BS=digit_key_BS,
            caches=caches,
        )

    return jax.lax.while_loop(unfinished, advance, start).generated_BN
