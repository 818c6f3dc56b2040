"""The training step as pure functions: parameters, optimizer state and batches in, the same and metrics out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct

from vishwam.model import decoder
from vishwam.model.config import DecoderConfig
from vishwam.training.mitigation import penalty
from vishwam.training.optimizer import Knobs, learning_rate_at, make_optimizer

# tokens_BT int32; loss_mask_BT float32: 1 where the token counts as an answer's; where rows hold several texts also
# segments_BT int32, the number of each token's text in its row, 0 for padding; what `mitigation` reads.
Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


@struct.dataclass
class TrainState:
    """All that a step changes; a pure pytree, which is what a checkpoint holds."""

    step: jax.Array  # int32, steps taken so far
    params: decoder.Params
    averages: decoder.Params  # exponential moving average of the parameters, the ones to evaluate
    optimizer_state: Any


def init_state(params: decoder.Params) -> TrainState:
    """The state before the first step. `params` are donated by the first call of `train_steps`."""
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        averages=jax.tree.map(jnp.copy, params),
        optimizer_state=make_optimizer(0, Knobs()).init(params),
    )


def _targets(batch: Batch) -> tuple[jax.Array, jax.Array]:
    """The token to be predicted at each place, and whether it counts, both [B, T - 1]."""
    mask_BT, segments_BT = batch["loss_mask_BT"][:, 1:], batch.get("segments_BT")
    if segments_BT is not None:
        # No text's first token is foretold by the text before it.
        mask_BT = mask_BT * (segments_BT[:, 1:] == segments_BT[:, :-1])
    return batch["tokens_BT"][:, 1:], mask_BT


def _losses(model: decoder.Decoder, x_ND: jax.Array, target_N: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy and logarithm of the softmax's divisor, both [N] in nats."""
    logits_NV = model.logits(x_ND)
    # A one-hot product instead of a gather, whose gradient would be a slow scatter on CPU.
    target_NV = jax.nn.one_hot(target_N, logits_NV.shape[-1], dtype=logits_NV.dtype)
    divisor_N = jax.nn.logsumexp(logits_NV, axis=-1)
    return divisor_N - jnp.sum(logits_NV * target_NV, axis=-1), divisor_N


def _all_losses(
    graphdef: nnx.GraphDef, params: decoder.Params, batch: Batch, drawn: decoder.Drawn = decoder.EVALUATED
) -> tuple[jax.Array, jax.Array]:
    """`_losses` of every predicted token of a batch, [B, T - 1]; with `loss_chunk`, the logits of only so many tokens
    are ever held, forward or backward.
    """
    segments_BT = batch.get("segments_BT")
    model: decoder.Decoder = nnx.merge(graphdef, params)
    segments_BT = None if segments_BT is None else segments_BT[:, :-1]
    x_BTD = model.hidden(batch["tokens_BT"][:, :-1], segments_BT, drawn)
    target_BT, _ = _targets(batch)
    x_ND, target_N = x_BTD.reshape(-1, x_BTD.shape[-1]), target_BT.reshape(-1)
    N, chunk = target_N.size, model.config.loss_chunk
    if 0 < chunk < N:
        filling = -N % chunk
        x = jnp.pad(x_ND, ((0, filling), (0, 0))).reshape(-1, chunk, x_ND.shape[-1])
        targets = jnp.pad(target_N, (0, filling)).reshape(-1, chunk)
        one = jax.checkpoint(lambda inputs: _losses(model, *inputs), prevent_cse=False)
        found = jax.tree.map(lambda leaf: leaf.reshape(-1)[:N], jax.lax.map(one, (x, targets)))
    else:
        found = _losses(model, x_ND, target_N)
    loss_BT, divisor_BT = (leaf.reshape(target_BT.shape) for leaf in found)
    return loss_BT, divisor_BT


def token_losses(graphdef: nnx.GraphDef, params: decoder.Params, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy (nats) and mask of each predicted token, both [B, T - 1]."""
    return _all_losses(graphdef, params, batch)[0], _targets(batch)[1]


def draw(config: DecoderConfig, step: jax.Array) -> decoder.Drawn:
    """By how much `step` shifts places that are embedded, 0 to `abacus_offset`, and how often it goes through the
    layers; both uniform.
    """
    key = jax.random.fold_in(jax.random.key(0), step)
    drawn = decoder.EVALUATED
    if config.position == "abacus":
        drawn = drawn._replace(offset=jax.random.randint(key, (), 0, config.abacus_offset + 1))
    if config.loops_random:
        drawn = drawn._replace(loops=jax.random.randint(jax.random.fold_in(key, 1), (), 1, config.loops + 1))
    return drawn


def train_step(graphdef: nnx.GraphDef, state: TrainState, batch: Batch, knobs: Knobs) -> tuple[TrainState, Metrics]:
    """One step of AdamW on the mean loss over the tokens of answers.

    With `micro_batches`, which divide the rows, gradients are summed up over equal parts of the batch, one after
    another: the same step in less memory. Metrics are device scalars: loss (nats a token), gradient_norm (before
    clipping), learning_rate, tokens (that were predicted) and finite, which is False when loss or gradient is not a
    number: the trial has diverged.
    """
    tokens = jnp.sum(_targets(batch)[1])
    drawn = draw(nnx.merge(graphdef, state.params).config, state.step)

    def objective(params: decoder.Params, part: Batch) -> tuple[jax.Array, jax.Array]:
        loss_BT, divisor_BT = _all_losses(graphdef, params, part, drawn)
        weight_BT = _targets(part)[1] / jnp.maximum(tokens, 1.0)
        loss = jnp.sum(loss_BT * weight_BT)
        loss_and_more = loss + knobs.z_loss * jnp.sum(jnp.square(divisor_BT) * weight_BT)
        return loss_and_more + penalty(nnx.merge(graphdef, params), part, knobs, tokens), loss

    slope = jax.grad(objective, has_aux=True)
    micro_batches = nnx.merge(graphdef, state.params).config.micro_batches
    if micro_batches == 1:
        gradients, loss = slope(state.params, batch)
    else:
        parts = jax.tree.map(lambda leaf: leaf.reshape(micro_batches, -1, *leaf.shape[1:]), batch)
        nothing = (jax.tree.map(jnp.zeros_like, state.params), jnp.zeros(()))
        gradients, loss = jax.lax.scan(
            lambda sums, part: (jax.tree.map(jnp.add, sums, slope(state.params, part)), None), nothing, parts
        )[0]
    gradient_norm = optax.tree.norm(gradients)
    optimizer = make_optimizer(state.step, knobs)
    updates, optimizer_state = optimizer.update(gradients, state.optimizer_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # Young averages forget faster, or the random start would linger in them.
    decay = jnp.minimum(knobs.average_decay, (state.step + 1) / (state.step + 10))
    averages = jax.tree.map(lambda old, new: decay * old + (1.0 - decay) * new, state.averages, params)
    metrics = {
        "loss": loss,
        "gradient_norm": gradient_norm,
        "learning_rate": learning_rate_at(state.step, knobs),
        "tokens": tokens,
        "finite": jnp.isfinite(loss) & jnp.isfinite(gradient_norm),
    }
    return TrainState(state.step + 1, params, averages, optimizer_state), metrics


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def train_steps(graphdef: nnx.GraphDef, state: TrainState, batches: Batch, knobs: Knobs) -> tuple[TrainState, Metrics]:
    """As many steps as `batches` are stacked on a leading axis, in one dispatch; metrics are stacked likewise.

    `state` is donated. The program depends on shapes alone: not on a knob, not on the step.
    """
    return jax.lax.scan(lambda state, batch: train_step(graphdef, state, batch, knobs), state, batches)


@functools.partial(jax.jit, static_argnums=0)
def evaluation_step(graphdef: nnx.GraphDef, params: decoder.Params, batch: Batch) -> Metrics:
    """Summed loss over the tokens of answers and their number; divide the totals of all batches for the mean."""
    loss_BT, mask_BT = token_losses(graphdef, params, batch)
    return {"loss_sum": jnp.sum(loss_BT * mask_BT), "tokens": jnp.sum(mask_BT)}
