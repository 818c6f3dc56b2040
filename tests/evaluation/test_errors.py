import random

import pytest

from data_pipelines.modular_math.source import ModularMath
from vishwam.evaluation import errors
from vishwam.evaluation.exact_match import Sample


def carries_on_paper(a, b):
    """Adding column by column."""
    carry = count = 0
    while a or b:
        carry = (a % 10 + b % 10 + carry) >= 10
        count += carry
        a, b = a // 10, b // 10
    return count


def test_carries_as_on_paper():
    draw = random.Random(0)
    for _ in range(500):
        a, b = draw.randrange(10 ** draw.randint(1, 30)), draw.randrange(10 ** draw.randint(1, 30))
        assert errors.carries(Sample(f"{a}+{b}", str(a + b), "")) == carries_on_paper(a, b)
    assert errors.carries(Sample("999+1", "1000", "")) == 3


@pytest.mark.parametrize("question", ["5-3", "2*3", "1+2+3", "-5+7", "Sort 3, 5."])
def test_no_carries_where_nothing_is_added(question):
    assert errors.carries(Sample(question, "2", "")) is None


@pytest.mark.parametrize(
    ("question", "depth"),
    [
        ("What is 2 + 2?", 1),
        ("Let b = -8 - -18. Suppose k = 10. What is the highest common factor of b and k?", 3),
        ("Let z(u) = -u. Let w(k) = -2. Let f(a) = 2*w(a) + z(a). Suppose 26 = -4*n - t, 11 + 2*n = -9. Find f(n).", 5),
        ("Letty has 3 apples. Supposedly she eats 2. How many has she?", 1),
    ],
)
def test_depth_counts_definitions(question, depth):
    assert errors.depth(Sample(question, "0", "")) == depth


@pytest.mark.parametrize("asked", [2, 4])
def test_depth_is_the_depth_asked_for_or_more_where_a_module_needs_two_definitions(asked):
    data = ModularMath(("numbers__gcd_composed",), settings={"numbers__gcd_composed": {"depth": asked}})
    source = data.mixture("train")
    depths = [errors.depth(Sample(source[i].question, source[i].answer, "")) for i in range(50)]
    assert min(depths) == asked and max(depths) <= 2 * asked and depths.count(asked) > 10


def test_table_by_hand():
    samples = [
        Sample("1+2", "3", "3"),
        Sample("5+7", "12", "12"),
        Sample("9+9", "18", "8"),
        Sample("12+3", "15", "15"),
    ]
    rows = {(row[2], row[3]): row[4:] for row in errors.table([("interpolate", "m", samples)])}
    assert set(rows) == {("digits", "1"), ("digits", "2"), ("carries", "0"), ("carries", "1"), *answer_lengths(1, 2)}
    # 2 of 3: Wilson (1927), as `scipy.stats.binomtest(2, 3).proportion_ci(method="wilson")` has it.
    assert rows["digits", "1"] == pytest.approx((2 / 3, 0.2076, 0.9385, 3), abs=1e-3)
    assert rows["carries", "1"][0] == 0.5 and rows["carries", "1"][3] == 2


def answer_lengths(*values):
    return {("answer length", str(value)) for value in values}


def test_large_values_share_rows_by_tens():
    samples = [Sample("1" * length, "1", "1") for length in (9, 10, 19, 20)]
    assert [row[3] for row in errors.table([("s", "m", samples)])] == ["9", "10-19", "20-29"]


@pytest.mark.parametrize(
    ("answer", "said", "kind"),
    [
        ("12", "", "nothing said"),
        ("12", "012", "equivalent"),
        ("12", "-12", "sign"),
        ("12", "13", "one character"),
        ("12", "31", "several characters"),
        ("12", "123", "goes on too long"),
        ("12", "1", "stops too early"),
        ("12", "3", "too short"),
        ("12", "345", "too long"),
    ],
)
def test_kinds_of_mistakes(answer, said, kind):
    sample = Sample("?", answer, said)
    rows = errors.mistakes([("s", "m", [sample])], lambda a, b: int(a) == int(b))
    assert rows == [("s/m", "?", answer, said, kind)]


def test_what_is_right_is_no_mistake():
    assert not errors.mistakes([("s", "m", [Sample("?", "1", "1")])], str.__eq__)
