"""JAX's persistent compile cache: a trial of a shape seen before starts in seconds."""

import contextlib
import hashlib
import os
import platform
import time
import zlib
from pathlib import Path

import jax

# An entry that was written so lately may still be under way.
SETTLED_SECONDS = 10.0
ZSTANDARD = b"\x28\xb5\x2f\xfd"


def enable(folder: Path) -> None:
    """Keeps every compiled program under `folder`, apart for each kind of machine: CPU code may use instructions that
    another CPU lacks. Call before the first compilation. A cache is code: share it with nobody who is not trusted.
    """
    try:
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    key = hashlib.blake2b(f"{platform.machine()} {cpu}".encode(), digest_size=6).hexdigest()
    with contextlib.suppress(OSError):  # Where it cannot be written, trials compile.
        remove_torn(folder / key)
    jax.config.update("jax_compilation_cache_dir", str(folder / key))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def remove_torn(folder: Path) -> None:
    """Removes entries of which only a part was written, by a process that was killed or on a full disk: JAX would
    neither read nor replace them, and compile these programs at every start. Looked at is what is new since last time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    looked = folder / "looked_through"
    since = looked.stat().st_mtime if looked.exists() else 0.0
    until = time.time() - SETTLED_SECONDS
    for entry in folder.glob("*-cache"):
        if since <= entry.stat().st_mtime < until and _is_torn(entry.read_bytes()):
            entry.unlink(missing_ok=True)
    looked.touch()
    os.utime(looked, (until, until))


def _is_torn(content: bytes) -> bool:
    """Where the package zstandard is installed JAX compresses with it; such entries are not looked into."""
    if content.startswith(ZSTANDARD):
        return False
    try:
        zlib.decompress(content)
    except zlib.error:
        return True
    return False
