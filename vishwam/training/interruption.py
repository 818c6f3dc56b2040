"""Ending a trial early and cleanly: signals, and a parent that is gone."""

import os
import signal
import threading
import time
from collections.abc import Callable

import vishwam

# From noticing to leaving by force, should the main thread hang in a long compilation ...
PATIENCE_SECONDS = 6.0
# ... and from there to the end of saving and of the last upload.
GRACE_SECONDS = 12.0


class Interrupted(Exception):
    """The trial was told to end; the message says by what."""


class Interruption:
    """Notes SIGINT, SIGTERM and the end of the parent process, and raises where the trial asks for it.

    Raising inside a signal handler could cut a checkpoint or a row in half; `check` is called between dispatches. A
    trial that does not ask for too long is ended all the same, after `last_words`, which say the exit code.
    """

    def __init__(self) -> None:
        self._reason: str | None = None
        self._ending = threading.Event()
        self.last_words: Callable[[], int] = lambda: 1

    def install(self) -> "Interruption":
        """Takes the signals (main thread only) and starts to watch the parent."""
        # The interpreter runs its own handlers only between bytecodes, which a long compilation holds up; the bytes
        # that C writes here at once are read by the watching thread.
        self._wake, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        # An agent starts each trial in a process group of its own: killing the agent alone would orphan it.
        threading.Thread(target=self._watch_parent, name="parent-watch", daemon=True).start()
        threading.Thread(target=self._watch_signals, name="signal-watch", daemon=True).start()
        return self

    def check(self) -> None:
        """Raises:
        Interrupted: the trial was told to end.
        """
        if self._reason:
            self.ending()
            raise Interrupted(self._reason)

    def ending(self) -> None:
        """The trial is on its way out, for whatever reason: a signal from here on leaves it its grace."""
        self._ending.set()

    def _watch_signals(self) -> None:
        while True:
            for number in os.read(self._wake, 64):
                if number in (signal.SIGINT, signal.SIGTERM):
                    self._note(signal.Signals(number).name)

    def _watch_parent(self) -> None:
        while os.getppid() == vishwam.PARENT:
            time.sleep(1)
        self._note("the end of its parent process")

    def _note(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            threading.Thread(target=self._insist, name="insist", daemon=True).start()

    def _insist(self) -> None:
        code = 1
        try:
            if self._ending.wait(PATIENCE_SECONDS):
                time.sleep(GRACE_SECONDS)
            else:
                code = self.last_words()
        finally:
            os._exit(code)
