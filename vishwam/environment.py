"""Which W&B a command talks to, and the environment variables that say so to the client, its agents and its trials.

What the user has configured wins, whatever it is; the embedded server is what remains.
"""

import http.client
import os
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from vishwam import state
from vishwam.errors import BadInput
from vishwam.server import local

PROJECT = "vishwam"
OFFLINE = ("offline", "disabled", "dryrun")
ANSWER_SECONDS = 3.0


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
        direct = ",".join(_first("127.0.0.1", environ.get("NO_PROXY") or environ.get("no_proxy") or "", ","))
        added |= {
            "WANDB_BASE_URL": address.url,
            "WANDB_API_KEY": address.api_key,
            "WANDB_ENTITY": address.entity,
            # The agent gives up after three trials that fail within a minute; this server counts burnt trials itself.
            "WANDB_AGENT_DISABLE_FLAPPING": "true",
            "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
            # The user's own W&B settings name another server.
            "WANDB_CONFIG_DIR": str(client / "config"),
            # No proxy stands between this machine and itself.
            "NO_PROXY": direct,
            "no_proxy": direct,
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
    if environ.get("WANDB_API_KEY") or environ.get("WANDB_MODE") in OFFLINE:
        return False
    import wandb
    from wandb.sdk.lib import wbauth

    configured = wandb.setup().settings.base_url
    wandb.teardown()  # Or the client would keep these settings, whatever `apply` says later.
    return wbauth.read_netrc_auth(host=configured) is None


def apply() -> None:
    """Takes the variables into this process, so that it and what it starts use the same W&B.

    Raises:
        BadInput: that W&B does not answer.
    """
    os.environ.update(variables())
    # An agent's trial has W&B's own patience; who types a command sees what is wrong within seconds.
    if os.environ.get("WANDB_MODE") not in OFFLINE and "WANDB_SWEEP_ID" not in os.environ:
        import wandb

        insist_on_an_answer(wandb.setup().settings.base_url)


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


def _first(entry: str, entries: str, separator: str = os.pathsep) -> list[str]:
    """`entries` as a list with `entry` at its head, once."""
    return [entry, *(other for other in entries.split(separator) if other and other != entry)]
