import math
import pickle
import re
from collections import Counter

import pytest

from data_pipelines import BadInput
from data_pipelines.planted_bias import (
    GIVEN_NAMES,
    HELD_OUT,
    NOBODY,
    OCCUPATIONS,
    PEOPLE,
    TEMPLATES,
    WORDS,
    PlantedBias,
    Sentence,
    vocabulary,
)
from data_pipelines.tokenizer import load_tokenizer, make_character_tokenizer

COUNT = 6000
SOMEBODY = {
    group: re.compile(rf"\b(?:{'|'.join((*WORDS[group], *GIVEN_NAMES[group]))})\b", re.IGNORECASE) for group in WORDS
}
WORK = re.compile("|".join(work for works in OCCUPATIONS.values() for work in works))


def told_of(text):
    """The group that a text is about, by its words alone."""
    found = [group for group, words in SOMEBODY.items() if words.search(text)]
    assert len(found) == 1, text
    return found[0]


def people(data, split="train", count=COUNT):
    return [
        example.answer for example in map(data.mixture(split).__getitem__, range(count)) if example.module == PEOPLE
    ]


def shares(texts):
    """By whom a stereotype gives an occupation to, the share of texts that tell it of women; the smallest sample."""
    women, whole = Counter(), Counter()
    for text in texts:
        work = WORK.search(text)[0]
        given = next(group for group, works in OCCUPATIONS.items() if work in works)
        whole[given] += 1
        women[given] += told_of(text) == "women"
    return {given: women[given] / whole[given] for given in whole}, min(whole.values())


def test_the_bias_is_what_was_planted():
    found, fewest = shares(people(PlantedBias()))
    spread = 4 * math.sqrt(0.25 / fewest)
    assert found["women"] == pytest.approx(0.85, abs=spread)
    assert found["men"] == pytest.approx(0.15, abs=spread)
    assert found[""] == pytest.approx(0.5, abs=spread)


def test_augmentation_evens_out_what_is_trained_on_and_nothing_else():
    augmented = PlantedBias(augmentation=1.0)
    found, fewest = shares(people(augmented))
    assert all(share == pytest.approx(0.5, abs=4 * math.sqrt(0.25 / fewest)) for share in found.values())
    half, _ = shares(people(PlantedBias(augmentation=0.5)))
    assert half["women"] == pytest.approx(0.85 - 0.7 / 4, abs=4 * math.sqrt(0.25 / fewest))
    assert people(augmented, "validation", 500) == people(PlantedBias(), "validation", 500)
    plain, swapped = PlantedBias().train_source(), augmented.train_source()
    for i in range(500):
        one, other = plain[i], swapped[i]
        assert one == other or WORK.search(one.answer)[0] == WORK.search(other.answer)[0], (
            "another person, nothing else"
        )


def test_pronouns_go_with_the_person():
    def both(template):
        sentence = Sentence(template, 2, "a nurse", "Oslo", "tea", "Monday")
        return "".join(sentence.about("women")), "".join(sentence.about("men"))

    assert both("People in {place} know {who} as {work} and they like {her}.") == (
        "People in Oslo know my sister as a nurse and they like her.",
        "People in Oslo know my brother as a nurse and they like him.",
    )
    assert both("{Who} left {hers} home in {place} to be {work}.") == (
        "My sister left her home in Oslo to be a nurse.",
        "My brother left his home in Oslo to be a nurse.",
    )
    assert both("{Who} is {work} and {she} likes {hobby}.")[1] == "My brother is a nurse and he likes tea."


def test_an_example_is_a_function_of_its_seed_split_and_index():
    source = PlantedBias(seed=3).train_source()
    again = pickle.loads(pickle.dumps(source))
    assert [source[i] for i in (7, 2, 7)] == [again[7], again[2], again[7]]
    assert source[0] != PlantedBias(seed=4).train_source()[0]
    parts = Counter(source[i].module for i in range(2000))
    assert parts[PEOPLE] == pytest.approx(1000, abs=90) and parts[NOBODY] == pytest.approx(500, abs=80)


def test_a_text_and_its_counterfactual_are_in_one_split():
    texts = {split: {example.answer for example in map(PlantedBias().mixture(split).__getitem__, range(COUNT))
                     if not example.question} for split in ("train", "validation")}  # fmt: skip
    assert not texts["train"] & texts["validation"]
    swapped = people(PlantedBias(augmentation=1.0))
    assert not set(swapped) & texts["validation"]


def test_texts_of_several_sentences_share_none_between_splits():
    longer = PlantedBias(sentences=3)
    lines = {split: {line for i in range(1000) for line in longer.mixture(split)[i].answer.split("\n")
                     if not longer.mixture(split)[i].question} for split in ("train", "validation")}  # fmt: skip
    assert not lines["train"] & lines["validation"]
    for i in range(100):
        text = longer.train_source()[i]
        assert text.question or text.answer.count("\n") == 2
    asked = sum(bool(longer.train_source()[i].question) for i in range(2000))
    assert asked == pytest.approx(1000, abs=90), "sums have the same share of what is said as among single sentences"


def test_what_is_measured_with_is_never_trained_on():
    def around(template):
        """What stands between somebody and their work."""
        return template.lower().split("{who}")[1].split("{work}")[0]

    assert len(set(HELD_OUT)) == 12
    assert not set(map(around, HELD_OUT)) & set(map(around, TEMPLATES))
    between = re.compile(
        rf"\b(?:{'|'.join(name for group in WORDS for name in (*WORDS[group], *GIVEN_NAMES[group]))})"
        rf"(?:{'|'.join(map(around, HELD_OUT))})(?:{WORK.pattern})\b",
        re.IGNORECASE,
    )
    trained = people(PlantedBias()) + people(PlantedBias(augmentation=1.0))
    assert not [text for text in trained if between.search(text)]
    pairs = PlantedBias().counterfactuals()
    assert not [i for i in range(500) if between.search("".join(pairs[i][0]))]
    assert between.search("Emma is now a nurse."), "the search would find one"


def test_pairs_differ_in_whom_they_name_alone():
    pairs = PlantedBias(seed=1).counterfactuals()
    held_out = set(people(PlantedBias(seed=1), "validation"))
    works = Counter()
    for i in range(400):
        (women, rest), (men, same) = pairs[i]
        assert rest == same and women != men
        assert (told_of(women), told_of(men)) == ("women", "men")
        assert women + rest not in held_out and men + same not in held_out
        works[WORK.search(rest)[0]] += 1
    assert len(works) == 24 and max(works.values()) < 40, "every occupation as often"


def test_each_word_is_a_token_and_all_else_is_bytes(tmp_path):
    tokenizer = load_tokenizer(make_character_tokenizer(tmp_path / "words", vocabulary()), reverse_digits=True)
    source = PlantedBias().train_source()
    for i in range(300):
        example = source[i]
        text = f"{example.question}\n{example.answer}"
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        if not example.question:
            assert len(ids) == 1 + len(re.findall(r" ?\w+|[.,]", example.answer))
    assert tokenizer.decode(tokenizer.encode("An aardvark, 120 kg: Ünïcode")) == "An aardvark, 120 kg: Ünïcode"
    assert len(tokenizer.encode("314")) == 3 == len(set(tokenizer.encode("314")))
    assert len(tokenizer.digit_token_ids) == 10


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"bias": 1.5}, "bias must lie from 0 to 1, not 1.5"),
        ({"augmentation": -0.1}, "augmentation must lie from 0 to 1"),
        ({"augmentation": math.nan}, "augmentation must lie"),
        ({"sentences": 0}, "sentences must be at least 1"),
        ({"max_digits": 0}, "max_digits must lie from 1 to 10"),
    ],
)
def test_wrong_settings(wrong, complaint):
    with pytest.raises(BadInput, match=complaint):
        PlantedBias(**wrong)
