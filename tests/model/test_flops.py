import dataclasses

import jax
import numpy as np
import pytest

from vishwam.model import decoder
from vishwam.model.config import DecoderConfig
from vishwam.model.flops import flops_per_token, peak_flops_per_second, text_lengths, training_flops


def test_flops_worked_by_hand():
    config = DecoderConfig(
        vocab_size=100, digit_token_ids=tuple(range(10)), num_layers=3, model_dim=8, num_heads=2, mlp_dim=16
    )
    # A layer: 4 x 8 x 8 for attention's kernels, 3 x 8 x 16 for SwiGLU's; the tied output: 8 x 100.
    assert flops_per_token(config, length=5) == 6 * (3 * (256 + 384) + 800) + 12 * 3 * 8 * 5
    # Three loops are nine layers; by lot, one to three of them are six.
    looped = dataclasses.replace(config, loops=3)
    assert flops_per_token(looped, length=5) == 6 * (9 * (256 + 384) + 800) + 12 * 9 * 8 * 5
    by_lot = dataclasses.replace(looped, loops_random=True)
    assert flops_per_token(by_lot, length=5) == 6 * (6 * (256 + 384) + 800) + 12 * 6 * 8 * 5


def test_a_text_costs_the_same_packed_padded_or_alone():
    config = DecoderConfig(vocab_size=100, position="rope")
    padded = np.array([[[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], [[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]], bool)
    assert sorted(text_lengths(padded)) == [2, 3, 5]
    packed = np.array([[1, 1, 1, 2, 2, 0], [3, 3, 3, 3, 3, 0]])
    assert sorted(text_lengths(packed)) == [2, 3, 5]
    alone = sum(n * flops_per_token(config, n) for n in (2, 3, 5))
    assert training_flops(config, text_lengths(packed)) == training_flops(config, text_lengths(padded)) == alone
    assert training_flops(config, text_lengths(packed)) < 10 * flops_per_token(config, 6)


@pytest.mark.parametrize("shape", [{}, {"num_kv_heads": 1, "head_dim": 96, "tied_embeddings": False}])
def test_flops_are_what_xla_counts(shape):
    config = DecoderConfig(
        vocab_size=256, position="rope", num_layers=1, model_dim=128, num_heads=4, mlp_dim=512, **shape
    )  # one layer: XLA counts the body of a scan once
    graphdef, params = decoder.init(config, jax.random.key(0))
    tokens_BT = np.zeros((4, 64), np.int32)
    cost = jax.jit(decoder.apply, static_argnums=0).lower(graphdef, params, tokens_BT).compile().cost_analysis()
    counted = (cost[0] if isinstance(cost, list) else cost)["flops"]
    # Forward is a third; what XLA counts besides are norms, softmax and activations.
    assert tokens_BT.size * flops_per_token(config, 64) / 3 == pytest.approx(counted, rel=0.1)


@pytest.mark.parametrize(
    "kind, bfloat16",
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-40GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("TPU v5", 459e12),
        ("TPU v5 lite", 197e12),
        ("cpu", None),
        ("NVIDIA L400", None),
    ],
)
def test_a_device_is_found_by_its_full_name(kind, bfloat16):
    assert peak_flops_per_second(kind, "bfloat16") == bfloat16


def test_float32_has_a_peak_of_its_own():
    assert peak_flops_per_second("NVIDIA H200", "float32") == pytest.approx(989e12 / 2, rel=1e-2)
    assert peak_flops_per_second("TPU v4", "float32") == peak_flops_per_second("TPU v4", "bfloat16")
