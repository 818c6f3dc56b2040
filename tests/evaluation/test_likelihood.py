import jax
import numpy as np
import pytest

from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer
from vishwam.evaluation import likelihood
from vishwam.model import decoder

pytestmark = pytest.mark.usefixtures("quickly_compiled")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return load_tokenizer(make_character_tokenizer(tmp_path_factory.mktemp("tokenizer")), reverse_digits=True)


@pytest.fixture(scope="module")
def model(tokenizer):
    config = decoder.DecoderConfig(
        num_layers=1, model_dim=16, num_heads=2, mlp_dim=16, position="rope",
        vocab_size=tokenizer.vocab_size, pad_id=tokenizer.pad_id, digit_token_ids=tokenizer.digit_token_ids,
    )  # fmt: skip
    return decoder.init(config, jax.random.key(0))


APPLY = jax.jit(decoder.apply, static_argnums=0)


def by_hand(model, context, continuation):
    """Token by token, alone in its batch, in double precision from the logits on."""
    graphdef, params = model
    text = [*context, *continuation]
    padded = np.zeros((1, 96), np.int32)
    padded[0, : len(text)] = text
    logits = np.asarray(APPLY(graphdef, params, padded), np.float64)[0]
    total, greedy = 0.0, True
    for place in range(len(context), len(text)):
        row = logits[place - 1]
        total += row[text[place]] - np.log(np.sum(np.exp(row)))
        greedy &= int(np.argmax(row)) == text[place]
    return total, greedy


def test_likelihoods_are_those_of_one_text_at_a_time(model, tokenizer):
    pairs = [("The man", " is a nurse."), ("a" * 70, "b"), ("1+2=", "34"), ("", "whole text")] * 2
    found = likelihood.of_texts(tokenizer, *model, pairs)
    assert len(found) == len(pairs)
    for (context, continuation), one in list(zip(pairs, found, strict=True))[:4]:
        ids = tokenizer.encode(context) or [tokenizer.eos_id], tokenizer.encode(continuation)
        total, greedy = by_hand(model, *ids)
        assert one.total == pytest.approx(total, rel=1e-4)
        assert (one.greedy, one.tokens) == (greedy, len(ids[1]))
    assert [one.total for one in found[4:8]] == pytest.approx([one.total for one in found[:4]])


def test_choices_after_one_question_are_read_once_and_scored_as_alone(model, tokenizer, monkeypatch):
    read = []

    def score(graphdef, params, tokens_BT, *rest):
        read.extend(row[row != tokenizer.pad_id].tolist() for row in np.asarray(tokens_BT) if row.any())
        return scored(graphdef, params, tokens_BT, *rest)

    scored = likelihood._score
    pairs = [("Is 2+2 even?", f" {letter}") for letter in "ABCD"] + [
        ("Is 3?", " A"),
        ("Is 3?", ""),
        ("Is 2+2 even?", " AB"),
    ]
    alone = [likelihood.of_texts(tokenizer, *model, [pair])[0] for pair in pairs]
    monkeypatch.setattr(likelihood, "_score", score)
    together = likelihood.of_texts(tokenizer, *model, pairs)
    assert [one.total for one in together] == pytest.approx([one.total for one in alone], rel=1e-5)
    assert [(one.greedy, one.tokens) for one in together] == [(one.greedy, one.tokens) for one in alone]
    assert len({one.total for one in together[:4]}) == 4 and together[5] == likelihood.Likelihood(0.0, 0, True, False)
    assert [tokenizer.decode(ids) for ids in read] == ["Is 3? ", "Is 2+2 even? ", "Is 2+2 even? A"]


def test_what_decoding_would_say_is_greedy(model, tokenizer):
    from vishwam.decoding.greedy import greedy_decode

    prompt = tokenizer.encode("12+34\n")
    said = greedy_decode(*model, np.array([prompt]), np.array([len(prompt)]), 5, tokenizer.eos_id)[0].tolist()
    said = [token for token in said if token != tokenizer.pad_id]
    other = [said[0], (said[1] + 1) % 200] if len(said) > 1 else [(said[0] + 1) % 200]
    found = likelihood.of_tokens(*model, [(prompt, said), (prompt, other)], tokenizer.pad_id)
    assert [one.greedy for one in found] == [True, False]


def test_long_contexts_are_cut_from_the_left_and_continuations_never(model, tokenizer):
    context, continuation = tokenizer.encode("x" * 50 + "The man"), tokenizer.encode(" is a nurse.")
    cut = likelihood.of_tokens(*model, [(context, continuation)], tokenizer.pad_id, longest=19)[0]
    assert cut.cut and cut.total == pytest.approx(by_hand(model, context[-7:], continuation)[0], rel=1e-4)
    assert not likelihood.of_tokens(*model, [(context, continuation)], tokenizer.pad_id, longest=99)[0].cut
    cut = likelihood.of_tokens(*model, [(context, continuation)], tokenizer.pad_id, longest=5)[0]
    assert cut.tokens == len(continuation)
    assert cut.total == pytest.approx(by_hand(model, context[-1:], continuation)[0], rel=1e-4)


def test_long_texts_come_fewer_at_a_time(model, tokenizer, monkeypatch):
    assert [likelihood.rows_at(width) for width in (64, 512, 513, 1024, 4096, 100_000)] == [128, 128, 64, 32, 2, 1]
    pairs = [("a" * (8 * i + 1), "bcd") for i in range(7)]
    together = likelihood.of_texts(tokenizer, *model, pairs)
    monkeypatch.setattr(likelihood, "_SCORES", 2 * 64**2)
    for one, alone in zip(likelihood.of_texts(tokenizer, *model, pairs), together, strict=True):
        assert one.total == pytest.approx(alone.total, rel=1e-5)
