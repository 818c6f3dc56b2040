"""Questions whose settings say how long their numbers are, or how deep they go."""

import ast
import re
from pathlib import Path

import pytest

from data_pipelines import BadInput
from data_pipelines.modular_math import ModularMath
from vishwam.config import load

ADD, MUL, CHAINS = "arithmetic__add_or_sub", "arithmetic__mul", "chains__add_or_sub"


def one(name, **settings):
    return ModularMath((name,), settings={name: settings})


def test_products_by_a_short_factor_cover_every_length():
    math = one(MUL, phrasing="bare", max_digits=10, factor_digits=2)
    for split in ("train", "validation", "interpolate"):
        source = math.mixture(split)
        lengths = set()
        for index in range(1500):
            asked = source[index]
            assert re.fullmatch(r"(0|[1-9]\d*)\*(0|[1-9]\d*)", asked.question)
            p, q = asked.question.split("*")
            assert int(p) * int(q) == int(asked.answer)
            lengths.add((len(p), len(q)))
        assert {max(pair) for pair in lengths} == set(range(1, 11)) and all(min(pair) <= 2 for pair in lengths)
        assert {(10, 1), (1, 10), (10, 2), (2, 10)} <= lengths


def test_products_in_sentences_have_chosen_lengths_too():
    source = one(MUL, max_digits=6).train_source()
    questions = [source[index].question for index in range(200)]
    assert len({re.sub(r"\d+", "", question) for question in questions}) > 5
    assert max(len(number) for question in questions for number in re.findall(r"\d+", question)) == 6


def test_the_long_factor_alone_gets_longer_beyond_training():
    sets = one(MUL, phrasing="bare", max_digits=10, factor_digits=2, extrapolate_digits=(50, 100)).sets("extrapolate")
    assert list(sets) == ["50_digits", "100_digits"]
    for name, source in sets.items():
        for index in range(50):
            lengths = sorted(len(number) for number in source[index].question.split("*"))
            assert lengths[0] <= 2 and lengths[1] == int(name.split("_")[0])


def test_sets_of_two_modules_that_bear_one_name_are_told_apart():
    lengths = {"max_digits": 5, "extrapolate_digits": (7, 9)}
    math = ModularMath((ADD, MUL), settings={ADD: lengths, MUL: {**lengths, "extrapolate_digits": (7,)}})
    sets = math.sets("extrapolate")
    assert list(sets) == [f"{ADD}_7_digits", "9_digits", f"{MUL}_7_digits"]
    assert [source.modules for source in sets.values()] == [(ADD,), (ADD,), (MUL,)]


def followed(question):
    """The answer by carrying out the definitions in turn, and their number."""
    *told, asked = re.split(r"(?<=\.) ", question)
    values: dict[str, int] = {}
    for sentence in told:
        ((letter, p, sign, q),) = re.findall(r"^Let (\w) = (\w+) ([-+]) (\w+)\.$", sentence)
        assert letter not in values
        # Each but the first asks for the one before it.
        assert len({p, q} & set(list(values)[-1:])) == bool(values)
        p, q = (values[word] if word in values else ast.literal_eval(word) for word in (p, q))
        values[letter] = p + q if sign == "+" else p - q
    assert asked == f"What is {letter}?"
    return str(values[letter]), len(told)


def test_chains_come_to_what_their_definitions_say():
    for split in ("train", "validation", "interpolate"):
        source = one(CHAINS).mixture(split)
        counts = []
        for index in range(600):
            answer, count = followed(source[index].question)
            assert answer == source[index].answer
            counts.append(count)
        assert set(counts) == {1, 2, 3} and min(map(counts.count, (1, 2, 3))) > 150
    shapes = {re.sub(r"\d+|\b[a-z]\b", "n", source[index].question.split(". ")[0]) for index in range(50)}
    assert shapes == {"Let n = n + n", "Let n = n - n"}


def test_chains_extrapolate_by_depth():
    sets = one(CHAINS, max_definitions=2, extrapolate_definitions=(4, 12)).sets("extrapolate")
    assert list(sets) == ["4_definitions", "12_definitions"]
    for name, source in sets.items():
        for index in range(50):
            asked = source[index]
            assert followed(asked.question) == (asked.answer, int(name.split("_")[0]))


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (MUL, {"factor_digits": 2}, r"factor_digits lies from 1 to max_digits \(0\), not 2"),
        (MUL, {"max_digits": 3, "factor_digits": 4}, r"factor_digits lies from 1 to max_digits \(3\), not 4"),
        (MUL, {"max_digits": 10, "extrapolate_digits": (9,)}, "extrapolate_digits 9 is not beyond max_digits 10"),
        (MUL, {"phrasing": "bar"}, "did you mean 'bare'"),
        (CHAINS, {"max_definitions": 0}, "max_definitions lies from 1 to 25, the letters there are, not 0"),
        (CHAINS, {"extrapolate_definitions": (3,)}, r"lie beyond max_definitions \(3\), up to 25, not 3"),
        (CHAINS, {"exact_definitions": 26}, "exact_definitions lies from 0 to 25, not 26"),
        (CHAINS, {"depth": 3}, "not composed of others"),
    ],
)
def test_lengths_and_depths_that_do_not_fit_are_named(module, settings, message):
    with pytest.raises(BadInput, match=message):
        one(module, **settings)


@pytest.mark.parametrize(
    ("task", "sets", "bucket"),
    [
        (ADD, ["50_digits", "100_digits"], 34),
        (MUL, ["50_digits", "100_digits"], 34),
        (CHAINS, ["3_definitions", "4_definitions"], 50),
    ],
)
def test_the_ablation_asks_each_of_its_tasks_in_buckets_that_hold_them(task, sets, bucket):
    experiment = load([Path(__file__).parents[3] / "gin" / "ablation.gin"], [f"task={task}"]).experiment
    assert list(experiment.data.sets("extrapolate")) == sets
    source = experiment.data.train_source()
    longest = max(len(asked.question) + len(asked.answer) for asked in map(source.__getitem__, range(3000)))
    assert longest + 2 <= bucket in experiment.loop.length_buckets


def test_settings_wait_for_their_module_but_are_looked_at():
    ModularMath((ADD,), settings={CHAINS: {"max_definitions": 2}})
    with pytest.raises(BadInput, match="settings for 'chain', which is no module; did you mean"):
        ModularMath((ADD,), settings={"chain": {}})
    with pytest.raises(BadInput, match="max_definitions lies from 1"):
        ModularMath((ADD,), settings={CHAINS: {"max_definitions": 0}})
