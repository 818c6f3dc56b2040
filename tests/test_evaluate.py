"""`vishwam evaluate` of an artifact where W&B is not what it should be."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

VISHWAM = str(Path(sys.executable).parent / "vishwam")
NAME = "local/p/checkpoint-x:best"


@pytest.fixture(params=["closed", "silent"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port where nobody listens, or where somebody does and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if request.param == "silent":
            listener.listen()
        yield listener.getsockname()[1]


def test_a_dead_server_is_one_line(port: int, tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "VISHWAM_"))}
    done = subprocess.run(
        [VISHWAM, "evaluate", NAME],
        env=kept
        | {"HOME": str(tmp_path), "VISHWAM_HOME": str(tmp_path)}
        | {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": "k" * 40},
        capture_output=True,
        text=True,
        timeout=60,
    )
    doing, complaint = done.stderr.splitlines()
    assert doing == f"fetching {NAME}"
    assert complaint.startswith(f"vishwam evaluate: no W&B server answers at http://127.0.0.1:{port} (")
    assert done.returncode == 2 and not done.stdout
