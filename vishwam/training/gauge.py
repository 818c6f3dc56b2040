"""What was predicted of a trial's memory beside what was seen of it, phase by phase, in the run's summary."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from vishwam.evaluation.suite import DECODE_BATCH
from vishwam.model.config import DecoderConfig
from vishwam.monitoring import memory as monitoring
from vishwam.monitoring.watch import Watch
from vishwam.tracking.metrics import LARGEST_BATCH, MEASURED_PEAK, PEAK_PHASE, PREDICTED_PEAK

from . import evaluation_memory, memory
from .evaluation_memory import Asked

# Of the state, what a checkpoint takes of the host at most: itself, and the copies that are being written. An
# accelerator gives its arrays away one by one.
CHECKPOINT = 1.5
# Dispatches until the first of them has been computed for certain: the rows of each are fetched at the next.
DISPATCHES = 3
# How long a process may go on shrinking, and by how many bytes it does not count.
SETTLES_SECONDS = 1.0
MARGIN = 1 << 20


class Gauge:
    """Says before a trial's first step what it will take, by the phase that takes most, and later what that took.

    Predicted are the arrays alone. On a GPU or TPU, measured is the peak of JAX's allocator, which holds them. A CPU
    has none: there it is the arrays at the phase's beginning and all that the process has grown by since, so some 10
    to 20 MB of Python's and what multiplying matrices takes for itself; a phase in which something was compiled tells
    nothing and is left out.
    """

    def __init__(
        self,
        run: memory.Writer,
        watch: Watch,
        config: DecoderConfig,
        asked: Asked,
        compiling: Callable[[], bool] = lambda: False,
    ):
        """compiling: whether something is, beside the trial's own work, at this moment."""
        self._run = run
        self._watch = watch
        self._config = config
        self._asked = asked
        self._compiling = compiling
        self._seen: set[tuple[int, ...]] = set()
        self._predicted: dict[str, int] = {}
        self._measured: dict[str, int] = {}
        self._exact = False  # whether XLA has been asked about the evaluation, too
        self._seeing: tuple[str, HostPeak] | None = None  # the phase that is being measured
        self._dispatches = 0  # in it

    def before(self, step: Any, graphdef: Any, state: Any, batches: Any, knobs: Any) -> None:
        """Before every dispatch; only the first one of a shape costs anything, and that is its compilation.

        Raises:
            NoRoom: it would not fit, or an evaluation would not.
        """
        shape = jax.tree.leaves(batches)[0].shape
        if shape not in self._seen:
            self._seen.add(shape)
            self._foresee(step, graphdef, state, batches, knobs)
        if "train" not in self._measured and self._seeing is None and not self._compiling():
            self._look_at("train")

    def after(self) -> None:
        """After every dispatch, which has only been sent off."""
        if self._seeing is not None:
            self._dispatches += 1
            if self._dispatches == DISPATCHES:
                self._see()

    @contextlib.contextmanager
    def evaluation(self, graphdef: Any, state: Any, whole: bool) -> Iterator[None]:
        """Around a validation, or a whole evaluation, before which the newest dispatch has been waited for.

        Raises:
            NoRoom: by XLA's account it would not fit.
        """
        if self._dispatches:
            self._see()
        if whole and not self._exact:
            with self._watch.phase("compile"):
                self._ask_about_evaluation(graphdef, state)
        self._watch.at("evaluate")
        if whole:  # What takes most is decoding.
            self._look_at("evaluate")
        yield
        self._see()
        self._watch.at("train")

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[None]:
        """Around a checkpoint, which may be within an evaluation."""
        within = self._seeing is not None and self._seeing[0] == "evaluate"
        if within:
            self._see()
        with self._watch.phase("checkpoint"):
            self._look_at("checkpoint")
            yield
            self._see()
        if within:
            self._look_at("evaluate")

    def _foresee(self, step: Any, graphdef: Any, state: Any, batches: Any, knobs: Any) -> None:
        with self._watch.phase("compile"):
            live = sum(map(memory.size_of, jax.tree.leaves((state, batches))))
            limit, limit_of = memory.room(live)
            prediction = memory.predict(step, graphdef, state, batches, knobs, limit, limit_of)
        self._watch.at("train")
        if prediction.peak <= self._predicted.get("train", 0):
            return
        self._predicted["train"] = prediction.peak
        self._measured.pop("train", None)
        self._seeing = None
        self._run.summarise({LARGEST_BATCH: prediction.largest_batch})
        if not self._exact:
            if jax.default_backend() == "cpu":
                self._predicted["checkpoint"] = int(CHECKPOINT * sum(map(memory.size_of, jax.tree.leaves(state))))
            parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
            needed = evaluation_memory.estimate(self._config, parameters, self._asked)
            self._predicted["evaluate"] = needed
            # XLA knows better, but compiling takes seconds, which can wait for where there is no doubt.
            if memory.ESTIMATE_OFF * needed > limit:
                self._ask_about_evaluation(graphdef, state)
        self._tell()
        # Without an allocator, what the compiler holds just now would be taken for arrays.
        if allocated() or not self._compiling():
            prediction.insist()

    def _ask_about_evaluation(self, graphdef: Any, state: Any) -> None:
        self._exact = True
        live = sum(map(memory.size_of, jax.tree.leaves(state)))
        limit, limit_of = memory.room(live)
        needed = self._predicted["evaluate"] = evaluation_memory.predict(graphdef, state, self._asked)
        self._tell()
        if needed > limit:
            raise memory.NoRoom(memory.no_room_to_evaluate(needed, limit, limit_of, DECODE_BATCH))

    def _look_at(self, phase: str) -> None:
        self._seeing, self._dispatches = (phase, HostPeak()), 0

    def _see(self) -> None:
        """Takes what was seen since the phase began."""
        if self._seeing is None:
            return
        (phase, since), self._seeing = self._seeing, None
        self._dispatches = 0
        if peak := allocated() or (None if self._compiling() else since.read()):
            self._measured[phase] = max(peak, self._measured.get(phase, 0))
            self._tell()

    def _tell(self) -> None:
        """Both peaks of the phase that takes most, as far as they are known, into the run."""
        most = max(self._predicted, key=self._predicted.__getitem__, default=None)
        if most is None:
            return
        self._run.summarise({PREDICTED_PEAK: self._predicted[most], PEAK_PHASE: most})
        if most in self._measured:
            self._run.summarise({MEASURED_PEAK: self._measured[most]})


compilations = 0


def _count(event: str, duration_secs: float, **_: Any) -> None:
    global compilations
    compilations += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count)


def allocated() -> int | None:
    """The peak of JAX's allocators so far, bytes; None where they don't tell."""
    peaks = [stats.get("peak_bytes_in_use") for stats in map(monitoring.allocator, jax.local_devices())]
    return max((peak for peak in peaks if peak), default=None)


class HostPeak:
    """The most memory that this process takes for arrays from here on; Linux only."""

    def __init__(self) -> None:
        self._compilations = compilations
        self._before = 0
        with contextlib.suppress(OSError):
            if jax.default_backend() == "cpu":
                memory.give_back()  # Or it would be taken again unseen.
                now = settled()
                Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
                self._before = now - sum(array.nbytes for array in jax.live_arrays())

    def read(self) -> int | None:
        """Bytes; None where the kernel does not tell, or something was compiled, which takes more than arrays do."""
        if self._before <= 0 or self._compilations != compilations:
            return None
        return memory.host_status("VmHWM") - self._before


def settled() -> int:
    """Bytes of this process, once it shrinks no more: what a program took is given back a little after its end."""
    before, now = 1 << 62, memory.host_status("VmRSS")
    end = time.monotonic() + SETTLES_SECONDS
    while now < before - MARGIN and time.monotonic() < end:
        time.sleep(0.02)
        before, now = now, memory.host_status("VmRSS")
    return now
