"""A sweep's YAML, checked whole before anything starts: one line names the field that is wrong.

What W&B's own schema (`sweeps` 0.3.0, config/schema.json) knows is known here. A word that it does not know is refused
when it is near one that it does (`metrc`), for then it was meant to do something; any other is accepted with a warning.
"""

import json
from typing import Any

import yaml

from vishwam.server import bayes, hyperband, search
from vishwam.server.web import Refused

Row = dict[str, Any]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAX_CONFIG = 4 << 20
_TEXTS = ("name", "description", "program", "project", "entity")
_KNOWN = {
    "": (
        *_TEXTS, "method", "metric", "parameters", "early_terminate", "run_cap", "command", "apiVersion", "version",
        "kind", "controller", "job", "image_uri", "settings", "scheduler", "metrics", "launch",
    ),
    "metric": ("name", "goal", "target", "impute", "impute_while_running"),
    "early_terminate": ("type", "min_iter", "max_iter", "s", "eta", "strict"),
}  # fmt: skip
_IMPUTE = ("latest", "best", "worst")


def parse(text: str) -> tuple[Row, list[str]]:
    """The configuration, and warnings for its author; raises 400 with what is wrong."""
    if len(text) > MAX_CONFIG:
        raise Refused(400, "the sweep's configuration is too large")
    try:
        # Through JSON, so that what is kept is what can be sent; no NaN, no dates.
        config = json.loads(json.dumps(_read(text), allow_nan=False, default=str))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise Refused(400, f"the sweep's configuration cannot be read: {str(error)[:300]}") from None
    try:
        return config, _check(config)
    except ValueError as error:
        raise Refused(400, str(error)) from None
    except RecursionError:
        raise Refused(400, "the sweep's parameters are nested too deeply") from None


def _read(text: str) -> Any:
    """JSON as JSON, in which 1e-05 is a number; anything else as the client reads and writes it, YAML 1.1."""
    try:
        return json.loads(text)
    except ValueError:
        return yaml.load(text, _LOADER)


def _check(config: Any) -> list[str]:
    """Warnings; raises ValueError."""
    if not isinstance(config, dict):
        raise ValueError("the sweep's configuration is not a mapping")
    warnings = _strange(config, "")
    method = config.get("method")
    if method == "custom" or config.get("scheduler") is not None:
        raise ValueError(f"method: custom schedulers are not supported here; use {_or(search.METHODS)}")
    if method not in search.METHODS:
        raise ValueError(f"method must be one of {', '.join(search.METHODS)}, not {method!r}")
    for name in _TEXTS:
        if config.get(name) is not None and not isinstance(config[name], (str, int, float)):
            raise ValueError(f"{name} must be text, not {config[name]!r}")
    if config.get("command") is not None and not isinstance(config["command"], list):
        raise ValueError("command must be a list, such as [${env}, ${interpreter}, ${program}, ${args}]")
    cap = config.get("run_cap")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise ValueError(f"run_cap must be a positive integer, not {cap!r}")
    metric = config.get("metric")
    if metric is not None:
        warnings += _check_metric(metric)
    elif method == "bayes":
        raise ValueError("method bayes needs a metric")
    parameters = search.space(config)
    if method == "bayes":
        bayes.check(parameters)
    if config.get("early_terminate") is not None:
        warnings += _check_early_stopping(config["early_terminate"], metric)
    return warnings


def _check_metric(metric: Any) -> list[str]:
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str) or not metric["name"]:
        raise ValueError("metric needs a name")
    warnings = _strange(metric, "metric")
    for name, words in (("goal", ("minimize", "maximize")), ("impute", _IMPUTE), ("impute_while_running", _IMPUTE)):
        # YAML reads false as no text.
        given = metric.get(name)
        if given is not None and given not in (words if name != "impute_while_running" else (*words, "false", False)):
            raise ValueError(f"metric: {name} must be {_or(words)}, not {given!r}{search.nearest(given, words)}")
    target = metric.get("target")
    if target is not None and (isinstance(target, bool) or not isinstance(target, (int, float))):
        raise ValueError(f"metric: target must be a number, not {target!r}")
    return warnings


def _check_early_stopping(settings: Any, metric: Any) -> list[str]:
    if not isinstance(settings, dict) or settings.get("type") != "hyperband":
        raise ValueError("early_terminate: type must be hyperband")
    warnings = _strange(settings, "early_terminate")
    if metric is None:
        raise ValueError("early_terminate: needs a metric")
    if settings.get("strict") is not None and not isinstance(settings["strict"], bool):
        raise ValueError(f"early_terminate: strict must be true or false, not {settings['strict']!r}")
    hyperband.bands(settings)
    return warnings


def _strange(settings: Row, where: str) -> list[str]:
    """Warnings of words that mean nothing here; raises ValueError for one that was meant to be another."""
    warnings = []
    for name in settings:
        if name in _KNOWN[where]:
            continue
        message = f"{where}: unknown key {name[:100]!r}" if where else f"unknown key {name[:100]!r}"
        meant = search.nearest(name, _KNOWN[where], 0.75)
        if meant:
            raise ValueError(message + meant)
        warnings.append(message)
    return warnings


def _or(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
