import json

from vishwam.training import data
from vishwam.training.experiment import Experiment, PackingConfig


def test_a_runs_config_says_what_was_found_in_prepared_data(tmp_path):
    leaks = {"documents": 9, "near_duplicates": 1, "contaminated": 2, "leaked": 2, "by_set": {"interpolate/a": 2}}
    splits = {"train": 7, "validation": 1, "interpolate": 1, "extrapolate": 0}
    facts = {
        "plan": {"name": "some"},
        "splits": splits,
        "removed": 2,
        "leaks": dict.fromkeys(splits, leaks),
    }
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "dataset.json").write_text(json.dumps(facts))
    packing = PackingConfig(64, (str(tmp_path / "some"), str(tmp_path / "packed by other means")))
    assert data.prepared(Experiment(packing=packing)) == [
        {"name": "some", "splits": splits, "removed": 2, "train": leaks, "validation": leaks}
    ]
    assert data.prepared(Experiment()) == []
