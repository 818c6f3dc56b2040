"""The same weights in transformers on PyTorch: its logits, and what its `generate` says."""

import numpy as np
import pytest

from tests.model.test_pretrained import CONFIGS, TOKENS, apply, make
from vishwam.decoding.greedy import greedy_decode
from vishwam.model import decoder, pretrained

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install .[peers]")
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 5000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 32}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0}
THEIRS = {
    "llama": (LlamaForCausalLM, LlamaConfig, {}),
    "llama, tied, biases": (
        LlamaForCausalLM,
        LlamaConfig,
        {"tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True, "head_dim": 10},
    ),
    "llama 3.1": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LLAMA3}),
    "linear": (LlamaForCausalLM, LlamaConfig, {"rope_parameters": LINEAR}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen2, tied, yarn": (Qwen2ForCausalLM, Qwen2Config, {"tie_word_embeddings": True, "rope_parameters": YARN}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 16}),
    "qwen3, tied, biases": (
        Qwen3ForCausalLM,
        Qwen3Config,
        {"head_dim": 8, "tie_word_embeddings": True, "attention_bias": True},
    ),
}


def logits_of(model):
    with torch.no_grad():
        return model(torch.tensor(TOKENS, dtype=torch.int64)).logits.numpy()


@pytest.fixture(params=THEIRS)
def theirs(request):
    """A model of theirs whose every parameter is random: no bias of zero, no norm of one."""
    kind, configuration, fields = THEIRS[request.param]
    torch.manual_seed(0)
    model = kind(configuration(**SHAPE, **fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def test_theirs_read_by_us(theirs, tmp_path):
    """Logits, from one file and from shards, and decoding of prompts of several lengths."""
    expected = logits_of(theirs)
    assert expected.std() > 0.5
    for folder, size in ((tmp_path / "one", "5GB"), (tmp_path / "shards", "6KB")):
        theirs.save_pretrained(folder, max_shard_size=size)
        config, params = pretrained.load(folder)
        graphdef = decoder.graph(config)
        np.testing.assert_allclose(apply(graphdef, params, TOKENS), expected, atol=1e-4)
    assert len(list(folder.glob("*.safetensors"))) > 2

    lengths = np.array([7, 12, 3])
    left = np.zeros((3, 12), np.int64)  # their prompts stand on the right
    for row, length in enumerate(lengths):
        left[row, 12 - length :] = TOKENS[row, :length]
    said = theirs.generate(
        torch.tensor(left), attention_mask=torch.tensor(left > 0), max_new_tokens=20, do_sample=False
    ).numpy()[:, 12:]
    ours = greedy_decode(graphdef, params, TOKENS[:, :12], lengths, 20, 1)
    assert len(set(said.ravel())) > 4
    np.testing.assert_array_equal(ours[:, : said.shape[1]], said)


@pytest.mark.parametrize("name", CONFIGS)
def test_ours_read_by_them(name, tmp_path):
    graphdef, params = make(CONFIGS[name])
    pretrained.save(tmp_path, CONFIGS[name], params, eos_id=2, shard_bytes=9000)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    np.testing.assert_allclose(logits_of(model), apply(graphdef, params, TOKENS), atol=1e-4)
