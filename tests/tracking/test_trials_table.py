from vishwam.tracking import metrics, sweeps
from vishwam.tracking.sweeps import Trial

INTERPOLATE = {metrics.INTERPOLATE: 0.5, f"{metrics.INTERPOLATE}_low": 0.4, f"{metrics.INTERPOLATE}_high": 0.6}
DONE = Trial("a", "finished", {"rate": 0.1}, INTERPOLATE | {metrics.VALIDATION_LOSS: 0.25}, 61.0)
BEGUN = Trial("b", "running", {"rate": 0.2}, {}, 2.0)


def test_what_no_trial_has_is_no_column_and_what_one_lacks_is_a_dash():
    head, _, done, begun = sweeps.table([DONE, BEGUN]).splitlines()
    assert head.split() == ["rate", "interpolate", "validation/loss", "time"]
    assert done.split()[:1] + done.split()[-4:-1] == ["0.1", "0.2500", "61", "s"]
    assert begun.split() == ["0.2", "-", "-", "2", "s", "running"]


def test_beyond_the_range_of_training_is_a_column_where_it_was_asked():
    asked = Trial("c", "finished", {}, INTERPOLATE | {metrics.EXTRAPOLATE: 0.1}, 1.0)
    assert "extrapolate" in sweeps.table([DONE, asked]).splitlines()[0]
