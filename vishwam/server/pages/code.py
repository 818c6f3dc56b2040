"""The code of a run as far as it was kept: commit, command, stored sources, changes since the commit, Gin text."""

import json
import sqlite3
from typing import Any

from vishwam.server.pages import again, queries
from vishwam.server.store import Store

LARGEST, MOST_FILES = 256 << 10, 40
LONG = 200  # a text in the configuration above this is a program, not a setting


def code(store: Store, db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """{'command': commit and command as the run's page has them, 'texts': {name: text}} of one run."""
    texts: dict[str, str] = {}
    for file in queries.files(db, row["id"]):
        stored = file["name"].startswith("code/") or file["name"] == "diff.patch"
        if stored and file["size"] <= LARGEST and len(texts) < MOST_FILES:
            texts[file["name"]] = store.blob_path(file["sha256"]).read_bytes().decode(errors="replace")
    for key, item in json.loads(row["config_json"] or "{}").items():
        value = item.get("value") if isinstance(item, dict) else item
        if key != "_wandb" and isinstance(value, str) and LONG < len(value) <= LARGEST:
            texts[key] = value
    return {"command": again.command(again.metadata(store, db, row["id"]), row), "texts": texts}
