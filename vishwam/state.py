"""Where a clone keeps its state: server data, datasets, checkpoints, compile cache, the client's own folders."""

import os
from pathlib import Path


def folder() -> Path:
    """`$VISHWAM_HOME`, or `.vishwam` in the current directory; trials inherit the former from `vishwam env`."""
    return Path(os.environ.get("VISHWAM_HOME") or ".vishwam").absolute()
