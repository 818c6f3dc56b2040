import re

import pytest

from data_pipelines import BadInput
from data_pipelines.modular_math import ModularMath, QuestionSource, registry
from data_pipelines.modular_math.counterfactual import counterfactual
from data_pipelines.modular_math.people import NAMES
from tests.data_pipelines.modular_math import word_problems

WORDS = tuple(name for name in registry.names() if name.startswith("words__"))
PRONOUNS = {"she": {"she", "her", "hers"}, "he": {"he", "him", "his"}, "they": {"they", "them", "their"}}
BY_PRONOUN = {pronoun: {name for by in NAMES.values() for name in by[pronoun]} for pronoun in PRONOUNS}


@pytest.mark.parametrize("name", WORDS)
def test_another_reader_gives_the_same_answer(name):
    splits = [("train", 160), ("validation", 20), ("interpolate", 40)]
    if registry.find(name).extrapolate:
        splits.append(("extrapolate", 40))
    for split, count in splits:
        source = QuestionSource((name,), split, seed=11)
        for index in range(count):
            asked = source[index]
            assert word_problems.solve(asked.question) == asked.answer, asked


def test_names_of_a_place_are_told_apart():
    for by in NAMES.values():
        assert set(by) == set(PRONOUNS)
        assert all(len(names) == len(set(names)) for names in by.values())
        assert len({len(names) for names in by.values()}) == 1
        # Two people in one question never share a name, whoever they are swapped for.
        for one in by.values():
            for other in by.values():
                assert not any(name in other[:place] + other[place + 1 :] for place, name in enumerate(one))


def words(question):
    return re.findall(r"[A-Za-z]+|\d+", question)


@pytest.mark.parametrize("split", ["train", "validation", "interpolate"])
def test_a_swap_changes_only_names_and_pronouns(split):
    source = ModularMath(WORDS, seed=4).mixture(split)
    swapped = counterfactual(source)
    changed = 0
    for index in range(400):
        one, other = source[index], swapped[index]
        assert one.answer == other.answer and one.module == other.module
        left, right = words(one.question), words(other.question)
        assert len(left) == len(right)
        for a, b in zip(left, right, strict=True):
            if a != b:
                place = [p for p in PRONOUNS if a in BY_PRONOUN[p] or a.lower() in PRONOUNS[p]]
                goal = [p for p in PRONOUNS if b in BY_PRONOUN[p] or b.lower() in PRONOUNS[p]]
                assert {*place, *goal} == {"she", "he"}
        changed += one.question != other.question
    assert changed > 250


@pytest.mark.parametrize("pronoun", list(PRONOUNS))
@pytest.mark.parametrize("origin", ["drawn", "indian"])
def test_everyone_can_be_one_pronoun_and_origin(pronoun, origin):
    source = ModularMath(WORDS, seed=4).mixture("train")
    others = set().union(*(PRONOUNS[p] for p in PRONOUNS if p != pronoun)) - PRONOUNS[pronoun]
    # Two people together are they, and things are them.
    others -= PRONOUNS["they"]
    allowed = BY_PRONOUN[pronoun] if origin == "drawn" else set(NAMES[origin][pronoun])
    told = counterfactual(source, pronouns=pronoun, names=origin)
    for index in range(200):
        question = told[index].question
        assert told[index].answer == source[index].answer
        assert word_problems.solve(question) == told[index].answer
        assert not {word.lower() for word in words(question)} & others
        named = set(words(question)) & set().union(*BY_PRONOUN.values())
        assert named and named <= allowed


def test_a_swap_leaves_other_modules_alone():
    source = ModularMath(("numbers__gcd",)).mixture("train")
    assert counterfactual(source)[3] == source[3]


def test_unknown_words_are_named():
    with pytest.raises(BadInput, match="pronouns is one of drawn, swapped, she, he, they, not 'shee'"):
        counterfactual(ModularMath(WORDS).mixture("train"), pronouns="shee")
    with pytest.raises(BadInput, match="did you mean 'indian'"):
        ModularMath(WORDS, settings={WORDS[0]: {"names": "india"}})


def test_longer_stories_extrapolate():
    def events(split, count):
        source = QuestionSource(("words__change",), split, seed=5)
        return [source[index].question.count(".") - 1 for index in range(count)]

    assert max(max(events(split, 500)) for split in ("train", "validation", "interpolate")) < min(
        events("extrapolate", 300)
    )
