"""What training a decoder costs in arithmetic, which is what `train/mfu` compares with the device's peak."""

from vishwam.model.config import DecoderConfig


def flops_per_token(config: DecoderConfig, length: int) -> float:
    """Floating-point operations of training on one token of a text of `length` tokens, forward and backward.

    Counted as in PaLM (Chowdhery et al. 2022, appendix B): 6 for each parameter of a matrix product, the tied output
    included, and 12 L D T for the products of attention, masked or not.
    """
    mlp_matrices = 3 if config.activation == "swiglu" else 2
    per_layer = config.model_dim * (4 * config.model_dim + mlp_matrices * config.mlp_dim)
    products = config.num_layers * per_layer + config.model_dim * config.vocab_size
    return 6.0 * products + 12.0 * config.num_layers * config.model_dim * length
