import hashlib
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys

import grain
import numpy as np
import pytest

from data_pipelines import BadInput, processes
from data_pipelines.modular_math import ModularMath, Question, QuestionSource, command, registry
from data_pipelines.splits import SPLITS, normalise, split_of

ALL = registry.names()
# Those whose split the numbers in the question decide; the others know better what makes two questions the same.
BY_NUMBERS = tuple(name for name in ALL if name.startswith(("comparison__", "polynomials__", "algebra__")))


def lines(*arguments, hash_seed="0", python=sys.executable):
    code = (
        "import argparse, sys; from data_pipelines.modular_math import command; p = argparse.ArgumentParser(); "
        "command.add_arguments(p); sys.exit(command.run(p.parse_args()))"
    )
    result = subprocess.run(
        [python, "-c", code, *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
    )
    return result.stdout


def test_two_processes_print_the_same_lines():
    arguments = ("--module", "all", "--split", "train", "--count", "2500", "--seed", "7")
    first, second = lines(*arguments, hash_seed="1"), lines(*arguments, hash_seed="2")
    assert first == second
    printed = [json.loads(line) for line in first.splitlines()]
    source = ModularMath(ALL, seed=7).mixture("train")
    assert printed == [source[index]._asdict() for index in range(2500)]
    assert {question["module"] for question in printed} == set(ALL)


@pytest.mark.parametrize("name", ["python3.11", "python3.12", "python3.13", "python3.14"])
def test_another_python_prints_the_same_lines(name):
    found = shutil.which(name)
    if not found or subprocess.run([found, "--version"], capture_output=True).returncode:
        pytest.skip(f"no {name} here")
    arguments = ("--module", "all", "--split", "interpolate", "--count", "300")
    assert lines(*arguments, python=found) == lines(*arguments)


def test_questions_stay_what_they_were():
    # Changes whenever a module, its draws or its phrasings change. That is fine before a data set is published; say so
    # in the commit.
    digest = hashlib.sha256()
    for split in SPLITS:
        source = ModularMath(registry.saxton(), seed=1).mixture(split)
        for index in range(500):
            digest.update(repr(tuple(source[index])).encode())
    assert digest.hexdigest()[:16] == "08627e9b1e0bfd1b"


def test_a_question_is_a_function_of_seed_module_split_and_index():
    mixture = ModularMath(ALL, seed=3).mixture("validation")
    for index in (0, 5, 5, 123456789, 17):
        asked = mixture[index]
        assert asked == QuestionSource((asked.module,), "validation", 3)[index]
        assert asked.index == index
    assert pickle.loads(pickle.dumps(mixture))[17] == mixture[17]
    assert mixture[0] != ModularMath(ALL, seed=4).mixture("validation")[0]


def normalised(question):
    """Another normalisation than the splitter's: letters without case, single spaces."""
    return " ".join(question.lower().split())


SMALL = tuple(name for name in ALL if name.startswith(("measurement__", "probability__", "numbers__g")))


@pytest.mark.parametrize(
    ("modules", "counts"),
    [(ALL, (85_000, 5_000, 5_000, 5_000)), *(((name,), (800,) * len(SPLITS)) for name in SMALL)],
)
def test_no_question_in_two_splits(modules, counts):
    found: dict[str, str] = {}
    for split, count in zip(SPLITS, counts, strict=True):
        if split == "extrapolate" and not any(registry.find(name).extrapolate for name in modules):
            continue
        source = ModularMath(modules, seed=0).mixture(split)
        for index in range(count):
            key = normalised(source[index].question)
            assert found.setdefault(key, split) == split, key


def hashes(split, indices):
    """Eight bytes of each question of the mixture of all modules."""
    source = ModularMath(ALL, seed=0).mixture(split)
    digests = (hashlib.blake2b(normalised(source[i].question).encode(), digest_size=8).digest() for i in indices)
    return np.frombuffer(b"".join(digests), np.uint64)


@pytest.mark.slow
def test_no_question_in_two_splits_over_ten_million():
    sets = []
    with processes.pool(2) as workers:
        # Ten times as much work is wasted on a held-out question as on one to train on.
        for split, count in zip(SPLITS, (9_000_000, 350_000, 350_000, 300_000), strict=True):
            parts = [range(start, min(start + 50_000, count)) for start in range(0, count, 50_000)]
            sets.append(np.unique(np.concatenate(list(workers.map(hashes, itertools.repeat(split), parts)))))
    for number, one in enumerate(sets):
        for other in sets[number + 1 :]:
            # Among ten million, two of these hashes fall together by chance once in 400,000 runs.
            assert not np.intersect1d(one, other, assume_unique=True).size


def test_splits_do_not_depend_on_the_seed():
    wanted = {
        ModularMath(BY_NUMBERS, seed=seed).mixture("validation")[index].question
        for seed in (0, 1)
        for index in range(50)
    }
    assert {split_of(question) for question in wanted} == {"validation"}


def test_a_rephrased_question_stays_in_its_split():
    same = ["3 + 14", "What is 14 plus 3?", "14+3", "Add together 3 and 14."]
    assert len({normalise(question) for question in same}) == 1
    assert normalise("Let f(x) = 2*x + 1. What is f(3)?") == normalise("Let g(k) = 2*k + 1. Give g(3).")
    assert normalise("3 + 14") != normalise("31 + 4")
    assert normalise("How are  you?") == normalise("how are you?") != normalise("How is he?")


def test_three_quarters_are_trained_on():
    drawn = [split_of(f"{number}") for number in range(8000)]
    assert 0.73 < drawn.count("train") / 8000 < 0.77
    assert 0.11 < drawn.count("validation") / 8000 < 0.14


def test_sets_are_named_by_module():
    math = ModularMath(("numbers__gcd", "arithmetic__mul"))
    assert list(math.sets("interpolate")) == ["numbers__gcd", "arithmetic__mul"]
    assert list(math.sets("extrapolate")) == ["arithmetic__mul_big"]
    assert math.sets("train")["numbers__gcd"][4] == QuestionSource(("numbers__gcd",), "train", 0)[4]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ModularMath(("numbers__gdc",)), "did you mean 'numbers__gcd'"),
        (lambda: ModularMath(()), "modules is empty"),
        (lambda: ModularMath("numbers__gcd"), "takes a tuple of names"),  # type: ignore[arg-type]
        (lambda: ModularMath(("numbers__gcd",), settings={"numbers__lcn": {}}), "'numbers__lcn', which is no module"),
        (lambda: ModularMath().mixture("valid"), "no split 'valid'; did you mean 'validation'"),
        (lambda: ModularMath(("numbers__gcd",)).mixture("extrapolate"), "no extrapolation set for numbers__gcd"),
        (lambda: QuestionSource(("numbers__gcd",), "extrapolate", 0), "no single extrapolation set"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(BadInput, match=message):
        build()


def test_settings_for_all_modules_yield_to_a_modules_own():
    names = ("numbers__gcd", "numbers__place_value")
    shared = ModularMath(names, settings={"*": {"difficulty": "easy"}, "numbers__gcd": {"difficulty": "hard"}})
    own = ModularMath(
        names, settings={"numbers__gcd": {"difficulty": "hard"}, "numbers__place_value": {"difficulty": "easy"}}
    )
    assert [shared.train_source()[i] for i in range(20)] == [own.train_source()[i] for i in range(20)]
    with pytest.raises(BadInput, match="did you mean 'easy'"):
        ModularMath(names, settings={"*": {"difficulty": "esay"}})
    lengths = {"*": {"max_digits": 3}, "arithmetic__add_or_sub": {"extrapolate_digits": (5,)}}
    assert list(ModularMath(settings=lengths).sets("extrapolate")) == ["5_digits"], "which is more than those shared"
    ModularMath(("arithmetic__mul",), settings=lengths)


def test_question_is_a_plain_record():
    assert Question("m", "q", "a", 3)._asdict() == {"module": "m", "question": "q", "answer": "a", "index": 3}
    with pytest.raises(IndexError):
        ModularMath().train_source()[-1]


def test_grain_reads_it_by_index():
    source = ModularMath(ALL).train_source()
    dataset = grain.MapDataset.source(source)
    assert dataset[5] == source[5] == source[np.int64(5)]
    assert list(dataset[2:4]) == [source[2], source[3]]


def test_command_refuses_a_negative_count():
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with pytest.raises(BadInput, match="--count -1"):
        command.run(parser.parse_args(["--count", "-1"]))


def test_command_composes_to_a_depth(capsys):
    import argparse

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    asked = ["--module", "numbers__gcd_composed", "--count", "20", "--depth"]
    lengths = []
    for depth in ("2", "6"):
        assert command.run(parser.parse_args([*asked, depth])) == 0
        lengths.append(len(capsys.readouterr().out))
    assert lengths[1] > 1.5 * lengths[0]
    with pytest.raises(BadInput, match="depth is 0 or from 2 to 8, not 9"):
        command.run(parser.parse_args([*asked, "9"]))
    with pytest.raises(BadInput, match="--depth 3: numbers__gcd is not composed"):
        command.run(parser.parse_args(["--module", "numbers__gcd", "--depth", "3"]))
