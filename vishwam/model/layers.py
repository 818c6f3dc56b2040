"""The parts of a decoder layer that do not depend on how it attends."""

import functools
import itertools

import jax
import jax.numpy as jnp
from flax import nnx

from vishwam.model.config import DecoderConfig


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def rms_norm(x: jax.Array, scale: jax.Array, epsilon: float) -> jax.Array:
    """Root mean square normalisation over the last axis (Zhang and Sennrich 2019), computed in float32; keeps its
    arguments and one number a row for the backward pass.
    """
    return _norm_forward(x, scale, epsilon)[0]


def _norm_forward(x: jax.Array, scale: jax.Array, epsilon: float) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    x32 = x.astype(jnp.float32)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(x32), axis=-1, keepdims=True) + epsilon)
    return (x32 * inverse * scale).astype(x.dtype), (x, scale, inverse)


def _norm_backward(epsilon: float, kept: tuple[jax.Array, ...], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, scale, inverse = kept
    normal, slope = x.astype(jnp.float32) * inverse, slope.astype(jnp.float32)
    by_scale = jnp.sum(slope * normal, axis=tuple(range(x.ndim - 1)))
    by_normal = slope * scale
    along = jnp.mean(by_normal * normal, axis=-1, keepdims=True)
    return ((by_normal - normal * along) * inverse).astype(x.dtype), by_scale.astype(scale.dtype)


rms_norm.defvjp(_norm_forward, _norm_backward)


class RMSNorm(nnx.Module):
    """`rms_norm` by a scale of its own, which starts at 1."""

    def __init__(self, width: int, epsilon: float):
        self.scale = nnx.Param(jnp.ones((width,)))
        self.epsilon = epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        return rms_norm(x, self.scale[...], self.epsilon)


class Dense(nnx.Module):
    """A matrix product, without bias unless asked for; the kernel starts normal with variance scale^2 / width_in."""

    def __init__(self, width_in: int, width_out: int, rngs: nnx.Rngs, scale: float = 1.0, bias: bool = False):
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (width_in, width_out)) * scale * width_in**-0.5)
        if bias:
            self.bias = nnx.Param(jnp.zeros((width_out,)))
        self.biased = bias

    def __call__(self, x: jax.Array) -> jax.Array:
        # One large 2-D product is measurably faster than a batched one on CPU.
        flat = x.reshape(-1, x.shape[-1]) @ self.kernel[...].astype(x.dtype)
        if self.biased:
            flat += self.bias[...].astype(x.dtype)
        return flat.reshape(*x.shape[:-1], flat.shape[-1])


def together(config: DecoderConfig, x_BTD: jax.Array, *parts: Dense) -> list[jax.Array]:
    """Each part of the same input. One product for all, and one for its gradient, takes 3% off a small model's step on
    CPU.

    Kernels are not laid side by side for single tokens, which would cost as much as to read them, nor in a loop over
    layers, which would keep them so for the gradient.
    """
    if x_BTD.shape[1] == 1 or config.scanned:
        return [part(x_BTD) for part in parts]
    kernel = jnp.concatenate([part.kernel[...] for part in parts], axis=1).astype(x_BTD.dtype)
    flat = x_BTD.reshape(-1, x_BTD.shape[-1]) @ kernel
    if parts[0].biased:
        flat += jnp.concatenate([part.bias[...] for part in parts]).astype(x_BTD.dtype)
    ends = list(itertools.accumulate(part.kernel.shape[1] for part in parts))
    return [y.reshape(*x_BTD.shape[:-1], -1) for y in jnp.split(flat, ends[:-1], axis=1)]


@jax.custom_vjp
def swiglu(gate: jax.Array, up: jax.Array) -> jax.Array:
    """silu(gate) * up; keeps its two arguments alone for the backward pass."""
    return jax.nn.silu(gate) * up


def _swiglu_forward(gate: jax.Array, up: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return swiglu(gate, up), (gate, up)


def _swiglu_backward(kept: tuple[jax.Array, jax.Array], slope: jax.Array) -> tuple[jax.Array, jax.Array]:
    gate, up = kept
    share = jax.nn.sigmoid(gate)
    return slope * up * share * (1 + gate * (1 - share)), slope * gate * share


swiglu.defvjp(_swiglu_forward, _swiglu_backward)


class Mlp(nnx.Module):
    """Feed-forward sublayer: SwiGLU (Shazeer 2020) or GELU."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        width, hidden, bias = config.model_dim, config.mlp_dim, config.mlp_bias
        if config.activation == "swiglu":
            self.gate = Dense(width, hidden, rngs, bias=bias)
        self.up = Dense(width, hidden, rngs, bias=bias)
        self.down = Dense(hidden, width, rngs, scale=(2 * config.depth) ** -0.5, bias=bias)
        self.gated = config.activation == "swiglu"

    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        if self.gated:
            return self.down(swiglu(self.gate(x_BTD), self.up(x_BTD)))
        return self.down(jax.nn.gelu(self.up(x_BTD)))


class DecoderLayer(nnx.Module):
    """Pre-normalised attention and feed-forward, each added to the stream."""

    def __init__(self, config: DecoderConfig, attention: nnx.Module, rngs: nnx.Rngs):
        self.attention_norm = RMSNorm(config.model_dim, config.norm_epsilon)
        self.attention = attention
        self.mlp_norm = RMSNorm(config.model_dim, config.norm_epsilon)
        self.mlp = Mlp(config, rngs)

    def __call__(self, x_BTD, context, cache=None):
        """The layer's output, and the keys and values it attended to; see `Attention`."""
        attended_BTD, keys_values = self.attention(self.attention_norm(x_BTD), context, cache)
        x_BTD = x_BTD + attended_BTD
        return x_BTD + self.mlp(self.mlp_norm(x_BTD)), keys_values
