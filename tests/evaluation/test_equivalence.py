import subprocess
import sys
import time

import pytest
import sympy

from vishwam.evaluation.equivalence import Judge, is_formula


@pytest.fixture(scope="module")
def judge():
    with Judge() as judge:
        yield judge


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("12", "12"),
        ("37", "037"),
        ("1/2", "2/4"),
        ("0.5", "1/2"),
        ("-3", "- 3"),
        ("-2, 3", "-2,3"),
        ("2*x**3 - 4*x", "-4*x + 2*x**3"),
        ("-3*d**2 - 4*d", "-d*(3*d + 4)"),
        ("2*sqrt(3)", "sqrt(12)"),
        ("1" * 100, "0" + "1" * 100),
    ],
)
def test_the_same_said_otherwise(judge, answer, said):
    assert judge.equivalent(answer, said)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("12", "21"),
        ("12", ""),
        ("12", "1 2"),
        ("7", "7 apples"),
        ("1/2", "1/0"),
        ("1/3", "0.333333"),  # a rounded number is another number
        ("0.0000001", "0.0000002"),
        ("1" * 100, "1" * 99 + "2"),
        ("b", "B"),
        ("b", "c"),
        ("True", "False"),
        ("6:45 AM", "6:45 PM"),
        ("1f3", "3f1"),  # in base 16, and no product
        ("1, 2, 3", "2, 1, 3"),  # "Sort 2, 1, 3."
        ("2*x", "2*y"),
        ("x**2", "__import__('os')"),
    ],
)
def test_another_answer(judge, answer, said):
    assert not judge.equivalent(answer, said)
    assert not judge.undecided


def test_agrees_with_sympy_on_expanded_polynomials(judge):
    x = sympy.Symbol("x")
    for a in (-3, 2):
        for b in (-5, 4):
            product = (a * x + b) * (x - a) ** 2
            told = str(sympy.expand(product))
            assert judge.equivalent(told, str(product)) and not judge.equivalent(told, str(product + 1))


def test_what_never_ends_is_undecided_and_the_next_pair_is_answered():
    began = time.monotonic()
    with Judge() as judge:
        assert not judge.equivalent("x**2", "9**(9**9)*x**2")
        assert not judge.equivalent("x**2", "9**(9**9)*x**2")  # known by now
        assert judge.equivalent("x + x", "2*x")
    assert judge.undecided == 2
    assert time.monotonic() - began < 60


def test_formulas_beyond_the_budget_are_undecided_and_numbers_are_free():
    with Judge(seconds=0) as judge:
        assert not judge.equivalent("x + x", "2*x")
        assert judge.equivalent("1/2", "0.5")
    assert judge.undecided == 1


def test_what_is_a_formula():
    assert all(map(is_formula, ("2*x", "-x", "sqrt(3)", "3", "(x + 1)/2")))
    assert not any(map(is_formula, ("x", "1f3", "True", "2x", "6:45 AM", "x.y", "")))


@pytest.mark.parametrize("text", ["1" * 400 + ">", "*" * 400 + ">", "1.1" * 130 + ">", " " * 400 + ">"])
def test_what_a_lost_model_writes_is_looked_at_once(text):
    """In a process of its own: a pattern that tries every way to part a text would hold this one for ever."""
    code = f"from vishwam.evaluation.equivalence import is_formula; assert not is_formula({text!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
