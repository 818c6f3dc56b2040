import re
from fractions import Fraction
from math import prod

import pytest

from data_pipelines import BadInput
from data_pipelines.modular_math import ModularMath, QuestionSource, registry
from tests.data_pipelines.modular_math.quantities import number_in_words, symbol_size, unit_size
from tests.data_pipelines.modular_math.solve import agrees

ALL = registry.names()
BEYOND = [name for name in registry.saxton() if registry.find(name).extrapolate]
# By topic: a name alone, or with + also composed, or with / only as an extrapolation set of the name before the slash.
SAXTON = {
    "algebra": "linear_1d+ linear_2d+ polynomial_roots+ polynomial_roots/big sequence_next_term sequence_nth_term",
    "arithmetic": "add_or_sub add_or_sub/big add_or_sub_in_base add_sub_multiple add_sub_multiple/longer div div/big"
    " mixed mixed/longer mul mul/big mul_div_multiple mul_div_multiple/longer nearest_integer_root simplify_surd",
    "calculus": "differentiate+",
    "comparison": "closest+ closest/more kth_biggest+ kth_biggest/more pair+ sort+ sort/more",
    "measurement": "conversion conversion/ time",
    "numbers": "base_conversion div_remainder+ gcd+ is_factor+ is_prime+ lcm+ list_prime_factors+ place_value+"
    " place_value/big round_number+ round_number/big",
    "polynomials": "add coefficient_named collect compose evaluate+ expand simplify_power",
    "probability": "swr_p_level_set swr_p_level_set/more_samples swr_p_sequence swr_p_sequence/more_samples",
}


def test_modules_and_sets_bear_the_names_of_saxton_et_al():
    modules, beyond = set(), set()
    for topic, listed in SAXTON.items():
        for name in listed.split():
            full = f"{topic}__{name}"
            if "/" in full:
                beyond.add(full.replace("/", "_").rstrip("_"))
            else:
                modules |= {full.rstrip("+")} | ({full.replace("+", "_composed")} if "+" in full else set())
    assert len(modules) == 56 and len(beyond) == 15
    assert set(registry.saxton()) == modules
    math = ModularMath(registry.saxton())
    assert set(math.sets("interpolate")) == modules and set(math.sets("extrapolate")) == beyond


@pytest.mark.parametrize("name", registry.saxton())
def test_another_reader_gives_the_same_answer(name):
    splits = [("train", 160), ("validation", 20), ("interpolate", 40)]
    if name in BEYOND:
        splits.append(("extrapolate", 40))
    for split, count in splits:
        source = QuestionSource((name,), split, seed=11)
        for index in range(count):
            asked = source[index]
            assert agrees(asked.question, asked.answer), asked


@pytest.mark.parametrize("name", [name for name in ALL if name.endswith("_composed")])
def test_composed_questions_use_all_that_they_define(name):
    source = QuestionSource((name,), "train", seed=2)
    kinds = set()
    composed = 0
    for index in range(300):
        question = source[index].question
        sentences = re.split(r"(?<=\.) (?=[A-Z])", question)
        # Some modules write f(3) or 3*(4 - 2) where they are asked to, and define no letter for it.
        composed += len(sentences) > 1
        told = [sentence for sentence in sentences[:-1] if sentence.startswith(("Let ", "Suppose "))]
        for place, sentence in enumerate(told):
            kinds.add(re.sub(r"[^A-Za-z ]|\b[a-z]\b", "", sentence))
            used = set(re.findall(r"\b[a-z]\b", " ".join(sentences[place + 1 :])))
            defined = set(re.findall(r"\b[a-z]\b", sentence))
            assert defined & used, question
    assert len(kinds) > 5 and composed > 200


@pytest.mark.parametrize("depth", [2, 3, 6, 8])
def test_a_question_is_composed_to_the_chosen_depth(depth):
    names = tuple(name for name in registry.saxton() if name.endswith("_composed"))
    source = ModularMath(names, settings={name: {"depth": depth} for name in names}).train_source()
    sentences = []
    for index in range(150):
        asked = source[index]
        assert agrees(asked.question, asked.answer), asked
        # What a polynomial is at the bottom is said in a sentence that no module stands for.
        sentences.append(len(re.findall(r"(?:Let|Suppose) ", re.sub(r"Let \w\(\w\) = [^.]*\.", "", asked.question))))
    assert max(sentences) >= depth - 1 > max(sentences) - 2


def significant(number):
    return number.lstrip("-").replace(".", "").strip("0") or "0"


def operands(question):
    return re.findall(r"-?[0-9][0-9.]*(?<!\.)", re.sub(r"([0-9.])-", r"\1 - ", question))


def product(question):
    p, q = (int(re.sub(r"[-.]", "", number)) for number in operands(question))
    return p * q


def operations(question, answer):
    return len(re.findall(r"(?<=[0-9)])( [-+] |\*|/)", question))


def listed(question, answer):
    return max(len(re.findall(r"\(\w\)", question)), question.count(",") + 1)


def sizes_of_roots(question, answer):
    """The product of all roots' numerators and denominators, from the roots or from the factors."""
    if not re.search("[a-z]", answer):
        roots = [Fraction(root) for root in answer.split(", ")]
    else:
        roots = [
            Fraction(int(sign + constant), int(slope or 1))
            for slope, sign, constant in re.findall(r"\((?:(\d+)\*)?\w ([-+]) (\d+)\)", answer)
        ]
    return prod(max(1, abs(root.numerator)) * root.denominator for root in roots)


def converted_digits(question, answer):
    """The significant digits, without the factor that makes the answer a decimal."""
    if not (found := re.search(r"([\d.]+)( ?)([a-z]+)(?: in ([a-z]+)\?| to ([a-z]+)\.|\?)$", question)):
        return 0
    number, space, old, *new = found.groups()
    size = unit_size(old) if space else symbol_size(old)
    denominator = (size / unit_size(new[0] or new[1] or question.split()[2])).denominator
    while denominator % 2 == 0 or denominator % 5 == 0:
        denominator //= 2 if denominator % 2 == 0 else 5
    return int(significant(number)) // denominator


def picked(question, answer):
    return number_in_words(re.search(r"(\w+) letters picked", question)[1].lower())


# What each module extrapolates in, read from the text.
EXTENT = {
    "algebra__polynomial_roots": sizes_of_roots,
    "arithmetic__add_or_sub": lambda q, a: max(len(significant(number)) for number in operands(q)),
    "arithmetic__add_sub_multiple": operations,
    "arithmetic__mul": lambda q, a: product(q),
    "arithmetic__mul_div_multiple": operations,
    "arithmetic__div": lambda q, a: max(abs(int(number)) for number in operands(q)),
    "arithmetic__mixed": operations,
    "comparison__closest": listed,
    "comparison__kth_biggest": listed,
    "comparison__sort": listed,
    "measurement__conversion": converted_digits,
    "numbers__place_value": lambda q, a: len(operands(q)[0]),
    "numbers__round_number": lambda q, a: len(significant(operands(q)[0])),
    "probability__swr_p_level_set": picked,
    "probability__swr_p_sequence": picked,
}


@pytest.mark.parametrize("name", BEYOND)
def test_extrapolation_lies_outside_the_training_range(name):
    def extents(split, count):
        source = QuestionSource((name,), split, seed=5)
        return [EXTENT[name](source[index].question, source[index].answer) for index in range(count)]

    reached = max(max(extents(split, 700)) for split in ("train", "validation", "interpolate"))
    assert min(extents("extrapolate", 150)) > reached


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
            assert asked.answer and (len(asked.question) <= 160 or asked.module.startswith("words__"))


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
