import pytest

from vishwam.fairness import generations


def by(figures):
    return {(figure.axis, figure.what, figure.group): figure for figure in figures}


def test_parity_by_hand():
    # Women 3 of 4 words, men 1: the distance from halves is a quarter.
    figures = by(generations.measure(["She said that her son", "Nobody.", "the woman"]))
    assert figures["gender", "parity", ""].value == pytest.approx(0.25)
    share = figures["gender", "share", "women"]
    # Of the first text 2 of 3, of the last all.
    assert share.value == pytest.approx((2 / 3 + 1) / 2) and share.templates == 2
    assert {axis for axis, _, _ in figures} == {"gender"}


def test_even_shares_are_parity():
    assert by(generations.measure(["he she", "she he"]))["gender", "parity", ""].value == 0


def test_words_and_not_parts_of_them():
    assert generations.measure(["the theme of this shell", "12+34"]) == []


def test_prompts_name_no_group():
    assert generations.measure(generations.PROMPTS[:7] + generations.PROMPTS[8:]) == []
