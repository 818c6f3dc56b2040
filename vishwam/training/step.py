"""The training step as pure functions: parameters, optimizer state and batches in, the same and metrics out."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct

from vishwam.model import decoder
from vishwam.training.optimizer import Knobs, learning_rate_at, make_optimizer

# tokens_BT int32; loss_mask_BT float32: 1 where the token counts as an answer's; where rows hold several texts also
# segments_BT int32, the number of each token's text in its row, 0 for padding.
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


def token_losses(graphdef: nnx.GraphDef, params: decoder.Params, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy (nats) and mask of each predicted token, both [B, T - 1]."""
    tokens_BT, mask_BT, segments_BT = batch["tokens_BT"], batch["loss_mask_BT"][:, 1:], batch.get("segments_BT")
    if segments_BT is not None:
        # No text's first token is foretold by the text before it.
        mask_BT *= segments_BT[:, 1:] == segments_BT[:, :-1]
        segments_BT = segments_BT[:, :-1]
    logits_BTV = decoder.apply(graphdef, params, tokens_BT[:, :-1], segments_BT)
    # A one-hot product instead of a gather, whose gradient would be a slow scatter on CPU.
    target_BTV = jax.nn.one_hot(tokens_BT[:, 1:], logits_BTV.shape[-1], dtype=logits_BTV.dtype)
    chosen_BT = jnp.sum(logits_BTV * target_BTV, axis=-1)
    return jax.nn.logsumexp(logits_BTV, axis=-1) - chosen_BT, mask_BT


def train_step(graphdef: nnx.GraphDef, state: TrainState, batch: Batch, knobs: Knobs) -> tuple[TrainState, Metrics]:
    """One step of AdamW on the mean loss over the tokens of answers.

    Metrics are device scalars: loss (nats a token), gradient_norm (before clipping), learning_rate, tokens (that were
    predicted) and finite, which is False when loss or gradient is not a number: the trial has diverged.
    """

    def objective(params: decoder.Params) -> tuple[jax.Array, jax.Array]:
        loss_BT, mask_BT = token_losses(graphdef, params, batch)
        tokens = jnp.sum(mask_BT)
        return jnp.sum(loss_BT * mask_BT) / jnp.maximum(tokens, 1.0), tokens

    (loss, tokens), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
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
