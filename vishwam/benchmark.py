"""A stored checkpoint on published benchmarks of bias, from their official files."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vishwam import state, stored
from vishwam.errors import BadInput
from vishwam.evaluate import say
from vishwam.fairness.benchmarks import BENCHMARKS, Measured, knows_nothing, measure
from vishwam.knobs import nearest

GENERATED = 64  # tokens after each prompt


def run(checkpoint: str, tasks: str, folder: Path | None, file: Path | None, connect: Callable[[], None]) -> int:
    """Prints every figure with its interval and its ideal, and whether the model knows the language at all.

    Raises:
        BadInput: there is no such checkpoint, benchmark or file, or a file is not as published.
    """
    folder = folder or state.folder() / "benchmarks"
    names = list(BENCHMARKS) if tasks == "all" else [name.strip() for name in tasks.split(",")]
    for name in names:
        if name not in BENCHMARKS:
            raise BadInput(f"--tasks {name}: there are {', '.join(BENCHMARKS)}{nearest(name, BENCHMARKS)}")
        if not (folder / name).is_dir():
            raise BadInput(f"--tasks {name}: no folder {folder / name} with its official files")
    if file and not file.parent.is_dir():
        raise BadInput(f"--json {file}: no folder {file.parent}")
    suite, params = stored.find(checkpoint, connect, say).open()
    found: dict[str, list[Measured]] = {}
    for name in names:
        say(f"asking {name}")
        found[name] = measure(
            name,
            folder / name,
            lambda pairs: suite.log_likelihoods(params, pairs),
            lambda prompts: suite.generate(params, prompts, GENERATED),
        )
        print_table(found[name])
    if file:
        whole = {
            "checkpoint": checkpoint,
            "benchmarks": {
                name: {"knows_nothing": knows_nothing(figures), "figures": [asdict(figure) for figure in figures]}
                for name, figures in found.items()
            },
        }
        state.write(file, json.dumps(whole, indent=1) + "\n")
    return 0


def print_table(figures: Sequence[Measured]) -> None:
    """For people."""
    title = figures[0].benchmark
    if knows_nothing(figures):
        title += ": the model knows nothing here, and its figures of bias say nothing"
    table = Table(box=None, pad_edge=False, title=title, title_justify="left")
    table.add_column("figure", no_wrap=True)
    for column in ("value", "95% interval", "ideal", "items"):
        table.add_column(column, justify="right", no_wrap=True)
    for figure in figures:
        interval = "-" if figure.low is None or figure.high is None else f"{figure.low:.1f} to {figure.high:.1f}"
        table.add_row(figure.name, f"{figure.value:.2f}", interval, f"{figure.ideal:g}", str(figure.count))
    Console().print(table)
