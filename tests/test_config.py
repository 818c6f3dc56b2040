"""Gin files in, checked dataclasses out: every complaint is one line with its place and the nearest right name."""

import dataclasses
import threading
from pathlib import Path
from typing import Literal

import pytest

from vishwam import config
from vishwam.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Layers:
    num_layers: int = 2
    position: Literal["place", "rope"] = "place"
    window: tuple[int, ...] = (3,)
    settings: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, not {self.num_layers}")


@dataclasses.dataclass(frozen=True)
class Trial:
    steps: int
    model: Layers
    learning_rate: float = 1e-3
    reverse: bool = True
    tokenizer: str | None = None


GIN = """\
# A comment first.
learning_rate = 0.002
steps = 100
num_layers = 2
position = 'place'
window = (3, 2)
reverse = True
tokenizer = None
settings = {'add': {'digits': 10}}

Trial.steps = %steps
Trial.learning_rate = %learning_rate
Trial.reverse = %reverse
Trial.tokenizer = %tokenizer
Trial.model = @Layers()
Layers.num_layers = %num_layers
Layers.position = %position
Layers.window = %window
Layers.settings = %settings
"""


def load(folder: Path, text: str, *overrides: str) -> config.Loaded:
    file = folder / "trial.gin"
    file.write_text(text)
    return config.load([file], overrides, (Trial, Layers))


def complaint(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, text, *overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder) + "/", "")


def test_builds_the_plain_dataclasses(tmp_path):
    loaded = load(tmp_path, GIN)
    expected = Trial(100, Layers(2, "place", (3, 2), {"add": {"digits": 10}}), 0.002, True, None)
    assert loaded.experiment == expected
    assert type(loaded.experiment) is Trial
    assert loaded.declared["learning_rate"].line == 2
    assert loaded.uses["num_layers"] == {"Layers.num_layers"}


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("learning_rate=1e-05", 1e-5),
        ("learning_rate=1", 1.0),
        ("steps=64.0", 64),
        ("steps=1e3", 1000),
        ("reverse=False", False),
        ("reverse=false", False),
        ("position=rope", "rope"),
        ("tokenizer=google/byt5-small", "google/byt5-small"),
        ("tokenizer=None", None),
        ("window=[5, 4.0]", (5, 4)),
        ("settings={'mul': {'digits': 3}}", {"mul": {"digits": 3}}),
    ],
)
def test_an_override_takes_the_type_that_the_code_declares(tmp_path, override, value):
    loaded = load(tmp_path, GIN, override)
    got = loaded.knobs[override.partition("=")[0]]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("learning_rte=0.1", ["learning_rte", "did you mean 'learning_rate'"]),
        ("zzz=1", ["unknown knob 'zzz'; the knobs are learning_rate, steps, num_layers,"]),
        ("model=1", ["'model' is no knob", "trial.gin:15 binds Trial.model"]),
        ("steps=1.5", ["steps=1.5", "a whole number", "trial.gin:3"]),
        ("steps=True", ["steps=True", "a whole number"]),
        ("steps=ten", ["steps=ten", "a whole number"]),
        ("learning_rate=nan", ["learning_rate=nan", "a number"]),
        ("learning_rate=1e999", ["learning_rate=1e999", "a number"]),
        ("reverse=1", ["reverse=1", "True or False"]),
        ("position=plce", ["one of place, rope", "did you mean 'place'"]),
        ("window=3", ["a list"]),
        ("settings={'mul': {'digits': 'x'}}", ["a whole number", "'x'"]),
        ("num_layers=0", ["num_layers=0: ", "at least 1"]),
        ("steps=__import__('os').getpid()", ["a whole number"]),
    ],
)
def test_a_wrong_override_is_named(tmp_path, override, words):
    message = complaint(tmp_path, GIN, override)
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GIN + "unused = 1\n", ["trial.gin:20", "'unused'", "knobs stand at the top"]),
        ("unused = 1\n" + GIN, ["trial.gin:1", "'unused' is never used"]),
        (GIN.replace("%steps", "%step"), ["trial.gin:11", "no macro 'step'", "did you mean 'steps'"]),
        (GIN.replace("Layers.window", "Layer.window"), ["trial.gin:18", "'Layer'", "did you mean 'Layers'"]),
        (GIN.replace("Layers.window", "Layers.windw"), ["trial.gin:18", "no field 'windw'", "did you mean 'window'"]),
        (GIN.replace("@Layers()", "@Layer()"), ["trial.gin:15", "'@Layer'", "did you mean 'Layers'"]),
        (GIN.replace("@Layers()", "@Trial()"), ["trial.gin:15", "Trial.model"]),
        (GIN.replace("@Layers()", "@Layers"), ["trial.gin:15", "@Layers()"]),
        (GIN.replace("reverse = True", "reverse = true"), ["trial.gin:7", "True"]),
        (GIN.replace("'place'", "place"), ["trial.gin:5", "quotes"]),
        (GIN.replace("steps = 100", "steps = (100"), ["trial.gin:"]),
        (GIN.replace("steps = 100", "steps = 'many'"), ["trial.gin:3", "'steps'", "a whole number"]),
        (
            GIN.replace("num_layers = 2\n", "").replace("%num_layers", "2.5"),
            ["trial.gin:15", "Layers.num_layers", "a whole number"],
        ),
        (GIN.replace("Trial.steps = %steps\n", "").replace("steps = 100\n", ""), ["Trial", "'steps'"]),
        ("import os\n" + GIN, ["trial.gin:1", "imports nothing"]),
        ("include 'parts.gin'\n" + GIN, ["trial.gin:1", "parts.gin", "No such file"]),
        (GIN + "include 'parts.gin'\n", ["trial.gin:20", "includes stand at the top"]),
    ],
)
def test_a_wrong_file_is_named_with_its_line(tmp_path, text, words):
    message = complaint(tmp_path, text)
    assert all(word in message for word in words), message


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "math.gin").write_text("")
    with pytest.raises(BadInput, match=r"cannot read Gin file .*maths\.gin.*No such file.*did you mean 'math\.gin'"):
        config.load([tmp_path / "maths.gin"], (), (Trial, Layers))


def test_includes_stand_beside_the_including_file_and_nest_twice(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "small.gin").write_text("include 'base.gin'\nLayers.num_layers = 3\n")
    (tmp_path / "model" / "base.gin").write_text("width = 7\nLayers.num_layers = 1\nLayers.window = (%width,)\n")
    text = "include 'model/small.gin'\nsteps = 5\nTrial.steps = %steps\nTrial.model = @Layers()\n"
    loaded = load(tmp_path, text)
    assert loaded.experiment.model == Layers(num_layers=3, window=(7,))
    assert list(loaded.knobs) == ["steps"]
    message = complaint(tmp_path, text, "width=2")
    assert "model/base.gin:1" in message and "is no knob" in message
    (tmp_path / "model" / "base.gin").write_text("include 'deeper.gin'\n")
    (tmp_path / "model" / "deeper.gin").write_text("")
    assert "model/base.gin:1" in complaint(tmp_path, text)


def test_a_macro_is_no_reference_in_an_included_file_either(tmp_path):
    (tmp_path / "base.gin").write_text("b = 3\na = %b\nLayers.num_layers = %a\n")
    message = complaint(tmp_path, "include 'base.gin'\nsteps = 5\nTrial.steps = %steps\nTrial.model = @Layers()\n")
    assert "base.gin:2: knob 'a' needs a plain value" in message


def test_an_integer_default_of_a_float_takes_fractions(tmp_path):
    loaded = load(tmp_path, GIN.replace("0.002", "1"), "learning_rate=0.5")
    assert loaded.experiment.learning_rate == 0.5


def test_later_files_override_earlier_ones(tmp_path):
    (tmp_path / "first.gin").write_text(GIN)
    (tmp_path / "second.gin").write_text("steps = 7\nTrial.steps = %steps\n")
    loaded = config.load([tmp_path / "first.gin", tmp_path / "second.gin"], (), (Trial, Layers))
    assert loaded.experiment.steps == 7


def test_a_knob_that_a_later_file_leaves_without_use_is_not_stored_and_not_taken(tmp_path):
    """Or the checkpoint's own configuration would be refused."""
    (tmp_path / "base.gin").write_text("wide = 7\nTrial.steps = %wide\n")
    (tmp_path / "first.gin").write_text("include 'base.gin'\nleft = 3\nTrial.steps = %left\nTrial.model = @Layers()\n")
    (tmp_path / "second.gin").write_text("steps = 7\nTrial.steps = %steps\n")
    files = [tmp_path / "first.gin", tmp_path / "second.gin"]
    loaded = config.load(files, (), (Trial, Layers))
    assert loaded.knobs == {"steps": 7}
    for text in (loaded.config_str, loaded.operative_config_str):
        assert load(tmp_path, text).experiment == loaded.experiment
    with pytest.raises(BadInput, match="knob 'left' sets nothing here"):
        config.load(files, ["left=5"], (Trial, Layers))


def test_both_config_strings_load_again_as_the_same_experiment(tmp_path):
    loaded = load(tmp_path, GIN, "steps=7", "position=rope")
    assert load(tmp_path, loaded.config_str).experiment == loaded.experiment
    # Defaults that no file mentions are in the operative one alone.
    shorter = load(tmp_path, "steps = 5\nTrial.steps = %steps\nTrial.model = @Layers()\n")
    assert "learning_rate = 0.001" in shorter.operative_config_str
    assert "learning_rate" not in shorter.config_str
    assert load(tmp_path, shorter.operative_config_str).experiment == shorter.experiment


def test_a_string_cannot_smuggle_in_gin_statements(tmp_path):
    attack = "x'\nimport antigravity\nTrial.steps = 1\n#"
    loaded = load(tmp_path, GIN, f"tokenizer={attack}")
    assert loaded.experiment.tokenizer == attack
    assert loaded.experiment.steps == 100
    assert load(tmp_path, loaded.config_str).experiment == loaded.experiment


def test_loads_do_not_leak_into_each_other(tmp_path):
    load(tmp_path, GIN, "steps=7", "num_layers=9")
    plain = load(tmp_path, "steps = 5\nTrial.steps = %steps\nTrial.model = @Layers()\n")
    assert plain.experiment.model == Layers()
    with pytest.raises(BadInput):
        load(tmp_path, GIN, "num_layers=0")
    assert load(tmp_path, GIN).experiment.model.num_layers == 2


def test_threads_do_not_see_each_others_values(tmp_path):
    (tmp_path / "trial.gin").write_text(GIN)
    seen = {}

    def work(steps: int) -> None:
        for _ in range(5):
            loaded = config.load([tmp_path / "trial.gin"], [f"steps={steps}"], (Trial, Layers))
            seen.setdefault(steps, set()).add((loaded.experiment.steps, f"steps = {steps}\n" in loaded.config_str))

    threads = [threading.Thread(target=work, args=(steps,)) for steps in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {steps: {(steps, True)} for steps in range(1, 9)}


def test_arguments_are_split_into_files_and_knobs():
    assert config.split_arguments(["gin/math.gin", "a=b.gin", "steps=1"]) == (["gin/math.gin"], ["a=b.gin", "steps=1"])
    with pytest.raises(BadInput, match="'--steps'"):
        config.split_arguments(["gin/math.gin", "--steps", "3"])
    with pytest.raises(BadInput, match="no Gin file"):
        config.split_arguments(["steps=1"])
