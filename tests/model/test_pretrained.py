import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.model.test_decoder import SMALL
from tests.model.test_decoder import make as make_afresh
from vishwam.errors import BadInput
from vishwam.model import decoder, pretrained
from vishwam.model.config import DecoderConfig

pytestmark = pytest.mark.usefixtures("quickly_compiled")

LLAMA = DecoderConfig(
    vocab_size=40,
    pad_id=1,
    model_dim=24,
    num_heads=4,
    num_kv_heads=2,
    mlp_dim=20,
    norm_epsilon=1e-5,
    position="rope",
    scaled_embeddings=False,
)
CONFIGS = {
    "llama": LLAMA,
    "llama, untied, wide heads, biases": dataclasses.replace(
        LLAMA, tied_embeddings=False, head_dim=10, qkv_bias=True, out_bias=True, mlp_bias=True
    ),
    "llama 3.1": dataclasses.replace(
        LLAMA, rope_scaling="llama3", rope_factor=8.0, rope_original_length=16, rope_theta=5000.0
    ),
    "linear": dataclasses.replace(LLAMA, rope_scaling="linear", rope_factor=3.0),
    "yarn": dataclasses.replace(LLAMA, rope_scaling="yarn", rope_factor=4.0, rope_original_length=32),
    "qwen2": dataclasses.replace(LLAMA, qkv_bias=True),
    "qwen3": dataclasses.replace(LLAMA, qk_norm=True, head_dim=16, tied_embeddings=False),
    "qwen3, biases": dataclasses.replace(LLAMA, qk_norm=True, qkv_bias=True, out_bias=True),
}
TOKENS = np.random.default_rng(0).integers(2, 40, (3, 24)).astype(np.int32)

make = functools.cache(make_afresh)
apply = jax.jit(decoder.apply, static_argnums=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_written_is_read_back_the_same(name, tmp_path):
    graphdef, params = make(CONFIGS[name])
    pretrained.save(tmp_path, CONFIGS[name], params)
    config, found = pretrained.load(tmp_path)
    assert config == dataclasses.replace(CONFIGS[name], head_dim=CONFIGS[name].head_width)
    assert decoder.graph(CONFIGS[name]) == graphdef
    jax.tree.map(np.testing.assert_array_equal, found, jax.device_get(params))


@pytest.mark.parametrize("tied", [True, False])
def test_scaled_embeddings_are_written_so_that_no_logit_changes(tied, tmp_path):
    ours = dataclasses.replace(LLAMA, scaled_embeddings=True, tied_embeddings=tied)
    graphdef, params = make(ours)
    pretrained.save(tmp_path, ours, params)
    config, found = pretrained.load(tmp_path)
    assert not config.scaled_embeddings
    expected, logits = apply(graphdef, params, TOKENS), apply(decoder.graph(config), found, TOKENS)
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_shards_hold_what_one_file_holds(tmp_path):
    _, params = make(LLAMA)
    pretrained.save(tmp_path / "one", LLAMA, params)
    pretrained.save(tmp_path / "many", LLAMA, params, shard_bytes=6000)
    shards = sorted((tmp_path / "many").glob("*.safetensors"))
    assert len(shards) > 3
    assert all(sum(array.nbytes for array in load_file(shard).values()) <= 6000 for shard in shards)
    one, many = (pretrained.load(tmp_path / name)[1] for name in ("one", "many"))
    jax.tree.map(np.testing.assert_array_equal, one, many)


def test_bfloat16_weights_are_read_as_float32(tmp_path):
    _, params = make(LLAMA)
    pretrained.save(tmp_path, LLAMA, params, dtype="bfloat16")
    _, found = pretrained.load(tmp_path)
    kernel = found["layers"]["mlp"]["up"]["kernel"]
    assert kernel.dtype == np.float32
    expected = np.asarray(params["layers"]["mlp"]["up"]["kernel"])
    np.testing.assert_allclose(kernel, expected, rtol=2**-8)
    assert not np.array_equal(kernel, expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "nearest is LlamaForCausalLM"),
        ({"architectures": ["Qwen3MoeForCausalLM"]}, "nearest is Qwen3ForCausalLM"),
        ({"architectures": None, "model_type": "gpt2"}, "no architecture 'gpt2'"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "no rope_type 'longrope'"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 2.0, "mscale": 1.0}}, "mscale"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"use_sliding_window": True}, "use_sliding_window"),
        ({"num_key_value_heads": 3}, "num_kv_heads 3"),
        ({"hidden_size": None}, "hidden_size is missing"),
        ({"intermediate_size": 21}, r"mlp.down_proj.weight has the shape \[24, 20\]; config.json makes it \[24, 21\]"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(change, said, tmp_path):
    pretrained.save(tmp_path, LLAMA, make(LLAMA)[1])
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(BadInput, match=said) as caught:
        pretrained.load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"config\.json: No such file"):
        pretrained.load(tmp_path)
    pretrained.save(tmp_path, LLAMA, make(LLAMA)[1])
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: array for name, array in tensors.items() if name != "model.norm.weight"}, weights)
    with pytest.raises(BadInput, match=r"model\.norm\.weight"):
        pretrained.load(tmp_path)
    weights.write_bytes(b"no weights at all")
    with pytest.raises(BadInput, match=r"model\.safetensors"):
        pretrained.load(tmp_path)
    weights.unlink()
    with pytest.raises(BadInput, match="must be safetensors"):
        pretrained.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (SMALL, "position 'place'"),
        (dataclasses.replace(LLAMA, activation="gelu"), "activation 'gelu'"),
        (dataclasses.replace(LLAMA, loops=2), "loops 2"),
        (dataclasses.replace(LLAMA, out_bias=True), "out_bias"),
        (dataclasses.replace(LLAMA, qk_norm=True, mlp_bias=True), "qk_norm, mlp_bias"),
    ],
)
def test_what_transformers_does_not_have_is_not_written(config, said, tmp_path):
    with pytest.raises(BadInput, match=said):
        pretrained.save(tmp_path, config, make(config)[1])
    assert not list(tmp_path.iterdir())


def test_a_trial_starts_from_weights_of_its_shape_without_the_rows_its_tokeniser_lacks(tmp_path):
    for name, config in CONFIGS.items():
        graphdef, params = make(config)
        pretrained.save(tmp_path / name, config, params)
        here = dataclasses.replace(config, vocab_size=33, compute_dtype="bfloat16", remat="all", place_heads=1)
        started = pretrained.start(tmp_path / name, here)
        tokens = TOKENS % 33
        of_start = apply(decoder.graph(dataclasses.replace(config, vocab_size=33)), started, tokens)
        np.testing.assert_allclose(of_start, apply(graphdef, params, tokens)[..., :33], atol=1e-5)


def test_weights_of_another_shape_are_refused_with_what_they_have(tmp_path):
    pretrained.save(tmp_path, LLAMA, make(LLAMA)[1])
    other = dataclasses.replace(LLAMA, num_layers=5, num_kv_heads=0, rope_factor=3.0)
    with pytest.raises(BadInput) as refused:
        pretrained.start(tmp_path, other)
    assert str(refused.value) == (
        f"{tmp_path / 'config.json'}: the model there has num_layers = 2 (here 5), num_kv_heads = 2 (here 4); "
        "set DecoderConfig to the same"
    )
    with pytest.raises(BadInput, match="vocab_size is 40, but the tokeniser has 41 tokens"):
        pretrained.insist(tmp_path, dataclasses.replace(LLAMA, vocab_size=41))
    with pytest.raises(BadInput, match=r"nowhere/config.json: No such file"):
        pretrained.insist(tmp_path / "nowhere", LLAMA)
