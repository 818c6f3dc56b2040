"""A trial from the weights of others, and back into a folder that transformers loads."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from tests.training.test_loop import Alarm, Journal, experiment
from vishwam import export, stored
from vishwam.errors import BadInput
from vishwam.evaluation.suite import Suite
from vishwam.model import decoder, pretrained
from vishwam.training import loop
from vishwam.training.checkpoint import Checkpoints

pytestmark = pytest.mark.usefixtures("quickly_compiled")

SHAPE = {"position": "rope", "num_kv_heads": 1, "scaled_embeddings": False}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


def test_a_trial_starts_from_pretrained_weights(tokenizer, tmp_path):
    """With a rate of next to nothing they are also what it ends with."""
    trial = experiment(learning_rate=1e-9)
    trial = dataclasses.replace(
        trial, model=dataclasses.replace(trial.model, **SHAPE), pretrained=str(tmp_path / "theirs")
    )
    config = loop.model_config(trial, tokenizer)
    params = decoder.init(config, jax.random.key(7))[1]
    pretrained.save(tmp_path / "theirs", config, params)
    checkpoints, journal = Checkpoints(tmp_path / "run"), Journal()
    loop.train(trial, tokenizer, journal, checkpoints, Alarm("", 10**9), lambda line: None)
    suite = Suite(trial.data, tokenizer, decoder.graph(config), 8, (12, 120), lambda: None)
    expected = suite.validation_loss(params, trial.loop.validation_questions)
    losses = [row["validation/loss"] for row in journal.rows.values() if "validation/loss" in row]
    np.testing.assert_allclose(losses, expected, rtol=1e-4)


@pytest.fixture
def checkpoint(tokenizer, monkeypatch):
    """A stored checkpoint of that shape, and its parameters."""
    trial = experiment()
    config = loop.model_config(dataclasses.replace(trial, model=dataclasses.replace(trial.model, **SHAPE)), tokenizer)
    graphdef, params = decoder.init(config, jax.random.key(3))

    class Found:
        def open(self):
            return Suite(trial.data, tokenizer, graphdef, 8, (12, 120), lambda: None), params

    monkeypatch.setattr(stored, "find", lambda *_: Found())
    return config, params


def test_a_checkpoint_is_exported_with_its_tokeniser(checkpoint, tokenizer, tmp_path, capsys):
    _, params = checkpoint
    assert export.run("any", tmp_path / "out", "float32", lambda: None) == 0
    found, weights = pretrained.load(tmp_path / "out")
    assert (found.num_layers, found.kv_heads, found.vocab_size) == (1, 1, tokenizer.vocab_size)
    jax.tree.map(np.testing.assert_array_equal, weights, jax.device_get(params))
    assert json.loads((tmp_path / "out" / "config.json").read_text())["eos_token_id"] == tokenizer.eos_id
    text = "12+7\n"
    assert (
        load_tokenizer(tmp_path / "out").encode_batch([text])[0].tolist() == tokenizer.encode_batch([text])[0].tolist()
    )
    told = capsys.readouterr()
    assert told.out == f"{tmp_path / 'out'}\n" and "last digit first" in told.err


def test_a_folder_in_use_is_left_alone(checkpoint, tmp_path):
    (tmp_path / "mine").write_text("")
    with pytest.raises(BadInput, match="not an empty folder"):
        export.run("any", tmp_path, "float32", lambda: None)
    with pytest.raises(BadInput, match="not an empty folder"):
        export.run("any", tmp_path / "mine", "float32", lambda: None)
