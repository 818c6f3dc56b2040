"""A prepared data set as a W&B artifact, with its card and a table of samples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb


def publish(
    folder: Path,
    files: Sequence[Path],
    name: str,
    card: str,
    config: Mapping[str, Any],
    columns: Sequence[str],
    samples: Sequence[Sequence[Any]],
) -> str | None:
    """Logs `files` of `folder` as the artifact `name` of type dataset, from a run of its own with `config`.

    Returns the run's page, None where W&B is offline. The same files again are the same version.
    """
    with wandb.init(job_type="prepare", name=f"prepare {name}", config=dict(config)) as run:
        artifact = wandb.Artifact(name, type="dataset", description=card, metadata=dict(config))
        for path in files:
            artifact.add_file(str(folder / path), name=path.as_posix(), policy="immutable", skip_cache=True)
        table = wandb.Table(columns=list(columns), data=[list(row) for row in samples])
        artifact.add(table, "samples")
        run.log_artifact(artifact, aliases=["latest"])
        run.log({"samples": wandb.Table(columns=list(columns), data=[list(row) for row in samples])})
        return run.url
