"""What training a decoder costs in arithmetic, which is what `train/mfu` compares with the device's peak."""

import numpy as np

from vishwam.model.config import DecoderConfig

# Dense peaks of a chip in FLOP/s by the beginning of JAX's `device_kind`: in bfloat16, and in what a float32 matrix
# product is by default (https://docs.jax.dev/en/latest/201/precision.html): TF32 on NVIDIA's, bfloat16 passes on TPUs.
# Sources: nvidia.com/en-us/data-center/{h200,h100,a100,l40s,l4} and its data sheets, whose figures "with sparsity" are
# twice the dense ones; cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e}.
PEAKS = {
    "NVIDIA H200": (989e12, 495e12),
    "NVIDIA GH200": (989e12, 495e12),
    "NVIDIA H100": (989e12, 495e12),
    "NVIDIA H100 NVL": (835e12, 418e12),
    "NVIDIA H100 PCIe": (756e12, 378e12),
    "NVIDIA A100": (312e12, 156e12),
    "NVIDIA L40S": (362e12, 183e12),
    "NVIDIA L4": (121e12, 60e12),
    "TPU v4": (275e12, 275e12),
    "TPU v5 lite": (197e12, 197e12),  # v5e
    "TPU v5": (459e12, 459e12),  # v5p
    "TPU v6 lite": (918e12, 918e12),  # v6e
}


def peak_flops_per_second(device_kind: str, compute_dtype: str) -> float | None:
    """What `train/mfu` is a fraction of, for a model that computes in that type; None for an unknown device."""
    # "NVIDIA L4" begins "NVIDIA L40S", too: the longest name is the right one.
    known = max((name for name in PEAKS if f"{device_kind} ".startswith((f"{name} ", f"{name}-"))), key=len, default="")
    return PEAKS[known][compute_dtype == "float32"] if known else None


def flops_per_token(config: DecoderConfig, length: int) -> float:
    """Floating-point operations of training on one token of a text of `length` tokens, forward and backward.

    Counted as in PaLM (Chowdhery et al. 2022, appendix B): 6 for each parameter of a matrix product, the output's
    included, and 12 L H K T for the products of attention, masked or not. What is computed again backwards counts once;
    of loops by lot, as many as there are on average.
    """
    mlp_matrices = 3 if config.activation == "swiglu" else 2
    heads_width = config.num_heads * config.head_width
    attention = 2 * heads_width + 2 * config.kv_heads * config.head_width
    per_layer = config.model_dim * (attention + mlp_matrices * config.mlp_dim)
    layers = config.num_layers * ((1 + config.loops) / 2 if config.loops_random else config.loops)
    products = layers * per_layer + config.model_dim * config.vocab_size
    return 6.0 * products + 12.0 * layers * heads_width * length


def training_flops(config: DecoderConfig, length_N: np.ndarray) -> float:
    """The same of whole texts of these lengths, wherever they stand: in rows of their own or packed into one.

    Padding is no text, so that computing on it lowers `train/mfu`; nor does a text that is packed attend to its row.
    """
    length_N = length_N.astype(np.float64)
    by_length = flops_per_token(config, 1) - flops_per_token(config, 0)
    return float(np.sum(length_N * (flops_per_token(config, 0) + by_length * length_N)))


def text_lengths(filled: np.ndarray) -> np.ndarray:
    """Tokens of every text in rows [..., T] of their texts' numbers, or of whether a token is of the row's one text;
    0 is padding.
    """
    rows = filled.reshape(-1, filled.shape[-1]).astype(np.int64)
    apart = rows + np.arange(len(rows))[:, None] * (rows.max(initial=0) + 1)
    counts = np.bincount(apart[rows > 0])
    return counts[counts > 0]
