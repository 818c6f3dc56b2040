"""Backward passes written by hand against those that JAX derives from the plain formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vishwam.model.layers import rms_norm, swiglu

pytestmark = pytest.mark.usefixtures("quickly_compiled")

EPSILON = 1e-2


def plain_norm(x, scale):
    x = x.astype(jnp.float32)
    return x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + EPSILON) * scale


def both(function, plain, *arguments):
    """Value and gradients of a weighted sum, which has a slope of its own for each number."""

    def total(function):
        def weighted(*arguments):
            y = function(*arguments).astype(jnp.float32)
            return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=jnp.float32).reshape(y.shape)))

        return jax.jit(jax.value_and_grad(weighted, argnums=tuple(range(len(arguments)))))

    return total(function)(*arguments), total(plain)(*arguments)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("bfloat16", 2e-2)])
def test_norm_and_its_gradient(dtype, tolerance):
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(3, 4, 8)), dtype)
    scale = jnp.asarray(random.normal(size=8), jnp.float32)
    ours, plain = both(lambda x, scale: rms_norm(x, scale, EPSILON), plain_norm, x, scale)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), ours, plain)
    assert [slope.dtype for slope in ours[1]] == [dtype, "float32"]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("bfloat16", 2e-2)])
def test_swiglu_and_its_gradient(dtype, tolerance):
    gate, up = jnp.linspace(-9, 9, 32, dtype=dtype).reshape(4, 8), jnp.linspace(1, 2, 32, dtype=dtype).reshape(4, 8)

    def plain(gate, up):
        gate = gate.astype(jnp.float32)
        return gate / (1 + jnp.exp(-gate)) * up

    ours, expected = both(swiglu, plain, gate, up)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), ours, expected)


def test_a_gate_far_below_zero_is_not_shut_in_bfloat16():
    gate = jnp.array([-7.0, -8.0], jnp.bfloat16)
    np.testing.assert_allclose(
        swiglu(gate, jnp.ones_like(gate)), [-7 / (1 + np.exp(7)), -8 / (1 + np.exp(8))], rtol=2e-2
    )
