"""A compile cache in which a process was killed while it wrote."""

import os
import subprocess
import sys
import time
from pathlib import Path

from vishwam.training import compile_cache

COMPILE = """
import sys
from pathlib import Path
from vishwam.training import compile_cache
compile_cache.enable(Path(sys.argv[1]))
import jax
import jax.numpy as jnp
print(jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8))).sum())
"""


def test_an_entry_that_was_cut_off_is_written_anew(tmp_path):
    def run() -> str:
        command = [sys.executable, "-c", COMPILE, str(tmp_path)]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).parents[2])}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stderr

    assert "Error reading" not in run()
    entries = {entry: entry.read_bytes() for entry in tmp_path.rglob("*-cache")}
    assert entries
    for entry, content in entries.items():
        entry.write_bytes(content[: len(content) // 2])
    assert "Error reading" in run(), "another may be writing them at this moment"
    long_ago = time.time() - 60
    for entry in entries:
        os.utime(entry, (long_ago, long_ago))
    # Nobody has looked since.
    os.utime(next(tmp_path.rglob("looked_through")), (long_ago, long_ago))
    assert "Error reading" not in run()
    assert {len(entry.read_bytes()) for entry in entries} == {len(content) for content in entries.values()}


def test_what_was_looked_at_once_is_not_read_again(tmp_path):
    entry = tmp_path / "jit_f-cache"
    compile_cache.remove_torn(tmp_path)
    entry.write_bytes(b"half")
    long_ago = time.time() - 3600
    os.utime(entry, (long_ago, long_ago))
    compile_cache.remove_torn(tmp_path)
    assert entry.exists()
    (tmp_path / "looked_through").unlink()
    compile_cache.remove_torn(tmp_path)
    assert not entry.exists()
