"""Two programs measured side by side: each a process of its own that takes turns with the other on the same machine.

A worker is a script that gets its task as JSON in its first argument, prints one JSON object when it is ready
(`compile_s`), and then, for every number on its standard input, does its work so many times and prints what that took
(`cpu_s`, `wall_s`). At the end of its input it prints `peak_mb`. On CPU, figures are processor time: on a machine that
others use, it is what repeats.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vishwam import state

HERE = Path(__file__).parent
PEER_PYTHON = "VISHWAM_PEER_PYTHON"

# What the sweeps' commands set: glibc keeps its memory instead of handing it back at every step.
MALLOC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def peer_python(*modules: str) -> str | None:
    """An interpreter that has PyTorch and `modules`: the one that VISHWAM_PEER_PYTHON names, or this one; or none."""
    python = os.environ.get(PEER_PYTHON, sys.executable)
    code = "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in sys.argv[1:]))"
    try:
        found = subprocess.run([python, "-c", code, "torch", *modules], capture_output=True, check=False)
    except OSError:
        return None
    return python if found.returncode == 0 else None


class Worker:
    """One such process, ready for work."""

    def __init__(self, script: str, task: dict[str, Any], python: str = sys.executable, **environment: str):
        log = state.folder() / "logs" / f"benchmark-{Path(script).stem}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                [python, "-u", str(HERE / script), json.dumps(task)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONPATH": str(HERE.parents[1]), **environment},
            )
        self.ready = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"a worker ended early; {self.log} has why")

    def work(self, times: int) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.close()
        last = self._answer()
        self.process.wait()
        return last


@contextlib.contextmanager
def workers(*made: Callable[[], Worker]) -> Iterator[list[Worker]]:
    """Starts them one after another, so that none compiles beside another; ends those that are still there."""
    running: list[Worker] = []
    try:
        for make in made:
            running.append(make())
        yield running
    finally:
        for worker in running:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()


def take_turns(running: list[Worker], times: int, rounds: int, clock: str) -> list[float]:
    """The best seconds of `clock` ('cpu_s' or 'wall_s') each took for one piece of work."""
    best = [float("inf")] * len(running)
    for _ in range(rounds):
        for number, worker in enumerate(running):
            best[number] = min(best[number], worker.work(times)[clock] / times)
    return best


def serve(compile_s: float, work: Callable[[], Any], peak_mb: Callable[[], float] | None = None, **more: Any) -> None:
    """The life of a worker after it is ready; `work` ends only when its result is there."""
    print(json.dumps({"compile_s": compile_s, **more}))
    for line in sys.stdin:
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(int(line)):
            work()
        print(json.dumps({"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mb": peak_mb() if peak_mb else resident}))
