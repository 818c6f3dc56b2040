"""A trial from its first step to its last, as a recipe. Time, folders and W&B are met here and nowhere below."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np

from data_pipelines.loader import Batch, training_batches
from data_pipelines.tokenizer import MathTokenizer
from vishwam.evaluation.suite import Suite, figures
from vishwam.model import decoder
from vishwam.tracking.metrics import SAMPLES
from vishwam.tracking.run import Run

from .checkpoint import SCORE, Checkpoints
from .experiment import Experiment
from .interruption import Interrupted, Interruption
from .rows import Rows
from .step import init_state, train_steps

SAMPLES_SHOWN = 20  # of each set, in the table at an evaluation


class Stopped(Exception):
    """W&B asked the run to stop: early termination by its sweep, or a person's click."""


def train(
    experiment: Experiment,
    tokenizer: MathTokenizer,
    run: Run,
    checkpoints: Checkpoints,
    interruption: Interruption,
    say: Callable[[str], None] = print,
) -> None:
    """Trains, evaluates and stores, from the newest checkpoint of the run if there is one.

    Raises:
        Diverged: a loss was not finite; nothing of that state was stored.
        Stopped, Interrupted: a checkpoint of the newest step is on disk.
    """
    loop = experiment.loop
    graphdef, params = decoder.init(model_config(experiment, tokenizer), jax.random.key(loop.seed))
    run.summarise({"parameters": sum(leaf.size for leaf in jax.tree.leaves(params))})
    state = init_state(params)
    data = iter(
        training_batches(experiment.data.train_source(), tokenizer, loop.batch_size, loop.seed, 0, loop.length_buckets)
    )
    best_loss = float("inf")
    if restored := checkpoints.restore(state, data):
        state, data, metadata = restored
        best_loss = metadata["best_loss"]
        say(f"  continuing from step {metadata['step']}")
    step = int(state.step)
    knobs = dataclasses.replace(experiment.knobs, steps=loop.steps).on_device()

    def check() -> None:
        if run.stop_requested():
            raise Stopped
        interruption.check()

    suite = Suite(experiment.data, tokenizer, graphdef, loop.max_answer_tokens, loop.length_buckets, check)
    rows = Rows(run, loop.log_every)

    def save(score: float | None) -> Path:
        metrics = None if score is None else {SCORE: score}
        return checkpoints.save(step, state, data, {"step": step, "run": run.id, "best_loss": best_loss}, metrics)

    def validate() -> float:
        rows.flush()
        loss = suite.validation_loss(state.averages, loop.validation_questions)
        rows.add({SCORE: loss})
        say(f"  step {step:>{len(str(loop.steps))}}/{loop.steps}  loss {rows.loss:.4f}  validation {loss:.4f}")
        return loss

    def store_and_examine(loss: float, questions: int) -> None:
        """Stores first: a trial that is killed while it decodes goes on from here."""
        nonlocal best_loss
        is_best = loss <= best_loss
        best_loss = min(loss, best_loss)
        folder = checkpoints.folder / str(step) if checkpoints.newest() == step else save(loss)
        results = list(suite.exact_match(state.averages, questions))
        metrics = figures(results)
        shown = {f"{split}/{name}": result.samples[:SAMPLES_SHOWN] for split, name, result in results}
        rows.add(metrics | {SAMPLES: run.samples(shown)})
        say("  exact match  " + "  ".join(f"{split} {name} {result.value:.1%}" for split, name, result in results))
        run.checkpoint(folder, step, is_best, {"step": step, "questions": questions, SCORE: loss} | metrics)

    def look_up() -> None:
        """What is due after `step`: nothing, validation, or validation and the evaluations."""
        if step == loop.steps:
            store_and_examine(validate(), loop.final_questions)
        elif step % loop.evaluate_every == 0:
            store_and_examine(validate(), loop.evaluation_questions)
        elif step % loop.validate_every == 0:
            validate()
        else:
            return
        rows.write(step)

    try:
        if restored and not run.logged(step):
            look_up()  # The trial was interrupted in the middle of it.
        while step < loop.steps:
            check()
            # The device is still at work on the dispatch before while these are made.
            batches = stack(data, loop.steps_per_dispatch, tokenizer.pad_id)
            on_device = jax.device_put(batches)
            with jax.transfer_guard("disallow"):
                state, metrics = train_steps(graphdef, state, on_device, knobs)
            step += loop.steps_per_dispatch
            rows.collect(step, metrics, int(np.count_nonzero(batches["tokens_BT"] != tokenizer.pad_id)))
            look_up()
    except (Interrupted, Stopped):
        rows.flush()
        rows.write_if_due()
        if checkpoints.newest() != step:
            save(None)
        raise


def stack(data: Iterator[Batch], count: int, pad_id: int) -> Batch:
    """The next `count` batches on a new leading axis, padded to the longest of them."""
    batches = list(itertools.islice(data, count))
    width = max(batch["tokens_BT"].shape[1] for batch in batches)

    def widened(name: str, fill: int) -> np.ndarray:
        return np.stack(
            [
                np.pad(batch[name], ((0, 0), (0, width - batch[name].shape[1])), constant_values=fill)
                for batch in batches
            ]
        )

    return {"tokens_BT": widened("tokens_BT", pad_id), "loss_mask_BT": widened("loss_mask_BT", 0)}


def model_config(experiment: Experiment, tokenizer: MathTokenizer) -> decoder.DecoderConfig:
    """The model with what only the tokeniser knows."""
    return dataclasses.replace(
        experiment.model,
        vocab_size=tokenizer.vocab_size,
        pad_id=tokenizer.pad_id,
        digit_token_ids=tokenizer.digit_token_ids,
    )
