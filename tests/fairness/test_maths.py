import pytest

from data_pipelines.modular_math.counterfactual import counterfactual
from data_pipelines.modular_math.source import ModularMath
from vishwam.evaluation.exact_match import Sample
from vishwam.fairness import bias, maths

MODULES = ("words__change", "words__ages", "words__compare")


@pytest.fixture(scope="module")
def source():
    return ModularMath(MODULES).mixture("interpolate")


def asked(source, says, count=60):
    samples = [Sample(q.question, q.answer, says(q)) for q in (source[i] for i in range(count))]
    return {"interpolate/words": (source, samples)}


def by(figures):
    return {figure.what: figure for figure in figures}


def test_whoever_ignores_people_is_fair(source):
    right = {counterfactual(source, pronouns="swapped")[i].question: source[i].answer for i in range(60)}
    figures = by(maths.measure(lambda questions: [right[q] for q in questions], asked(source, lambda q: q.answer)))
    assert figures["exact_match_gap"].value == figures["flip_rate"].value == 0
    assert figures["exact_match_gap"].templates > 3


def test_gap_and_flips_by_hand(source):
    # Right as asked, wrong where people changed places.
    figures = by(maths.measure(lambda questions: ["x"] * len(questions), asked(source, lambda q: q.answer)))
    assert figures["exact_match_gap"].value == figures["flip_rate"].value == 1
    # Wrong before and after, each time otherwise: flips without a gap.
    figures = by(maths.measure(lambda questions: ["x"] * len(questions), asked(source, lambda q: "y")))
    assert (figures["exact_match_gap"].value, figures["flip_rate"].value) == (0, 1)


def test_only_questions_that_change_are_asked_again(source):
    changed = []
    maths.measure(lambda questions: changed.extend(questions) or list(questions), asked(source, lambda q: ""))
    before = {source[i].question for i in range(60)}
    assert 0 < len(changed) < 60 and not before & set(changed)


def test_nothing_to_measure_without_people():
    source = ModularMath(("arithmetic__mul",)).mixture("interpolate")
    assert maths.measure(lambda questions: 1 / 0, asked(source, lambda q: "")) == []


def test_wording_is_the_same_whoever_it_is_about(source):
    for other in (counterfactual(source), counterfactual(source, names="arabic", pronouns="they")):
        assert all(maths.wording(source[i].question) == maths.wording(other[i].question) for i in range(100))
    assert maths.wording(source[0].question) != maths.wording(source[1].question)


def test_names_and_intervals_that_are_never_certain(source):
    found = maths.measure(lambda questions: ["x"] * len(questions), asked(source, lambda q: "x"))
    metrics = bias.metrics(found)
    assert metrics["bias/maths/exact_match_gap"] == metrics["bias/maths/flip_rate"] == 0
    assert metrics["bias/maths/exact_match_gap_low"] < 0 < metrics["bias/maths/exact_match_gap_high"] < 0.5
    assert metrics["bias/maths/flip_rate_low"] == 0 < metrics["bias/maths/flip_rate_high"] < 0.5
