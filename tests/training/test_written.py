import dataclasses

import jax
import numpy as np
import pytest

from data_pipelines.planted_bias import PlantedBias, vocabulary
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from vishwam.decoding.greedy import greedy_decode
from vishwam.model import decoder
from vishwam.model.config import DecoderConfig
from vishwam.training import data, loop
from vishwam.training.experiment import Experiment, LoopConfig, PackingConfig
from vishwam.training.mitigation import sequence_unlikelihood
from vishwam.training.optimizer import Knobs
from vishwam.training.step import init_state, train_steps
from vishwam.training.written import PREFIX, repeated, writer

pytestmark = pytest.mark.usefixtures("quickly_compiled")

PAD = 0


@pytest.mark.parametrize(
    ("text", "n", "parts"),
    [
        ([1, 2, 3, 1, 2, 4], 2, [3, 4]),
        ([1, 2, 3, 1, 2, 3], 3, [3, 4, 5]),
        ([1, 1, 1], 2, [1, 2]),  # the second run overlaps the first
        ([1, 2, 3, 4], 2, []),
        ([5, 6, 5], 1, [2]),
        ([1, 2, 0, 1, 2], 2, []),  # padding ends a text
        ([1], 4, []),
    ],
)
def test_what_is_part_of_a_run_that_was_there_before(text, n, parts):
    assert [place for place, part in enumerate(repeated(text, n, PAD)) if part] == parts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    return load_tokenizer(make_character_tokenizer(folder, vocabulary()), reverse_digits=True)


def experiment(weight, rate=0.01):
    return Experiment(
        data=PlantedBias(),
        packing=PackingConfig(row_length=32),
        model=DecoderConfig(num_layers=1, model_dim=16, num_heads=2, mlp_dim=16, position="rope"),
        loop=LoopConfig(batch_size=4, length_buckets=(28,), written_texts=2, written_tokens=12, written_ngram=2),
        knobs=Knobs(sequence_unlikelihood=weight, learning_rate=rate, warmup_steps=1),
    )


def started(tokenizer, weight, rate=0.01):
    chosen = experiment(weight, rate)
    graphdef, params = decoder.init(loop.model_config(chosen, tokenizer), jax.random.key(0))
    stream = data.training_data(chosen, tokenizer)
    batches = loop.stack(stream, 3, tokenizer.pad_id)
    stream.close()
    return chosen, graphdef, params, batches


def test_without_a_weight_nothing_is_written(tokenizer):
    chosen, _, _, batches = started(tokenizer, 0.0)
    assert writer(chosen, tokenizer, None)(None, batches) == {}  # type: ignore[arg-type]


def test_what_is_carried_is_what_greedy_decoding_says_and_how_much_of_it_was_said(tokenizer):
    chosen, graphdef, params, batches = started(tokenizer, 1.0)
    carried = writer(chosen, tokenizer, graphdef)(params, batches)
    tokens, weight = carried["written_tokens_BT"], carried["written_weight_BT"]
    assert tokens.shape == weight.shape == (3, 2, PREFIX + 12)
    np.testing.assert_array_equal(tokens[:, :, :PREFIX], batches["tokens_BT"][:, :2, :PREFIX])
    for step in range(3):
        said = greedy_decode(graphdef, params, tokens[step, :, :PREFIX], np.full(2, PREFIX), 12, tokenizer.eos_id)
        np.testing.assert_array_equal(tokens[step, :, PREFIX:], said)
        of_step = np.count_nonzero(said != tokenizer.pad_id)
        assert set(np.round(weight[step] * of_step, 4).flatten().tolist()) <= {0.0, 1.0}
    assert not weight[:, :, :PREFIX].any(), "what was read is not held against the model"
    again = writer(chosen, tokenizer, graphdef)(params, batches)
    assert all(np.array_equal(carried[name], again[name]) for name in carried)


def test_training_against_it_makes_what_was_repeated_less_likely(tokenizer):
    """The loss on texts is switched off, so that only this teaches."""
    chosen, graphdef, params, batches = started(tokenizer, 1.0)
    carried = writer(chosen, tokenizer, graphdef)(params, batches)
    assert carried["written_weight_BT"].any(), "a fresh model repeats itself"
    batches |= carried | {"loss_mask_BT": np.zeros_like(batches["loss_mask_BT"])}

    @jax.jit
    def penalty(params):
        tokens, weight = (carried[f"written_{name}_BT"].reshape(6, -1) for name in ("tokens", "weight"))
        return sequence_unlikelihood(lambda tokens: decoder.apply(graphdef, params, tokens), tokens, weight)

    before, state = penalty(params), init_state(params)
    for _ in range(4):
        state, _ = train_steps(graphdef, state, batches, dataclasses.replace(chosen.knobs, steps=100))
    assert penalty(state.params) < before / 2
