"""How likely a model holds a text to be, given what stands before it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data_pipelines.tokenizer import MathTokenizer
from vishwam.decoding.greedy import bucket
from vishwam.model import decoder

BATCH = 128
# Scores of attention, rows times width squared, that a head makes at once: long texts come fewer at a time.
_SCORES = 1 << 25


@dataclass(frozen=True)
class Likelihood:
    """Of one continuation: its log-likelihood (nats, all its tokens together), how many tokens it has, and whether it
    is what greedy decoding would have said.
    """

    total: float
    tokens: int
    greedy: bool


def of_texts(
    tokenizer: MathTokenizer,
    graphdef: nnx.GraphDef,
    params: Any,
    pairs: Sequence[tuple[str, str]],
    check: Callable[[], None] = lambda: None,
    longest: int | None = None,
) -> list[Likelihood]:
    """The likelihood of each (context, continuation), tokenised apart; before an empty context stands the end token, as
    a text that has just ended.

    longest: tokens of a text that the model is shown at most, the last ones.
    """
    contexts = tokenizer.encode_batch([context for context, _ in pairs])
    continuations = tokenizer.encode_batch([continuation for _, continuation in pairs])
    return of_tokens(
        graphdef,
        params,
        [
            (context.tolist() or [tokenizer.eos_id], continuation.tolist())
            for context, continuation in zip(contexts, continuations, strict=True)
        ],
        tokenizer.pad_id,
        check,
        longest,
    )


def of_tokens(
    graphdef: nnx.GraphDef,
    params: Any,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    pad_id: int,
    check: Callable[[], None] = lambda: None,
    longest: int | None = None,
) -> list[Likelihood]:
    """The likelihood of each continuation; contexts are not empty."""
    texts = []
    for context, continuation in pairs:
        whole = [*context, *continuation]
        # The token before the first that counts must be seen.
        cut = max(0, min(len(whole) - longest, len(context) - 1)) if longest else 0
        texts.append((whole[cut:], len(context) - cut))
    found: list[Likelihood | None] = [None] * len(texts)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i][0]))
    start = 0
    while start < len(order):
        check()
        most = rows_at(max(len(texts[i][0]) for i in order[start : start + BATCH]))
        rows = order[start : start + most]
        start += most
        # Few shapes, each of which is a program.
        height = most if len(order) > most else bucket(len(rows), smallest=8)
        width = bucket(max(len(texts[i][0]) for i in rows), smallest=64)
        tokens_BT = np.full((height, width), pad_id, np.int32)
        mask_BT = np.zeros((height, width), np.bool_)
        for row, i in enumerate(rows):
            text, begins = texts[i]
            tokens_BT[row, : len(text)] = text
            mask_BT[row, begins : len(text)] = True
        total_B, greedy_B = jax.device_get(_score(graphdef, params, *jax.device_put((tokens_BT, mask_BT))))
        for row, i in enumerate(rows):
            found[i] = Likelihood(float(total_B[row]), len(texts[i][0]) - texts[i][1], bool(greedy_B[row]))
    return [likelihood for likelihood in found if likelihood is not None]


def rows_at(width: int) -> int:
    """How many texts of `width` tokens are looked at together."""
    rows = BATCH
    while rows > 1 and rows * width**2 > _SCORES:
        rows //= 2
    return rows


@functools.partial(jax.jit, static_argnums=0)
def _score(
    graphdef: nnx.GraphDef, params: Any, tokens_BT: jax.Array, mask_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
    logits_BTV = decoder.apply(graphdef, params, tokens_BT[:, :-1])
    targets_BT, counts_BT = tokens_BT[:, 1:], mask_BT[:, 1:]
    log_p_BT = jnp.take_along_axis(jax.nn.log_softmax(logits_BTV), targets_BT[..., None], axis=-1)[..., 0]
    right_BT = jnp.argmax(logits_BTV, axis=-1) == targets_BT
    return jnp.sum(jnp.where(counts_BT, log_p_BT, 0.0), axis=1), jnp.all(right_BT | ~counts_BT, axis=1)
