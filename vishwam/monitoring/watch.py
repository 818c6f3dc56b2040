"""A trial's memory while it runs: sampled by a thread of its own, which no step ever waits for."""

import collections
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from vishwam.monitoring import alerts
from vishwam.monitoring.alerts import Alert
from vishwam.monitoring.memory import MemoryMonitor
from vishwam.tracking.metrics import PHASE, PHASES

log = logging.getLogger(__name__)

# A trial of minutes is sampled every two seconds, one of days every half minute.
SHORTEST, LONGEST = 2.0, 30.0
SAMPLES_WANTED = 500
# Phases that follow one another faster share a sample.
LEAST_GAP = 0.25
KEPT = 4000
# The profile of what JAX holds says something of these.
PROFILED = ("headroom", "fragmentation", "growth")


class Writer(Protocol):
    """What a watch needs of a run."""

    def log_memory(self, metrics: Mapping[str, float]) -> None: ...
    def alert(self, title: str, text: str, level: str) -> None: ...
    def attach(self, name: str, kind: str, file: str, content: bytes) -> None: ...


class Watch:
    """Logs a row of memory every few seconds and at each change of phase, and raises alerts, each kind once.

    Before it is entered, and after it is left, it only keeps the phase.
    """

    def __init__(
        self,
        run: Writer,
        make_monitor: Callable[[], MemoryMonitor] = MemoryMonitor,
        profile: Callable[[], bytes] | None = None,
        shortest: float = SHORTEST,
    ):
        """make_monitor: called when it is entered. profile: what JAX holds, as a pprof file; JAX's own unless given."""
        self._run = run
        self._make_monitor = make_monitor
        self._profile = profile or device_memory_profile
        self._shortest = shortest
        self._phase = PHASES[0]
        self._changes: collections.deque[tuple[float, str]] = collections.deque(maxlen=KEPT)
        self._changed = threading.Event()
        self._ending = False
        self._thread: threading.Thread | None = None
        self._times: list[float] = []
        self._samples: list[dict[str, float]] = []
        self._raised: set[str] = set()

    def at(self, phase: str) -> None:
        """From now on the trial is at this; one of `PHASES`."""
        assert phase in PHASES
        if phase != self._phase:
            self._phase = phase
            self._changes.append((time.time(), phase))
            self._changed.set()

    @property
    def now(self) -> str:
        """What the trial is at."""
        return self._phase

    @contextlib.contextmanager
    def phase(self, phase: str) -> Iterator[None]:
        before = self._phase
        self.at(phase)
        try:
            yield
        finally:
            self.at(before)

    def __enter__(self) -> "Watch":
        self._monitor = self._make_monitor()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ending = True
        self._changed.set()
        assert self._thread is not None
        # It waits for nothing that can hang; should it do so after all, the trial ends without it.
        self._thread.join(2.0)
        self._monitor.close()

    def _watch(self) -> None:
        began = time.monotonic()
        try:
            while True:
                last = self._ending
                self._changed.clear()
                self._take(time.monotonic() - began)
                if last:
                    return
                elapsed = time.monotonic() - began
                self._changed.wait(min(max(self._shortest, elapsed / SAMPLES_WANTED), LONGEST) - LEAST_GAP)
                if not self._ending:
                    time.sleep(LEAST_GAP)
        except Exception:  # A trial goes on without its memory; what was wrong stands in its console.
            log.exception("memory is no longer sampled")

    def _take(self, at: float) -> None:
        # Those that came and went between two samples, too: each at the time at which it began.
        while self._changes:
            when, phase = self._changes.popleft()
            self._run.log_memory({"_timestamp": when, PHASE: PHASES.index(phase)})
        phase = self._phase
        sample = self._monitor.sample() | {PHASE: PHASES.index(phase)}
        self._run.log_memory(sample)
        self._times.append(at)
        self._samples.append(sample)
        if len(self._samples) > KEPT:
            del self._times[1::2], self._samples[1::2]
        for alert in [*self._of_driver(), *alerts.raised(self._times, self._samples, self._monitor.throttle_reasons)]:
            if alert.kind not in self._raised:
                self._raised.add(alert.kind)
                self._raise(alert)

    def _of_driver(self) -> Iterator[Alert]:
        if fault := self._monitor.fault:
            yield Alert("driver", "The GPU does not answer", fault, "ERROR")
        if errors := self._monitor.ecc_errors:
            text = f"{errors} errors in its memory could not be corrected since the driver started: replace it"
            yield Alert("ecc", "The GPU's memory is faulty", text, "ERROR")

    def _raise(self, alert: Alert) -> None:
        self._run.alert(alert.title, alert.text, alert.level)
        if alert.kind in PROFILED:
            self._run.attach("memory-profile", "profile", f"{alert.kind}.pprof.gz", self._profile())


def device_memory_profile() -> bytes:
    import jax

    return jax.profiler.device_memory_profile()
