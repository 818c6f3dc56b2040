"""`wandb verify`: W&B's own check of an installation."""

import subprocess
import sys
from pathlib import Path

import pytest

from vishwam.server.local import Address


@pytest.mark.slow
def test_wandb_verify_passes(server: Address, client_env: dict[str, str], tmp_path: Path) -> None:
    environment = {name: value for name, value in client_env.items() if name != "WANDB_SILENT"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("wandb")), "verify", "--host", server.url],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # A server of this machine has no TLS and no second origin; those three lines are warnings.
    failed = [line.partition(".")[0] for line in done.stdout.splitlines() if line.endswith("❌")]
    assert set(failed) <= {
        "Checking requests to base url",
        "Checking requests made over signed URLs",
        "Checking CORs configuration of the bucket",
    }, done.stdout
    assert "Checking sweep creation and agent execution" in done.stdout
