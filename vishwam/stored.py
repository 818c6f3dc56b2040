"""A stored checkpoint, from its name to a model that answers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vishwam import config, state
from vishwam.errors import BadInput

if TYPE_CHECKING:
    from vishwam.evaluation.suite import Suite
    from vishwam.training.experiment import Experiment


@dataclass(frozen=True)
class Stored:
    """A checkpoint on this machine.

    folder: the step's, with its state; home: where its configuration and its tokeniser lie; logged: what was measured
    when it was stored, nothing where it was interrupted.
    """

    name: str
    folder: Path
    home: Path
    experiment: "Experiment"
    logged: dict[str, Any]

    def open(self) -> "tuple[Suite, Any]":
        """The evaluations of its experiment and the parameters to evaluate."""
        import jax

        from data_pipelines.tokenizer import load_tokenizer
        from vishwam.evaluation.suite import Suite
        from vishwam.model import decoder
        from vishwam.training import compile_cache
        from vishwam.training.checkpoint import read_state
        from vishwam.training.loop import model_config
        from vishwam.training.step import init_state

        compile_cache.enable(state.folder() / "compile_cache")
        tokenizer = load_tokenizer(self.home / "tokenizer")
        graphdef, params = decoder.init(model_config(self.experiment, tokenizer), jax.random.key(0))
        params = read_state(self.folder, init_state(params)).averages
        loop = self.experiment.loop
        suite = Suite(
            self.experiment.data, tokenizer, graphdef, loop.max_answer_tokens, loop.length_buckets, lambda: None
        )
        return suite, params


def find(checkpoint: str, connect: Callable[[], None], say: Callable[[str], None] = lambda line: None) -> Stored:
    """The checkpoint of a name: a step's folder, a run's (its newest step), or an artifact, entity/project/
    checkpoint-ID:alias, which is downloaded; `connect` makes W&B reachable and is called only then.

    Raises:
        BadInput: there is none.
    """
    folder = Path(checkpoint)
    if not folder.is_dir():
        from vishwam.tracking import artifacts

        if not artifacts.is_name(checkpoint):
            raise BadInput(f"{checkpoint!r} is neither a folder nor entity/project/checkpoint-ID:alias")
        say(f"fetching {checkpoint}")
        connect()
        folder = artifacts.fetch(checkpoint, state.folder() / "downloads")
    # A step's folder on this machine has its configuration one level up; an artifact holds all in one.
    home = next((place for place in (folder, folder.parent) if (place / "config.gin").exists()), None)
    if home is None:
        raise BadInput(f"{folder}: no checkpoint here (no config.gin in it or above it)")
    if not (folder / "state").is_dir():
        steps = [path for path in folder.iterdir() if path.name.isdigit() and (path / "state").is_dir()]
        if not steps:
            raise BadInput(f"{folder}: no checkpoint here (no step has been stored)")
        folder = max(steps, key=lambda path: int(path.name))
    return Stored(checkpoint, folder, home, config.load([home / "config.gin"]).experiment, read_evaluation(folder))


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
