"""Which W&B a command talks to, and the environment variables that say so to the client, its agents and its trials.

What the user has configured wins, whatever it is; the embedded server is what remains.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from vishwam import state
from vishwam.server import local

PROJECT = "vishwam"


def variables(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to add to `environ` so that `wandb` and `vishwam` work here.

    Starts the embedded server if it is the one in use and is not up.
    """
    home = state.folder()
    client = home / "wandb"
    added = {
        "VISHWAM_HOME": str(home),
        # A sweep's command starts `vishwam`, and `${interpreter}` is whatever `python` the shell finds.
        "PATH": os.pathsep.join(_first(str(Path(sys.executable).parent), environ.get("PATH", ""))),
        "WANDB_DIR": str(client),
        "WANDB_CACHE_DIR": str(client / "cache"),
        "WANDB_DATA_DIR": str(client / "data"),
    }
    client.mkdir(parents=True, exist_ok=True)
    if uses_embedded_server(environ):
        address = local.start_or_reuse(home / "server")
        added |= {
            "WANDB_BASE_URL": address.url,
            "WANDB_API_KEY": address.api_key,
            "WANDB_ENTITY": address.entity,
            # The agent gives up after three trials that fail within a minute; this server counts burnt trials itself.
            "WANDB_AGENT_DISABLE_FLAPPING": "true",
            "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
            # The user's own W&B settings name another server.
            "WANDB_CONFIG_DIR": str(client / "config"),
            # The client sends every 15 s by default; on loopback once a second costs nothing, and the pages are live.
            "WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1",
        }
    added["WANDB_PROJECT"] = environ.get("WANDB_PROJECT", PROJECT)
    return added


def uses_embedded_server(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether nothing else is configured: no `WANDB_BASE_URL`, `WANDB_API_KEY`, earlier `wandb login`, or offline mode.

    A shell that took the variables of `vishwam env` has the first two set to the embedded server: no other choice.
    """
    if base_url := environ.get("WANDB_BASE_URL"):
        return base_url.rstrip("/") == local.last_url(state.folder() / "server")
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return False
    import wandb
    from wandb.sdk.lib import wbauth

    configured = wandb.setup().settings.base_url
    wandb.teardown()  # Or the client would keep these settings, whatever `apply` says later.
    return wbauth.read_netrc_auth(host=configured) is None


def apply() -> None:
    """Takes the variables into this process, so that it and what it starts use the same W&B."""
    os.environ.update(variables())


def _first(folder: str, path: str) -> list[str]:
    """`path` as a list with `folder` at its head, once."""
    return [folder, *(entry for entry in path.split(os.pathsep) if entry and entry != folder)]
