"""Which W&B the client talks to, after `environment.apply` and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

from vishwam.server import local

CLIENT = """
from vishwam import environment
environment.apply()
import wandb
print(wandb.setup().settings.base_url)
"""


def test_a_client_of_the_same_process_talks_to_the_embedded_server(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "VISHWAM_"))}
    kept["http_proxy"] = "http://127.0.0.1:9"  # Nobody is there: this machine is reached without it.
    home = {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "VISHWAM_HOME": str(tmp_path / "state")}
    try:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT], env=kept | home, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.split()[-1:] == [local.last_url(tmp_path / "state" / "server")], done.stderr
    finally:
        local.stop(tmp_path / "state" / "server")
