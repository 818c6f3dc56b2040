import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vishwam.model import decoder
from vishwam.model.config import DecoderConfig

pytestmark = pytest.mark.usefixtures("quickly_compiled")

DIGITS = tuple(range(3, 13))
SMALL = DecoderConfig(
    vocab_size=20, digit_token_ids=DIGITS, num_layers=2, model_dim=24, num_heads=4, mlp_dim=20, place_window=1
)
VARIANTS = {
    "place": SMALL,
    "rope": dataclasses.replace(SMALL, position="rope"),
    "none": dataclasses.replace(SMALL, position="none"),
    # Runs of digits longer than the places that have an embedding.
    "abacus": dataclasses.replace(SMALL, position="abacus", abacus_places=3, abacus_offset=2),
    "gelu": dataclasses.replace(SMALL, position="rope", activation="gelu"),
    "all heads by place": dataclasses.replace(SMALL, place_heads=4),
    "place beside rope": dataclasses.replace(SMALL, place_rope=True),
    "soft mask": dataclasses.replace(SMALL, place_hard_mask=False),
    "ends of numbers": dataclasses.replace(SMALL, place_heads=1, place_end_heads=2),
    "all that goes by numbers": dataclasses.replace(
        SMALL,
        num_heads=6,
        place_heads=1,
        place_end_heads=1,
        place_above_heads=1,
        place_symbol_heads=1,
        place_content_ordinal=True,
        place_rope=True,
    ),
    "no ordinal": dataclasses.replace(SMALL, place_ordinal=False),
    "no sink": dataclasses.replace(SMALL, place_sink=False),
    "shared keys": dataclasses.replace(SMALL, position="rope", num_kv_heads=2, qk_norm=True, norm_epsilon=1e-2),
    "place with shared keys": dataclasses.replace(SMALL, num_kv_heads=2, place_rope=True, scaled_embeddings=False),
    "one head of keys, wide": dataclasses.replace(SMALL, position="none", num_kv_heads=1, head_dim=10),
    "biases": dataclasses.replace(SMALL, qkv_bias=True, out_bias=True, mlp_bias=True, tied_embeddings=False),
    "three loops": dataclasses.replace(SMALL, loops=3, loops_random=True),
    "slower turns": dataclasses.replace(SMALL, position="rope", rope_scaling="linear", rope_factor=4.0),
}


def make(config, seed=0):
    """A decoder whose every parameter is random, so that none hides behind the zero or one it starts as."""
    graphdef, params = decoder.init(config, jax.random.key(seed))
    random = np.random.default_rng(seed)
    return graphdef, jax.tree.map(lambda leaf: leaf + 0.3 * random.normal(size=leaf.shape).astype(np.float32), params)


apply = jax.jit(decoder.apply, static_argnums=0)


def some_tokens(rows=3, length=14, seed=0):
    """Mostly digits, in runs of several lengths."""
    random = np.random.default_rng(seed)
    return np.where(random.random((rows, length)) < 0.7, random.integers(3, 13, (rows, length)), 15).astype(np.int32)


class NumPyDecoder:
    """The decoder written again in float64, one query and one head at a time."""

    def __init__(self, config, params):
        self.config, self.params = config, jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)

    def logits(self, tokens):
        x = self.params["embedding"][tokens]
        if self.config.position == "abacus":
            place, _ = self.places(tokens)
            x = x + self.params["abacus_embedding"][[min(p + 1, self.config.abacus_places) for p in place]]
        if self.config.scaled_embeddings:
            x = x * np.sqrt(self.config.model_dim)
        embedded = x
        for run in range(self.config.num_layers * self.config.loops):
            number = run % self.config.num_layers
            if run and not number:
                x = x + embedded
            layer = jax.tree.map(lambda leaf, number=number: leaf[number], self.params["layers"])
            x = x + self.attention(layer["attention"], self.norm(layer["attention_norm"], x), tokens)
            x = x + self.mlp(layer["mlp"], self.norm(layer["mlp_norm"], x))
        x = self.norm(self.params["final_norm"], x)
        return x @ self.params["embedding"].T if self.config.tied_embeddings else self.dense(self.params["output"], x)

    @staticmethod
    def dense(part, x):
        return x @ part["kernel"] + part.get("bias", 0.0)

    def norm(self, part, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + self.config.norm_epsilon) * part["scale"]

    def mlp(self, part, x):
        up = self.dense(part["up"], x)
        if self.config.activation == "gelu":
            return self.dense(part["down"], 0.5 * up * (1 + np.tanh(np.sqrt(2 / np.pi) * (up + 0.044715 * up**3))))
        gate = self.dense(part["gate"], x)
        return self.dense(part["down"], gate / (1 + np.exp(-gate)) * up)

    def attention(self, part, x, tokens):
        config, width = self.config, self.config.head_width
        q, k, v = (self.dense(part[name], x) for name in ("query", "key", "value"))
        out = np.zeros_like(q)
        for head in range(config.num_heads):
            own = slice(head * width, (head + 1) * width)
            shared = head * (config.num_kv_heads or config.num_heads) // config.num_heads
            theirs = slice(shared * width, (shared + 1) * width)
            queries, keys = q[:, own], k[:, theirs]
            if config.qk_norm:
                queries, keys = self.norm(part["query_norm"], queries), self.norm(part["key_norm"], keys)
            for t in range(len(tokens)):
                out[t, own] = self.attend(part, head, t, queries, keys, v[:, theirs], tokens)
        return self.dense(part["out"], out)

    def attend(self, part, head, t, q, k, v, tokens):
        config = self.config
        above = config.place_heads + config.place_end_heads
        symbols = above + config.place_above_heads
        by_place = config.position == "place" and head < symbols
        by_symbol = config.position == "place" and symbols <= head < symbols + config.place_symbol_heads
        place, ordinal = self.places(tokens)
        stands = place[t]
        if head >= config.place_heads and place[t] < 0:
            # Above the highest digit of the number before.
            digits = [s for s in range(t) if place[s] >= 0]
            stands = place[digits[-1]] + 1 if digits else 0
        terms = [(part["sink"][head], 0.0)] if by_place and config.place_sink else []
        by_content = config.position == "place" and not by_place and not by_symbol
        rotary = config.position == "rope" or (by_content and config.place_rope)
        for s in range(t + 1):
            dot = self.turn(q[t], t) @ self.turn(k[s], s) if rotary else q[t] @ k[s]
            score = dot / np.sqrt(config.head_width)
            if by_place:
                relative = place[s] - stands
                inside = abs(relative) <= config.place_window
                if head >= above:
                    if place[s] <= place[t]:
                        continue
                elif place[s] < 0 or (config.place_hard_mask and not inside):
                    continue
                else:
                    score += part["place_bias"][head, relative + config.place_window] if inside else 0.0
                if config.place_ordinal:
                    score += part["ordinal_bias"][head, min(ordinal[t] - ordinal[s], 4)]
            elif by_symbol and place[s] >= 0:
                continue
            elif config.position == "place" and config.place_content_ordinal:
                score += part["content_ordinal_bias"][head - symbols, min(ordinal[t] - ordinal[s], 4)]
            terms.append((score, v[s]))
        weights = np.exp([score for score, _ in terms])
        return sum((w * value for w, (_, value) in zip(weights, terms, strict=True)), np.zeros(width := v.shape[1])) / (
            weights.sum() if len(terms) else width
        )

    def turn(self, x, position):
        half = len(x) // 2
        angle = position / self.config.rope_factor / self.config.rope_theta ** (np.arange(half) / half)
        turned = (x[:half] + 1j * x[half:]) * np.exp(1j * angle)
        return np.concatenate([turned.real, turned.imag])

    @staticmethod
    def places(tokens):
        place: list[int] = []
        ordinal: list[int] = []
        numbers = 0
        for t, token in enumerate(tokens):
            if token in DIGITS:
                place.append(place[t - 1] + 1 if t else 0)
                numbers += place[t] == 0
            else:
                place.append(-1)
            ordinal.append(numbers - (token in DIGITS))
        return place, ordinal


@pytest.mark.parametrize("name", VARIANTS)
def test_logits_agree_with_numpy(name):
    config = VARIANTS[name]
    graphdef, params = make(config)
    tokens_BT = some_tokens()
    logits_BTV = apply(graphdef, params, tokens_BT)
    assert logits_BTV.dtype == jnp.float32
    reference = NumPyDecoder(config, params)
    for tokens, logits in zip(tokens_BT, logits_BTV, strict=True):
        np.testing.assert_allclose(logits, reference.logits(tokens), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["place", "rope", "place beside rope", "no sink"])
def test_no_logit_depends_on_a_later_token(name):
    graphdef, params = make(VARIANTS[name])
    tokens_BT = some_tokens(rows=1)
    T = tokens_BT.shape[1]

    def logits(x_BTD):
        model = decoder.nnx.merge(graphdef, params)
        return model.logits(model.run_layers(x_BTD, model.context(tokens_BT)[0]))[0].sum(-1)

    x_BTD = decoder.nnx.merge(graphdef, params).embed(tokens_BT, jnp.full(tokens_BT.shape, -1))
    influence_TS = jnp.abs(jax.jit(jax.jacobian(logits))(x_BTD)).sum((1, 3))
    assert influence_TS.shape == (T, T)
    np.testing.assert_array_equal(jnp.triu(influence_TS, 1), 0)
    assert np.all(np.diag(influence_TS) > 0)


@pytest.mark.parametrize("name", ["place", "rope"])
def test_no_logit_depends_on_which_later_tokens_follow(name):
    """Places are read off tokens, out of reach of a gradient."""
    graphdef, params = make(VARIANTS[name])
    first = some_tokens(rows=4, seed=1)
    for cut in (1, 7, 13):
        second = np.concatenate([first[:, :cut], some_tokens(rows=4, seed=2)[:, cut:]], axis=1)
        one, other = (apply(graphdef, params, tokens)[:, :cut] for tokens in (first, second))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_hard_window_makes_a_digits_answer_independent_of_farther_digits():
    config = dataclasses.replace(SMALL, num_layers=1, place_heads=4)
    graphdef, params = make(config)
    short = np.array([[3, 4, 5, 6, 7, 8, 9, 15, 5, 6, 7, 8]], np.int32)  # the last place is 3: places 2 to 4 are seen
    changed = short.copy()
    changed[0, [0, 1, 5, 6]] = 12
    logits = [apply(graphdef, params, tokens)[0, -1] for tokens in (short, changed)]
    np.testing.assert_array_equal(*logits)
    changed[0, 4] = 12
    assert not np.array_equal(apply(graphdef, params, changed)[0, -1], logits[0])


def test_place_heads_start_looking_at_this_place_and_the_next_of_other_numbers():
    _, params = decoder.init(dataclasses.replace(SMALL, place_heads=3, place_window=2), jax.random.key(0))
    expected = [[0, 0, 5, 0, 0], [0, 0, 0, 5, 0], [0, 0, 5, 0, 0]]
    assert params["layers"]["attention"]["place_bias"].tolist() == [expected] * 2
    assert params["layers"]["attention"]["ordinal_bias"].tolist() == [[[-5, 0, 0, 0, 0]] * 3] * 2


def test_parameters_are_a_plain_tree_with_layers_stacked():
    _, params = decoder.init(SMALL, jax.random.key(0))
    assert type(params) is dict
    assert {leaf.shape[0] for leaf in jax.tree.leaves(params["layers"])} == {SMALL.num_layers}
    kernel = params["layers"]["mlp"]["up"]["kernel"]
    assert not np.array_equal(kernel[0], kernel[1])


def test_bfloat16_stays_near_float32():
    graphdef, params = decoder.init(SMALL, jax.random.key(0))
    half, _ = decoder.init(dataclasses.replace(SMALL, compute_dtype="bfloat16"), jax.random.key(0))
    tokens_BT = some_tokens()
    exact = apply(graphdef, params, tokens_BT)
    rounded = apply(half, params, tokens_BT)
    assert rounded.dtype == jnp.float32
    assert 0 < np.abs(exact - rounded).max() < 0.1


@pytest.mark.parametrize("remat", ["products", "all"])
def test_what_is_computed_again_has_the_same_gradient(remat):
    def gradient(config):
        graphdef, params = make(config)
        return jax.jit(jax.grad(lambda params: jnp.sum(decoder.apply(graphdef, params, some_tokens()) ** 2)))(params)

    expected, found = gradient(SMALL), gradient(dataclasses.replace(SMALL, remat=remat))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3), expected, found)


@pytest.mark.parametrize("position", ["place", "abacus"])
def test_place_needs_digits(position):
    with pytest.raises(ValueError, match=f"'{position}' needs a tokeniser whose ten digits"):
        decoder.init(dataclasses.replace(SMALL, position=position, digit_token_ids=()), jax.random.key(0))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_dim": 25}, "model_dim 25"),
        ({"position": "alibi"}, "position"),
        ({"position": "rope", "model_dim": 12}, "head width"),
        ({"place_heads": 5}, "place_heads"),
        ({"digit_token_ids": (3, 4)}, "digits"),
        ({"num_layers": 0}, "num_layers"),
        ({"loops": 0}, "loops"),
        ({"pad_id": 20}, "pad_id"),
        ({"num_kv_heads": 3}, "num_kv_heads 3"),
        ({"num_kv_heads": 1, "place_rope": True}, "num_kv_heads 1"),
        ({"position": "rope", "head_dim": 5}, "head_dim"),
        ({"rope_scaling": "ntk"}, "rope_scaling must be one of none, linear, llama3, yarn"),
        ({"remat": "some"}, "remat"),
        ({"norm_epsilon": 0.0}, "norm_epsilon"),
        ({"loss_chunk": -1}, "loss_chunk"),
        ({"position": "abacus", "abacus_places": 0}, "abacus_places"),
        ({"position": "abacus", "abacus_offset": 128}, "abacus_offset"),
    ],
)
def test_a_configuration_that_makes_no_decoder_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=named):
        dataclasses.replace(SMALL, **change)
