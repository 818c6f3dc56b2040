import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vishwam.decoding.greedy import greedy_decode
from vishwam.decoding.repetition import Repetition, adjusted, history
from vishwam.model import decoder
from vishwam.model.config import DecoderConfig

pytestmark = pytest.mark.usefixtures("quickly_compiled")

CONFIG = DecoderConfig(vocab_size=12, num_layers=1, model_dim=16, num_heads=2, mlp_dim=16, position="rope")
EOS = 1


def test_the_penalty_by_hand():
    """As Hugging Face defines it: positive logits are divided by it, negative ones multiplied; a token twice, once."""
    logits = np.array([[2.0, -2.0, 4.0, -4.0, 1.0], [2.0, -2.0, 4.0, -4.0, 1.0]])
    said = np.array([[2, 3, 2, 0], [1, 0, 0, 0]])
    found = adjusted(jnp.array(logits), said, np.array([3, 1]), Repetition(penalty=2.0))
    np.testing.assert_allclose(found, [[2.0, -2.0, 2.0, -8.0, 1.0], [2.0, -4.0, 4.0, -4.0, 1.0]])


@pytest.mark.parametrize(
    ("n", "said", "banned"),
    [
        (3, [1, 2, 3, 1, 2], {3}),  # 1 2 was followed by 3
        (2, [1, 2, 3, 1, 2], {3}),
        (2, [1, 2, 1, 3, 1], {2, 3}),
        (1, [4, 2, 4], {2, 4}),
        (4, [1, 2, 3, 1, 2], set()),
        (3, [1], set()),
        (2, [1], set()),
        (2, [1, 1], {1}),
        (3, [1, 1, 1], {1}),
    ],
)
def test_blocking_by_hand(n, said, banned):
    padded = np.array([said + [0] * (8 - len(said))])  # what stands behind the text is no text
    found = np.asarray(adjusted(jnp.zeros((1, 5)), padded, np.array([len(said)]), Repetition(ngram=n)))
    assert set(np.flatnonzero(np.isinf(found[0])).tolist()) == banned


def test_the_slots_between_prompt_and_answer_are_no_text():
    tokens = np.array([[5, 6, 0, 0, 7, 8, 0, 0], [1, 2, 3, 4, 9, 0, 0, 0]])
    found = np.asarray(history(jnp.array(tokens), np.array([2, 4]), 4))
    assert found[0, :4].tolist() == [5, 6, 7, 8] and found[1, :5].tolist() == [1, 2, 3, 4, 9]


@pytest.fixture(scope="module")
def model():
    return decoder.init(CONFIG, jax.random.key(3))


apply = jax.jit(decoder.apply, static_argnums=0)


def by_hand(model, prompt, new, rules):
    """One token after another from whole texts, rules written anew in Python."""
    text = list(prompt)
    for _ in range(new):
        padded = np.zeros((1, 17), int)  # what stands behind a token is not seen by it
        padded[0, : len(text)] = text
        logits = np.asarray(apply(*model, padded))[0, len(text) - 1].astype(float)
        for token in set(text):
            logits[token] = logits[token] * rules.penalty if logits[token] < 0 else logits[token] / rules.penalty
        n = rules.ngram
        for start in range(len(text) - n + 1) if n else ():
            if text[start : start + n - 1] == text[len(text) - n + 1 :]:
                logits[text[start + n - 1]] = -np.inf
        text.append(int(np.argmax(logits)))
        if text[-1] == EOS:
            break
    return text[len(prompt) :]


@pytest.mark.parametrize("rules", [Repetition(penalty=1.3), Repetition(ngram=3), Repetition(1.2, 2)])
def test_decoding_under_rules_is_that_of_whole_texts(model, rules):
    prompts, lengths = np.array([[2, 3, 4, 2, 3], [5, 6, 5, 0, 0], [7, 0, 0, 0, 0]]), np.array([5, 3, 1])
    found = greedy_decode(*model, prompts, lengths, 12, EOS, rules)
    for row, prompt, length in zip(found.tolist(), prompts.tolist(), lengths, strict=True):
        expected = by_hand(model, prompt[:length], 12, rules)
        assert row[: len(expected)] == expected


def test_rules_change_what_is_said_and_blocked_runs_never_come_twice(model):
    prompt, length = np.array([[2, 3]]), np.array([2])
    plain = greedy_decode(*model, prompt, length, 24, EOS)[0].tolist()
    blocked = greedy_decode(*model, prompt, length, 24, EOS, Repetition(ngram=2))[0].tolist()
    text = [2, 3, *blocked[: blocked.index(EOS) if EOS in blocked else None]]
    runs = list(itertools.pairwise(text))
    assert len(runs) == len(set(runs)) and blocked != plain
    assert greedy_decode(*model, prompt, length, 24, EOS, Repetition())[0].tolist() == plain


@pytest.mark.parametrize(("wrong", "complaint"), [({"penalty": 0.0}, "above 0"), ({"ngram": -1}, "at least 0")])
def test_wrong_rules(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        Repetition(**wrong)
