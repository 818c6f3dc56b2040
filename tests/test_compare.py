import json
from types import SimpleNamespace

import pytest

from data_pipelines.modular_math.source import ModularMath
from data_pipelines.planted_bias import PlantedBias
from vishwam import cli
from vishwam.compare import compare, other_data
from vishwam.evaluation.statistics import mcnemar_exact

SPLIT = "interpolate"


def rights(**sets):
    """'110' is right, right, wrong."""
    return {(SPLIT, name): [mark == "1" for mark in marks] for name, marks in sets.items()}


def test_sets_families_and_splits_by_hand():
    a = rights(algebra__one="1111111100", algebra__two="1110000000", numbers__gcd="1" * 10)
    b = rights(algebra__one="0000000011", algebra__two="1100000000", numbers__gcd="1" * 10)
    rows = {(row.level, row.name): row for row in compare(a, b)}
    assert list(rows) == [
        ("set", "algebra__one"), ("set", "algebra__two"), ("set", "numbers__gcd"),
        ("family", "algebra"), ("family", "numbers"), ("split", "all"),
    ]  # fmt: skip
    one = rows["set", "algebra__one"]
    assert (one.a, one.b, one.only_a, one.only_b) == (0.8, 0.2, 8, 2)
    # 2 (1 + 10 + 45) / 1024, and three times that within three sets.
    assert one.p == pytest.approx(112 / 1024) and one.p_holm == pytest.approx(336 / 1024)
    assert one.verdict == "no difference shown"
    family = rows["family", "algebra"]
    assert (family.questions, family.only_a, family.only_b) == (20, 9, 2)
    assert family.p == pytest.approx(mcnemar_exact(9, 2)) and family.p_holm == pytest.approx(2 * family.p)
    assert rows["split", "all"].p_holm == pytest.approx(family.p)
    assert rows["set", "numbers__gcd"].p_holm == 1


def test_verdicts_follow_the_adjusted_p():
    better, worse = rights(x="1" * 20), rights(x="0" * 20)
    assert {row.verdict for row in compare(better, worse)} == {"A is better"}
    assert {row.verdict for row in compare(worse, better)} == {"B is better"}
    # Six to nothing is p = 0.03 alone and shows nothing among five sets.
    many = {f"m{i}": "1" * 10 for i in range(4)}
    rows = compare(rights(x="1" * 10, **many), rights(x="0" * 6 + "1" * 4, **many))
    assert rows[0].p < 0.05 and rows[0].verdict == "no difference shown"


def test_in_what_the_questions_differ_is_told():
    a, b = (
        SimpleNamespace(experiment=SimpleNamespace(data=ModularMath(modules=(module,), seed=seed)))
        for module, seed in (("arithmetic__add_or_sub", 0), ("numbers__gcd", 1))
    )
    assert other_data(a, b) == "modules ('numbers__gcd',) and not ('arithmetic__add_or_sub',), seed 1 and not 0"
    b.experiment.data = PlantedBias()
    assert other_data(a, b) == "PlantedBias and not ModularMath"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere", "else"], "'nowhere' is neither a folder nor entity/project/checkpoint-ID:alias"),
        (["{empty}", "{empty}"], "no checkpoint here"),
        (["{empty}", "{empty}", "--count", "0"], "--count 0: must be at least 1"),
        (["{empty}", "{empty}", "--json", "no/such.json"], "--json no/such.json: no folder no"),
    ],
)
def test_bad_input_is_one_line(arguments, complaint, tmp_path, capsys):
    assert cli.main(["compare", *(word.format(empty=tmp_path) for word in arguments)]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1


def test_a_checkpoint_is_not_compared_with_itself(tmp_path, capsys):
    (tmp_path / "config.gin").write_text("")
    (tmp_path / "20" / "state").mkdir(parents=True)
    (tmp_path / "20" / "evaluation.json").write_text(json.dumps({}))
    assert cli.main(["compare", str(tmp_path), str(tmp_path / "20")]) == 2
    assert "are the same checkpoint" in capsys.readouterr().err
