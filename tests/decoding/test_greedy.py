import dataclasses

import jax
import numpy as np
import pytest

from vishwam.decoding import greedy
from vishwam.decoding.greedy import bucket, greedy_decode
from vishwam.model import decoder
from vishwam.model.config import DecoderConfig

pytestmark = pytest.mark.usefixtures("quickly_compiled")

EOS, PAD = 1, 0
CONFIG = DecoderConfig(vocab_size=16, digit_token_ids=tuple(range(3, 13)), model_dim=16, num_heads=4, mlp_dim=16)
NEW = 11
LENGTHS = np.array([3, 9, 1, 12, 7])


def make(position, seed=0, **change):
    """A decoder far from its start: sharp, so that rows differ and some end early."""
    config = dataclasses.replace(CONFIG, position=position, **change)
    graphdef, params = decoder.init(config, jax.random.key(seed))
    random = np.random.default_rng(seed)
    return graphdef, jax.tree.map(lambda leaf: leaf + 0.5 * random.normal(size=leaf.shape).astype(np.float32), params)


def some_prompts(seed=0):
    tokens = np.random.default_rng(seed).integers(2, 16, (len(LENGTHS), LENGTHS.max())).astype(np.int32)
    return np.where(np.arange(LENGTHS.max()) < LENGTHS[:, None], tokens, PAD)


def without_cache(graphdef, params, prompts, lengths, new, eos_id):
    """Each row alone, the whole text through the model again for every token."""
    apply = jax.jit(decoder.apply, static_argnums=0)
    said = np.full((len(prompts), new), PAD)
    for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
        text = np.zeros((1, LENGTHS.max() + new), np.int32)
        text[0, :length] = prompt[:length]
        for i in range(new):
            token = int(np.argmax(apply(graphdef, params, text)[0, length + i - 1]))
            said[row, i] = text[0, length + i] = token
            if token == eos_id:
                break
    return said


@pytest.mark.parametrize(
    ("position", "change"),
    [
        ("place", {}),
        ("place", {"place_rope": True, "place_heads": 1, "place_above_heads": 1, "place_symbol_heads": 1}),
        ("rope", {}),
        ("abacus", {"abacus_places": 8, "abacus_offset": 5}),
        ("none", {}),
        ("place", {"loops": 3, "loops_random": True}),
    ],
)
def test_decoding_with_a_cache_says_what_the_whole_text_says(position, change):
    graphdef, params = make(position, **change)
    prompts = some_prompts()
    expected = without_cache(graphdef, params, prompts, LENGTHS, NEW, eos_id=99)
    assert len(set(expected.ravel().tolist())) > 4  # it says something
    np.testing.assert_array_equal(greedy_decode(graphdef, params, prompts, LENGTHS, NEW, 99), expected)
    # With an end token that occurs in some rows, those end there and the others go on.
    eos = int(expected[0, 4])
    stopped = without_cache(graphdef, params, prompts, LENGTHS, NEW, eos)
    assert (stopped == eos).any()
    np.testing.assert_array_equal(greedy_decode(graphdef, params, prompts, LENGTHS, NEW, eos), stopped)


@pytest.mark.parametrize("change", [{"digit_token_ids": ()}, {"compute_dtype": "bfloat16"}])
def test_tokenisers_without_digits_and_bfloat16_decode_too(change):
    config = dataclasses.replace(CONFIG, position="rope", num_layers=1, **change)
    graphdef, params = decoder.init(config, jax.random.key(0))
    # One layer and two tokens a row: few sums, so that rounding moves no choice.
    prompts, lengths = some_prompts()[:, :2], np.minimum(LENGTHS, 2)
    expected = without_cache(graphdef, params, prompts, lengths, 3, eos_id=99)
    np.testing.assert_array_equal(greedy_decode(graphdef, params, prompts, lengths, 3, 99), expected)


def test_answers_do_not_depend_on_padding_or_on_other_rows():
    graphdef, params = make("place", seed=1)
    prompts = some_prompts(seed=1)
    together = greedy_decode(graphdef, params, prompts, LENGTHS, NEW, EOS)
    wider = np.pad(prompts, ((0, 0), (0, 30)), constant_values=5)  # what follows a prompt is never read
    np.testing.assert_array_equal(greedy_decode(graphdef, params, wider, LENGTHS, NEW, EOS), together)
    for row in range(len(prompts)):
        alone = greedy_decode(graphdef, params, prompts[row : row + 1], LENGTHS[row : row + 1], NEW, EOS)
        np.testing.assert_array_equal(alone[0], together[row])
    longer = greedy_decode(graphdef, params, prompts, LENGTHS, 30, EOS)
    np.testing.assert_array_equal(longer[:, :NEW], together)


def test_lengths_within_a_bucket_share_one_program():
    graphdef, params = make("rope", seed=2)
    prompts = np.full((8, 16), 5, np.int32)
    greedy_decode(graphdef, params, prompts, np.full(8, 16), 16, EOS)
    programs = greedy._advance._cache_size()  # type: ignore[attr-defined]
    for rows, length, new in ((7, 15, 9), (3, 9, 16), (8, 12, 1)):
        greedy_decode(graphdef, params, prompts[:rows], np.full(rows, length), new, EOS)
    assert greedy._advance._cache_size() == programs  # type: ignore[attr-defined]


def test_what_follows_the_end_is_padding():
    graphdef, params = make("place", seed=3)
    prompts = some_prompts(seed=3)
    free = greedy_decode(graphdef, params, prompts[:1], LENGTHS[:1], NEW, 99)
    eos = int(free[0, 0])
    said = greedy_decode(graphdef, params, prompts[:1], LENGTHS[:1], NEW, eos)
    assert said.tolist() == [[eos] + [PAD] * (NEW - 1)]


@pytest.mark.parametrize(("size", "room"), [(1, 16), (16, 16), (17, 24), (25, 32), (33, 48), (202, 256), (300, 384)])
def test_buckets(size, room):
    assert bucket(size) == room


def test_nothing_to_do():
    graphdef, params = make("rope")
    assert greedy_decode(graphdef, params, np.zeros((0, 4), np.int32), np.zeros(0, int), 5, EOS).shape == (0, 5)
    assert greedy_decode(graphdef, params, np.ones((2, 4), np.int32), np.array([4, 4]), 0, EOS).shape == (2, 0)


def test_an_empty_prompt_is_refused():
    graphdef, params = make("rope")
    with pytest.raises(ValueError, match="prompt lengths"):
        greedy_decode(graphdef, params, np.ones((2, 4), np.int32), np.array([0, 4]), 5, EOS)
