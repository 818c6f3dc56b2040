"""The report's table of memory by trial."""

from vishwam.tracking.sweeps import Trial, memory_table


def trial(id, batch, **summary):
    named = {f"memory/{name}": value for name, value in summary.items()}
    return Trial(id, "finished", {"batch_size": batch}, named, 10.0)


def test_predicted_measured_and_what_would_have_fitted_by_trial():
    known = {"predicted_peak": 4e9, "measured_peak": 5e9, "limit": 60e9, "headroom": 0.25, "largest_batch": 1000}
    table = memory_table(
        [trial("a", 32, **known), trial("b", 9999, predicted_peak=90e9, largest_batch=640), trial("c", 1)]
    )
    head, _, first, second = table.splitlines()
    assert head.split("  ")[0].strip() == "trial" and "largest batch" in head
    assert first.split() == ["a", "32", "4.0", "GB", "5.0", "GB", "+25%", "60", "GB", "25%", "1,000"]
    assert second.split()[:4] == ["b", "9999", "90", "GB"] and second.split()[-1] == "640"


def test_no_table_without_predictions():
    assert memory_table([trial("c", 1)]) == "" == memory_table([])
