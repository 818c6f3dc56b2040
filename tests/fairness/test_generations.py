import numpy as np
import pytest

from data_pipelines.modular_math import ModularMath
from data_pipelines.planted_bias import OPENINGS, PlantedBias
from vishwam.decoding.repetition import Repetition
from vishwam.fairness import generations, live
from vishwam.fairness.bias import BiasConfig
from vishwam.training.examination import repetition_in


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


def test_a_corpus_has_openings_of_its_own_and_rules_are_for_them_alone():
    asked = []

    class Suite:
        data = PlantedBias()

        def generate(self, params, texts, count, rules):
            asked.append((texts, count, rules))
            return ["x"] * len(texts)

    assert live.write(BiasConfig(generations=0), Suite(), None) == []
    assert live.write(BiasConfig(generations=5, no_repeat_ngram=3), Suite(), None) == ["x"] * 12
    Suite.data = ModularMath()
    live.write(BiasConfig(generations=7), Suite(), None)
    assert asked == [(OPENINGS, 5, Repetition(ngram=3)), (generations.PROMPTS, 7, None)]
    with pytest.raises(ValueError, match="repetition_penalty must be above 0"):
        BiasConfig(repetition_penalty=0.0)


def test_repetition_is_measured_in_what_was_written():
    class Suite:
        class tokenizer:
            @staticmethod
            def encode_batch(texts):
                return [np.array(list(text.encode())) for text in texts]

    found = repetition_in(["abcdabcd", "xyz"], Suite())
    assert found["repetition/seq_rep_4_written"] == pytest.approx(1 / 5)
    assert found["repetition/distinct_1_written"] == pytest.approx(7 / 11)
    assert repetition_in([], Suite()) == {}
