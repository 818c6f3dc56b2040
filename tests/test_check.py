"""`vishwam check`: a sound sweep is summed up, a wrong one is named in one line, exit code 2."""

import subprocess
import sys
from pathlib import Path

import jax
import pytest

from vishwam import check, cli, config, tokenizers
from vishwam.errors import BadInput
from vishwam.training import memory

ROOT = Path(__file__).parent.parent
SWEEP = """\
name: small
method: grid
metric:
  name: validation/loss
  goal: minimize
parameters:
  position:
    values: [rope, place]
  learning_rate:
    values: [3.0e-3, 1.0e-5]
early_terminate:
  type: hyperband
  min_iter: 3
command:
  - ${env}
  - vishwam
  - train
  - gin/math.gin
  - ${args_no_hyphens}
"""


@pytest.fixture(autouse=True)
def at_root(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(tokenizers, "_hub_answers", lambda: False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VISHWAM_HOME", str(tmp_path / "home"))


def complaint(tmp_path: Path, text: str, capsys) -> str:
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    assert cli.main(["check", str(file)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err.replace(str(tmp_path) + "/", "")


def with_parameters(lines: str) -> str:
    head, _, tail = SWEEP.partition("  position:\n")
    return head + lines + tail.partition("1.0e-5]\n")[2]


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "experiments").glob("*.yaml")))
def test_the_shipped_sweeps_are_sound(file, monkeypatch):
    monkeypatch.setattr(check, "device_limit", lambda: (140 * 10**9, "the largest GPU that any of them is for"))
    report = check.check(Path("experiments") / file)
    assert report.parameters[0] > 50_000
    assert f"experiments/{file} is sound" in report.text()


@pytest.mark.parametrize("file", sorted(path.name for path in (ROOT / "gin").glob("*.gin")))
def test_the_shipped_gin_files_say_the_same_when_written_back(file, tmp_path):
    loaded = config.load([Path("gin") / file])
    for text in (loaded.config_str, loaded.operative_config_str):
        (tmp_path / "again.gin").write_text(text)
        assert config.load([tmp_path / "again.gin"]).experiment == loaded.experiment


def test_a_sound_sweep_is_summed_up(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    text = check.check(tmp_path / "sweep.yaml").text()
    for words in ("4 (grid)", "rope, place", "0.003, 1e-05", "minimize validation/loss", "host memory"):
        assert words in text


def test_a_mistyped_knob_is_named_by_the_command_itself(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("learning_rate", "learning_rte"))
    command = [sys.executable, "-m", "vishwam.cli", "check", str(tmp_path / "sweep.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "sweep.yaml:9: unknown knob 'learning_rte'; did you mean 'learning_rate'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("  positon:\n    value: rope\n", ["sweep.yaml:7", "'positon'", "did you mean 'position'"]),
        ("  position:\n    values: [rope, plce]\n", ["sweep.yaml:8", "position=plce", "did you mean 'place'"]),
        ("  learning_rate:\n    value: 1e-5\n", ["sweep.yaml:8", "reads it as text", "1.0e-5"]),
        ("  learning_rate:\n    min: 1e-5\n    max: 1\n", ["sweep.yaml:8", "reads it as text", "1.0e-5"]),
        ("  learning_rate:\n    values: ['0.1']\n", ["sweep.yaml:8", "reads it as text", "0.1"]),
        ("  learning_rate:\n    values: [0.1, -0.1]\n", ["sweep.yaml:8", "learning_rate=-0.1", "above 0"]),
        ("  steps:\n    values: [100, 150.5]\n", ["sweep.yaml:8", "steps=150.5", "a whole number"]),
        ("  steps:\n    value: 105\n", ["sweep.yaml:8", "steps=105", "multiple"]),
        ("  reverse_digits:\n    values: [1, 0]\n", ["sweep.yaml:8", "reverse_digits=1", "True or False"]),
        ("  tokenizer:\n    value: no\n", ["sweep.yaml:8", "tokenizer", "quotes"]),
        ("  model_dim:\n    values: [64, 66]\n", ["sweep.yaml:8", "model_dim=66", "multiple of num_heads"]),
        ("  num_heads:\n    values: [4, 6]\n", ["sweep.yaml:8", "num_heads=6"]),
        ("  num_layers:\n    min: 1.0\n    max: 4\n", ["sweep.yaml:7", "whole numbers", "uniform"]),
        ("  learning_rate:\n    min: 1\n    max: 4\n", ["sweep.yaml:7", "whole numbers alone"]),
        ("  learning_rate:\n    value: 0.1\n    vaules: 3\n", ["sweep.yaml:9", "'vaules'", "did you mean 'values'"]),
        ("  learning_rate: 0.1\n", ["sweep.yaml:7", "value: 0.1"]),
        ("  learning_rate:\n    value: 0.1\n    min: 0.1\n", ["sweep.yaml:9", "constant takes no min"]),
        ("  learning_rate:\n    min: 0.1\n", ["sweep.yaml:7", "needs min and max"]),
        ("  learning_rate:\n    min: 0.3\n    max: 0.1\n", ["sweep.yaml:8", "not below"]),
        ("  model:\n    parameters:\n      position:\n        value: rope\n", ["sweep.yaml:7", "flat"]),
        (
            "  learning_rate:\n    distribution: log_uniform\n    min: 0.00001\n    max: 0.1\n",
            ["sweep.yaml:8", "exponents", "log_uniform_values"],
        ),
        (
            "  learning_rate:\n    distribution: normal\n    mu: 0.001\n    sigma: 0.001\n",
            ["sweep.yaml:7", "learning_rate=-0.00", "above 0"],
        ),
        ("  position:\n    value: rope\n  position:\n    value: place\n", ["sweep.yaml:9", "already on line 7"]),
        ("  batch_size:\n    value: 100000000\n", ["sweep.yaml:8", "needs about", "host memory", "batch_size"]),
    ],
)
def test_a_wrong_knob_is_named_with_its_line(tmp_path, capsys, parameters, words):
    method = "random" if "min:" in parameters or "distribution" in parameters else "grid"
    message = complaint(tmp_path, with_parameters(parameters).replace("grid", method), capsys)
    assert all(word in message for word in words), message


def test_a_wrong_tokenizer_is_named_without_waiting_for_a_network(tmp_path):
    """In a process of its own: the hub's client looks at the environment once."""
    file = tmp_path / "sweep.yaml"
    file.write_text(with_parameters("  tokenizer:\n    value: charcters\n"))
    done = subprocess.run(
        [sys.executable, "-m", "vishwam.cli", "check", str(file)], capture_output=True, text=True, cwd=ROOT, timeout=40
    )
    assert done.returncode == 2
    for words in ("sweep.yaml:8", "'charcters'", "did you mean 'characters'"):
        assert words in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("method: grid", "method: gird", ["sweep.yaml:2", "did you mean 'grid'"]),
        ("method: grid\n", "", ["needs a method"]),
        ("metric:\n", "metrc:\n", ["sweep.yaml:3", "did you mean 'metric'"]),
        ("validation/loss", "validation/los", ["sweep.yaml:4", "did you mean 'validation/loss'"]),
        ("validation/loss", "exact_match/extrapolate/70_digits", ["sweep.yaml:4", "did you mean"]),
        ("validation/loss", "train/tokens_per_second", ["sweep.yaml:4", "nothing to steer"]),
        ("goal: minimize", "goal: maximize", ["sweep.yaml:4", "goal of validation/loss is minimize"]),
        ("goal: minimize", "goal: minimise", ["sweep.yaml:5", "did you mean 'minimize'"]),
        ("hyperband", "hyperban", ["sweep.yaml:12", "did you mean 'hyperband'"]),
        ("  min_iter: 3\n", "", ["sweep.yaml:11", "needs min_iter"]),
        (
            "metric:\n  name: validation/loss\n  goal: minimize\n",
            "",
            ["sweep.yaml:8", "early_terminate needs a metric"],
        ),
        ("gin/math.gin", "gin/maths.gin", ["gin/maths.gin", "did you mean 'math.gin'"]),
        ("  - gin/math.gin\n", "", ["sweep.yaml:14", "no Gin file"]),
        ("  - vishwam\n", "  - python\n", ["sweep.yaml:14", "does not run `vishwam train`"]),
        ("${args_no_hyphens}", "${args}", ["sweep.yaml:14", "lacks ${args_no_hyphens}"]),
        ("gin/math.gin\n", "gin/math.gin\n  - stps=10\n", ["unknown knob 'stps'", "did you mean 'steps'"]),
        ("gin/math.gin\n", "gin/math.gin\n  - position=rope\n", ["sweep.yaml:7", "already set in the command"]),
        ("method: grid", "method: [grid", ["sweep.yaml", "not YAML"]),
        (SWEEP, "", ["sweep.yaml:1", "a sweep is a mapping"]),
    ],
)
def test_a_wrong_sweep_is_named_with_its_line(tmp_path, capsys, old, new, words):
    message = complaint(tmp_path, SWEEP.replace(old, new), capsys)
    assert all(word in message for word in words), message


def test_questions_that_no_length_bucket_holds_are_found_before_a_trial_meets_them(tmp_path, capsys):
    (tmp_path / "short.gin").write_text("LoopConfig.length_buckets = (20,)\n")
    message = complaint(tmp_path, SWEEP.replace("gin/math.gin", f"gin/math.gin\n  - {tmp_path}/short.gin"), capsys)
    assert "of arithmetic__add_or_sub is 34 tokens long" in message and "length_buckets (20,)" in message


def test_a_missing_file_names_its_neighbour(capsys):
    assert cli.main(["check", "experiments/maths.yaml"]) == 2
    assert "did you mean 'math.yaml'" in capsys.readouterr().err


def test_ranges_and_a_cap_are_sound(tmp_path):
    text = with_parameters(
        "  learning_rate:\n    distribution: log_uniform_values\n    min: 1.0e-4\n    max: 1.0e-2\n"
        "  num_layers:\n    min: 1\n    max: 3\n"
        "  model_dim:\n    distribution: q_uniform\n    min: 64\n    max: 128\n    q: 32\n"
    )
    (tmp_path / "sweep.yaml").write_text(text.replace("grid", "bayes\nrun_cap: 20"))
    report = check.check(tmp_path / "sweep.yaml")
    assert report.trials == 20
    assert report.knobs["model_dim"] == (64, 128)
    assert report.parameters[0] < report.parameters[1]


def test_a_trial_that_does_not_fit_its_gpu_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(check, "device_limit", lambda: (10_000_000, "GPU memory that JAX may take"))
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    with pytest.raises(BadInput, match=r"about \d+ MB, more than the 10 MB of GPU memory"):
        check.check(tmp_path / "sweep.yaml")


@pytest.mark.slow
@pytest.mark.parametrize(
    "saving",
    [
        {},
        {"remat": "products"},
        {"remat": "all"},
        {"micro_batches": 4},
        {"vocab_size": 8000, "loss_chunk": 256},
        {"vocab_size": 8000, "loss_chunk": 256, "remat": "all", "micro_batches": 4},
        {"position": "rope", "num_layers": 9},
    ],
    ids=str,
)
def test_the_estimate_of_memory_agrees_with_the_compiler(saving):
    from vishwam.model import decoder
    from vishwam.training.optimizer import Knobs
    from vishwam.training.step import init_state, train_step

    model = decoder.DecoderConfig(
        **{"num_layers": 3, "model_dim": 128, "num_heads": 8, "mlp_dim": 256}
        | {"digit_token_ids": tuple(range(50, 60))}
        | saving
    )
    graphdef, params = decoder.init(model, jax.random.key(0))
    state = init_state(params)
    batch = {
        "tokens_BT": jax.ShapeDtypeStruct((32, 96), "int32"),
        "loss_mask_BT": jax.ShapeDtypeStruct((32, 96), "float32"),
    }
    compiled = jax.jit(train_step, static_argnums=0, donate_argnums=1).lower(graphdef, state, batch, Knobs()).compile()
    analysis = compiled.memory_analysis()
    needed = analysis.temp_size_in_bytes + analysis.argument_size_in_bytes
    count = memory.parameter_count(model)
    assert count == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert 2 / 3 < memory.estimate(model, count, 32, 96) / needed < 3 / 2


def test_the_corners_of_a_sweep_tell_their_memory_and_their_largest_batch(tmp_path, capsys):
    file = tmp_path / "sweep.yaml"
    file.write_text(with_parameters("  batch_size:\n    values: [16, 64]\n  model_dim:\n    values: [32, 128]\n"))
    assert cli.main(["check", str(file)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "largest batch about" in line]
    assert [line[:2] for line in lines] == [
        [f"batch_size={batch}", f"model_dim={dim}"] for batch, dim in ((16, 32), (64, 32), (16, 128), (64, 128))
    ]
    largest = [int(line[-1].replace(",", "")) for line in lines]
    assert largest[0] == largest[1] > largest[2] == largest[3] > 64


def test_an_evaluation_may_be_what_takes_most_and_what_does_not_fit(tmp_path, capsys, monkeypatch):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    assert ", for an evaluation" in check.check(tmp_path / "sweep.yaml").text()
    monkeypatch.setattr(check, "device_limit", lambda: (2 * 10**8, "GPU memory that JAX may take"))
    said = complaint(tmp_path, SWEEP, capsys)
    assert "an evaluation of 128 questions at once needs about" in said
    assert "more than the 200 MB of GPU memory that JAX may take: lower the model's size" in said


def test_a_corner_that_cannot_fit_names_the_largest_batch_that_does(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "device_limit", lambda: (10**9, "GPU memory that JAX may take"))
    said = complaint(tmp_path, with_parameters("  batch_size:\n    values: [16, 100000]\n"), capsys)
    assert "sweep.yaml:8: batch_size=100000" in said and "1.0 GB of GPU memory that JAX may take" in said
    assert "the largest batch that fits is about" in said
