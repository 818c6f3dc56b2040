import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vishwam.model import math_reasoning
from vishwam.model.math_reasoning import next_places, places_of, table_lookup

pytestmark = pytest.mark.usefixtures("quickly_compiled")

DIGITS = tuple(range(20, 30))


def tokens(text: str) -> jax.Array:
    return jnp.array([[DIGITS[int(c)] if c.isdigit() else ord(c) for c in text]], jnp.int32)


@pytest.mark.parametrize(
    ("text", "place", "ordinal"),
    [
        ("12+345=6", [0, 1, -1, 0, 1, 2, -1, 0], [0, 0, 1, 1, 1, 1, 2, 2]),
        ("(7)--80", [-1, 0, -1, -1, -1, 0, 1], [0, 0, 1, 1, 1, 1, 1]),
        ("ab", [-1, -1], [0, 0]),
        ("0000", [0, 1, 2, 3], [0, 0, 0, 0]),
    ],
)
def test_places_worked_by_hand(text, place, ordinal):
    found = places_of(tokens(text), DIGITS)
    assert found.place_BT.tolist() == [place]
    assert found.ordinal_BT.tolist() == [ordinal]


def test_places_of_random_texts_agree_with_a_regular_expression():
    random = np.random.default_rng(0)
    for _ in range(50):
        text = "".join(random.choice(list("0123+ ="), 40))
        place, ordinal = [-1] * 40, [0] * 40
        runs = list(re.finditer("[0-9]+", text))
        for i in range(40):
            ordinal[i] = sum(run.end() <= i for run in runs)
        for run in runs:
            for i in range(run.start(), run.end()):
                place[i] = i - run.start()
        found = places_of(tokens(text), DIGITS)
        assert found.place_BT.tolist() == [place]
        assert found.ordinal_BT.tolist() == [ordinal]
        end = [max((run.end() - run.start() for run in runs[: ordinal[i]][-1:]), default=0) for i in range(len(text))]
        assert found.end_BT.tolist() == [[place[i] if place[i] >= 0 else end[i] for i in range(len(text))]]


def test_places_look_left_only():
    whole = places_of(tokens("12+345=6"), DIGITS)
    for end in range(1, 8):
        part = places_of(tokens("12+345=6"[:end]), DIGITS)
        assert part.place_BT.tolist()[0] == whole.place_BT.tolist()[0][:end]
        assert part.ordinal_BT.tolist()[0] == whole.ordinal_BT.tolist()[0][:end]
        assert part.end_BT.tolist()[0] == whole.end_BT.tolist()[0][:end]


def test_one_token_at_a_time_gives_the_places_of_the_whole():
    random = np.random.default_rng(1)
    text_BT = jnp.concatenate([tokens("".join(random.choice(list("0123456789+ "), 30))) for _ in range(8)])
    whole = places_of(text_BT, DIGITS)
    last = jax.tree.map(lambda leaf: leaf[:, :1], whole)
    for t in range(1, 30):
        last = next_places(text_BT[:, t : t + 1], last, DIGITS)
        np.testing.assert_array_equal(last.place_BT[:, 0], whole.place_BT[:, t])
        np.testing.assert_array_equal(last.ordinal_BT[:, 0], whole.ordinal_BT[:, t])
        np.testing.assert_array_equal(last.end_BT[:, 0], whole.end_BT[:, t])


def test_table_lookup_reads_entries_and_zero_outside():
    table = np.random.default_rng(2).normal(size=(3, 5)).astype(np.float32)
    index = np.array([[[-1, 0, 4], [5, 2, 100]]])
    found = table_lookup(jnp.asarray(table), jnp.asarray(index))
    for h in range(3):
        zero = np.float32(0)
        np.testing.assert_array_equal(found[0, h], [[zero, table[h, 0], table[h, 4]], [zero, table[h, 2], zero]])


def test_table_lookup_gradient_counts_how_often_an_entry_was_read():
    index = jnp.array([[[0, 0, 2], [2, 2, 7]]])
    gradient = jax.grad(lambda table: table_lookup(table, index).sum())(jnp.zeros((2, 3)))
    assert gradient.tolist() == [[2, 0, 3], [2, 0, 3]]


@pytest.mark.parametrize("held", [1, 40, 10**6])
def test_table_lookup_gradient_adds_up_slopes_by_entry(held, monkeypatch):
    """However many rows are gone through together."""
    random = np.random.default_rng(3)
    index, slope = random.integers(-2, 6, (5, 3, 4)), random.normal(size=(5, 2, 3, 4)).astype(np.float32)
    monkeypatch.setattr(math_reasoning, "_ONES", held)
    gradient = jax.grad(lambda table: jnp.sum(table_lookup(table, jnp.asarray(index)) * slope))(jnp.zeros((2, 4)))
    expected = [[slope[:, h][index == w].sum() for w in range(4)] for h in range(2)]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)
