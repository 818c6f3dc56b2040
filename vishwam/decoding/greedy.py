"""Greedy decoding of a batch of prompts with a static cache of keys and values.

Shapes are rounded up to buckets, so prompts of any length run a handful of compiled programs. Prompts of different
lengths stand left-aligned in one batch; generated tokens share slots after the longest prompt's bucket, and the empty
slots between are masked. The cache starts small and grows from bucket to bucket: what is attended to, and the programs
that are compiled, are those of the texts there are and not of the longest that might be. A batch stops as soon as all
of its rows have.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vishwam.decoding.repetition import Repetition, adjusted, history
from vishwam.model.attention import KeysValues
from vishwam.model.decoder import Decoder, Params, as_computed
from vishwam.model.math_reasoning import Places, is_digit, next_places
from vishwam.model.programs import call, of_shapes

SEGMENT = 32  # tokens that the cache grows by, at least


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
    rules: Repetition | None = None,
) -> np.ndarray:
    """The likeliest continuation of each prompt, int32 [B, max_new_tokens]: up to and with `eos_id`, then pad; under
    `rules` where given, each a program of its own.

    `prompt_tokens_BT` is padded on the right; every prompt has at least one token, else ValueError. Where `params` are
    shapes, nothing is said: all programs that an answer of that length may need are compiled.
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
    # Rows that fill the bucket are one pad token long and count as finished from the start. Long prompts come few at a
    # time because they take much memory, and so would more rows.
    rows, columns = bucket(B, smallest=8 if T <= 512 else 1), bucket(T)
    tokens = np.zeros((rows, columns), np.int32)
    tokens[:B, :T] = prompt_tokens_BT[:, :T]
    lengths = np.ones((rows,), np.int32)
    lengths[:B] = prompt_lengths_B
    progress = call(_begin, graphdef, params, *jax.device_put((tokens, lengths, np.int32(B), np.int32(eos_id))), rules)
    limits = jax.device_put((np.int32(max_new_tokens), np.int32(eos_id)))
    for room in _rooms(columns, max_new_tokens):
        progress = call(_advance, graphdef, params, call(_grow, progress, room), *limits, rules)
        if not of_shapes(progress) and np.asarray(progress.done_B).all():
            break
    if of_shapes(progress):
        return np.zeros((B, max_new_tokens), np.int32)
    said = np.full((B, max_new_tokens), progress.pad_id, np.int32)
    found = np.asarray(progress.tokens_BS)[:B, columns : columns + max_new_tokens]
    said[:, : found.shape[1]] = found
    return said


def lower(
    graphdef: nnx.GraphDef, params: Params, rows: int, columns: int, max_new_tokens: int
) -> tuple[jax.stages.Lowered, jax.stages.Lowered]:
    """The two programs that take most memory where `greedy_decode` gets so many prompts of so many tokens, and gives
    the longest answers: that which reads the prompts, and the last that answers. They are there to be looked at.
    """
    rows, columns = bucket(rows, smallest=8), bucket(columns)
    integer, lengths = jax.ShapeDtypeStruct((), np.int32), jax.ShapeDtypeStruct((rows,), np.int32)
    prompts = (jax.ShapeDtypeStruct((rows, columns), np.int32), lengths, integer, integer)
    room = list(_rooms(columns, max_new_tokens))[-1]
    progress = jax.eval_shape(_begin, graphdef, params, *prompts)
    grown = jax.eval_shape(functools.partial(_grow, room=room), progress)
    return _begin.lower(graphdef, params, *prompts), _advance.lower(graphdef, params, grown, integer, integer)


def _rooms(columns: int, max_new_tokens: int) -> Iterator[int]:
    """The sizes that the cache has, one after another, until all new tokens are there."""
    room = columns
    while room < columns + max_new_tokens:
        room = bucket(min(room + SEGMENT, columns + bucket(max_new_tokens)))
        yield room


class _Progress(NamedTuple):
    """S slots: a prompt's bucket, then what was generated. The last token of `tokens_BS` is in no cache yet."""

    length_B: jax.Array  # of the prompts
    columns: jax.Array  # slots of the prompts' bucket
    step: jax.Array  # tokens generated so far, the same for all rows
    token_B1: jax.Array  # the last of them
    last: Places  # its place and ordinal
    done_B: jax.Array
    pad_id: jax.Array
    tokens_BS: jax.Array
    keys: Places  # place and ordinal of every slot [B, S]
    digit_key_BS: jax.Array
    caches: list[KeysValues]


class _Said(NamedTuple):
    """A text so far, in the slots of `_Progress`."""

    tokens_BS: jax.Array
    length_B: jax.Array
    columns: jax.Array | int
    step: jax.Array | int


def _choose(
    model: Decoder, x_B1D: jax.Array, done_B: jax.Array, eos_id: jax.Array, said: _Said, rules: Repetition | None
) -> tuple[jax.Array, jax.Array]:
    logits_BV = model.logits(x_B1D)[:, 0]
    if rules:
        tokens_BS = history(said.tokens_BS, said.length_B, said.columns)
        logits_BV = adjusted(logits_BV, tokens_BS, said.length_B + said.step, rules)
    token_B = jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
    token_B = jnp.where(done_B, model.config.pad_id, token_B)
    return token_B[:, None], done_B | (token_B == eos_id)


@functools.partial(jax.jit, static_argnums=(0, 6))
def _begin(
    graphdef: nnx.GraphDef,
    params: Params,
    tokens_BT: jax.Array,
    length_B: jax.Array,
    rows: jax.Array,
    eos_id: jax.Array,
    rules: Repetition | None = None,
) -> _Progress:
    """Reads the prompts and says the first token; there is no slot for it yet."""
    model: Decoder = nnx.merge(graphdef, params)
    digits = model.config.digit_token_ids
    B, T = tokens_BT.shape
    context, places = model.context(tokens_BT)
    embedded_BTD = model.embed(tokens_BT, places.place_BT)
    x_BTD, caches = model.run_layers_cached(model.each_layer(), embedded_BTD, context, None, jnp.int32(0))
    last_B1 = length_B[:, None] - 1
    last_x_B1D = jnp.take_along_axis(x_BTD, last_B1[..., None], axis=1)
    token_B1, done_B = _choose(
        model, last_x_B1D, jnp.arange(B) >= rows, eos_id, _Said(tokens_BT, length_B, T, 0), rules
    )
    last = jax.tree.map(lambda leaf: jnp.take_along_axis(leaf, last_B1, axis=1), places)
    return _Progress(
        length_B=length_B,
        columns=jnp.int32(T),
        step=jnp.int32(1),
        token_B1=token_B1,
        last=next_places(token_B1, last, digits),
        done_B=done_B,
        pad_id=jnp.int32(model.config.pad_id),
        tokens_BS=tokens_BT,
        keys=places,
        digit_key_BS=is_digit(tokens_BT, digits),
        caches=caches,
    )


@functools.partial(jax.jit, static_argnames="room")
def _grow(progress: _Progress, room: int) -> _Progress:
    """The same with slots for `room` tokens; the newest token, which had none, is in its own."""

    def widen(leaf: jax.Array, fill: jax.Array | int = 0) -> jax.Array:
        widths = [(0, 0)] * leaf.ndim
        widths[1] = (0, room - leaf.shape[1])
        return jnp.pad(leaf, widths, constant_values=fill)

    newest = progress.columns + progress.step - 1
    tokens_BS = jax.lax.dynamic_update_slice(widen(progress.tokens_BS, progress.pad_id), progress.token_B1, (0, newest))
    return progress._replace(
        tokens_BS=tokens_BS,
        keys=jax.tree.map(widen, progress.keys),
        digit_key_BS=widen(progress.digit_key_BS),
        caches=jax.tree.map(widen, progress.caches),
    )


@functools.partial(jax.jit, static_argnums=(0, 5), donate_argnums=2)
def _advance(
    graphdef: nnx.GraphDef,
    params: Params,
    progress: _Progress,
    max_new_tokens: jax.Array,
    eos_id: jax.Array,
    rules: Repetition | None = None,
) -> _Progress:
    """Goes on until all rows are done or long enough, or the next token would have no slot."""
    model: Decoder = nnx.merge(graphdef, as_computed(graphdef, params))
    digits = model.config.digit_token_ids
    layers = model.each_layer()
    slot_S = jnp.arange(progress.tokens_BS.shape[1])

    def unfinished(progress: _Progress) -> jax.Array:
        fits = progress.columns + progress.step < slot_S.size
        return fits & (progress.step < max_new_tokens) & ~jnp.all(progress.done_B)

    def advance(progress: _Progress) -> _Progress:
        token_B1 = progress.token_B1
        slot = progress.columns + progress.step - 1

        def write(slots: jax.Array, value: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice(slots, value, (0, slot))

        keys = jax.tree.map(write, progress.keys, progress.last)
        digit_key_BS = write(progress.digit_key_BS, is_digit(token_B1, digits))
        of_answer_S = (slot_S >= progress.columns) & (slot_S <= slot)
        visible_BS = (slot_S < progress.length_B[:, None]) | of_answer_S
        positions_B1 = progress.length_B[:, None] + progress.step - 1
        context = model.relate(positions_B1, visible_BS[:, None], progress.last, keys, digit_key_BS)
        embedded_B1D = model.embed(token_B1, progress.last.place_BT)
        x_B1D, caches = model.run_layers_cached(layers, embedded_B1D, context, progress.caches, slot)
        said = _Said(progress.tokens_BS, progress.length_B, progress.columns, progress.step)
        next_B1, done_B = _choose(model, x_B1D, progress.done_B, eos_id, said, rules)
        return progress._replace(
            step=progress.step + 1,
            token_B1=next_B1,
            last=next_places(next_B1, progress.last, digits),
            done_B=done_B,
            tokens_BS=jax.lax.dynamic_update_slice(progress.tokens_BS, next_B1, (0, slot + 1)),
            keys=keys,
            digit_key_BS=digit_key_BS,
            caches=caches,
        )

    return jax.lax.while_loop(unfinished, advance, progress)
