"""A trial from its first step to its last, as a recipe. Time, folders and W&B are met here and nowhere below."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from data_pipelines.loader import Batch
from data_pipelines.tokenizer import MathTokenizer
from vishwam.evaluation.exact_match import ExactMatch, pooled
from vishwam.evaluation.suite import Suite
from vishwam.model import decoder, pretrained
from vishwam.model.flops import peak_flops_per_second, text_lengths, training_flops
from vishwam.monitoring.watch import Watch
from vishwam.tracking.metrics import REACHED, SAMPLES
from vishwam.tracking.run import Run

from . import evaluation_memory, examination
from .checkpoint import SCORE, Checkpoints
from .data import training_data
from .experiment import Experiment
from .gauge import Gauge
from .interruption import Interrupted, Interruption
from .rehearsal import LAST, VALIDATE, Rehearsal, stage_at
from .rows import Rows
from .step import init_state, train_steps
from .written import writer


class Stopped(Exception):
    """W&B asked the run to stop: early termination by its sweep, or a person's click."""


def train(
    experiment: Experiment,
    tokenizer: MathTokenizer,
    run: Run,
    checkpoints: Checkpoints,
    interruption: Interruption,
    say: Callable[[str], None] = print,
    watch: Watch | None = None,
) -> None:
    """Trains, evaluates and stores, from the newest checkpoint of the run if there is one.

    Raises:
        Diverged: a loss was not finite; nothing of that state was stored.
        NoRoom: a step would not fit into memory; nothing was computed.
        Stopped, Interrupted: a checkpoint of the newest step is on disk.
    """
    loop = experiment.loop
    config = model_config(experiment, tokenizer)
    graphdef, params = decoder.init(config, jax.random.key(loop.seed))
    if experiment.pretrained and checkpoints.newest() is None:
        params = jax.device_put(pretrained.start(experiment.pretrained, config))
    run.summarise({"parameters": sum(leaf.size for leaf in jax.tree.leaves(params))})
    state = init_state(params)
    data = training_data(experiment, tokenizer)
    best_loss, trained_on = float("inf"), 0
    if restored := checkpoints.restore(state, data):
        state, data, metadata = restored
        best_loss = metadata["best_loss"]
        trained_on = metadata.get("tokens", 0)  # Checkpoints of earlier releases do not say.
        say(f"  continuing from step {metadata['step']}")
    step = int(state.step)
    written = writer(experiment, tokenizer, graphdef)
    knobs = dataclasses.replace(experiment.knobs, steps=loop.steps).on_device()

    def check() -> None:
        if run.stop_requested():
            interruption.ending()
            raise Stopped
        interruption.check()

    suite = Suite(experiment.data, tokenizer, graphdef, loop.max_answer_tokens, loop.length_buckets, check)
    peak_flops = peak_flops_per_second(jax.devices()[0].device_kind, config.compute_dtype)
    rows = Rows(run, loop.log_every, peak_flops, trained_on)
    watch = watch or Watch(run)
    largest = evaluation_memory.asked(experiment, tokenizer)
    rehearsal = Rehearsal(experiment, suite, graphdef, state, largest)
    gauge = Gauge(run, watch, config, largest, rehearsal.busy)
    measured: dict[str, Any] = {}  # for the row of `step`, which is written when it is whole
    looking_up = ended = False

    def save(score: float | None) -> None:
        metrics = None if score is None else {SCORE: score}
        metadata = {"step": step, "run": run.id, "best_loss": best_loss, "tokens": rows.tokens}
        with gauge.checkpoint():
            checkpoints.save(step, state, data, metadata, metrics)

    def send(step: int, evaluation: Mapping[str, Any]) -> None:
        run.checkpoint(checkpoints.folder / str(step), step, evaluation[SCORE] <= best_loss, evaluation)

    def validate() -> float:
        loss = suite.validation_loss(state.averages, loop.validation_questions)
        trained = "" if math.isnan(rows.loss) else f"loss {rows.loss:.4f}  "
        say(f"  step {step:>{len(str(loop.steps))}}/{loop.steps}  {trained}validation {loss:.4f}")
        measured[SCORE] = loss
        return loss

    def good_enough() -> bool:
        """Whether the trial ends before its last step."""
        if not loop.until_exact_match:
            return False
        parts = suite.exact_match(state.averages, loop.evaluation_questions, splits=("interpolate",))
        right = pooled([result for _, _, result in parts]).value
        say(f"  in range {right:.1%}")
        return right >= loop.until_exact_match

    def examine(loss: float) -> dict[str, Any]:
        """Stores first: a trial that is killed while it decodes goes on from here."""
        nonlocal best_loss
        questions = loop.final_questions if ended else loop.evaluation_questions
        best_loss = min(loss, best_loss)
        if checkpoints.newest() != step:
            save(loss)
        seen = examination.examine(suite, state.averages, questions, ended, experiment.bias, say)
        evaluation = {"step": step, "questions": questions, "ended": ended, SCORE: loss} | seen.metrics
        checkpoints.note(step, evaluation)
        tables = {name: run.table(*table) for name, table in seen.tables.items()}
        measured.update(seen.metrics | tables | {SAMPLES: run.samples(seen.samples)})
        for line in spoken(seen.results):
            say(line)
        return evaluation

    def prepared(stage: str) -> None:
        if not rehearsal.finished(stage):
            with watch.phase("compile"):
                rehearsal.finish(stage, check)

    def look_up() -> None:
        """What is due after `step`: nothing, validation, or validation and the evaluations."""
        nonlocal looking_up, ended
        stage = stage_at(experiment, step)
        if stage is None:
            return
        looking_up, to_examine = True, stage != VALIDATE
        rows.flush()
        prepared(stage)
        with gauge.evaluation(graphdef, state, to_examine):
            loss = validate()
            reached = good_enough()
            ended = reached or step == loop.steps
            if loop.until_exact_match:
                measured[REACHED] = int(reached)
            if reached:
                prepared(LAST)
            evaluation = examine(loss) if ended or to_examine else None
            rows.write(step, measured)
        looking_up = False
        measured.clear()
        if evaluation:
            send(step, evaluation)

    try:
        if restored and step:
            cut_short = not run.logged(step)
            notes = checkpoints.notes()
            ended = any(evaluation.get("ended") for evaluation in notes.values())
            for sent, evaluation in notes.items():
                if not (cut_short and sent == step) and not run.has_checkpoint(sent):
                    send(sent, evaluation)  # The trial was killed before its upload was whole.
            if cut_short:
                look_up()
        while step < loop.steps and not ended:
            check()
            # The device is still at work on the dispatch before while these are made.
            asked = time.perf_counter()
            batches = stack(data, loop.steps_per_dispatch, tokenizer.pad_id)
            waited = time.perf_counter() - asked if rows.device_is_done() else 0.0
            batches |= written(state.params, batches)
            on_device = jax.device_put(batches)
            gauge.before(train_steps, graphdef, state, on_device, knobs)
            with jax.transfer_guard("disallow"):
                state, metrics = train_steps(graphdef, state, on_device, knobs)
            gauge.after()
            step += loop.steps_per_dispatch
            filled = batches.get("segments_BT", batches["tokens_BT"] != tokenizer.pad_id)
            lengths = text_lengths(filled)
            rows.collect(step, metrics, int(lengths.sum()), training_flops(config, lengths), waited)
            look_up()
            if not ended:
                rehearsal.after(step)
    except (Interrupted, Stopped) as ending:
        # Early termination comes as a signal from the agent, too; only the server knows which it was.
        stopped = isinstance(ending, Stopped) or run.ask_stop_requested()
        rows.flush()
        if not looking_up:
            rows.write_if_due()
        elif stopped:
            rows.write(step, measured)  # Nobody will come back to complete it.
        if checkpoints.newest() != step:
            save(None)
        if stopped:
            raise Stopped from None
        raise
    finally:
        rehearsal.close()


def spoken(results: Sequence[tuple[str, str, ExactMatch]]) -> list[str]:
    """Exact match for a terminal: one line, or one a split where there are many sets."""
    if len(results) <= 4:
        return ["  exact match  " + "  ".join(f"{split} {name} {result.value:.1%}" for split, name, result in results)]
    lines = []
    for split, parts in itertools.groupby(results, key=lambda result: result[0]):
        sets = [(name.rpartition("__")[2], result.value) for _, name, result in parts]
        lines.append(f"  {split}  " + "  ".join(f"{name} {value:.1%}" for name, value in sets))
    return lines


def stack(data: Iterator[Batch], count: int, pad_id: int) -> Batch:
    """The next `count` batches on a new leading axis, padded to the longest of them."""
    batches = list(itertools.islice(data, count))

    def widened(name: str) -> np.ndarray:
        width = max(batch[name].shape[1] for batch in batches)
        fill = pad_id if name.endswith("tokens_BT") else 0
        return np.stack(
            [
                np.pad(batch[name], ((0, 0), (0, width - batch[name].shape[1])), constant_values=fill)
                for batch in batches
            ]
        )

    return {name: widened(name) for name in batches[0]}


def model_config(experiment: Experiment, tokenizer: MathTokenizer) -> decoder.DecoderConfig:
    """The model with what only the tokeniser knows."""
    return dataclasses.replace(
        experiment.model,
        vocab_size=tokenizer.vocab_size,
        pad_id=tokenizer.pad_id,
        digit_token_ids=tokenizer.digit_token_ids,
    )
