"""One trial: the thin shell around `training.loop` with everything that can end it."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vishwam import check, config, environment, state
from vishwam.errors import BadInput
from vishwam.tokenizers import open_tokenizer
from vishwam.training.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from vishwam.tracking.run import Run
    from vishwam.training.checkpoint import Checkpoints
    from vishwam.training.experiment import Experiment

# What a slow line carries in the seconds that an interrupted trial has left.
LAST_UPLOAD_BYTES = 64_000_000


def run(gin_files: Sequence[str], overrides: Sequence[str], connect: Callable[[], None]) -> int:
    """Runs one trial to its end; returns the exit code: 0 finished or stopped by W&B, 1 failed or interrupted.

    connect: makes W&B reachable; called once the configuration is known to be sound.

    Raises:
        BadInput: a Gin file, a knob or the tokeniser is wrong, or the run was begun with other settings or is being
            trained by another process; nothing has begun.
    """
    interruption = Interruption().install()
    loaded = config.load(gin_files, overrides)
    experiment = loaded.experiment
    check.prove(experiment)
    home = state.folder()
    tokenizer = open_tokenizer(experiment.tokenizer)
    connect()

    import jax

    from vishwam.model import pretrained
    from vishwam.monitoring.watch import Watch, device_memory_profile
    from vishwam.tracking import run as tracking
    from vishwam.training import compile_cache, data, loop, memory
    from vishwam.training.checkpoint import Checkpoints, only_writer
    from vishwam.training.rows import Diverged

    def say(line: str) -> None:
        print(line, flush=True)

    compile_cache.enable(home / "compile_cache")
    run_id = tracking.new_id()
    folder = home / "checkpoints" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder):
        # Before W&B hears of it: what is refused here leaves the run as it was.
        if continued_by_hand():
            bring_from_elsewhere(tracking.checkpoint_name(run_id, "latest"), folder, say)
        insist_on_same(folder, experiment)
        if experiment.pretrained and not steps_in(folder):
            pretrained.insist(experiment.pretrained, loop.model_config(experiment, tokenizer))
        writer = tracking.start(run_id)
        interruption.last_words = writer.last_words
        say(f"trial {run_id}  " + " ".join(f"{name}={value}" for name, value in tracking.swept_knobs().items()))
        if writer.resumed and not continued_by_hand():
            continue_handed_out(writer, folder, experiment, say)
        writer.config(
            loaded.knobs
            | {"gin_config": loaded.config_str, "gin_operative_config": loaded.operative_config_str}
            | {"data": data.prepared(experiment)}
            | {"device": jax.devices()[0].device_kind, "device_count": jax.device_count(), "jax": jax.__version__}
        )
        state.write(folder / "config.gin", loaded.config_str)
        state.write(folder / "operative_config.gin", loaded.operative_config_str)
        tokenizer.save(folder / "tokenizer")
        shape = (loop.model_config(experiment, tokenizer), experiment.loop.batch_size, experiment.shortest_row)
        with Watch(writer) as watch, contextlib.closing(Checkpoints(folder)) as checkpoints:
            try:
                memory.insist(writer, *shape)
                loop.train(experiment, tokenizer, writer, checkpoints, interruption, say, watch)
            except (Diverged, memory.NoRoom) as reason:
                interruption.ending()
                say(f"  failed: {reason}")
                writer.fail(str(reason))
                return 1
            except loop.Stopped:
                interruption.ending()
                say("  stopped early by the sweep")
                writer.summarise({"stopped_early": True})
                writer.finish()
                return 0
            except Interrupted as reason:
                interruption.ending()
                say(f"  interrupted by {reason}; the same run goes on from here when it is started again")
                writer.announce_preemption()
                send_newest(writer, checkpoints)
                writer.finish(exit_code=1)
                return 1
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                interruption.ending()
                ended = memory.exhausted(*shape, watch.now, str(error))
                say(f"  failed: {ended}")
                writer.attach("memory-profile", "profile", "exhausted.pprof.gz", device_memory_profile())
                writer.fail(ended)
                return 1
        interruption.ending()
        writer.finish()
    return 0


def insist_on_same(folder: Path, experiment: "Experiment") -> None:
    """A run goes on with the experiment that it began with: its curve and its figures are of one thing.

    Raises:
        BadInput: the checkpoints in `folder` were trained with other settings.
    """
    stored = folder / "config.gin"
    if not stored.exists() or not steps_in(folder):
        return
    before, now = settings(config.load([stored]).experiment), settings(experiment)
    for name in before | now:
        if before.get(name) != now.get(name):
            raise BadInput(
                f"run {folder.name} was begun with {name} = {before.get(name)!r}, which is now {now.get(name)!r}: "
                "put it back, or start a new run"
            )


def settings(part: Any) -> dict[str, Any]:
    """Every field of a dataclass and of those inside it, by its name in Gin."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        own = {f"{type(part).__name__}.{field.name}": value}
        found |= settings(value) if dataclasses.is_dataclass(value) else own
    return found


def continued_by_hand() -> bool:
    """Whether somebody, and no agent, has named the run."""
    named = "WANDB_RUN_ID" in os.environ and "WANDB_SWEEP_ID" not in os.environ
    return named and os.environ.get("WANDB_MODE") not in environment.OFFLINE


def continue_handed_out(writer: "Run", folder: Path, experiment: "Experiment", say: Callable[[str], None]) -> None:
    """Takes up a trial that an agent was given again.

    Raises:
        BadInput: it was trained with other settings, or W&B does not send its checkpoint.
    """
    try:
        bring_from_elsewhere(writer.checkpoint_name("latest"), folder, say)
    except BadInput:
        writer.announce_preemption()
        writer.finish(exit_code=1)
        raise
    try:
        insist_on_same(folder, experiment)
    except BadInput as refusal:
        writer.fail(str(refusal))  # Handed out again it would only come back here.
        raise


def bring_from_elsewhere(name: str, folder: Path, say: Callable[[str], None]) -> None:
    """The newest checkpoint of a run that another machine has taken further than this one.

    Raises:
        BadInput: W&B does not say, or does not send it whole.
    """
    from vishwam.tracking import artifacts

    here = max(steps_in(folder), default=-1)
    if not artifacts.lay_out(name, folder, beyond=here) and here < 0:
        say("  no checkpoint of this run is to be had: starting from its first step")


def steps_in(folder: Path) -> list[int]:
    """The steps stored in a run's folder."""
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


def send_newest(writer: "Run", checkpoints: "Checkpoints") -> None:
    """Uploads where the trial was interrupted, for it may go on elsewhere, if that fits into its grace."""
    newest = checkpoints.newest()
    if newest is None or newest in checkpoints.notes():  # That one is sent with what was measured.
        return
    folder = checkpoints.folder / str(newest)
    if sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= LAST_UPLOAD_BYTES:
        writer.checkpoint(folder, newest, best=False, metadata={"step": newest})
