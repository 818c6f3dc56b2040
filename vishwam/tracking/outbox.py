"""Work handed over to a thread of its own, which does it in the order in which it came."""

import queue
import threading
from collections.abc import Callable

Work = Callable[[], None]


class Outbox:
    """Any thread may hand over, and waits for nothing: no lock is held while the work is done."""

    def __init__(self, name: str):
        self._waiting: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self.failure: Exception | None = None
        """The first that work has raised; what was handed over later is done all the same."""
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How much is waiting, about."""
        return self._waiting.qsize()

    def put(self, work: Work) -> None:
        """Hands over; what comes after `close` is never done."""
        self._waiting.put(work)

    def flush(self, seconds: float | None = None) -> bool:
        """Waits until all that was handed over so far is done, or for so long; whether it is done."""
        done = threading.Event()
        self._waiting.put(done.set)
        return not self._thread.is_alive() or done.wait(seconds)

    def close(self) -> None:
        """Waits until all that was handed over so far is done, and ends the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while work := self._waiting.get():
            try:
                work()
            except Exception as error:
                self.failure = self.failure or error
