"""AdamW under warm-up and cosine, with every scalar knob a traced argument: other values compile nothing."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Knobs:
    """Scalars of a training run. They are arguments of the compiled step, never constants in it."""

    learning_rate: float = 6e-3  # the peak, reached after warm-up
    steps: int = 1500  # length of the schedule, after which the rate is 0
    warmup_steps: int = 100
    decay: float = 1.0  # share of the steps after warm-up over which the rate falls to 0, the last ones; 0: it stays
    weight_decay: float = 0.01  # on matrices and embeddings alone
    gradient_clip: float = 1.0  # global norm
    beta1: float = 0.9
    beta2: float = 0.98
    z_loss: float = 0.0  # weight of the squared logarithm of the softmax's divisor (Chowdhery et al. 2022: 1e-4)
    pairing: float = 0.0  # weight of the difference that a group's name makes (`mitigation.logit_pairing`)
    unlikelihood: float = 0.0  # weight against saying again what was said (`mitigation.token_unlikelihood`)
    sequence_unlikelihood: float = 0.0  # the same in what the model writes itself
    average_decay: float = 0.99  # of the weights that are evaluated; 0 evaluates the last ones

    def on_device(self) -> "Knobs":
        """The same knobs as float32 device scalars, so that nothing is transferred at a step."""
        return jax.device_put(jax.tree.map(np.float32, self))


def learning_rate_at(step: jax.Array, knobs: Knobs) -> jax.Array:
    """Linear warm-up to the peak, then over the last of the steps a cosine to 0 at `knobs.steps`; `step` counts from 0.

    Optax's schedules want their lengths as Python numbers; these lines take traced ones.
    """
    warmup = jnp.minimum(1.0, (step + 1) / jnp.maximum(1.0, knobs.warmup_steps))
    falling = knobs.decay * (knobs.steps - knobs.warmup_steps)
    progress = (step - (knobs.steps - falling)) / jnp.maximum(1.0, falling)
    return knobs.learning_rate * warmup * 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(progress, 0.0, 1.0)))


def decays(params: Any) -> Any:
    """True for the leaves that weight decay shrinks: matrices and embeddings, not norms, biases or tables of them."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key in ("kernel", "embedding", "abacus_embedding"), params
    )


def make_optimizer(step: jax.Array | int, knobs: Knobs) -> optax.GradientTransformation:
    """AdamW (Loshchilov and Hutter 2019) at `step`; its state has the same structure at every step."""
    return optax.chain(
        optax.clip_by_global_norm(knobs.gradient_clip),
        optax.scale_by_adam(knobs.beta1, knobs.beta2),
        optax.add_decayed_weights(knobs.weight_decay, decays),
        optax.scale_by_learning_rate(learning_rate_at(jnp.asarray(step), knobs)),
    )
