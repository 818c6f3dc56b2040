"""gin/fairness.gin and its sweep, as a person at the keyboard meets them."""

from pathlib import Path

import pytest

from data_pipelines.planted_bias import PlantedBias
from vishwam import check, cli, config
from vishwam.errors import BadInput

ROOT = Path(__file__).parents[2]
GIN = ROOT / "gin" / "fairness.gin"


def test_every_mitigation_is_off_until_it_is_asked_for():
    experiment = config.load([GIN]).experiment
    assert experiment.data == PlantedBias(max_digits=2) and experiment.data.bias == 0.85
    knobs = experiment.knobs
    assert (experiment.data.augmentation, knobs.pairing, knobs.unlikelihood, knobs.sequence_unlikelihood) == (
        0,
        0,
        0,
        0,
    )
    assert experiment.bias.rules is None
    given = ["augmentation=0.5", "pairing=0.1", "unlikelihood=0.2", "sequence_unlikelihood=0.3", "no_repeat_ngram=4"]
    changed = config.load([GIN], given).experiment
    knobs = changed.knobs
    assert (changed.data.augmentation, knobs.pairing) == (0.5, 0.1)
    assert (knobs.unlikelihood, knobs.sequence_unlikelihood) == (0.2, 0.3)
    assert changed.bias.rules.ngram == 4


def test_the_sweep_is_sound(monkeypatch, tmp_path):
    monkeypatch.setenv("VISHWAM_HOME", str(tmp_path))
    monkeypatch.chdir(ROOT)
    found = check.check("experiments/fairness.yaml")
    assert found.trials == 18 and found.knobs["seed"] == (0, 1, 2)
    assert 0.0 in found.knobs["augmentation"] and 0.0 in found.knobs["pairing"], (
        "one without mitigation to compare with"
    )


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("pairng=1", "unknown knob 'pairng'; did you mean 'pairing'?"),
        ("pairing=-1", "pairing=-1.0: pairing must be at least 0"),
        ("augmentation=2", "augmentation=2.0: augmentation must lie from 0 to 1"),
        ("planted=1.5", "planted=1.5: bias must lie from 0 to 1"),
        ("repetition_penalty=0", "repetition_penalty=0.0: repetition_penalty must be above 0"),
    ],
)
def test_a_wrong_knob_is_named(override, complaint):
    with pytest.raises(BadInput) as caught:
        config.load([GIN], [override])
    assert complaint in str(caught.value)


def test_other_data_is_no_data(tmp_path):
    (tmp_path / "bad.gin").write_text(f"include '{GIN}'\nExperiment.data = @DecoderConfig()\n")
    with pytest.raises(BadInput, match=r"bad.gin:2: .* expected @ModularMath\(\) or @PlantedBias\(\), got @Decoder"):
        config.load([tmp_path / "bad.gin"])


def test_what_is_made_as_it_goes_is_not_prepared(capsys):
    assert cli.main(["prepare", str(GIN), "--count", "10", "--no-log"]) == 2
    assert "prepare writes questions of ModularMath" in capsys.readouterr().err
