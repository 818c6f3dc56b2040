"""Checkpoints by name: a local folder, or an artifact that W&B holds."""

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
