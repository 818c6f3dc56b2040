"""Drives the installed wandb in processes of their own; raw GraphQL where its answers are compared with the server."""

import base64
import json
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vishwam.server.local import Address

Script = Callable[..., dict[str, Any]]
SECONDS = 90


@pytest.fixture
def script(tmp_path: Path, client_env: dict[str, str]) -> Script:
    """`script(code, *arguments)` runs Python code that may call `result(**values)`; returns those values."""
    header = "import json, sys\ndef result(**values): print('RESULT ' + json.dumps(values, default=str))\n"

    def run(code: str, *arguments: str, **extra: str) -> dict[str, Any]:
        path = tmp_path / "script.py"
        path.write_text(header + textwrap.dedent(code))
        done = subprocess.run(
            [sys.executable, str(path), *arguments],
            cwd=tmp_path, env={**client_env, **extra}, capture_output=True, text=True, timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        values: dict[str, Any] = {}
        for line in done.stdout.splitlines():
            if line.startswith("RESULT "):
                values |= json.loads(line.removeprefix("RESULT "))
        return values

    return run


def graphql(address: Address, query: str, **variables: Any) -> Any:
    """`data` of the reply; raises urllib's HTTPError for a refusal."""
    token = base64.b64encode(f"api:{address.api_key}".encode()).decode()
    request = urllib.request.Request(
        address.url + "/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Basic {token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read())["data"]
