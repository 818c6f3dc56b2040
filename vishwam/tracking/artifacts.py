"""Checkpoints by name: a local folder, or an artifact that W&B holds."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import wandb

from vishwam.errors import BadInput


def is_name(text: str) -> bool:
    """Whether `text` has the form entity/project/name:alias."""
    return text.count("/") == 2 and ":" in text.rpartition("/")[2]


def fetch(name: str, into: Path) -> Path:
    """Downloads the artifact `entity/project/checkpoint-<run id>:<alias>` and returns its folder under `into`.

    Files that are there already with the right contents are not downloaded again.

    Raises:
        BadInput: the W&B in use has no such artifact.
    """
    try:
        artifact = wandb.Api().artifact(name, type="model")
    except (wandb.errors.CommError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(f"no artifact {name!r} on the W&B in use ({first})") from None
    return Path(artifact.download(root=str(into / artifact.source_name.replace(":", "-"))))


def note_in_run(name: str, values: Mapping[str, float]) -> str:
    """Writes into the summary of the run that made the checkpoint `name`, and returns the run's address.

    Raises:
        BadInput: the W&B in use has no such run any more.
    """
    entity, project, artifact = name.split("/")
    run_id = artifact.partition(":")[0].removeprefix("checkpoint-")
    try:
        run = wandb.Api().run(f"{entity}/{project}/{run_id}")
        run.summary.update(dict(values))
    except (wandb.errors.Error, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(f"{name} was measured, but its run {run_id} takes no figures ({first})") from None
    return str(run.url)


def lay_out(name: str, run_folder: Path, beyond: int) -> bool:
    """Lays a checkpoint of a step after `beyond` out in a run's folder, as if written there; False where W&B has none
    by that name.

    Raises:
        BadInput: W&B does not say, or does not send it whole.
    """
    incoming = run_folder / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # Of a start that was killed meanwhile.
    try:
        api = wandb.Api()
        if not api.artifact_exists(name, type="model"):
            return False
        artifact = api.artifact(name, type="model")
        step = artifact.metadata["step"]
        if step <= beyond:
            return False
        artifact.download(root=str(incoming))
    except (wandb.errors.Error, OSError, ValueError) as error:
        raise BadInput(f"{name} is not to be had from W&B just now ({' '.join(str(error).split())})") from None
    (incoming / "config.gin").replace(run_folder / "config.gin")
    (incoming / "operative_config.gin").unlink()
    shutil.rmtree(incoming / "tokenizer")
    incoming.rename(run_folder / str(step))  # Last: a folder of a step is a whole one.
    return True
