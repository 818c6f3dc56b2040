"""Questions a second a core, each module and the mix of all, as `vishwam questions` prints them; DeepMind's generator
where it is installed.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from data_pipelines.modular_math import command, registry

_COUNT, _MIX_COUNT = 5_000, 60_000
_PEER_SECONDS = 0.5


def run() -> list[dict]:
    """A row a module, and one for the mix: {"what", "ours", "peer", "ratio", "unit"}; rates are of CPU time, the import
    left out.
    """
    peers = _peers()
    rows = []
    for name in registry.names():
        rows.append(_row(name, _ours(name, _COUNT), _rate(peers[name]) if name in peers else None))
    known = [peers[name] for name in registry.names() if name in peers]
    # Evenly mixed, the seconds a question of each module add up.
    peer = len(known) / sum(1 / _rate(sample) for sample in known) if known else None
    return [*rows, _row("mix of all modules", _ours("all", _MIX_COUNT), peer)]


def _row(what: str, ours: float, peer: float | None) -> dict:
    return {
        "what": what,
        "ours": round(ours),
        "peer": peer and round(peer),
        "ratio": peer and round(ours / peer, 1),
        "unit": "questions/s a core",
    }


def _ours(module: str, count: int) -> float:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    args = parser.parse_args(["--module", module, "--count", str(count)])
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        started = time.process_time()
        command.run(args)
        return count / (time.process_time() - started)


def _peers() -> dict[str, Callable[[], Any]]:
    """The peer's training modules by name; empty where it is missing or does not import with the installed NumPy and
    sympy.
    """
    try:
        from mathematics_dataset.modules import modules

        topics = modules.train(lambda entropy: entropy)
    except Exception:
        return {}
    return {f"{topic}__{name}": sample for topic, samples in topics.items() for name, sample in samples.items()}


def _rate(sample: Callable[[], Any]) -> float:
    count = 0
    started = time.process_time()
    while time.process_time() - started < _PEER_SECONDS:
        problem = sample()
        str(problem.question), str(problem.answer)
        count += 1
    return count / (time.process_time() - started)
