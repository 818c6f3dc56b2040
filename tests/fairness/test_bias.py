import hashlib
import itertools

import numpy as np
import pytest

from vishwam.evaluation.statistics import clustered_interval
from vishwam.fairness import bias
from vishwam.fairness.bias import BiasConfig
from vishwam.fairness.templates import AXES

GENDER = BiasConfig(axes=("gender",), templates=6)


def by(figures):
    return {(figure.axis, figure.what, figure.group): figure for figure in figures}


def group_of(context, axis="gender"):
    for group, words in AXES[axis].groups.items():
        if context.lower().endswith(tuple(word.lower() for word in words)):
            return group
    raise AssertionError(context)


def test_a_model_that_holds_all_alike_shows_nothing():
    figures = by(bias.measure(lambda pairs: [-3.0] * len(pairs), GENDER))
    assert figures["gender", "gap", ""].value == 0
    assert figures["gender", "stereotype", ""].value == figures["all", "language", ""].value == 0.5
    assert not bias.knows_language(list(figures.values()))


def test_a_planted_stereotype_is_found_to_the_figure():
    told = {(s.trait, s.group) for s in AXES["gender"].measure}

    def score(pairs):
        # Three nats to each trait with the group that it is told of.
        return [3.0 * any(f" {trait}." in said and group_of(before) == group for trait, group in told)
                for before, said in pairs]  # fmt: skip

    figures = by(bias.measure(score, GENDER))
    stereotype = figures["gender", "stereotype", ""]
    assert (stereotype.value, stereotype.high, stereotype.templates) == (1, 1, 6)
    assert stereotype.low == pytest.approx(6 / (6 + 1.96**2), abs=1e-3), "six that agree, by Wilson"
    # A trait told of one of three groups: 3 x (2/3 + 1/3 + 1/3) / 3, of others 0; over the length of what is said.
    from vishwam.fairness.templates import MEASURE, sentence

    traits = [(s.trait, 4 / 3) for s in AXES["gender"].measure] + [(s.counterpart, 0) for s in AXES["gender"].measure]
    expected = [
        nats / len(sentence(template, "x", trait).continuation) for template in MEASURE[:6] for trait, nats in traits
    ]
    assert figures["gender", "gap", ""].value == pytest.approx(np.mean(expected))


def test_signed_gaps_by_hand():
    def score(pairs):
        # 0.3 nats a character for women, nothing for others: 0.2 above the mean of three groups.
        return [0.3 * len(said) * (group_of(before) == "women") for before, said in pairs]

    figures = by(bias.measure(score, GENDER))
    assert figures["gender", "signed", "women"].value == pytest.approx(0.2)
    assert figures["gender", "signed", "men"].value == pytest.approx(-0.1)
    assert figures["gender", "gap", ""].value == pytest.approx(0.4 / 3)


def test_what_returns_is_the_product_of_two_sentences_that_differ():
    apart_TRG = np.random.default_rng(0).normal(size=(5, 3, 2)) + 0.3
    pairs = list(itertools.permutations(range(5), 2))
    expected_R = np.mean([(apart_TRG[t] * apart_TRG[u]).mean(-1) for t, u in pairs], axis=0)
    assert bias.squares_that_return(apart_TRG).mean(0) == pytest.approx(expected_R)


def test_the_jackknife_knows_how_far_off_it_is():
    """Its interval holds what was planted, nothing here, about as often as it says; the plain gap never does."""
    held, noise = 0, 0.1
    for seed in range(200):
        values = bias.squares_that_return(np.random.default_rng(seed).normal(0, noise, (12, 24, 2)))
        _, low, high = clustered_interval(values.ravel(), np.repeat(range(12), 24), np.tile(range(24), 12))
        held += low <= 0 <= high
    assert held >= 180


def test_what_a_sentence_or_a_group_is_off_by_is_no_gap_of_traits():
    told = {(s.trait, s.group) for s in AXES["gender"].measure}

    def measured(bias_of):
        def score(pairs):
            # Whims of up to 9 nats for a sentence with a group's words in it, up to 1 for each trait in that as well.
            return [
                9 * hash_of(before, said.split()[:-1]) + hash_of(before, said) + bias_of(group_of(before), said)
                for before, said in pairs
            ]

        return by(bias.measure(score, BiasConfig(axes=("gender",), templates=12)))

    fair = measured(lambda group, said: 2.0 * (group == "women"))
    assert fair["gender", "gap", ""].low > 0.01 and fair["gender", "trait_gap", ""].low == 0
    unfair = measured(lambda group, said: 3.0 * any(f" {t}." in said and g == group for t, g in told))
    assert unfair["gender", "trait_gap", ""].low > 0


def hash_of(*words):
    return int.from_bytes(hashlib.blake2b(repr(words).encode(), digest_size=4).digest()) / 2**32


def test_a_group_that_makes_all_sentences_likelier_is_no_stereotype():
    figures = by(bias.measure(lambda pairs: [5.0 * (group_of(before) == "women") for before, _ in pairs], GENDER))
    assert figures["gender", "stereotype", ""].value == 0.5 and figures["gender", "gap", ""].value > 0


def test_who_knows_order_knows_language():
    figures = bias.measure(lambda pairs: [float(not said.startswith((" a.", " nurse"))) - ("by " in said) - 9 * (
        said.split()[0] in _last_words()) for _, said in pairs], GENDER)  # fmt: skip
    assert by(figures)["all", "language", ""].value == 1 and bias.knows_language(figures)


def _last_words():
    return {trait.split()[-1] for s in AXES["gender"].measure for trait in (s.trait, s.counterpart)}


def test_a_model_of_whims_is_not_found_biased_more_often_than_said():
    """It knows nothing, but its likelihoods are of words and so the same in every template: by templates alone it would
    be found biased nearly always.
    """

    def label(context):
        return next(
            group
            for axis in AXES.values()
            for group, words in axis.groups.items()
            if context.lower().endswith(tuple(word.lower() for word in words))
        )

    found, naive = 0, 0
    for seed in range(40):

        def score(pairs, seed=seed):
            # A whim for the group's word with the trait's, and little for the sentence around them.
            return [
                hash_of(seed, label(before), said.split()[-1]) + 0.1 * hash_of(seed, before, said)
                for before, said in pairs
            ]

        figure = by(bias.measure(score, BiasConfig()))["all", "stereotype", ""]
        found += not figure.low <= 0.5 <= figure.high
        values, templates, _ = bias._axis(AXES["gender"], bias.MEASURE[:6], Whole(score))["stereotype", ""]
        _, low, high = clustered_interval(values, templates)
        naive += not low <= 0.5 <= high
    assert found <= 6, "5% of 40 are 2"
    assert naive >= 15, "what clustering by templates alone would say"


class Whole(dict):
    """Likelihoods that are asked for one by one."""

    def __init__(self, score):
        super().__init__()
        self.score = score

    def __missing__(self, pair):
        return self.score([pair])[0]


def test_metrics_and_their_names():
    found = bias.metrics(bias.measure(lambda pairs: [-float(len(said)) for _, said in pairs], BiasConfig()))
    assert {"bias/gap", "bias/trait_gap_low", "bias/stereotype_low", "bias/language_high", "bias/gap/religion",
            "bias/knows_language",
            "bias/stereotype/names_low", "bias/signed/age/old"} <= set(found)  # fmt: skip
    assert found["bias/knows_language"] == 0
    assert all(np.isfinite(value) for value in found.values())


def test_no_axes_no_questions():
    assert bias.measure(lambda pairs: 1 / 0, BiasConfig(axes=())) == []
    assert bias.metrics([]) == {}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"axes": ("gendre",)}, "axes must each be one of gender"), ({"templates": 1}, "templates must lie from 3 to 12")],
)
def test_wrong_settings(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        BiasConfig(**fields)


@pytest.mark.parametrize(
    ("said", "turned"),
    [
        (" is a nurse.", " nurse a is."),
        ("Cats are sly.", "sly are Cats."),
        (" nurse.", " nurse."),
        ("x", "x"),
        ("", ""),
    ],
)
def test_reversed_words_are_the_same_characters(said, turned):
    assert bias.reversed_words(said) == turned
