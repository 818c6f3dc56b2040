from vishwam.model.config import DecoderConfig
from vishwam.model.flops import flops_per_token


def test_flops_worked_by_hand():
    config = DecoderConfig(
        vocab_size=100, digit_token_ids=tuple(range(10)), num_layers=3, model_dim=8, num_heads=2, mlp_dim=16
    )
    # A layer: 4 x 8 x 8 for attention's kernels, 3 x 8 x 16 for SwiGLU's; the tied output: 8 x 100.
    assert flops_per_token(config, length=5) == 6 * (3 * (256 + 384) + 800) + 12 * 3 * 8 * 5
