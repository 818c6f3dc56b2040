"""Work shared among processes that never outlive the one that started them."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable
from typing import Any


def pool(
    processes: int, begin: Callable[..., object] = bool, *arguments: Any
) -> concurrent.futures.ProcessPoolExecutor:
    """A pool whose processes call `begin(*arguments)` first. Spawned: forked, a child of a process with threads may
    hang. They end with their parent, even where it is killed.
    """
    return concurrent.futures.ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), _start, (begin, *arguments)
    )


def _start(begin: Callable[..., object], *arguments: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
