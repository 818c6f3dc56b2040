"""How likely a model holds a text to be, given what stands before it."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from data_pipelines.tokenizer import MathTokenizer
from vishwam.decoding.greedy import bucket
from vishwam.model import decoder
from vishwam.model.programs import call, of_shapes

BATCH = 128
# Scores of attention, rows times width squared, that a head makes at once: long texts come fewer at a time.
_SCORES = 1 << 25


@dataclass(frozen=True)
class Likelihood:
    """Of one continuation: its log-likelihood (nats, all its tokens together), how many tokens it has, whether it is
    what greedy decoding would have said, and whether its context was cut.
    """

    total: float
    tokens: int
    greedy: bool
    cut: bool


def of_texts(
    tokenizer: MathTokenizer,
    graphdef: nnx.GraphDef,
    params: Any,
    pairs: Sequence[tuple[str, str]],
    check: Callable[[], None] = lambda: None,
    longest: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Likelihood]:
    """The likelihood of each (context, continuation), tokenised apart; before an empty context stands the end token, as
    a text that has just ended.

    longest: tokens of a text that the model is shown at most, the last ones; progress: told after every batch what
    share of all tokens has been read.
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
        progress,
    )


def of_tokens(
    graphdef: nnx.GraphDef,
    params: Any,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    pad_id: int,
    check: Callable[[], None] = lambda: None,
    longest: int | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> list[Likelihood]:
    """The likelihood of each continuation; contexts are not empty.

    Texts that are the same up to their last token, as the choices A to D after a question are, are read once. Where
    `params` are shapes, nothing is read: the programs are compiled.
    """
    found = [Likelihood(0.0, 0, True, False)] * len(pairs)
    # What is read, and how much of it is context: the places in `pairs` that it is for.
    readings: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for i, (context, continuation) in enumerate(pairs):
        if not continuation:
            continue
        text = (*context, *continuation)
        # The token before the first that counts must be seen.
        cut = max(0, min(len(text) - longest, len(context) - 1)) if longest else 0
        found[i] = Likelihood(0.0, len(continuation), True, cut > 0)
        readings.setdefault((text[cut:-1], len(context) - cut), []).append(i)
    order = sorted(readings.items(), key=lambda reading: len(reading[0][0]))
    choices = bucket(max(map(len, readings.values()), default=1), smallest=1)
    start, read, whole = 0, 0, sum(len(text) for (text, _), _ in order)
    while start < len(order):
        check()
        most = rows_at(max(len(text) for (text, _), _ in order[start : start + BATCH]))
        rows = order[start : start + most]
        start += most
        # Few shapes, each of which is a program.
        height = most if len(order) > most else min(most, bucket(len(rows), smallest=8))
        width = bucket(max(len(text) for (text, _), _ in rows), smallest=64)
        tokens_BT = np.full((height, width), pad_id, np.int32)
        mask_BT = np.zeros((height, width), np.bool_)
        last_B = np.zeros(height, np.int32)
        ends_BK = np.zeros((height, choices), np.int32)
        for row, ((text, begins), places) in enumerate(rows):
            tokens_BT[row, : len(text)] = text
            mask_BT[row, begins : len(text)] = True
            last_B[row] = len(text) - 1
            ends_BK[row, : len(places)] = [pairs[i][1][-1] for i in places]
        inputs = jax.device_put((tokens_BT, mask_BT, last_B, ends_BK))
        scores = call(_score, graphdef, params, *inputs)
        if of_shapes(scores):
            continue
        total_BK, greedy_BK = jax.device_get(scores)
        for row, (_, places) in enumerate(rows):
            for choice, i in enumerate(places):
                total, greedy = float(total_BK[row, choice]), bool(greedy_BK[row, choice])
                found[i] = replace(found[i], total=total, greedy=greedy)
        read += sum(len(text) for (text, _), _ in rows)
        progress(read / whole)
    return found


def rows_at(width: int) -> int:
    """How many texts of `width` tokens are looked at together."""
    rows = BATCH
    while rows > 1 and rows * width**2 > _SCORES:
        rows //= 2
    return rows


@functools.partial(jax.jit, static_argnums=0)
def _score(
    graphdef: nnx.GraphDef,
    params: Any,
    tokens_BT: jax.Array,
    mask_BT: jax.Array,
    last_B: jax.Array,
    ends_BK: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Of the tokens under the mask and then, after the token at `last_B`, each of K ends: [B, K], log-likelihood and
    whether it is greedy.
    """
    logits_BTV = decoder.apply(graphdef, params, tokens_BT)
    log_p_BTV, said_BT = jax.nn.log_softmax(logits_BTV), jnp.argmax(logits_BTV, axis=-1)
    targets_BT, counts_BT = tokens_BT[:, 1:], mask_BT[:, 1:]
    log_p_BT = jnp.take_along_axis(log_p_BTV[:, :-1], targets_BT[..., None], axis=-1)[..., 0]
    inner_B = jnp.sum(jnp.where(counts_BT, log_p_BT, 0.0), axis=1)
    right_B = jnp.all((said_BT[:, :-1] == targets_BT) | ~counts_BT, axis=1)
    rows_B = jnp.arange(len(last_B))
    end_BK = log_p_BTV[rows_B[:, None], last_B[:, None], ends_BK]
    return inner_B[:, None] + end_BK, right_B[:, None] & (said_BT[rows_B, last_B][:, None] == ends_BK)
