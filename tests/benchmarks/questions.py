"""Questions a second a core, each module and the mix of Saxton et al., as `vishwam questions` prints them; beside them
DeepMind's generator where it is installed.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from data_pipelines.modular_math import command, registry

_COUNT, _MIX_COUNT = 5_000, 60_000
# A mean over fewer questions than this is of chance.
_PEER_SECONDS, _PEER_COUNT = 0.5, 40
_LONGEST = registry.Settings().limits("train")


def run() -> list[dict]:
    """A row a module, and one for the mix: {"what", "ours", "peer", "ratio", "unit"}; rates are of CPU time, the import
    left out.
    """
    peers = {name: _rate(sample) for name, sample in _peers().items() if name in registry.names()}
    rows = [_row(name, _ours(name, _COUNT), peers.get(name)) for name in registry.names()]
    seconds = [1 / rate if rate else None for rate in map(peers.get, registry.saxton())]
    # Evenly mixed, the seconds a question of each module add up; with a module missing there is no mix to compare.
    peer = None if None in seconds else len(seconds) / sum(filter(None, seconds))
    mix = _ours(",".join(registry.saxton()), _MIX_COUNT)
    return [*rows, _row("mix of the 56 of Saxton et al.", mix, peer)]


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


def _rate(sample: Callable[[], Any]) -> float | None:
    count = 0
    started = time.process_time()
    while count < _PEER_COUNT or time.process_time() - started < _PEER_SECONDS:
        try:
            problem = sample()
            # It drops what is longer when it writes, as ours draws again.
            count += len(str(problem.question)) <= _LONGEST[0] and len(str(problem.answer)) <= _LONGEST[1]
        except AttributeError:
            # It calls what NumPy 2 took away.
            return None
    return count / (time.process_time() - started)
