"""Against repetition while decoding: what was said before is made less likely, or a phrase is not said twice.

Off unless asked for, and never on for maths: a sum may need the same digit again and again.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Repetition:
    """penalty: what the logit of each token of the text so far, the prompt with it, is divided by where it is positive
    and multiplied by where it is negative (Keskar et al. 2019, as Hugging Face has it); 1 is off. ngram: no run of so
    many tokens comes twice (Paulus et al. 2018); 0 is off.
    """

    penalty: float = 1.0
    ngram: int = 0

    def __post_init__(self) -> None:
        if not self.penalty > 0:
            raise ValueError(f"repetition_penalty must be above 0, not {self.penalty}")
        if self.ngram < 0:
            raise ValueError(f"no_repeat_ngram must be at least 0, not {self.ngram}")


def adjusted(logits_BV: jax.Array, history_BS: jax.Array, count_B: jax.Array, rules: Repetition) -> jax.Array:
    """The logits of the next token after the first `count_B` tokens of each row of `history_BS`: first the penalty,
    then the blocking.
    """
    if rules.penalty != 1.0:
        seen_BV = _any_of(history_BS, jnp.arange(history_BS.shape[1]) < count_B[:, None], logits_BV.shape[1])
        lowered_BV = jnp.where(logits_BV < 0, logits_BV * rules.penalty, logits_BV / rules.penalty)
        logits_BV = jnp.where(seen_BV, lowered_BV, logits_BV)
    if rules.ngram:
        logits_BV = jnp.where(_repeated(history_BS, count_B, rules.ngram, logits_BV.shape[1]), -jnp.inf, logits_BV)
    return logits_BV


def history(tokens_BS: jax.Array, length_B: jax.Array, columns: jax.Array | int) -> jax.Array:
    """The tokens of each row without the empty slots between its prompt and the answers, which begin at `columns`."""
    place_S = jnp.arange(tokens_BS.shape[1])
    slot_BS = jnp.where(place_S < length_B[:, None], place_S, place_S - length_B[:, None] + columns)
    return jnp.take_along_axis(tokens_BS, jnp.minimum(slot_BS, place_S[-1]), axis=1)


def _repeated(history_BS: jax.Array, count_B: jax.Array, n: int, vocabulary: int) -> jax.Array:
    """The tokens [B, V] that would end a run of n that was there before."""
    place_S = jnp.arange(history_BS.shape[1])
    follows_BS = (place_S >= n - 1) & (place_S < count_B[:, None])
    for back in range(1, n):
        last_B1 = jnp.take_along_axis(history_BS, jnp.maximum(count_B[:, None] - back, 0), axis=1)
        follows_BS &= jnp.roll(history_BS, back, axis=1) == last_B1
    # With fewer tokens than a run has before its end, nothing can be repeated.
    return _any_of(history_BS, follows_BS & (count_B[:, None] >= n), vocabulary)


def _any_of(tokens_BS: jax.Array, wanted_BS: jax.Array, vocabulary: int) -> jax.Array:
    """Which tokens of the vocabulary stand at a wanted place, [B, V]."""
    rows_B1 = jnp.arange(tokens_BS.shape[0])[:, None]
    return jnp.zeros((tokens_BS.shape[0], vocabulary), jnp.bool_).at[rows_B1, tokens_BS].max(wanted_BS)
