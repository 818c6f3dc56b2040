"""How a run was made: from the file `wandb-metadata.json` that the client leaves with it."""

import json
import shlex
import sqlite3
from pathlib import PurePath
from typing import Any

from vishwam.server.pages.tables import file_row
from vishwam.server.store import Store

METADATA = "wandb-metadata.json"
LARGEST = 1 << 20


def metadata(store: Store, db: sqlite3.Connection, run: int) -> dict[str, Any]:
    """What the client wrote about machine, program and repository; empty when it did not."""
    row = file_row(db, run, METADATA)
    if row is None or row["size"] > LARGEST:
        return {}
    try:
        found = json.loads(store.blob_path(row["sha256"]).read_bytes())
    except (ValueError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def command(found: dict[str, Any], run: sqlite3.Row) -> str:
    """What to type to run it again, at the commit it was made at; empty when nobody knows."""
    program = found.get("program") or run["program"]
    if not program:
        return ""
    git = found.get("git") if isinstance(found.get("git"), dict) else {}
    lines = []
    if commit := (git or {}).get("commit") or run["commit_hash"]:
        if remote := (git or {}).get("remote") or run["repo"]:
            lines.append(f"git clone {shlex.quote(str(remote))} again && cd again")
        lines.append(f"git checkout {shlex.quote(str(commit))}")
    arguments = found.get("args")
    words = [str(one) for one in arguments] if isinstance(arguments, list) else []
    # A console script is called by its name, wherever its environment lay.
    path = PurePath(str(program))
    start = [path.name] if path.parent.name == "bin" else [*(["python"] if path.suffix == ".py" else []), str(program)]
    return "\n".join([*lines, shlex.join([*start, *words])])


def machine(found: dict[str, Any]) -> dict[str, str | None]:
    """Python, system, devices and memory as a person reads them."""
    memory = found.get("memory") if isinstance(found.get("memory"), dict) else {}
    total = str((memory or {}).get("total") or "")
    count = found.get("gpu_count")
    return {
        "python": found.get("python"),
        "os": found.get("os"),
        "gpu": f"{count} x {found['gpu']}" if found.get("gpu") and count else found.get("gpu"),
        "memory": f"{int(total) / 2**30:.0f} GiB" if total.isascii() and total.isdigit() else None,
    }
