"""JAX's persistent compile cache: a trial of a shape seen before starts in seconds."""

import hashlib
import platform
from pathlib import Path

import jax


def enable(folder: Path) -> None:
    """Keeps every compiled program under `folder`, apart for each kind of machine: CPU code may use instructions that
    another CPU lacks. Call before the first compilation. A cache is code: share it with nobody who is not trusted.
    """
    try:
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        cpu = platform.processor()
    key = hashlib.blake2b(f"{platform.machine()} {cpu}".encode(), digest_size=6).hexdigest()
    jax.config.update("jax_compilation_cache_dir", str(folder / key))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
