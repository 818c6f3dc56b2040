"""Exact match of a stored checkpoint, from what lies in its folder alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from data_pipelines.tokenizer import load_tokenizer
from vishwam import config, state
from vishwam.errors import BadInput

QUESTIONS = 500


def run(checkpoint: str, count: int | None, connect: Callable[[], None]) -> int:
    """Prints every evaluation set's exact match with its 95% interval beside the figure logged in training.

    Args:
        checkpoint: a step's folder, or entity/project/checkpoint-ID:alias.
        count: questions a set; as many as when the checkpoint was stored unless given.
        connect: makes W&B reachable, called only where an artifact is wanted.

    Raises:
        BadInput: there is no such checkpoint.
    """
    if count is not None and count < 1:
        raise BadInput(f"--count {count}: must be at least 1")
    folder = Path(checkpoint)
    if not folder.is_dir():
        from vishwam.tracking import artifacts

        if not artifacts.is_name(checkpoint):
            raise BadInput(f"{checkpoint!r} is neither a folder nor entity/project/checkpoint-ID:alias")
        say(f"fetching {checkpoint}")
        connect()
        folder = artifacts.fetch(checkpoint, state.folder() / "downloads")
    # A step's folder on this machine has its configuration one level up; an artifact holds all in one.
    whole = next((place for place in (folder, folder.parent) if (place / "config.gin").exists()), None)
    if whole is None:
        raise BadInput(f"{folder}: no checkpoint here (no config.gin in it or above it)")
    logged = read_evaluation(folder)
    count = count or logged.get("questions", QUESTIONS)
    say(f"asking {count} questions a set")
    experiment = config.load([whole / "config.gin"]).experiment

    import jax

    from vishwam.evaluation.suite import Suite
    from vishwam.model import decoder
    from vishwam.tracking.metrics import exact_match as metric_of
    from vishwam.training import compile_cache
    from vishwam.training.checkpoint import read_state
    from vishwam.training.loop import model_config
    from vishwam.training.step import init_state

    compile_cache.enable(state.folder() / "compile_cache")
    tokenizer = load_tokenizer(whole / "tokenizer")
    graphdef, params = decoder.init(model_config(experiment, tokenizer), jax.random.key(0))
    params = read_state(folder, init_state(params)).averages
    loop = experiment.loop
    suite = Suite(experiment.data, tokenizer, graphdef, loop.max_answer_tokens, loop.length_buckets, lambda: None)

    table = Table(box=None, pad_edge=False, title=f"{checkpoint}, {count} questions a set", title_justify="left")
    for column in ("split", "set"):
        table.add_column(column)
    for column in ("exact match", "95% interval", "logged"):
        table.add_column(column, justify="right")
    for split, name, result in suite.exact_match(params, count):
        low, high = result.interval
        before = logged.get(metric_of(split, name)) if count == logged.get("questions") else None
        table.add_row(
            split, name, f"{result.value:.2%}", f"{low:.1%} to {high:.1%}", "-" if before is None else f"{before:.2%}"
        )
    Console().print(table)
    return 0


def say(line: str) -> None:
    """To stderr: the table alone is the result."""
    print(line, file=sys.stderr, flush=True)


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What was measured when the checkpoint was stored; nothing where it was interrupted.

    Raises:
        BadInput: the file is damaged.
    """
    path = folder / "evaluation.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise BadInput(f"{path}: does not read as JSON ({error})") from None
