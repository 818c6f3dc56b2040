"""Ending a trial early and cleanly: signals, and a parent that is gone."""

import logging
import os
import signal
import threading
import time

log = logging.getLogger(__name__)

# From noticing that the parent is gone to leaving by force, should the main thread hang in a compilation.
GRACE_SECONDS = 20


class Interrupted(Exception):
    """The trial was told to end; the message says by what."""


class Interruption:
    """Notes SIGINT, SIGTERM and the end of the parent process, and raises where the trial asks for it.

    Raising inside a signal handler could cut a checkpoint or a row in half; `check` is called between dispatches.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._parent = os.getppid()

    def install(self) -> "Interruption":
        """Takes the signals (main thread only) and starts to watch the parent."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        # An agent starts each trial in a process group of its own: killing the agent alone would orphan it.
        threading.Thread(target=self._watch_parent, name="parent-watch", daemon=True).start()
        return self

    def check(self) -> None:
        """Raises:
        Interrupted: the trial was told to end.
        """
        if self._reason:
            raise Interrupted(self._reason)

    def _note(self, number: int, _: object) -> None:
        self._reason = self._reason or signal.Signals(number).name

    def _watch_parent(self) -> None:
        while os.getppid() == self._parent:
            time.sleep(1)
        self._reason = self._reason or "the parent process is gone"
        time.sleep(GRACE_SECONDS)
        os._exit(1)
