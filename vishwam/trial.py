"""One trial: the thin shell around `training.loop` with everything that can end it."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.tokenizer import MathTokenizer, load_tokenizer, make_character_tokenizer
from vishwam import check, config, state
from vishwam.training.interruption import Interrupted, Interruption

if TYPE_CHECKING:
    from vishwam.training.experiment import TokenizerConfig


def run(gin_files: Sequence[str], overrides: Sequence[str], connect: Callable[[], None]) -> int:
    """Runs one trial to its end; returns the exit code: 0 finished or stopped by W&B, 1 failed or interrupted.

    connect: makes W&B reachable; called once the configuration is known to be sound.

    Raises:
        BadInput: a Gin file, a knob or the tokeniser is wrong; nothing has begun.
    """
    interruption = Interruption().install()
    loaded = config.load(gin_files, overrides)
    experiment = loaded.experiment
    check.prove(experiment)
    home = state.folder()
    tokenizer = open_tokenizer(experiment.tokenizer, home)
    connect()

    import jax

    from vishwam.tracking import run as tracking
    from vishwam.training import compile_cache, loop
    from vishwam.training.checkpoint import Checkpoints
    from vishwam.training.rows import Diverged

    compile_cache.enable(home / "compile_cache")
    writer = tracking.start()
    interruption.last_words = writer.announce_preemption
    writer.config(
        loaded.knobs
        | {"gin_config": loaded.config_str, "gin_operative_config": loaded.operative_config_str}
        | {"device": jax.devices()[0].device_kind, "device_count": jax.device_count(), "jax": jax.__version__}
    )
    swept = tracking.swept_knobs()
    print(f"trial {writer.id}  " + " ".join(f"{name}={value}" for name, value in swept.items()), flush=True)
    folder = home / "checkpoints" / writer.id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.gin").write_text(loaded.config_str)
    (folder / "operative_config.gin").write_text(loaded.operative_config_str)
    tokenizer.save(folder / "tokenizer")

    def say(line: str) -> None:
        print(line, flush=True)

    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        try:
            loop.train(experiment, tokenizer, writer, checkpoints, interruption, say)
        except Diverged as reason:
            interruption.ending()
            say(f"  failed: {reason}")
            writer.fail(str(reason))
            return 1
        except (loop.Stopped, Interrupted) as reason:
            interruption.ending()
            # Early termination comes as a signal from the agent, too; only the server knows which it was.
            if isinstance(reason, loop.Stopped) or writer.ask_stop_requested():
                say("  stopped early by the sweep")
                writer.summarise({"stopped_early": True})
                writer.finish()
                return 0
            say(f"  interrupted by {reason}; the same run goes on from here when it is started again")
            writer.preempt()
            return 1
    interruption.ending()
    writer.finish()
    return 0


def open_tokenizer(wanted: "TokenizerConfig", home: Path) -> MathTokenizer:
    """The tokeniser of an experiment; the byte-level one is made on first use.

    Raises:
        BadInput: no such tokeniser.
    """
    name = wanted.name
    if name == "characters":
        made = home / "tokenizers" / "characters"
        if not (made / "tokenizer_config.json").exists():
            # Two trials may begin at once: each makes its own, and the rename of the first wins.
            temporary = made.with_name(f"characters.{os.getpid()}")
            make_character_tokenizer(temporary)
            with contextlib.suppress(OSError):
                temporary.rename(made)
        name = str(made)
    return load_tokenizer(name, wanted.reverse_digits)
