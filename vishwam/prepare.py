"""`vishwam prepare`: an experiment's questions written once, looked through for leaks, packed and logged."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vishwam import state
from vishwam.errors import BadInput

if TYPE_CHECKING:
    from data_pipelines.prepare import Plan

DEFAULT_COUNT = 1_000_000
_DESCRIPTION = """\
Writes the questions of a Gin file's experiment once: every split as array_record shards that TFDS reads, looked through
for near-duplicates and contamination (what training shares with an evaluation set is removed), the training questions
also packed into rows where the file sets row_length. The data set is logged to W&B as an artifact of type dataset with
a card and a table of samples.

It may be interrupted at any moment: the same command goes on where it was, to the same bytes. To train from it:
  vishwam prepare gin/saxton.gin
  vishwam train gin/saxton.gin "rows=('.vishwam/datasets/saxton',)"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("arguments", nargs="+", metavar="FILE.gin | knob=value", help="as for `vishwam train`")
    parser.add_argument(
        "--count", type=int, default=DEFAULT_COUNT, metavar="N", help=f"training questions (default: {DEFAULT_COUNT:,})"
    )
    parser.add_argument(
        "--held-out", type=int, metavar="N", help="questions of each other set (default: what a trial evaluates)"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: .vishwam/datasets/<name of the Gin file>")
    parser.add_argument(
        "--released", type=Path, metavar="FOLDER", help="Saxton et al.'s released test files: evaluation sets as well"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, metavar="N", help="default: one a core")
    parser.add_argument("--no-log", action="store_true", help="write the folder alone, nothing to W&B")


def run(args: argparse.Namespace) -> int:
    """Prepares and logs; prints the folder, counts, leaks and the run's page.

    Raises:
        BadInput: a wrong argument, or a folder that is in use or holds something else.
    """
    from data_pipelines import prepare
    from data_pipelines.modular_math import ModularMath
    from data_pipelines.modular_math.modular_math_dataset_builder import MathConfig
    from vishwam import config, environment

    for option, value in (("--count", args.count), ("--held-out", args.held_out), ("--processes", args.processes)):
        if value is not None and value < 1:
            raise BadInput(f"{option} {value}: at least 1")
    files, overrides = config.split_arguments(args.arguments)
    loaded = config.load(files, overrides)
    experiment = loaded.experiment
    if not isinstance(experiment.data, ModularMath):
        kind = type(experiment.data).__name__
        raise BadInput(
            f"{files[-1]}: prepare writes questions of ModularMath, and this trains on {kind}, made as it goes"
        )
    if not args.no_log:
        environment.apply()  # Before the work: what is wrong with W&B shows at once.
    loop = experiment.loop
    evaluated = max(loop.validation_questions, loop.evaluation_questions, loop.final_questions)
    name = Path(files[-1]).stem
    released = str(args.released.resolve()) if args.released else ""
    plan = prepare.Plan(
        MathConfig(
            name=name,
            description=f"The questions of {name}.gin.",
            math=experiment.data,
            train_count=args.count,
            held_out_count=args.held_out or evaluated,
        ),
        experiment.packing.row_length,
        released,
    )
    folder = args.out or state.folder() / "datasets" / name
    facts = _with_progress_bar(plan, folder, experiment.tokenizer, args.processes)
    print(_summary(folder, facts))
    if not args.no_log:
        print(_log(plan, folder, facts, loaded.knobs))
    return 0


def _with_progress_bar(plan: "Plan", folder: Path, tokenizer: Any, processes: int) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from data_pipelines import prepare
    from vishwam import tokenizers

    opened = tokenizers.open_tokenizer(tokenizer)
    columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        stages: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                # What an earlier start has done says nothing of the speed of this one.
                stages[stage] = bar.add_task(stage, total=total, completed=done)
            bar.update(stages[stage], completed=done)

        return prepare.prepare(plan, folder, opened, processes, progress)


def _summary(folder: Path, facts: dict[str, Any]) -> str:
    splits = ", ".join(f"{split} {count}" for split, count in facts["splits"].items())
    leaks = facts["leaks"]["train"]
    lines = [
        f"{folder}: {splits}",
        f"of {leaks['documents']} training questions {leaks['near_duplicates']} were near-duplicates of evaluation "
        f"questions and {leaks['contaminated']} contaminated: {facts['removed']} removed",
    ]
    if packed := facts.get("packed"):
        lines.append(f"packed into {packed['rows']} rows, {packed['filled']:.2%} full: {packed['tokens']} tokens")
    else:
        lines.append("not packed: the Gin file sets no PackingConfig.row_length")
    return "\n".join(lines)


def _log(plan: "Plan", folder: Path, facts: dict[str, Any], knobs: dict[str, Any]) -> str:
    from data_pipelines import prepare
    from vishwam.tracking import datasets

    values = {
        **knobs,
        "data": {name: facts[name] for name in ("splits", "removed", "threshold")},
        "leaks": {split: facts["leaks"][split] for split in ("train", "validation")},
    }
    url = datasets.publish(
        folder,
        prepare.files(folder),
        plan.config.name,
        (folder / prepare.CARD).read_text(encoding="utf-8"),
        values,
        ("split", "set", "question", "answer"),
        [(split, name, sample.question, sample.answer) for split, name, sample in prepare.samples(plan)],
    )
    return f"logged: {url}" if url else "logged offline"
