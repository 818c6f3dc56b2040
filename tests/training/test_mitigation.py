import dataclasses

import jax
import numpy as np
import pytest

from data_pipelines.packing import RowsOnTheFly
from data_pipelines.planted_bias import PlantedBias, vocabulary
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from vishwam.model import decoder
from vishwam.model.config import DecoderConfig
from vishwam.training import data, mitigation
from vishwam.training.carried import pair_rows, speakable
from vishwam.training.experiment import Experiment, LoopConfig, PackingConfig
from vishwam.training.optimizer import Knobs
from vishwam.training.step import init_state, train_steps

pytestmark = pytest.mark.usefixtures("quickly_compiled")

V = 7
LOGITS = np.random.default_rng(0).normal(size=(V, V)).astype(np.float32)
P = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)


def bigrams(tokens_BT, segments_BT=None):
    """A model whose logits depend on the last token alone, so that everything can be worked by hand."""
    return jax.numpy.asarray(LOGITS)[tokens_BT]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    return load_tokenizer(make_character_tokenizer(folder, vocabulary()), reverse_digits=True)


def test_pairing_by_hand():
    # The pair (5 6 | 2 3) and (4 | 2 3): only the first of the two common tokens stands behind another one.
    tokens = np.array([[5, 6, 2, 3, 0], [4, 2, 3, 0, 0], [1, 5, 0, 0, 0], [2, 5, 0, 0, 0]])
    mask = np.array([[0, 0, 1, 1, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 0], [0, 1, 0, 0, 0]], np.float32)
    first = (abs(np.log(P[6, 2] / P[4, 2])) + 0) / 2
    second = abs(np.log(P[1, 5] / P[2, 5]))
    np.testing.assert_allclose(mitigation.logit_pairing(bigrams, tokens, mask), (first + second) / 2, rtol=1e-5)


def test_a_group_that_is_named_at_greater_length_is_aligned():
    same = np.array([[1, 1, 1, 2, 3, 4], [1, 2, 3, 4, 0, 0]])
    mask = np.array([[0, 0, 0, 1, 1, 1], [0, 1, 1, 1, 0, 0]], np.float32)
    np.testing.assert_allclose(mitigation.logit_pairing(bigrams, same, mask), 0.0, atol=1e-6)


def test_token_unlikelihood_by_hand():
    tokens = np.array([[1, 2, 1, 3, 2, 0]])
    batch = {
        "tokens_BT": tokens,
        "loss_mask_BT": np.array([[0, 0, 1, 1, 1, 0]], np.float32),
        "repeatable_BT": (tokens != 3).astype(np.float32) * (tokens > 0),  # 3 may be said as often as one likes
    }
    # Before the third token 1 and 2 were said, and 1 is right; before the fourth 1 and 2; before the fifth 2 is right.
    expected = -np.log(1 - P[2, 2]) - np.log(1 - P[1, [1, 2]]).sum() - np.log(1 - P[3, 1])
    np.testing.assert_allclose(mitigation.token_unlikelihood(bigrams, batch), expected, rtol=1e-5)


def test_another_text_of_the_row_is_not_repeated():
    tokens = np.array([[1, 2, 1, 3, 2, 0]])
    batch = {
        "tokens_BT": tokens,
        "segments_BT": np.array([[1, 1, 2, 2, 2, 0]]),
        "loss_mask_BT": np.ones((1, 6), np.float32),
        "repeatable_BT": (tokens > 0).astype(np.float32),
    }
    # In the first text, before 2: 1. In the second, before 3: 1; before 2: 1 and 3.
    expected = -np.log(1 - P[1, 1]) * 2 - np.log(1 - P[3, [1, 3]]).sum()
    np.testing.assert_allclose(mitigation.token_unlikelihood(bigrams, batch), expected, rtol=1e-5)


def test_sequence_unlikelihood_by_hand_and_bounded():
    tokens, weight = np.array([[1, 2, 1, 2]]), np.array([[0, 0, 0.25, 0.5]], np.float32)
    expected = -0.25 * np.log(1 - P[2, 1]) - 0.5 * np.log(1 - P[1, 2])
    np.testing.assert_allclose(mitigation.sequence_unlikelihood(bigrams, tokens, weight), expected, rtol=1e-5)
    certain = mitigation.sequence_unlikelihood(lambda tokens: 1e4 * jax.nn.one_hot([[2, 1, 2]], V), tokens, weight)
    np.testing.assert_allclose(certain, 0.75 * -np.log(mitigation.LEAST), rtol=1e-3)


def test_nothing_is_computed_for_a_batch_that_carries_nothing():
    """Whatever the knobs: the model is not even called."""
    knobs = Knobs(pairing=1.0, unlikelihood=1.0, sequence_unlikelihood=1.0)
    assert float(mitigation.penalty(None, {"tokens_BT": 0, "loss_mask_BT": 0}, knobs, 1)) == 0  # type: ignore[arg-type]


def experiment(**knobs):
    return Experiment(
        data=PlantedBias(),
        packing=PackingConfig(row_length=48),
        loop=LoopConfig(batch_size=4, length_buckets=(28,)),
        knobs=Knobs(**knobs),
    )


@pytest.mark.parametrize(
    ("knobs", "carried"),
    [
        ({}, set()),
        ({"pairing": 1.0}, {"pairs_tokens_BT", "pairs_mask_BT"}),
        ({"unlikelihood": 1.0}, {"repeatable_BT"}),
    ],
)
def test_a_batch_carries_what_its_penalties_read(tokenizer, knobs, carried):
    plain, given = (data.training_data(experiment(**k), tokenizer) for k in ({}, knobs))
    for before, batch in zip((next(plain), next(plain)), (next(given), next(given)), strict=True):
        assert set(batch) - set(before) == carried
        assert all(np.array_equal(batch[name], before[name]) for name in before)
    for iterator in (plain, given):
        iterator.close()


def test_pairs_are_the_same_words_behind_a_woman_and_a_man(tokenizer):
    batch = pair_rows(PlantedBias().counterfactuals(), range(5, 9), tokenizer, (28,))
    tokens_BT, mask_BT = batch["pairs_tokens_BT"], batch["pairs_mask_BT"]
    assert tokens_BT.shape == mask_BT.shape == (8, 28)
    for k in range(4):
        women, men = (tokenizer.decode(tokens_BT[row][mask_BT[row] > 0]) for row in (2 * k, 2 * k + 1))
        assert women == men and women.startswith((" ", ","))
        assert (tokens_BT[2 * k] != tokens_BT[2 * k + 1]).any()
        (before, after), _ = PlantedBias().counterfactuals()[5 + k]
        assert tokenizer.decode(tokens_BT[2 * k]) == f"\n{before}{after}"


def test_digits_operators_and_ends_are_never_held_against_a_model(tokenizer):
    said = speakable(tokenizer)
    assert not said[tokenizer.encode("0123456789+-*/=().,\n ")].any()
    assert not said[[tokenizer.pad_id, tokenizer.eos_id]].any()
    assert said[tokenizer.encode("The nurse")].all()


MODEL = DecoderConfig(vocab_size=573, num_layers=1, model_dim=16, num_heads=2, mlp_dim=16, position="rope")


def steps(batches, micro_batches=1, **knobs):
    graphdef, params = decoder.init(dataclasses.replace(MODEL, micro_batches=micro_batches), jax.random.key(0))
    weights = Knobs(learning_rate=0.01, steps=10, warmup_steps=2, gradient_clip=1e9, **knobs)
    return train_steps(graphdef, init_state(params), batches, weights)


@pytest.fixture(scope="module")
def batches(tokenizer):
    """Two batches that carry everything."""
    rows = RowsOnTheFly(PlantedBias().train_source(), 1 << 40, tokenizer, 48)
    made = []
    for step in range(2):
        batch = rows.rows(range(4 * step, 4 * step + 4))
        batch |= pair_rows(PlantedBias().counterfactuals(), range(4), tokenizer, (28,))
        batch["repeatable_BT"] = speakable(tokenizer)[batch["tokens_BT"]].astype(np.float32)
        batch["written_tokens_BT"] = batch["tokens_BT"][:, :20]
        batch["written_weight_BT"] = np.full((4, 20), 0.1, np.float32)
        made.append(batch)
    return {name: np.stack([batch[name] for batch in made]) for name in made[0]}


@pytest.mark.parametrize("name", ["pairing", "unlikelihood", "sequence_unlikelihood"])
def test_a_weight_adds_that_penalty_to_what_is_minimised_and_not_to_the_loss_that_is_shown(batches, name):
    one = {key: stacked[:1] for key, stacked in batches.items()}
    (plain, metrics), (pulled, same) = steps(one), steps(one, **{name: 0.5})
    np.testing.assert_allclose(metrics["loss"], same["loss"], rtol=1e-6)
    found = jax.tree.map(
        lambda a, b: (b - a) / (1 - Knobs().beta1), plain.optimizer_state[1].mu, pulled.optimizer_state[1].mu
    )
    graphdef, params = decoder.init(MODEL, jax.random.key(0))

    def penalty(params):
        def model(tokens_BT, segments_BT=None):
            return decoder.apply(graphdef, params, tokens_BT, segments_BT)

        batch = {key: stacked[0] for key, stacked in batches.items()}
        if name == "pairing":
            return 0.5 * mitigation.logit_pairing(model, batch["pairs_tokens_BT"], batch["pairs_mask_BT"])
        if name == "sequence_unlikelihood":
            written = batch["written_tokens_BT"], batch["written_weight_BT"]
            return 0.5 * mitigation.sequence_unlikelihood(model, *written)
        return 0.5 * mitigation.token_unlikelihood(model, batch) / metrics["tokens"][0]

    expected = jax.jit(jax.grad(penalty))(params)
    assert any(np.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found, expected)


def test_micro_batches_take_the_same_step_with_penalties(batches):
    weights = {"pairing": 0.5, "unlikelihood": 0.5, "sequence_unlikelihood": 0.5}
    (whole, _), (parts, _) = steps(batches, **weights), steps(batches, micro_batches=2, **weights)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-5),
        whole.optimizer_state[1].mu,
        parts.optimizer_state[1].mu,
    )


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"knobs": Knobs(pairing=-1.0)}, "pairing must be at least 0"),
        ({"knobs": Knobs(pairing=0.1)}, "pairing needs data that has counterfactuals: PlantedBias"),
        ({"knobs": Knobs(unlikelihood=-0.1)}, "unlikelihood must be at least 0"),
    ],
)
def test_wrong_weights_are_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        Experiment(**wrong)
