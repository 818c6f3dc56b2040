import random

import pytest

from data_pipelines.duplicates import QUESTIONS, TEXTS, THRESHOLD, EvaluationSets, figures
from data_pipelines.modular_math import ModularMath

VOCABULARY = [f"w{number}" for number in range(3000)]


def document(chance: random.Random, words: int) -> list[str]:
    return chance.choices(VOCABULARY, k=words)


def jaccard(first: str, second: str, shingle: int) -> float:
    """By its definition, without the code under test: the words of these texts have spaces between them."""
    one, other = (
        {tuple(words[start : start + shingle]) for start in range(len(words) - shingle + 1)}
        for words in (first.split(), second.split())
    )
    return len(one & other) / len(one | other)


@pytest.fixture(scope="module")
def corpus():
    """An evaluation set, and a training set of which a third are copies with up to 12 words changed."""
    chance = random.Random(5)
    held_out = [" ".join(document(chance, 120)) for _ in range(150)]
    training = []
    for number in range(450):
        if number % 3:
            training.append(" ".join(document(chance, 120)))
            continue
        words = held_out[number // 3].split()
        for _ in range(number // 3 % 13):
            words[chance.randrange(len(words))] = chance.choice(VOCABULARY)
        training.append(" ".join(words))
    return held_out, training


def test_near_duplicates_are_those_of_brute_force(corpus):
    held_out, training = corpus
    leaks = EvaluationSets({"held out": held_out}).find(training)
    nearest = [max(jaccard(text, other, 5) for other in held_out) for text in training]
    expected = [similarity >= THRESHOLD for similarity in nearest]
    assert [bool(leak.near_duplicate) for leak in leaks] == expected
    # Planted on both sides of the threshold.
    assert 20 < sum(expected) < 140
    for leak, similarity in zip(leaks, nearest, strict=True):
        assert leak.near == (pytest.approx(similarity) if similarity >= THRESHOLD else 0)


def test_contamination_is_that_of_brute_force(corpus):
    held_out, training = corpus
    grams = [{tuple(text.split()[at : at + 13]) for at in range(108)} for text in held_out]
    leaks = EvaluationSets({"held out": held_out}).find(training)
    expected = [any(gram & set(_runs(text, 13)) for gram in grams) for text in training]
    assert [leak.contaminated == ("held out",) for leak in leaks] == expected
    assert 100 < sum(expected) < 160


def _runs(text: str, size: int):
    words = text.split()
    return (tuple(words[at : at + size]) for at in range(len(words) - size + 1))


@pytest.mark.parametrize(("shared", "found"), [(12, False), (13, True)])
def test_thirteen_words_are_contamination_and_twelve_are_not(shared, found):
    chance = random.Random(1)
    held_out = document(chance, 40)
    planted = [*document(chance, 20), *held_out[10 : 10 + shared], *document(chance, 20)]
    sets = EvaluationSets({"a": [" ".join(held_out)], "b": [" ".join(document(chance, 40))]})
    [leak] = sets.find([", ".join(planted).upper()])
    assert leak.contaminated == (("a",) if found else ())
    assert not leak.near_duplicate


def test_sets_of_short_texts_have_shorter_grams():
    # Twenty of 9 words and one of 40: the 5th percentile is 9.
    chance = random.Random(2)
    short = [document(chance, 9) for _ in range(20)]
    long = document(chance, 40)
    sets = EvaluationSets({"short": [" ".join(words) for words in [*short, long]]})
    filler = document(chance, 30)
    eight, nine = [" ".join([*filler, *long[5 : 5 + size], *filler]) for size in (8, 9)]
    assert [leak.contaminated for leak in sets.find([eight, nine])] == [(), ("short",)]


def test_a_document_shorter_than_a_gram_is_found_whole_only():
    sets = EvaluationSets({"a": ["To be, or not to be?"]})
    leaks = sets.find(["to be or not to be", "to be or not to be that is the question whether"])
    assert [leak.contaminated for leak in leaks] == [("a",), ()]


def test_questions_of_one_template_are_no_leak_and_the_same_numbers_are():
    bag = "What is prob of picking 2 a and 1 b when three letters picked without replacement from aaabbb?"
    total = "What is 1 + 22 + 3 + 44 + 5 + 66 + 7 + 88 + 9 + 10 + 11 + 12 + 13?"
    sets = EvaluationSets({"bag": [bag], "sum": [total], "short": ["What is 3 + 4?"]}, QUESTIONS)
    found = sets.find(
        [
            bag.replace("2 a and 1 b", "1 a and 1 b"),
            "Calculate 1 + 22 + 3 - 44 + 5 + 66 + 7 + 88 - 9 + 10 + 11 + 12 + 13.",
            "Calculate 1 + 22 + 3 + 44 + 5 + 66 + 7 + 88 + 9 + 10 + 11 + 12.",
            "what is 3 + 4?",
            "What is 3 - 4?",
        ]
    )
    assert [leak.contaminated for leak in found] == [(), ("sum",), (), ("short",), ()]


def test_a_leak_of_ones_own_set_can_be_left_out_and_the_figures_count():
    sets = EvaluationSets({"a": ["one two three four five six"], "b": ["seven eight nine ten eleven twelve"]})
    leaks = sets.find(["one two three four five six", "seven eight nine ten eleven twelve", "thirteen"], besides=["a"])
    assert [bool(leak) for leak in leaks] == [False, True, False]
    assert figures(leaks) == {
        "documents": 3,
        "near_duplicates": 1,
        "contaminated": 1,
        "leaked": 1,
        "by_set": {"b": 1},
    }


def test_planted_questions_are_found_among_generated_ones():
    math = ModularMath(("numbers__gcd", "algebra__linear_1d", "comparison__sort"), seed=3)
    held_out = {name: [source[i].question for i in range(200)] for name, source in math.sets("interpolate").items()}
    source = math.train_source()
    training = [source[i].question for i in range(1000)]
    sets = EvaluationSets(held_out, QUESTIONS)
    assert not any(sets.find(training))
    planted = {at: held_out["comparison__sort"][at] for at in (0, 13, 199)}
    for at, question in planted.items():
        training[at] = question
    leaks = sets.find(training)
    assert {at for at, leak in enumerate(leaks) if leak} == set(planted)
    assert all(leaks[at].near_duplicate == ("comparison__sort",) and leaks[at].near == 1 for at in planted)


def test_readings_of_texts_and_questions():
    assert TEXTS.words("It's 3.5 – no!") == ["it", "s", "3", "5", "no"]
    assert QUESTIONS.words("Is 3*x**2 + -1 = 0?") == ["is", "3", "*", "x", "**", "2", "+", "-", "1", "=", "0", "?"]
