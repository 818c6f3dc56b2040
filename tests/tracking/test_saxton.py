from data_pipelines.modular_math import ModularMath, registry
from vishwam.tracking import saxton

SETS = {split: list(ModularMath(registry.saxton()).sets(split)) for split in ("interpolate", "extrapolate")}


def test_a_run_over_all_modules_stands_beside_the_published():
    assert saxton.covers(SETS) and not saxton.covers({"interpolate": ["numbers__gcd"]})
    assert [len(names) for names in SETS.values()] == [56, 15]
    summary = {f"exact_match/interpolate/{name}": 0.5 for name in SETS["interpolate"]}
    summary |= {f"exact_match/extrapolate/{name}": 0.25 for name in SETS["extrapolate"]}
    summary |= {"exact_match/interpolate/numbers__gcd": 1.0, "interpolate/exact_match_count": 56 * 100}
    text = saxton.comparison(summary, SETS)
    assert "| the best trial here | 50.9% | 25.0% |" in text  # (55 * 0.5 + 1) / 56
    assert "| Transformer, 30M parameters | 76.0% | 50.0% |" in text
    # Wilson's interval of 100 of 100, and of 50 of 100, by hand: n / (n + z^2), and 0.5 -+ z / (2 sqrt(n + z^2)).
    assert "| numbers__gcd | 100.0% | 96.3% to 100.0% |" in text
    assert "| numbers__lcm | 50.0% | 40.4% to 59.6% |" in text
    assert "| arithmetic__mul_big | 25.0% | - |" in text, "how many were asked is not known"


def test_a_mean_that_lacks_a_set_is_none():
    assert "| the best trial here | - | - |" in saxton.comparison({"exact_match/interpolate/numbers__gcd": 1.0}, SETS)
