"""What a trial will call when it looks up from its work, compiled beside training instead of when it is due."""

import dataclasses
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from flax import nnx

from vishwam.evaluation.suite import Suite
from vishwam.model import programs
from vishwam.model.programs import shapes_of

from . import evaluation_memory, examination
from .evaluation_memory import Asked
from .experiment import Experiment
from .step import TrainState

log = logging.getLogger(__name__)

# In this order a trial comes to them.
VALIDATE, EVALUATE, LAST = "validate", "evaluate", "last"

# How often somebody who waits asks whether the trial is to end.
PATIENCE_SECONDS = 0.1


def stage_at(experiment: Experiment, step: int) -> str | None:
    """What is due after `step`: nothing, a validation, an evaluation or the last of them."""
    loop = experiment.loop
    if step == loop.steps:
        return LAST
    if step % loop.evaluate_every == 0:
        return EVALUATE
    return VALIDATE if step % loop.validate_every == 0 else None


class Rehearsal:
    """Goes through the stages, one after another, in a thread that training does not wait for.

    A stage begins when the one before it has been seen, or when it is the next that is due, so that a trial that is
    stopped early has not compiled all that it never needed. Compiled is all that answers of the greatest length would
    take. On a CPU this takes what training leaves of it; on a GPU XLA tries kernels out, between those of training.
    """

    def __init__(self, experiment: Experiment, suite: Suite, graphdef: nnx.GraphDef, state: TrainState, asked: Asked):
        self._experiment = experiment
        self._suite = dataclasses.replace(suite, check=lambda: None)
        self._graphdef = graphdef
        self._state = shapes_of(state)
        self._asked = asked
        self._begun: dict[str, Future[None]] = {}
        self._thread = ThreadPoolExecutor(1, "rehearsal")
        self._closed = threading.Event()
        self._last_is_due = threading.Event()

    def after(self, step: int) -> None:
        """Begins with what is due first after `step`, above 0; where something was due at it, with the next evaluation,
        too.
        """
        loop = self._experiment.loop
        validation, evaluation = (step // every * every + every for every in (loop.validate_every, loop.evaluate_every))
        self._begin(stage_at(self._experiment, min(loop.steps, validation, evaluation)))
        if stage_at(self._experiment, step):
            self._begin(stage_at(self._experiment, min(loop.steps, evaluation)))

    def finish(self, stage: str, check: Callable[[], None]) -> None:
        """Returns when all of the stage is compiled; `check` is called meanwhile, and may raise."""
        if stage == LAST:
            self._last_is_due.set()  # Nobody needs an evaluation before it any more.
        self._begin(stage)
        while not wait([self._begun[stage]], PATIENCE_SECONDS).done:
            check()

    def finished(self, stage: str) -> bool:
        return stage in self._begun and self._begun[stage].done()

    def busy(self) -> bool:
        return not all(future.done() for future in self._begun.values())

    def close(self) -> None:
        """Begins nothing more; for the program that is being compiled at this moment the process waits at its end."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self, stage: str | None) -> None:
        if stage is not None and stage not in self._begun:
            self._begun[stage] = self._thread.submit(self._rehearse, stage)

    def _rehearse(self, stage: str) -> None:
        def check() -> None:
            if self._closed.is_set() or (stage == EVALUATE and self._last_is_due.is_set()):
                raise _Unwanted

        try:
            with programs.checked(check):
                self._validate() if stage == VALIDATE else self._examine(last=stage == LAST)
        except _Unwanted:
            pass
        except Exception:  # Whatever it is, the trial will meet it itself and can say more of it.
            log.debug("%s could not be rehearsed", stage, exc_info=True)

    def _validate(self) -> None:
        loop = self._experiment.loop
        self._suite.validation_loss(self._state.averages, loop.validation_questions)
        if loop.until_exact_match:
            list(self._suite.exact_match(self._state.averages, loop.evaluation_questions, splits=("interpolate",)))

    def _examine(self, last: bool) -> None:
        loop = self._experiment.loop
        self._validate()  # Where validations are as rare.
        evaluation_memory.predict(self._graphdef, self._state, self._asked)
        questions = loop.final_questions if last else loop.evaluation_questions
        examination.rehearse(self._suite, self._state.averages, questions, last, self._experiment.bias)


class _Unwanted(Exception):
    pass
