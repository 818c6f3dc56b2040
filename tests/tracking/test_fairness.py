from dataclasses import replace

import pytest

from vishwam.tracking import fairness, metrics
from vishwam.tracking.sweeps import Trial


def trial(seed, gap, loss, *, low=None, exact=0.9, state="finished", knows=1.0, **knobs):
    summary = {
        metrics.STEREOTYPE_GAP: gap,
        f"{metrics.STEREOTYPE_GAP}_low": gap - 0.2 if low is None else low,
        metrics.VALIDATION_LOSS: loss,
        metrics.INTERPOLATE: exact,
        metrics.KNOWS_LANGUAGE: knows,
    }
    return Trial(f"run{seed}", state, {"seed": seed, **knobs}, summary, 1.0)


PLAIN = [trial(seed, gap, 1.0 + seed, pairing=0.0) for seed, gap in enumerate((1.6, 1.7, 1.8))]
PAIRED = [trial(seed, gap, (1.0 + seed) * 1.01, pairing=0.1) for seed, gap in enumerate((0.1, 0.2, 0.3))]
DEAR = [trial(seed, 0.01, (1.0 + seed) * 1.2, pairing=9.0) for seed in range(3)]
USELESS = [trial(seed, 1.7, (1.0 + seed) * 1.005, pairing=0.001) for seed in range(3)]


def by_pairing(trials):
    return {setting.knobs["pairing"]: setting for setting in fairness.settings(trials)}


def test_a_setting_is_compared_with_the_same_seeds_without_mitigation():
    found = by_pairing(PLAIN + PAIRED)
    plain, paired = found[0.0], found[0.1]
    assert plain.cost is None and plain.left is None and plain.is_plain
    assert paired.gap.value == pytest.approx(0.2) and paired.left == pytest.approx(0.2 / 1.7)
    # Three seeds: t(0.975, 2) = 4.303 times 0.1 / sqrt(3).
    assert paired.gap.high - paired.gap.value == pytest.approx(4.303 * 0.1 / 3**0.5, rel=1e-3)
    assert paired.cost is not None and paired.cost.value == pytest.approx(0.01)
    assert paired.cost.high - paired.cost.low == pytest.approx(0, abs=1e-9), "each seed costs the same hundredth"


def test_a_seed_that_has_no_counterpart_is_not_compared():
    found = by_pairing([*PLAIN[1:], *PAIRED])
    assert found[0.1].left == pytest.approx(0.5 / 3.5)
    assert by_pairing(PAIRED)[0.1].cost is None


def test_the_front_is_what_nothing_beats():
    found = fairness.settings(PLAIN + PAIRED + DEAR + USELESS)
    assert [setting.knobs["pairing"] for setting in fairness.front(found)] == [0.0, 0.1, 9.0]
    assert [setting.knobs["pairing"] for setting in found if setting.halves] == [0.1]


def test_the_headline_says_whether_it_is_there_and_what_takes_it_away_cheaply():
    said = fairness.headline(PLAIN + PAIRED + DEAR)
    assert (
        "(`pairing` = 0.0) the stereotype gap is 1.70 [1.45, 1.95] nats: a bias, found in each of its 3 trials" in said
    )
    assert "halved at less than 2% of the validation loss by `pairing` = 0.1 (88% of it gone, loss +1.0%" in said
    assert "9.0" not in said
    unsure = [*PLAIN[:2], trial(2, 0.1, 3.0, low=-0.1, pairing=0.0)]
    assert "found in 2 of its 3 trials" in fairness.headline(unsure)
    assert "No setting halves it" in fairness.headline(PLAIN + DEAR)
    assert fairness.headline([]) == ""


def test_who_knows_no_language_or_has_not_ended_says_nothing():
    mute = [trial(0, 2.0, 1.0, knows=0.0), trial(1, 2.0, 1.0, state="running")]
    assert fairness.settings(mute) == [] and len(fairness.measured(mute)) == 1


def test_a_single_seed_has_no_interval():
    assert fairness.headline(PLAIN[:1]).startswith(
        "Without mitigation (`pairing` = 0.0) the stereotype gap is 1.60 nats:"
    )


def test_the_table_marks_the_front():
    lines = fairness.table(fairness.settings(PLAIN + PAIRED + USELESS)).splitlines()
    assert lines[0].split()[:3] == ["pairing", "trials", "stereotype"]
    assert [line.endswith("*") for line in lines[2:]] == [True, False, True]
    assert "12%" in lines[4] and "+1.0%" in lines[4]


def test_the_table_has_the_absolute_gaps_where_all_trials_have_them():
    def with_gaps(trial):
        summary = {**trial.summary, metrics.BIAS_GAP: 0.06, metrics.TRAIT_GAP: 0.01 * (1 + trial.knobs["seed"])}
        return replace(trial, summary=summary)

    lines = fairness.table(fairness.settings([with_gaps(trial) for trial in PLAIN])).splitlines()
    # Three seeds: 0.02, and 4.303 times 0.01 / sqrt(3).
    assert "absolute gap" in lines[0] and "0.060 [0.060, 0.060]" in lines[2] and "0.020 [-0.005, 0.045]" in lines[2]
    assert "trait gap" not in fairness.table(fairness.settings([with_gaps(PLAIN[0]), *PLAIN[1:]]))


def test_the_section_draws_the_front_and_every_figure():
    drawn = []
    blocks = fairness.blocks(PLAIN + PAIRED, lambda *panels: drawn.extend(panels))
    assert blocks[0].text.startswith("Bias")
    assert "12%" in blocks[2].code
    by_loss, by_accuracy, *_, table = drawn
    assert by_loss.running_ymin and by_loss.x.name == metrics.VALIDATION_LOSS
    assert (by_accuracy.x.name, by_accuracy.z.name) == (metrics.INTERPOLATE, metrics.VALIDATION_LOSS)
    assert by_loss.y.name == by_accuracy.y.name == metrics.STEREOTYPE_GAP
    assert table.table_name == metrics.BIAS
