"""Checkpoints by name: a local folder, or an artifact that W&B holds."""

import http.client
import shutil
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import wandb

from vishwam.errors import BadInput

ANSWER_SECONDS = 3.0


def is_name(text: str) -> bool:
    """Whether `text` has the form entity/project/name:alias."""
    return text.count("/") == 2 and ":" in text.rpartition("/")[2]


def insist_on_an_answer(url: str) -> None:
    """The client itself would ask a dead server for many seconds, in silence.

    Raises:
        BadInput: nobody speaks HTTP there within `ANSWER_SECONDS`.
    """
    try:
        urllib.request.urlopen(url, timeout=ANSWER_SECONDS).close()
    except urllib.error.HTTPError:
        pass  # Whatever it thinks of the address, it answers.
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):  # The client may know certificates that Python does not.
            raise BadInput(f"no W&B server answers at {url} ({reason})") from None


def fetch(name: str, into: Path) -> Path:
    """Downloads the artifact `entity/project/checkpoint-<run id>:<alias>` and returns its folder under `into`.

    Files that are there already with the right contents are not downloaded again.

    Raises:
        BadInput: the W&B in use does not answer, or has no such artifact.
    """
    insist_on_an_answer(wandb.setup().settings.base_url)
    try:
        artifact = wandb.Api().artifact(name, type="model")
    except (wandb.errors.CommError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise BadInput(f"no artifact {name!r} on the W&B in use ({first})") from None
    return Path(artifact.download(root=str(into / artifact.source_name.replace(":", "-"))))


def lay_out(name: str, run_folder: Path, beyond: int) -> bool:
    """Lays a checkpoint of a step after `beyond` out in a run's folder, as if written there; False where W&B has none
    by that name.
    """
    try:
        artifact = wandb.Api().artifact(name, type="model")
    except (wandb.errors.CommError, ValueError):
        return False
    if artifact.metadata["step"] <= beyond:
        return False
    with tempfile.TemporaryDirectory(dir=run_folder.parent) as temporary:
        step = Path(artifact.download(root=f"{temporary}/step"))
        (step / "config.gin").rename(run_folder / "config.gin")
        (step / "operative_config.gin").unlink()
        shutil.rmtree(step / "tokenizer")
        step.rename(run_folder / str(artifact.metadata["step"]))  # Last: a folder of a step is a whole one.
    return True
