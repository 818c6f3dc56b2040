"""Exact match of a stored checkpoint, from what lies in its folder alone."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vishwam import state, stored
from vishwam.errors import BadInput

QUESTIONS = 500


def run(
    checkpoint: str, count: int | None, connect: Callable[[], None], errors: bool = False, file: Path | None = None
) -> int:
    """Prints every evaluation set's exact match with its 95% interval beside the figure logged in training.

    Args:
        checkpoint: a step's folder, a run's, or entity/project/checkpoint-ID:alias.
        count: questions a set; as many as when the checkpoint was stored unless given.
        connect: makes W&B reachable, called only where an artifact is wanted.
        errors: print exact match by what questions are like, too.
        file: gets everything measured, as JSON.

    Raises:
        BadInput: there is no such checkpoint, or the file cannot be written.
    """
    if count is not None and count < 1:
        raise BadInput(f"--count {count}: must be at least 1")
    if file and not file.parent.is_dir():
        raise BadInput(f"--json {file}: no folder {file.parent}")
    found = stored.find(checkpoint, connect, say)
    logged = found.logged
    count = count or logged.get("questions", QUESTIONS)
    say(f"asking {count} questions a set")

    from vishwam.evaluation.findings import find
    from vishwam.evaluation.suite import figures
    from vishwam.tracking import metrics as names

    suite, params = found.open()
    table = Table(box=None, pad_edge=False, title=f"{checkpoint}, {count} questions a set", title_justify="left")
    for column in ("split", "set"):
        table.add_column(column, no_wrap=True)
    for column in ("exact match", "95% interval", "equivalent", "logged"):
        table.add_column(column, justify="right", no_wrap=True)
    results = list(suite.exact_match(params, count))
    findings = find(results, suite.tokenizer, last=True)
    for split, name, result in results:
        low, high = result.interval
        before = logged.get(names.exact_match(split, name)) if count == logged.get("questions") else None
        table.add_row(
            split,
            name,
            f"{result.value:.2%}",
            f"{low:.1%} to {high:.1%}",
            f"{findings.metrics[names.equivalent(split, name)]:.2%}",
            "-" if before is None else f"{before:.2%}",
        )
    # Into a file or a pipe whole lines, however long.
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)
    if errors and names.ERRORS in findings.tables:
        console.print(error_table(*findings.tables[names.ERRORS]))
    if file:
        tables = {
            name: [dict(zip(columns, row, strict=True)) for row in rows]
            for name, (columns, rows) in findings.tables.items()
        }
        metrics = figures(results) | findings.metrics
        whole = {"checkpoint": checkpoint, "questions": count, "metrics": metrics, "tables": tables}
        state.write(file, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    return 0


def error_table(columns, rows) -> Table:
    """Exact match by what questions are like, for people."""
    table = Table(box=None, pad_edge=False, title="\nby what questions are like", title_justify="left")
    for column in columns[:4]:
        table.add_column(column, no_wrap=True)
    for column in ("exact match", "95% interval", "questions"):
        table.add_column(column, justify="right", no_wrap=True)
    for split, name, by, value, share, low, high, asked in rows:
        table.add_row(split, name, by, value, f"{share:.1%}", f"{low:.1%} to {high:.1%}", str(asked))
    return table


def say(line: str) -> None:
    """To stderr: the table alone is the result."""
    print(line, file=sys.stderr, flush=True)
