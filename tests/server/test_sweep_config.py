"""What W&B's schema of a sweep accepts is accepted, and what cannot work is refused by name."""

import json
from typing import Any

import pytest
import yaml

from vishwam.server.sweep_config import parse
from vishwam.server.web import Refused

# What W&B's schema (`sweeps` 0.3.0, config/schema.json) allows, with all that each part may hold.
WHOLE = """
name: a
description: b
program: train.py
project: p
entity: e
apiVersion: 0.0.1
kind: sweep
controller: {type: cloud}
command: ["${env}", "${interpreter}", "${program}", "${args_no_hyphens}"]
method: bayes
run_cap: 7
metric: {name: loss, goal: maximize, target: 0.5, impute: latest, impute_while_running: best}
early_terminate: {type: hyperband, min_iter: 2, eta: 2.5, strict: true}
parameters:
  constant: {value: 1}
  constant_too: {distribution: constant, value: null}
  categorical: {values: [1, two, null, [3]]}
  categorical_too: {distribution: categorical, values: [1]}
  weighted: {values: [a, b], probabilities: [0.25, 0.75]}
  weighted_too: {distribution: categorical_w_probabilities, values: [a, b], probabilities: [0, 1]}
  int_uniform: {min: 1, max: 5}
  int_uniform_too: {distribution: int_uniform, min: -1, max: 5}
  uniform: {min: 0.0, max: 1.0}
  uniform_mixed: {min: 0, max: 1.5}
  uniform_too: {distribution: uniform, min: 0, max: 1}
  q_uniform: {distribution: q_uniform, min: 0, max: 1}
  q_uniform_too: {distribution: q_uniform, min: 0, max: 1, q: 0.1}
  log_uniform: {distribution: log_uniform, min: -5, max: 0}
  log_uniform_values: {distribution: log_uniform_values, min: 0.001, max: 1}
  q_log_uniform: {distribution: q_log_uniform, min: 0, max: 5, q: 2}
  q_log_uniform_values: {distribution: q_log_uniform_values, min: 1, max: 64, q: 8}
  inv_log_uniform: {distribution: inv_log_uniform, min: 0, max: 5}
  inv_log_uniform_values: {distribution: inv_log_uniform_values, min: 0.1, max: 5}
  normal: {distribution: normal}
  normal_too: {distribution: normal, mu: 3, sigma: 0.1}
  q_normal: {distribution: q_normal, mu: 3, sigma: 5, q: 2}
  log_normal: {distribution: log_normal, mu: 0, sigma: 1}
  q_log_normal: {distribution: q_log_normal, mu: 0, sigma: 1, q: 1}
  beta: {distribution: beta, a: 2, b: 5}
  q_beta: {distribution: q_beta, a: 2, b: 5, q: 0.1}
  nested:
    parameters:
      inner: {parameters: {x: {min: 0.0, max: 1.0}}}
      y: {values: [1, 2]}
"""


def test_all_of_wandbs_vocabulary_is_accepted_without_a_warning() -> None:
    config, warnings = parse(WHOLE)
    assert warnings == [] and len(config["parameters"]) == 27


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "baeys"}, "method must be one of grid, random, bayes, not 'baeys'"),
        ({"method": None}, "method must be one of"),
        ({"method": "custom", "scheduler": {"engine": "optuna"}}, "method: custom schedulers are not supported"),
        ({"parameters": None}, "a sweep needs parameters"),
        ({"parameters": {}}, "a sweep needs parameters"),
        ({"parameters": [1]}, "a sweep needs parameters"),
        ({"parameters": {"x": 3}}, "parameter x: expected a mapping"),
        ({"parameters": {"x": {}}}, "parameter x: give value, values, or min and max"),
        ({"parameters": {"x": {"min": 2.0, "max": 1.0}}}, "parameter x: min 2 is not less than max 1"),
        ({"parameters": {"x": {"min": 2.0}}}, "parameter x: give value"),
        ({"parameters": {"x": {"distribution": "uniform", "min": 2.0}}}, "parameter x: max must be a number, not None"),
        ({"parameters": {"x": {"distribution": "unifrom", "min": 0, "max": 1}}}, "'unifrom'; did you mean uniform?"),
        ({"parameters": {"x": {"values": [1], "q": 2}}}, "parameter x: q has no meaning for distribution categorical"),
        ({"parameters": {"x": {"distribution": "normal", "min": 2}}}, "min has no meaning .* takes mu, sigma"),
        ({"parameters": {"x": {"distribution": "normal", "sigma": 0}}}, "parameter x: sigma must be positive"),
        ({"parameters": {"x": {"distribution": "beta", "a": 0}}}, "parameter x: a and b must be positive"),
        ({"parameters": {"x": {"distribution": "q_beta", "q": 0}}}, "parameter x: q must be positive"),
        ({"parameters": {"x": {"distribution": "categorical_w_probabilities", "values": [1]}}}, "probabilities must"),
        ({"parameters": {"x": {"values": [1, 2], "probabilities": [1.5, -0.5]}}}, "probabilities must be positive"),
        ({"parameters": {"o": {"parameters": {"x": {"values": []}}}}}, "parameter o.x: values must be a list"),
        ({"parameters": {"o": {"parameters": {}}}}, "parameter o: parameters must be a mapping"),
        ({"parameters": {"o": {"parameters": {"x": {"value": 1}}, "value": 2}}}, "parameter o: .* alone"),
        (
            {"parameters": {"o.x": {"value": 1}, "o": {"parameters": {"x": {"value": 1}}}}},
            "parameter o.x: there are two of that name",
        ),
        ({"metric": None}, "method bayes needs a metric"),
        ({"parameters": {"x": {"values": [f"v{n}" for n in range(300)]}}}, "parameter x: 300 categories are more"),
        ({"parameters": {f"x{n}": {"min": 0.0, "max": 1.0} for n in range(300)}}, "300 varying parameters are more"),
        ({"metric": "loss"}, "metric needs a name"),
        ({"metric": {"goal": "minimize"}}, "metric needs a name"),
        ({"metric": {"name": "x", "goal": "minimise"}}, "goal must be .*'minimise'; did you mean minimize?"),
        ({"metric": {"name": "x", "target": "low"}}, "metric: target must be a number, not 'low'"),
        ({"metric": {"name": "x", "impute": "median"}}, "metric: impute must be latest, best or worst"),
        ({"metric": {"name": "x", "gaol": "minimize"}}, "metric: unknown key 'gaol'; did you mean goal"),
        ({"metrc": {"name": "x"}}, "unknown key 'metrc'; did you mean metric?"),
        ({"early_termination": {}}, "unknown key 'early_termination'; did you mean early_terminate?"),
        ({"run_cap": 0}, "run_cap must be a positive integer"),
        ({"run_cap": 2.5}, "run_cap must be a positive integer"),
        ({"run_cap": True}, "run_cap must be a positive integer"),
        ({"command": "python train.py"}, "command must be a list"),
        ({"name": {"a": 1}}, "name must be text"),
        ({"early_terminate": {"type": "envelope"}}, "early_terminate: type must be hyperband"),
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate: hyperband needs min_iter or max_iter"),
        ({"early_terminate": {"type": "hyperband", "max_iter": 27}}, "early_terminate: s must be an integer"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 1}}, "early_terminate: eta must be greater"),
        ({"early_terminate": {"type": "hyperband", "min_iter": 1, "strict": "yes"}}, "strict must be true or false"),
        ({"early_terminate": {"type": "hyperband", "min_itr": 1}}, "early_terminate: unknown key 'min_itr'; did you"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_that_names_the_field(change: dict[str, Any], words: str) -> None:
    config = {"method": "bayes", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    with pytest.raises(Refused, match=words) as caught:
        parse(json.dumps(config | change))
    assert caught.value.status == 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [1e-05, 1e-5, 2.5e-300, 1e16, 0.1])
def test_numbers_arrive_as_json_and_as_the_client_write_them(number: float) -> None:
    """json.dumps writes 1e-05, which is text in the YAML 1.1 that the client speaks; it writes 1.0e-05."""
    config = {"method": "random", "parameters": {"x": {"values": [number]}, "y": {"min": 0.0, "max": number}}}
    for text in (json.dumps(config), json.dumps(config, indent=2), yaml.dump(config)):
        assert parse(text) == (config, [])


def test_a_number_that_yaml_takes_for_text_is_explained() -> None:
    with pytest.raises(Refused, match=r"max must be a number, not .1e-05. .YAML reads 1e-5 as text; write 1\.0e-5"):
        parse("method: random\nparameters:\n  y: {min: 0.0, max: 1e-05}\n")


def test_early_stopping_needs_a_metric() -> None:
    with pytest.raises(Refused, match="early_terminate: needs a metric"):
        parse("{method: random, parameters: {x: {value: 1}}, early_terminate: {type: hyperband, min_iter: 1}}")


def test_a_strange_word_is_a_warning() -> None:
    _, warnings = parse("{method: random, parameters: {x: {value: 1}}, colour: red, metric: {name: x, unit: s}}")
    assert warnings == ["unknown key 'colour'", "metric: unknown key 'unit'"]


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "method: !!python/object:os.system x", "{method: grid, x: .nan}"])
def test_what_is_no_yaml_mapping_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse(text)


def test_a_million_keys_and_deep_nests_are_refused_or_read_quickly() -> None:
    deep = "{value: 1}"
    for _ in range(150):
        deep = f"{{parameters: {{x: {deep}}}}}"
    parse(f"{{method: random, parameters: {{x: {deep}}}}}")
    with pytest.raises(Refused, match="too large"):
        parse("x" * (5 << 20))
