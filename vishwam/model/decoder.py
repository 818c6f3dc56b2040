"""The decoder: embedding, stacked layers, output; split once into a graph definition and a pure tree of arrays."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from vishwam.model.attention import Attention, Cache, Context, KeysValues, has_cudnn
from vishwam.model.config import DecoderConfig
from vishwam.model.layers import DecoderLayer, Dense, RMSNorm
from vishwam.model.math_reasoning import MathReasoningLayer, Places, is_digit, places_of, relate
from vishwam.model.rope import rotation

Params = dict[str, Any]  # nested dictionaries of arrays; those under "layers" carry a leading axis L


class Drawn(NamedTuple):
    """What a step of training draws by lot; by default what holds everywhere else."""

    offset: jax.Array | int = 0  # added to the place of every digit where it is embedded
    loops: jax.Array | None = None  # times through the layers; None is all of them


EVALUATED = Drawn()


class Decoder(nnx.Module):
    """A causal language model over tokens, with RMSNorm before each sublayer."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs):
        if config.knows_places and len(config.digit_token_ids) != 10:
            raise ValueError(f"position {config.position!r} needs a tokeniser whose ten digits are single tokens")
        if config.attention == "cudnn" and not has_cudnn():
            raise ValueError("attention 'cudnn' needs an NVIDIA GPU, Ampere or later; 'auto' uses it where it is")

        @nnx.vmap(in_axes=0, out_axes=0)
        def stacked(key_L: jax.Array) -> DecoderLayer:
            rngs = nnx.Rngs(params=key_L)
            if config.position == "place":
                return MathReasoningLayer(config, rngs)
            return DecoderLayer(config, Attention(config, rngs), rngs)

        scale = config.model_dim**-0.5
        shape = (config.vocab_size, config.model_dim)
        self.embedding = nnx.Param(jax.random.normal(rngs.params(), shape) * scale)
        if config.position == "abacus":
            shape = (1 + config.abacus_places, config.model_dim)
            self.abacus_embedding = nnx.Param(jax.random.normal(rngs.params(), shape) * scale)
        self.layers = stacked(jax.random.split(rngs.params(), config.num_layers))
        self.final_norm = RMSNorm(config.model_dim, config.norm_epsilon)
        if not config.tied_embeddings:
            self.output = Dense(config.model_dim, config.vocab_size, rngs)
        self.config = config

    def embed(self, tokens_BT: jax.Array, place_BT: jax.Array, offset: jax.Array | int = 0) -> jax.Array:
        """`place_BT` is that of `Places`; `offset` as in `Drawn`."""
        x_BTD = self.embedding[...][tokens_BT]
        if self.config.position == "abacus":
            # Abacus embeddings (McLeish et al. 2024); all that is no digit shares the first.
            index_BT = jnp.minimum(place_BT + 1 + offset, self.config.abacus_places)
            x_BTD += self.abacus_embedding[...][jnp.where(place_BT < 0, 0, index_BT)]
        if self.config.scaled_embeddings:
            x_BTD *= self.config.model_dim**0.5
        return x_BTD.astype(self.config.compute_dtype)

    def logits(self, x_BTD: jax.Array) -> jax.Array:
        """Float32 logits [..., V] from the last layer's output [..., D]."""
        x_BTD = self.final_norm(x_BTD)
        kernel_DV = self.embedding[...].T if self.config.tied_embeddings else self.output.kernel[...]
        flat = x_BTD.reshape(-1, x_BTD.shape[-1])
        logits = jnp.matmul(flat, kernel_DV.astype(x_BTD.dtype), preferred_element_type=jnp.float32)
        return logits.reshape(*x_BTD.shape[:-1], -1)

    def context(self, tokens_BT: jax.Array, segments_BT: jax.Array | None = None) -> tuple[Context, Places]:
        """Of whole texts that start at their row's first column, padding may only follow them; or of several texts a
        row, each a run of one number in `segments_BT`, that know nothing of each other.
        """
        index_T = jnp.arange(tokens_BT.shape[1])
        positions_BT = index_T[None]
        visible_BTS = (index_T[:, None] >= index_T)[None]
        begins_BT = None
        if segments_BT is not None:
            begins_BT = jnp.pad(segments_BT[:, 1:] != segments_BT[:, :-1], ((0, 0), (1, 0)), constant_values=True)
            positions_BT = index_T - jax.lax.cummax(jnp.where(begins_BT, index_T, 0), axis=1)
            visible_BTS = visible_BTS & (segments_BT[:, :, None] == segments_BT[:, None, :])
        places = places_of(tokens_BT, self.config.digit_token_ids, begins_BT)
        digit_BT = is_digit(tokens_BT, self.config.digit_token_ids)
        context = self.relate(positions_BT, visible_BTS, places, places, digit_BT)
        return context._replace(causal=segments_BT is None), places

    def relate(
        self,
        positions_BT: jax.Array,
        visible_BTS: jax.Array,
        queries: Places,
        keys: Places,
        digit_key_BS: jax.Array,
    ) -> Context:
        """The context of queries at T against keys at S."""
        turned = rotation(self.config, positions_BT) if self.config.rotary_heads else None
        by_place = self.config.position == "place"
        return Context(turned, visible_BTS, relate(queries, keys, digit_key_BS) if by_place else None)

    def run_layers(self, x_BTD: jax.Array, context: Context, loops: jax.Array | None = None) -> jax.Array:
        """All layers over whole texts, `loops` times."""
        graphdef, stacked = nnx.split(self.layers)

        def one(x_BTD: jax.Array, layer: Any) -> tuple[jax.Array, None]:
            return nnx.merge(graphdef, layer)(x_BTD, context)[0], None

        if self.config.remat != "none":
            kept = jax.checkpoint_policies
            policy = kept.dots_with_no_batch_dims_saveable if self.config.remat == "products" else kept.nothing_saveable
            one = jax.checkpoint(one, policy=policy, prevent_cse=False)  # a scan needs no guard against merging

        def once(x_BTD: jax.Array) -> jax.Array:
            if self.config.scanned:
                return jax.lax.scan(one, x_BTD, stacked)[0]
            for layer in self.each_layer():
                x_BTD, _ = layer(x_BTD, context)
            return x_BTD

        embedded_BTD = x_BTD
        x_BTD = once(x_BTD)
        for loop in range(1, self.config.loops):
            if loops is None:
                x_BTD = once(x_BTD + embedded_BTD)
            else:  # Loops that are not wanted are not computed, either.
                x_BTD = jax.lax.cond(loop < loops, lambda x: once(x + embedded_BTD), lambda x: x, x_BTD)
        return x_BTD

    def each_layer(self) -> list[DecoderLayer]:
        """The layers, one by one; to be had before a loop over tokens, which would copy them out at every token."""
        graphdef, stacked = nnx.split(self.layers)
        return [
            nnx.merge(graphdef, jax.tree.map(lambda leaf, number=number: leaf[number], stacked))
            for number in range(self.config.num_layers)
        ]

    def run_layers_cached(
        self,
        layers: Sequence[DecoderLayer],
        x_BTD: jax.Array,
        context: Context,
        caches: list[KeysValues] | None,
        slot: jax.Array,
    ) -> tuple[jax.Array, list[KeysValues]]:
        """All of `each_layer` and loops, with the keys and values of each; the first call, over the prompts, is given
        none.
        """
        kept: list[KeysValues] = []
        embedded_BTD = x_BTD
        for run in range(self.config.depth):
            loop, number = divmod(run, self.config.num_layers)
            if loop and not number:
                x_BTD = x_BTD + embedded_BTD
            cache = None if caches is None else Cache(caches[run], slot)
            x_BTD, keys_values = layers[number](x_BTD, context, cache)
            kept.append(keys_values)
        return x_BTD, kept

    def hidden(self, tokens_BT: jax.Array, segments_BT: jax.Array | None = None, drawn: Drawn = EVALUATED) -> jax.Array:
        """The last layer's output [B, T, D], from which `logits` tells the next token."""
        context, places = self.context(tokens_BT, segments_BT)
        return self.run_layers(self.embed(tokens_BT, places.place_BT, drawn.offset), context, drawn.loops)

    def __call__(self, tokens_BT: jax.Array, segments_BT: jax.Array | None = None) -> jax.Array:
        return self.logits(self.hidden(tokens_BT, segments_BT))


def init(config: DecoderConfig, key: jax.Array) -> tuple[nnx.GraphDef, Params]:
    """A fresh decoder as its graph definition (hashable, static under jit) and its parameters (float32)."""
    graphdef, state = nnx.split(Decoder(config, nnx.Rngs(params=key)))
    return graphdef, nnx.to_pure_dict(state)


def graph(config: DecoderConfig) -> nnx.GraphDef:
    """The graph definition alone, for parameters that come from elsewhere; nothing is computed."""
    found = []

    def build(key: jax.Array) -> Params:
        graphdef, params = init(config, key)
        found.append(graphdef)
        return params

    jax.eval_shape(build, jax.eval_shape(lambda: jax.random.key(0)))
    return found[0]


def as_computed(graphdef: nnx.GraphDef, params: Params) -> Params:
    """The same with kernels of the type that products are computed in, for who goes over them token by token: they are
    what is read most.
    """
    dtype = nnx.merge(graphdef, params).config.compute_dtype
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf.astype(dtype) if path[-1] == jax.tree_util.DictKey("kernel") else leaf, params
    )


def apply(
    graphdef: nnx.GraphDef, params: Params, tokens_BT: jax.Array, segments_BT: jax.Array | None = None
) -> jax.Array:
    """Logits [B, T, V] in float32; those at t depend on the tokens up to t alone, and only on those of the same text
    where `segments_BT` (int32) tells the texts of a row apart.
    """
    return nnx.merge(graphdef, params)(tokens_BT, segments_BT)
