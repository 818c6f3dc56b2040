"""Where a clone keeps its state: server data, datasets, checkpoints, compile cache, the client's own folders."""

import os
from pathlib import Path


def folder() -> Path:
    """`$VISHWAM_HOME`, or `.vishwam` in the current directory; trials inherit the former from `vishwam env`."""
    return Path(os.environ.get("VISHWAM_HOME") or ".vishwam").absolute()


def write(path: Path, text: str) -> None:
    """Replaces a file whole: a process killed meanwhile leaves the old one."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
