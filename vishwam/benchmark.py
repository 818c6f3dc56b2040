"""A stored checkpoint on published benchmarks: of maths and knowledge by lm-evaluation-harness, of bias by ours."""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from vishwam import state, stored
from vishwam.errors import BadInput
from vishwam.evaluate import say
from vishwam.fairness.benchmarks import BENCHMARKS, measure
from vishwam.fairness.measured import Measured, knows_nothing, remarks
from vishwam.knobs import nearest

if TYPE_CHECKING:
    from vishwam.evaluation.harness import Score

GENERATED = 64  # tokens after each prompt
# What the extra `benchmarks` adds; mmlu_ and a subject's name beside them.
HARNESS = ("mmlu_maths", "mmlu", "gsm8k", "math", "svamp", "asdiv")
# Of bias, those that are asked of the hub where there are no files; with the extra, too.
ON_HUB = ("crows_pairs", "winogender", "bbq")


def run(
    checkpoint: str,
    tasks: str,
    folder: Path | None,
    file: Path | None,
    connect: Callable[[], None],
    shots: int | None = None,
    limit: int | None = None,
) -> int:
    """Prints every figure with its interval and what it is to be read beside, chance or the ideal.

    Args:
        checkpoint: a step's folder, a run's, or entity/project/checkpoint-ID:alias; with the latter the figures go into
            the run's summary, too.
        tasks: names with commas, or "all" whose official files are there.
        folder: official files, NAME/...
        file: gets everything measured, as JSON.
        connect: makes W&B reachable, called only where an artifact is wanted.
        shots: worked examples before a question; as published unless given.
        limit: items a task at most.

    Raises:
        BadInput: there is no such checkpoint, benchmark or file, or a file is not as published.
    """
    folder = folder or state.folder() / "benchmarks"
    names = _names(tasks, folder)
    if file and not file.parent.is_dir():
        raise BadInput(f"--json {file}: no folder {file.parent}")
    for name, value, least in (("--shots", shots, 0), ("--limit", limit, 1)):
        if value is not None and value < least:
            raise BadInput(f"{name} {value}: must be at least {least}")
    suite, params = stored.find(checkpoint, connect, say).open()
    bias: dict[str, list[Measured]] = {}
    scores: list[Score] = []
    for name in names:
        say(f"asking {name}")
        if name not in BENCHMARKS:
            from vishwam.evaluation import harness

            if not (folder / harness.benchmarks()[name].folder).is_dir():
                say(f"  no {folder / harness.benchmarks()[name].folder}: asking the Hugging Face hub for it")
            scores.append(harness.measure(name, folder, suite, params, shots, limit, now_and_then()))
            continue
        source: Path | Sequence[Any] = folder / name
        if not (folder / name).is_dir():
            from vishwam.evaluation import hub

            say(f"  no {folder / name}: asking the Hugging Face hub for it")
            source = hub.records(name, folder / name)
        progress = now_and_then()
        bias[name] = measure(
            name,
            source,
            partial(suite.log_likelihoods, params, progress=progress),
            partial(suite.generate, params, max_new_tokens=GENERATED, progress=progress),
            limit,
        )
        print_table(bias[name])
    if scores:
        print_scores(scores)
    if file:
        found: dict[str, Any] = {
            name: {"knows_nothing": knows_nothing(figures), "figures": [asdict(figure) for figure in figures]}
            for name, figures in bias.items()
        }
        for score in scores:
            low, high = score.interval
            found[score.benchmark] = asdict(score) | {"value": score.value, "low": low, "high": high}
        state.write(file, json.dumps({"checkpoint": checkpoint, "benchmarks": found}, indent=1) + "\n")
    if not Path(checkpoint).is_dir():
        from vishwam.tracking import artifacts

        say(f"noted in {artifacts.note_in_run(checkpoint, summary(scores, bias))}")
    return 0


def now_and_then(seconds: float = 15.0) -> Callable[[float], None]:
    """Says how far it has come, where it takes long."""
    said = time.monotonic()

    def progress(share: float) -> None:
        nonlocal said
        if share < 1 and time.monotonic() - said >= seconds:
            said = time.monotonic()
            say(f"  {share:.0%}")

    return progress


def _names(tasks: str, folder: Path) -> list[str]:
    known = [*BENCHMARKS, *HARNESS]
    if tasks == "all":
        present = [name for name in known if (folder / name).is_dir()]
        if not present:
            raise BadInput(f"--tasks all: {folder} has none of the folders {', '.join(known)}")
        tasks = ",".join(present)
    names = [name.strip() for name in tasks.split(",")]
    elsewhere = [name for name in names if name not in BENCHMARKS or (name in ON_HUB and not (folder / name).is_dir())]
    if elsewhere:
        # Read when they are imported: bars for every step of the way, advice to install PyTorch.
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
        try:
            from vishwam.evaluation import harness
        except ImportError as error:
            missing = elsewhere[0]
            if missing in (*HARNESS, *ON_HUB) or missing.startswith("mmlu_"):
                raise BadInput(
                    f"--tasks {missing}: needs the extra `benchmarks`: pip install 'vishwam[benchmarks]' ({error})"
                ) from None
        else:
            known += [name for name in harness.benchmarks() if name not in known]
    for name in names:
        if name not in known:
            raise BadInput(
                f"--tasks {name}: there are {', '.join([*BENCHMARKS, *HARNESS])} and MMLU's subjects as mmlu_SUBJECT"
                f"{nearest(name, known)}"
            )
        if name in BENCHMARKS and name not in ON_HUB and not (folder / name).is_dir():
            raise BadInput(f"--tasks {name}: no folder {folder / name} with its official files")
    return names


def summary(scores: "Sequence[Score]", bias: dict[str, list[Measured]]) -> dict[str, float]:
    """What goes into a run: shares of 1, with bounds and chance beside them."""
    from vishwam.tracking.metrics import BENCHMARK

    values: dict[str, float] = {}
    for score in scores:
        name = f"{BENCHMARK}{score.benchmark}"
        values[name] = score.value
        values[f"{name}_low"], values[f"{name}_high"] = score.interval
        if score.chance is not None:
            values[f"{name}_chance"] = score.chance
    for benchmark, figures in bias.items():
        for figure in figures:
            name = f"{BENCHMARK}{benchmark}/{figure.name}"
            values[name] = figure.value
            if figure.low is not None and figure.high is not None:
                values[f"{name}_low"], values[f"{name}_high"] = figure.low, figure.high
    return values


def print_scores(scores: "Sequence[Score]") -> None:
    """For people."""
    table = Table(box=None, pad_edge=False, title="by lm-evaluation-harness", title_justify="left")
    table.add_column("benchmark", no_wrap=True)
    for column in ("right", "95% interval", "chance", "items"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for score in scores:
        low, high = score.interval
        chance = "-" if score.chance is None else f"{score.chance:.0%}"
        noted = ["at chance"] if score.at_chance else []
        if score.cut:
            noted.append(f"of {score.cut} only the end was read")
        interval, remark = f"{low:.1%} to {high:.1%}", "; ".join(noted)
        table.add_row(score.benchmark, f"{score.value:.1%}", interval, chance, str(score.count), remark)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_table(figures: Sequence[Measured]) -> None:
    """For people."""
    console = Console(width=None if sys.stdout.isatty() else 200)
    # A line of its own: as the table's title it would be folded at the table's width.
    nothing = ": the model knows nothing here, and its figures of bias say nothing"
    console.print(figures[0].benchmark + (nothing if knows_nothing(figures) else ""), style="italic")
    table = Table(box=None, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    for column in ("value", "95% interval", "ideal", "items"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for figure, remark in zip(figures, remarks(figures), strict=True):
        # Correlations are of -1 to 1, everything else in percent.
        digits = 2 if "correlation" in figure.name else 1
        low, high = figure.low, figure.high
        interval = "-" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"
        value = f"{figure.value:.{digits}f}"
        table.add_row(figure.name, value, interval, f"{figure.ideal:g}", str(figure.count), remark)
    console.print(table)
