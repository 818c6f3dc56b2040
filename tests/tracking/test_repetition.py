import pytest

from vishwam.tracking import metrics, repetition
from vishwam.tracking.sweeps import Trial


def trial(seed, repeated, loss, **knobs):
    named = {"seq_rep_4": repeated, "unique_sentences": 0.5, "distinct_2": 0.25, "zlib_ratio": 0.1}
    summary = {metrics.repetition(f"{name}_written"): value for name, value in named.items()}
    summary |= {metrics.VALIDATION_LOSS: loss, metrics.INTERPOLATE: 0.9}
    return Trial(f"run{seed}", "finished", {"seed": seed, **knobs}, summary, 1.0)


PLAIN = [
    trial(seed, 0.6 + seed / 10, 1.0 + seed, unlikelihood=0.0, repetition_penalty=1.0, no_repeat_ngram=0)
    for seed in range(3)
]
TRAINED = [
    trial(seed, 0.1, 1.02 * (1 + seed), unlikelihood=0.5, repetition_penalty=1.0, no_repeat_ngram=0)
    for seed in range(3)
]
RULED = [trial(seed, 0.0, 1.0 + seed, unlikelihood=0.0, repetition_penalty=1.3, no_repeat_ngram=0) for seed in range(3)]


def test_a_setting_stands_with_its_interval_beside_the_cost_to_the_same_seeds():
    # Three seeds: t(0.975, 2) = 4.303 times 0.1 / sqrt(3).
    rows = {line.split()[0] + line.split()[1]: line for line in repetition.table(PLAIN + TRAINED + RULED).splitlines()}
    assert "70.0% [45.2%, 94.8%]" in rows["0.01.0"] and " - " in rows["0.01.0"]
    assert "10.0%" in rows["0.51.0"] and "+2.0%" in rows["0.51.0"]
    assert "+0.0%" in rows["0.01.3"], "a rule of decoding leaves the model as it is"


@pytest.mark.parametrize("knobs", [{}, {"pairing": 0.1}])
def test_a_sweep_that_tries_nothing_against_repetition_has_no_section(knobs):
    assert not repetition.measured([trial(0, 0.5, 1.0, **knobs)])
