import random
import string

from data_pipelines.splits import split_of, split_of_document


def texts(count: int) -> list[str]:
    chance = random.Random(3)
    return [" ".join("".join(chance.choices(string.ascii_lowercase, k=5)) for _ in range(8)) for _ in range(count)]


def test_adding_and_shuffling_moves_no_document():
    some = texts(400)
    before = {text: split_of_document(text) for text in some}
    more = texts(1000)
    random.Random(9).shuffle(more)
    assert {text: split_of_document(text) for text in more if text in before} == before
    assert sum(text in before for text in more) == 400


def test_case_spaces_and_width_do_not_matter():
    for text in texts(50):
        words = text.split()
        fullwidth = "".join(chr(ord(letter) + 0xFEE0) for letter in words[0])
        variant = f"  {fullwidth}\n\n" + "\t".join(words[1:]).upper()
        assert split_of_document(variant) == split_of_document(text)


def test_a_group_is_never_torn_apart_and_groups_are_spread():
    groups = {f"author {number}": texts(20) for number in range(400)}
    found = {group: {split_of_document(text, group) for text in members} for group, members in groups.items()}
    assert all(len(splits) == 1 for splits in found.values())
    counts = [sum(split in splits for splits in found.values()) for split in ("train", "validation", "interpolate")]
    # 300, 50 and 50 are expected; four standard deviations.
    assert abs(counts[0] - 300) < 35 and abs(counts[1] - 50) < 27 and abs(counts[2] - 50) < 27


def test_splits_are_what_they_always_were():
    # Another answer here would move held-out questions into the training set of whoever updates.
    assert [split_of(f"What is {a} + 4?") for a in range(8)] == [split_of(f"4 + {a}") for a in range(8)]
    assert [split_of_document(str(number)) for number in range(12)] == RECORDED
    assert [split_of_document("", str(number)) for number in range(12)] == RECORDED_GROUPS


RECORDED = [
    "train",
    "train",
    "interpolate",
    "train",
    "validation",
    "train",
    "interpolate",
    "train",
    "train",
    "train",
    "train",
    "train",
]
RECORDED_GROUPS = [
    "train",
    "interpolate",
    "validation",
    "train",
    "train",
    "train",
    "train",
    "train",
    "validation",
    "validation",
    "train",
    "train",
]
