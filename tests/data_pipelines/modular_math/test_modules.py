import re

import pytest

from data_pipelines import BadInput
from data_pipelines.modular_math import ModularMath, QuestionSource, registry
from tests.data_pipelines.modular_math.solve import solve

ALL = registry.names()
BEYOND = [name for name in ALL if registry.find(name).extrapolate]
SAXTON = """
algebra__linear_1d algebra__linear_1d_composed arithmetic__add_or_sub arithmetic__div arithmetic__mixed arithmetic__mul
comparison__pair comparison__pair_composed comparison__sort comparison__sort_composed numbers__gcd numbers__gcd_composed
numbers__place_value numbers__place_value_composed numbers__round_number numbers__round_number_composed
polynomials__evaluate polynomials__evaluate_composed
"""


def test_modules_bear_the_names_of_saxton_et_al():
    assert set(SAXTON.split()) <= set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_sympy_reads_the_same_answer(name):
    splits = [("train", 90), ("validation", 15), ("interpolate", 15)]
    if name in BEYOND:
        splits.append(("extrapolate", 30))
    for split, count in splits:
        source = QuestionSource((name,), split, seed=11)
        for index in range(count):
            asked = source[index]
            assert solve(asked.question) == asked.answer, asked


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith("_composed")])
def test_composed_questions_use_all_that_they_define(name):
    source = QuestionSource((name,), "train", seed=2)
    kinds = set()
    for index in range(300):
        question = source[index].question
        sentences = re.split(r"(?<=\.) (?=[A-Z])", question)
        assert len(sentences) > 1
        for place, sentence in enumerate(sentences[:-1]):
            kinds.add(re.sub(r"[^A-Za-z ]|\b[a-z]\b", "", sentence))
            used = set(re.findall(r"\b[a-z]\b", " ".join(sentences[place + 1 :])))
            defined = set(re.findall(r"\b[a-z]\b", sentence))
            assert defined & used, question
    assert len(kinds) > 5


def significant(number):
    return number.lstrip("-").replace(".", "").strip("0") or "0"


def operands(question):
    return re.findall(r"-?[0-9][0-9.]*(?<!\.)", re.sub(r"([0-9.])-", r"\1 - ", question))


def product(question):
    p, q = (int(re.sub(r"[-.]", "", number)) for number in operands(question))
    return p * q


# What each module extrapolates in, read from the text.
EXTENT = {
    "arithmetic__add_or_sub": lambda q: max(len(significant(number)) for number in operands(q)),
    "arithmetic__mul": product,
    "arithmetic__div": lambda q: max(abs(int(number)) for number in operands(q)),
    "arithmetic__mixed": lambda q: len(re.findall(r"(?<=[0-9)])( [-+] |\*|/)", q)),
    "comparison__sort": lambda q: len(q.split(", ")),
    "numbers__place_value": lambda q: len(operands(q)[0]),
    "numbers__round_number": lambda q: len(significant(operands(q)[0])),
}


@pytest.mark.parametrize("name", BEYOND)
def test_extrapolation_lies_outside_the_training_range(name):
    def extents(split, count):
        source = QuestionSource((name,), split, seed=5)
        return [EXTENT[name](source[index].question) for index in range(count)]

    reached = max(max(extents(split, 2000)) for split in ("train", "validation", "interpolate"))
    assert min(extents("extrapolate", 300)) > reached


def test_difficulty_is_a_third_of_the_range():
    def lengths(difficulty, split):
        math = ModularMath(("numbers__place_value",), settings={"numbers__place_value": {"difficulty": difficulty}})
        return [len(operands(math.mixture(split)[index].question)[0]) for index in range(500)]

    easy, medium, hard = (lengths(difficulty, "train") for difficulty in ("easy", "medium", "hard"))
    assert max(easy) <= 6 < max(medium) <= 8 < max(hard)
    assert sum(easy) < sum(medium) < sum(hard)
    # Interpolation stays within what was trained on, towards its harder end.
    assert sum(easy) < sum(lengths("easy", "interpolate")) and max(lengths("easy", "interpolate")) <= max(easy)


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard", "all"])
def test_every_module_draws_at_every_difficulty(difficulty):
    math = ModularMath(ALL, seed=9, settings={name: {"difficulty": difficulty} for name in ALL})
    for split in ("train", "interpolate", "extrapolate"):
        source = math.mixture(split)
        for index in range(400):
            asked = source[index]
            assert asked.answer and len(asked.question) <= 160


ADD = "arithmetic__add_or_sub"


def bare(**settings):
    return ModularMath((ADD,), settings={ADD: {"operations": "add", "phrasing": "bare", **settings}})


def test_bare_sums_cover_every_length_up_to_the_most():
    math = bare(max_digits=10, extrapolate_digits=(50, 100))
    for split in ("train", "validation", "interpolate"):
        source = math.mixture(split)
        lengths = set()
        for index in range(2000):
            asked = source[index]
            assert re.fullmatch(r"(0|[1-9]\d*)\+(0|[1-9]\d*)", asked.question)
            p, q = asked.question.split("+")
            assert int(p) + int(q) == int(asked.answer)
            lengths.add((len(p), len(q)))
        assert {length for pair in lengths for length in pair} == set(range(1, 11))
        assert {(1, 10), (10, 1), (10, 10), (5, 5)} <= lengths


def test_extrapolation_sets_by_length():
    sets = bare(max_digits=10, extrapolate_digits=(50, 100)).sets("extrapolate")
    assert list(sets) == ["50_digits", "100_digits"]
    for name, source in sets.items():
        length = int(name.split("_")[0])
        for index in range(50):
            assert re.fullmatch(rf"[1-9]\d{{{length - 1}}}\+[1-9]\d{{{length - 1}}}", source[index].question)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"operation": "add"}, "no setting 'operation'; did you mean 'operations'?"),
        ({"operations": "plus"}, "operations is one of add, sub, both, not 'plus'"),
        ({"max_digits": "10"}, "max_digits takes int, not '10'"),
        ({"max_digits": 10, "extrapolate_digits": (8,)}, "extrapolate_digits 8 is not beyond max_digits 10"),
        ({"extrapolate_digits": (50,)}, "need max_digits"),
        ({"max_digits": 5000}, "numbers end at 4000 digits"),
        ({"difficulty": "hart"}, "did you mean 'hard'?"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        ModularMath((ADD,), settings={ADD: settings})


def test_too_few_questions_is_an_error_not_a_hang(monkeypatch):
    from data_pipelines.modular_math import source

    monkeypatch.setattr(source, "split_of", lambda question: "train")
    with pytest.raises(BadInput, match="allow too few different questions"):
        bare(max_digits=1).mixture("validation")[0]
