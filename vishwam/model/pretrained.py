"""Weights of others: decoders of the Llama, Qwen2 and Qwen3 families, read from a folder that Hugging Face's
transformers wrote (`config.json` and safetensors, in one file or in shards), and written so that it loads them.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vishwam.errors import BadInput
from vishwam.model.config import DecoderConfig
from vishwam.model.decoder import Params

# What transformers takes for granted where a config.json of theirs is silent, so far as it differs between families.
FAMILIES: dict[str, dict[str, Any]] = {
    "LlamaForCausalLM": {"model_type": "llama"},
    "Qwen2ForCausalLM": {"model_type": "qwen2", "num_key_value_heads": 32},
    "Qwen3ForCausalLM": {"model_type": "qwen3", "num_key_value_heads": 32, "head_dim": 128},
}
ROPE_TYPES = {"default": "none", "linear": "linear", "llama3": "llama3", "yarn": "yarn"}
# Fields of theirs for the stretching of rope, and ours.
ROPE_FIELDS = {
    "factor": "rope_factor",
    "original_max_position_embeddings": "rope_original_length",
    "low_freq_factor": "rope_low_frequency",
    "high_freq_factor": "rope_high_frequency",
    "beta_fast": "rope_beta_fast",
    "beta_slow": "rope_beta_slow",
    "attention_factor": "rope_attention_factor",
}
ROPE_USES = {
    "none": (),
    "linear": ("factor",),
    "llama3": ("factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor"),
    "yarn": ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor"),
}


def load(folder: str | Path) -> tuple[DecoderConfig, Params]:
    """The decoder in `folder`, as its configuration and its parameters (float32 NumPy arrays, layers stacked).

    With `decoder.graph(config)` they are what `decoder.apply` takes.

    Raises:
        BadInput: the folder holds no decoder of these families; which file, what in it, the nearest that would do.
    """
    folder = Path(folder)
    config = read_config(folder / "config.json")
    tensors = _Tensors(folder)
    params: Params = {}
    for path, names, transposed in _layout(config):
        shape = _shapes(config)[path]
        stacked = np.empty(shape, np.float32)
        for index, name in enumerate(names):
            part = stacked[index] if path[0] == "layers" else stacked
            tensor = tensors.read(name, part.shape[::-1] if transposed else part.shape)
            part[...] = tensor.T if transposed else tensor
        _put(params, path, stacked)
    return config, params


# Fields that weights do not decide: how they are computed with, and what only the tokeniser knows.
_FREE = {"vocab_size", "pad_id", "digit_token_ids"} | {
    *("compute_dtype", "attention", "remat", "micro_batches", "loss_chunk"),
}


def insist(folder: str | Path, config: DecoderConfig) -> None:
    """Reads no weights.

    Raises:
        BadInput: the decoder in `folder` is another than `config`; with what it has where they differ.
    """
    file = Path(folder) / "config.json"
    theirs = read_config(file)
    unused = set(ROPE_FIELDS.values()) - {ROPE_FIELDS[name] for name in ROPE_USES[theirs.rope_scaling]}
    names = [field.name for field in dataclasses.fields(config) if not field.name.startswith("place_")]
    names = [name for name in names if name not in _FREE and name not in unused]
    resolved = {"num_kv_heads": "kv_heads", "head_dim": "head_width"}  # 0 stands for what another field says
    there, here = ({name: getattr(one, resolved.get(name, name)) for name in names} for one in (theirs, config))
    differing = [f"{name} = {value!r} (here {here[name]!r})" for name, value in there.items() if value != here[name]]
    if differing:
        raise BadInput(f"{file}: the model there has {', '.join(differing)}; set DecoderConfig to the same")
    if theirs.vocab_size < config.vocab_size:
        raise BadInput(
            f"{file}: vocab_size is {theirs.vocab_size}, but the tokeniser has {config.vocab_size} tokens; take "
            "the one that lies beside the weights"
        )


def start(folder: str | Path, config: DecoderConfig) -> Params:
    """The weights in `folder` for training `config` from there; rows of the vocabulary that its tokeniser does not
    have, which many models are padded with, are left out.

    Raises:
        BadInput: as `insist` and `load` do.
    """
    insist(folder, config)
    _, params = load(folder)
    params["embedding"] = params["embedding"][: config.vocab_size]
    if not config.tied_embeddings:
        params["output"]["kernel"] = params["output"]["kernel"][:, : config.vocab_size]
    return params


def save(
    folder: str | Path,
    config: DecoderConfig,
    params: Params,
    *,
    eos_id: int | None = None,
    dtype: str = "float32",
    shard_bytes: int = 5 * 10**9,
) -> None:
    """Writes `config.json` and the weights (`dtype` float32 or bfloat16) in shards of at most `shard_bytes`.

    Embeddings that are scaled in the model are written scaled, which changes no logit.

    Raises:
        BadInput: no family of transformers has these ingredients.
    """
    folder = Path(folder)
    described = write_config(config, eos_id, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n")
    kind = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}[dtype]
    shards: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for path, names, transposed in _layout(config):
        leaf = _get(params, path)
        for index, name in enumerate(names):
            array = np.asarray(leaf[index] if path[0] == "layers" else leaf, np.float32)
            if config.scaled_embeddings and path == ("embedding",):
                array = array * config.model_dim**0.5
            if config.scaled_embeddings and config.tied_embeddings and path == ("final_norm", "scale"):
                array = array / config.model_dim**0.5
            array = np.ascontiguousarray(array.T if transposed else array, dtype=kind)
            if shards[-1] and size + array.nbytes > shard_bytes:
                shards.append({})
                size = 0
            shards[-1][name] = array
            size += array.nbytes
    if len(shards) == 1:
        save_file(shards[0], folder / "model.safetensors", {"format": "pt"})
        return
    where: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file, {"format": "pt"})
        where |= dict.fromkeys(shard, file)
    total = sum(array.nbytes for shard in shards for array in shard.values())
    weights = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(weights, indent=2) + "\n")


def read_config(file: Path) -> DecoderConfig:
    """What a `config.json` of transformers describes.

    Raises:
        BadInput: it is missing or broken, or describes something else.
    """
    theirs = _read_json(file)
    architecture = next(iter(theirs.get("architectures") or ()), None)
    if architecture is None:
        kinds = {family["model_type"]: name for name, family in FAMILIES.items()}
        architecture = kinds.get(theirs.get("model_type", ""), theirs.get("model_type"))
    if architecture not in FAMILIES:
        near = difflib.get_close_matches(str(architecture), FAMILIES, n=1, cutoff=0)[0]
        raise BadInput(f"{file}: no architecture {architecture!r} here; the nearest is {near} ({', '.join(FAMILIES)})")
    # What is null there is as good as not there, but not the family's default.
    theirs = {name: value for name, value in (FAMILIES[architecture] | theirs).items() if value is not None}
    if theirs.get("hidden_act", "silu") != "silu":
        raise BadInput(f"{file}: hidden_act is {theirs['hidden_act']!r}; only 'silu' is supported")
    if theirs.get("use_sliding_window"):
        raise BadInput(f"{file}: use_sliding_window is true; only attention to the whole text is supported")
    qwen2, biased = architecture == "Qwen2ForCausalLM", bool(theirs.get("attention_bias", False))
    padding = theirs.get("pad_token_id", 0)
    try:
        return DecoderConfig(
            vocab_size=theirs["vocab_size"],
            pad_id=padding if 0 <= padding < theirs["vocab_size"] else 0,
            num_layers=theirs["num_hidden_layers"],
            model_dim=theirs["hidden_size"],
            num_heads=theirs["num_attention_heads"],
            num_kv_heads=theirs.get("num_key_value_heads", theirs["num_attention_heads"]),
            head_dim=theirs.get("head_dim", 0),
            mlp_dim=theirs["intermediate_size"],
            norm_epsilon=theirs.get("rms_norm_eps", 1e-6),
            qk_norm=architecture == "Qwen3ForCausalLM",
            qkv_bias=qwen2 or biased,
            out_bias=biased and not qwen2,
            mlp_bias=bool(theirs.get("mlp_bias", False)) and architecture == "LlamaForCausalLM",
            tied_embeddings=theirs.get("tie_word_embeddings", False),
            scaled_embeddings=False,
            position="rope",
            **_rope(theirs, file),
        )
    except KeyError as error:
        raise BadInput(f"{file}: {error.args[0]} is missing") from None
    except (TypeError, ValueError) as error:
        raise BadInput(f"{file}: {error}") from None


def write_config(config: DecoderConfig, eos_id: int | None, dtype: str) -> dict[str, Any]:
    """The `config.json` of the family that has the ingredients of `config`; BadInput when none has."""
    if config.position != "rope":
        raise BadInput(f"position {config.position!r} is in no family that transformers loads; 'rope' is")
    if config.activation != "swiglu":
        raise BadInput(f"activation {config.activation!r} is in no family that transformers loads; 'swiglu' is")
    if config.loops > 1:
        raise BadInput(f"loops {config.loops} is in no family that transformers loads; 1 is")
    if config.qk_norm:
        architecture, fits = "Qwen3ForCausalLM", config.qkv_bias == config.out_bias and not config.mlp_bias
    elif config.qkv_bias == config.out_bias:
        architecture, fits = "LlamaForCausalLM", True
    else:
        architecture, fits = "Qwen2ForCausalLM", config.qkv_bias and not config.mlp_bias
    if not fits:
        biases = ", ".join(name for name in ("qk_norm", "qkv_bias", "out_bias", "mlp_bias") if getattr(config, name))
        raise BadInput(f"no family that transformers loads has just {biases}; the nearest is {architecture}")
    scaling = config.rope_scaling
    longest = config.rope_original_length * (1.0 if scaling == "none" else config.rope_factor)
    described = {
        "architectures": [architecture],
        "model_type": FAMILIES[architecture]["model_type"],
        "dtype": dtype,
        "vocab_size": config.vocab_size,
        "hidden_size": config.model_dim,
        "intermediate_size": config.mlp_dim,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_epsilon,
        "tie_word_embeddings": config.tied_embeddings,
        "max_position_embeddings": math.ceil(longest),
        "attention_bias": config.qkv_bias and config.out_bias,
        "mlp_bias": config.mlp_bias,
        "rope_theta": config.rope_theta,
        "pad_token_id": config.pad_id,
        "bos_token_id": None,
        "eos_token_id": eos_id,
    }
    if scaling != "none":
        values = {name: getattr(config, ROPE_FIELDS[name]) for name in ROPE_USES[scaling]}
        kept = {name: value for name, value in values.items() if name != "attention_factor" or value}
        described["rope_scaling"] = {"rope_type": scaling, **kept}
    return described


def _rope(theirs: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Our fields named `rope_*`; transformers 5 writes them together, earlier ones apart."""
    found = dict(theirs.get("rope_parameters") or theirs.get("rope_scaling") or {})
    kind = found.get("rope_type", found.get("type", "default"))
    if kind not in ROPE_TYPES:
        near = difflib.get_close_matches(str(kind), ROPE_TYPES, n=1, cutoff=0)[0]
        raise BadInput(f"{file}: no rope_type {kind!r} here; the nearest is {near!r} ({', '.join(ROPE_TYPES)})")
    if found.get("partial_rotary_factor", 1.0) != 1.0 or found.get("mscale") or not found.get("truncate", True):
        raise BadInput(f"{file}: rope with partial_rotary_factor, mscale or truncate is not supported")
    scaling = ROPE_TYPES[kind]
    longest = theirs.get("max_position_embeddings", 8192)
    if scaling == "linear":
        longest = round(longest / found.get("factor", 1.0))
    found.setdefault("original_max_position_embeddings", longest)
    ours = {ROPE_FIELDS[name]: found[name] for name in ROPE_USES[scaling] if found.get(name) is not None}
    ours.setdefault("rope_original_length", found["original_max_position_embeddings"])
    theta = found.get("rope_theta", theirs.get("rope_theta", 10_000.0))
    return {"rope_theta": float(theta), "rope_scaling": scaling, **ours}


# Their name of each of a layer's parameters, and whether it is stored transposed.
_LAYER = {
    ("attention_norm", "scale"): "input_layernorm.weight",
    ("attention", "query_norm", "scale"): "self_attn.q_norm.weight",
    ("attention", "key_norm", "scale"): "self_attn.k_norm.weight",
    ("mlp_norm", "scale"): "post_attention_layernorm.weight",
} | {
    (*place, part): f"{name}.{'weight' if part == 'kernel' else 'bias'}"
    for place, name in {
        ("attention", "query"): "self_attn.q_proj",
        ("attention", "key"): "self_attn.k_proj",
        ("attention", "value"): "self_attn.v_proj",
        ("attention", "out"): "self_attn.o_proj",
        ("mlp", "gate"): "mlp.gate_proj",
        ("mlp", "up"): "mlp.up_proj",
        ("mlp", "down"): "mlp.down_proj",
    }.items()
    for part in ("kernel", "bias")
}
_OTHERS = {
    ("embedding",): "model.embed_tokens.weight",
    ("final_norm", "scale"): "model.norm.weight",
    ("output", "kernel"): "lm_head.weight",
}


def _shapes(config: DecoderConfig) -> dict[tuple[str, ...], tuple[int, ...]]:
    from vishwam.model import decoder

    tree = jax.eval_shape(lambda key: decoder.init(config, key)[1], jax.eval_shape(lambda: jax.random.key(0)))
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {tuple(entry.key for entry in path): leaf.shape for path, leaf in leaves}


def _layout(config: DecoderConfig) -> Iterator[tuple[tuple[str, ...], list[str], bool]]:
    """Path of each of our parameters, the names of the tensors it is made of, and whether those are transposed."""
    for path in _shapes(config):
        if path[0] == "layers":
            names = [f"model.layers.{number}.{_LAYER[path[1:]]}" for number in range(config.num_layers)]
        else:
            names = [_OTHERS[path]]
        yield path, names, path[-1] == "kernel"


def _get(tree: Params, path: tuple[str, ...]) -> Any:
    for name in path:
        tree = tree[name]
    return tree


def _put(tree: Params, path: tuple[str, ...], leaf: np.ndarray) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = leaf


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise BadInput(f"{file}: no JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadInput(f"{file}: not an object of JSON")
    return found


class _Tensors:
    """The tensors of a folder, by name, from one file or from shards."""

    def __init__(self, folder: Path):
        index = folder / "model.safetensors.index.json"
        self.whole = folder / "model.safetensors"
        self.files: dict[str, str] | None = None
        if not self.whole.exists() and index.exists():
            self.files = _read_json(index).get("weight_map")
            if not isinstance(self.files, dict):
                raise BadInput(f"{index}: weight_map is missing")
        elif not self.whole.exists():
            raise BadInput(f"{self.whole}: there is no such file, nor {index.name}; weights must be safetensors")
        self.open: dict[Path, Any] = {}

    def read(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        file = self.whole
        if self.files is not None:
            if name not in self.files:
                raise BadInput(f"{file}.index.json: no tensor {name}")
            # Nothing but a file of the folder itself, whatever the index says.
            file = self.whole.parent / Path(self.files[name]).name
        try:
            if file not in self.open:
                self.open[file] = safe_open(file, framework="np")
            tensor = self.open[file].get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{file}: {name}: {str(error).splitlines()[0]}") from None
        if tensor.shape != shape:
            raise BadInput(f"{file}: {name} has the shape {list(tensor.shape)}; config.json makes it {list(shape)}")
        return tensor
