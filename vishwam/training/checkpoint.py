"""Checkpoints of a trial: everything needed to continue it, to evaluate it, or to talk to it.

A run's folder holds what never changes (`config.gin`, `tokenizer/`) beside one folder a step, written by Orbax:

    .vishwam/checkpoints/<run id>/config.gin, tokenizer/
    .vishwam/checkpoints/<run id>/<step>/state/      parameters, average, optimizer, step, random key
    .vishwam/checkpoints/<run id>/<step>/data/       state of the Grain iterator
    .vishwam/checkpoints/<run id>/<step>/metadata/   JSON: the step, the run, the best validation loss so far
    .vishwam/checkpoints/<run id>/<step>/evaluation.json   what was measured with it, where it was evaluated
"""

import contextlib
import fcntl
import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from grain import checkpoint as grain_checkpoint
from orbax.checkpoint import checkpoint_managers as policies

from vishwam import state as state_folder
from vishwam.errors import BadInput
from vishwam.tracking import metrics

log = logging.getLogger(__name__)

SCORE = metrics.VALIDATION_LOSS
"""What makes a checkpoint the best: cheap, on the same questions every time, and never saturated."""

EVALUATION = "evaluation.json"


class Checkpoints:
    """The checkpoints of one run, in `folder`: the two newest and the best are kept, the others removed."""

    def __init__(self, folder: Path):
        self.folder = folder
        # Lower is better, and a step saved without a score must never be the best.
        best = policies.BestN(get_metric_fn=lambda m: -m[SCORE], n=1, keep_checkpoints_without_metrics=False)
        self._manager = ocp.CheckpointManager(
            folder,
            options=ocp.CheckpointManagerOptions(
                # Two, for the newest may turn out not to read.
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(2), best]),
                # SIGKILL in the middle of a save leaves a `-tmp` folder behind.
                cleanup_tmp_directories=True,
            ),
        )

    def save(self, step: int, state: Any, data: Any, metadata: dict[str, Any], scores: dict[str, float] | None) -> None:
        """Writes one step; returns once it is whole on disk.

        The iterator must stand at the first batch that `state` has not seen: it is saved as it is.
        """
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state),
                data=grain_checkpoint.CheckpointSave(data),
                metadata=ocp.args.JsonSave(metadata),
            ),
            metrics=scores,
            force=True,
        )
        self._manager.wait_until_finished()

    def note(self, step: int, evaluation: Mapping[str, Any]) -> None:
        """Keeps beside a stored step what was measured with it."""
        state_folder.write(self.folder / str(step) / EVALUATION, json.dumps(evaluation, indent=1))

    def notes(self) -> dict[int, dict[str, Any]]:
        """What was noted with the steps that are still kept, in their order."""
        paths = {step: self.folder / str(step) / EVALUATION for step in sorted(self._manager.all_steps())}
        return {step: json.loads(path.read_text()) for step, path in paths.items() if path.exists()}

    def restore(self, state: Any, data: Any) -> tuple[Any, Any, dict[str, Any]] | None:
        """The newest whole step as (state, data iterator, metadata), or None where there is none.

        `state` gives shapes and types. A step that does not read (a disk filled up, a file was damaged) is set aside
        with a warning and the one before it is taken.
        """
        begun = data.get_state()
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                restored = self._manager.restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(state),
                        data=grain_checkpoint.CheckpointRestore(data),
                        metadata=ocp.args.JsonRestore(),
                    ),
                )
            except Exception as error:  # Orbax raises whatever its storage layer met.
                log.warning("checkpoint %s does not read (%s); set aside", self.folder / str(step), error)
                shutil.move(self.folder / str(step), self.folder / f"damaged-{step}-{time.time_ns()}")
                self._manager.reload()
                continue
            bound, data, metadata = restored["state"], restored["data"], restored["metadata"]
            # Orbax binds arrays to their device; programs for such are others than those a trial began with.
            on_host = jax.device_get(bound)
            del restored, bound  # Two of them may be more than a device holds.
            return jax.device_put(on_host), data, metadata
        data.set_state(begun)  # One that did not read may have moved it.
        return None

    def newest(self) -> int | None:
        """The newest whole step."""
        return self._manager.latest_step()

    def close(self) -> None:
        self._manager.close()


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Holds a run's folder for this process alone; the kernel lets go of it however the process ends.

    Raises:
        BadInput: another process holds it.
    """
    with (folder / ".lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInput(f"run {folder.name} is being trained by another process just now") from None
        yield


def read_state(folder: Path, state: Any) -> Any:
    """The state alone from a step's folder, for evaluation; `state` gives shapes and types.

    Raises:
        BadInput: the folder holds no checkpoint, one of another shape, or a damaged one.
    """
    if not (folder / "state").is_dir():
        raise BadInput(f"{folder}: no checkpoint here (it has no folder `state`)")
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        try:
            return checkpointer.restore(folder.absolute() / "state", args=ocp.args.StandardRestore(state))
        except Exception as error:  # Orbax raises whatever its storage layer met.
            raise BadInput(f"{folder}: the checkpoint does not read ({str(error).splitlines()[0][:200]})") from None
