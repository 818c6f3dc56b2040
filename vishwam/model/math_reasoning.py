"""Place-value attention: heads that line numbers up digit by digit, whatever their length.

A digit's *place* is its index within its run of digits, its *ordinal* the number of runs before its own; both are read
off the tokens on their left. Numbers come least-significant digit first, so equal places are units with units, tens
with tens. A place head sees digits only, inside a window of relative places, through a learned bias: what it computes
at the tenth digit is what it computes at the hundredth. Prior art: Abacus embeddings (McLeish et al. 2024), position
coupling (Cho et al. 2024), attention bias calibration (Duan et al. 2023).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vishwam.model.attention import Attention, Context, PlaceRelations, masked_softmax
from vishwam.model.config import DecoderConfig
from vishwam.model.layers import DecoderLayer

# Numbers that a table's gradient holds at once, ones where an entry was looked up: of as many rows of a batch as that
# allows, or of one.
_ONES = 1 << 22
ORDINAL_WINDOW = 4  # numbers further back than this share one bias


class Places(NamedTuple):
    """Where each token stands in the numbers of its text, int32 [B, T].

    A token that is no digit has place -1 and the ordinal that the next number will have: it stands just before that
    number's first digit, which is how the end of a question lines up with the first digit of its answer. Its `end` is
    the length of the number before it, 0 if there is none: just above that number's highest digit, which is how numbers
    are compared. A digit's `end` is its place.
    """

    place_BT: jax.Array
    ordinal_BT: jax.Array
    end_BT: jax.Array


def relate(queries: Places, keys: Places, digit_key_BS: jax.Array) -> PlaceRelations:
    """Of queries at T to keys at S."""
    return PlaceRelations(
        digit_key_BS,
        keys.place_BT[:, None, :] - queries.place_BT[:, :, None],
        keys.place_BT[:, None, :] - queries.end_BT[:, :, None],
        queries.ordinal_BT[:, :, None] - keys.ordinal_BT[:, None, :],
    )


def is_digit(tokens: jax.Array, digit_token_ids: tuple[int, ...]) -> jax.Array:
    """Boolean, of the shape of `tokens`."""
    return jnp.isin(tokens, jnp.array(digit_token_ids, jnp.int32))


def places_of(tokens_BT: jax.Array, digit_token_ids: tuple[int, ...], begins_BT: jax.Array | None = None) -> Places:
    """Where every token stands, each from the tokens of its text up to it; texts begin where `begins_BT`."""
    digit_BT = is_digit(tokens_BT, digit_token_ids)
    before_BT = jnp.pad(digit_BT[:, :-1], ((0, 0), (1, 0)))
    starts_BT = digit_BT & ~before_BT if begins_BT is None else digit_BT & (begins_BT | ~before_BT)
    index_T = jnp.arange(tokens_BT.shape[1], dtype=jnp.int32)
    run_start_BT = jax.lax.cummax(jnp.where(starts_BT, index_T, 0), axis=1)
    place_BT = jnp.where(digit_BT, index_T - run_start_BT, -1)
    numbers_BT = jnp.cumsum(starts_BT, axis=1, dtype=jnp.int32)
    if begins_BT is not None:
        earlier_BT = jnp.where(begins_BT, numbers_BT - starts_BT, 0)
        numbers_BT -= jax.lax.cummax(earlier_BT, axis=1)  # those of the texts before
    last_digit_BT = jax.lax.cummax(jnp.where(digit_BT, index_T, 0), axis=1)
    length_BT = jnp.where(numbers_BT > 0, jnp.take_along_axis(place_BT, last_digit_BT, axis=1) + 1, 0)
    end_BT = jnp.where(digit_BT, place_BT, length_BT)
    return Places(place_BT, numbers_BT - digit_BT.astype(jnp.int32), end_BT)


def next_places(tokens_BT: jax.Array, last: Places, digit_token_ids: tuple[int, ...]) -> Places:
    """Where one more token a row stands; `last` holds it of the token before, all [B, 1]."""
    digit = is_digit(tokens_BT, digit_token_ids)
    after_digit = last.place_BT >= 0
    ended = after_digit & ~digit
    next_place = last.place_BT + 1
    return Places(
        jnp.where(digit, next_place, -1),
        last.ordinal_BT + ended.astype(jnp.int32),
        jnp.where(digit | after_digit, next_place, last.end_BT),
    )


@jax.custom_vjp
def table_lookup(table_HW: jax.Array, index_BTS: jax.Array) -> jax.Array:
    """table_HW[:, index] as [B, H, T, S]; 0 where the index is outside the table.

    A sum over the few entries, and its gradient a product with ones where they are: on CPU a gather is slow, a scatter
    slower, and to sum up the slopes entry by entry writes them down as often first.
    """
    table = table_HW[:, :, None, None]
    terms = [jnp.where(index_BTS[:, None] == w, table[:, w], 0.0) for w in range(table_HW.shape[1])]
    return functools.reduce(jnp.add, terms)


def _lookup_forward(table_HW: jax.Array, index_BTS: jax.Array) -> tuple[jax.Array, tuple[jax.Array, int]]:
    return table_lookup(table_HW, index_BTS), (index_BTS, table_HW.shape[1])


def _lookup_backward(kept: tuple[jax.Array, int], slope_BHTS: jax.Array) -> tuple[jax.Array, None]:
    index_BTS, width = kept

    def of_row(row: tuple[jax.Array, jax.Array]) -> jax.Array:
        slope_HTS, index_TS = row
        there_WTS = (index_TS == jnp.arange(width)[:, None, None]).astype(slope_HTS.dtype)
        return jnp.einsum("hts,wts->hw", slope_HTS, there_WTS, precision="highest")

    B, _, T, S = slope_BHTS.shape
    index_BTS = jnp.broadcast_to(index_BTS, (B, T, S))
    rows = max(1, _ONES // (T * S * width))
    by_row_BHW = jax.lax.map(of_row, (slope_BHTS, index_BTS), batch_size=min(rows, B))
    return jnp.sum(by_row_BHW, axis=0), None


table_lookup.defvjp(_lookup_forward, _lookup_backward)


def by_ordinal(table_HW: jax.Array, relations: PlaceRelations) -> jax.Array:
    """The bias [B, H, T, S] of every key by how many numbers ago it stands."""
    return table_lookup(table_HW, jnp.minimum(relations.numbers_ago_BTS, ORDINAL_WINDOW))


class PlaceValueAttention(Attention):
    """Attention by heads of five kinds, in this order, as many as the configuration says.

    `place_heads` see the digits about their own place, tokens between numbers those about the next number's first;
    `place_end_heads` the same, but tokens between numbers see those about the last number's end; `place_above_heads`
    all digits of higher places; `place_symbol_heads` all that is no digit; the others every token.
    """

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        super().__init__(config, rngs)
        window, heads = config.place_window, config.digit_heads
        # Heads look in turn at their own place and at the one beside it that a token between numbers may see.
        preferred_H = jnp.concatenate([jnp.arange(config.place_heads) % 2, -(jnp.arange(config.place_end_heads) % 2)])
        offset_W = jnp.arange(-window, window + 1)
        self.place_bias = nnx.Param(config.place_init * (offset_W == preferred_H[:, None]).astype(jnp.float32))
        if config.place_ordinal:
            # Starts turned to the other numbers: a token knows its own digit without attention.
            own_number = jnp.arange(ORDINAL_WINDOW + 1) == 0
            # Typed as what a step returns, or the second step would be compiled anew.
            bias_W = jnp.where(own_number, -config.place_init, 0.0).astype(jnp.float32)
            self.ordinal_bias = nnx.Param(jnp.tile(bias_W, (heads, 1)))
        if config.place_content_ordinal:
            # Tells the minus before a token's own number from that of the question.
            self.content_ordinal_bias = nnx.Param(jnp.zeros((config.num_heads - heads, ORDINAL_WINDOW + 1)))
        if config.place_sink:
            self.sink = nnx.Param(jnp.full((heads,), config.place_init, jnp.float32))

    def probabilities(self, scores_BHTS: jax.Array, context: Context) -> jax.Array:
        config, relations = self.config, context.relations
        assert relations is not None
        ends, above = config.place_heads, config.place_heads + config.place_end_heads
        others, content = config.digit_heads, config.num_heads - config.content_heads
        parts = []
        for heads, place_BTS in (
            (slice(0, ends), relations.relative_place_BTS),
            (slice(ends, above), relations.relative_end_BTS),
        ):
            if heads.start < heads.stop:
                seen_BTS = jnp.abs(place_BTS) <= config.place_window if config.place_hard_mask else True
                bias_BHTS = table_lookup(self.place_bias[heads], place_BTS + config.place_window)
                parts.append(self.over_digits(scores_BHTS[:, heads] + bias_BHTS, heads, seen_BTS, context))
        if above < others:
            heads, seen_BTS = slice(above, others), relations.relative_place_BTS > 0
            parts.append(self.over_digits(scores_BHTS[:, heads], heads, seen_BTS, context))
        scores = scores_BHTS[:, others:]
        if config.place_content_ordinal and others < config.num_heads:
            scores = scores + by_ordinal(self.content_ordinal_bias[...], relations)
        if others < content:
            seen_BTS = context.visible_BTS & ~relations.digit_key_BS[:, None]
            parts.append(masked_softmax(scores[:, : content - others], seen_BTS[:, None]))
        if content < config.num_heads:
            parts.append(masked_softmax(scores[:, content - others :], context.visible_BTS[:, None]))
        return jnp.concatenate(parts, axis=1)

    def over_digits(
        self, scores_BHTS: jax.Array, heads: slice, seen_BTS: jax.Array | bool, context: Context
    ) -> jax.Array:
        """What `heads` attend to among the digits that they see."""
        assert context.relations is not None
        if self.config.place_ordinal:
            scores_BHTS = scores_BHTS + by_ordinal(self.ordinal_bias[heads], context.relations)
        seen_BTS = seen_BTS & context.visible_BTS & context.relations.digit_key_BS[:, None]
        sink = self.sink[heads][:, None, None] if self.config.place_sink else -jnp.inf
        return masked_softmax(scores_BHTS, seen_BTS[:, None], sink)


class MathReasoningLayer(DecoderLayer):
    """A decoder layer that reasons over numbers of any length by place-value attention."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        super().__init__(config, PlaceValueAttention(config, rngs), rngs)
