"""Two checkpoints on the same questions, by paired tests and not by eye."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table

from vishwam import state, stored
from vishwam.errors import BadInput
from vishwam.evaluation.statistics import holm, mcnemar_exact, paired_interval

QUESTIONS = 500
ALPHA = 0.05

Right = dict[tuple[str, str], Sequence[bool]]
"""By split and evaluation set, which questions were answered right to the character, in order."""


@dataclass(frozen=True)
class Comparison:
    """A and B on one set, family of modules or split.

    level: "set", "family" or "split"; difference: exact match of A minus that of B, with its 95% interval (Newcombe
    1998, method 10); p: McNemar's exact test; p_holm: adjusted within its level and split (Holm 1979).
    """

    level: str
    split: str
    name: str
    questions: int
    a: float
    b: float
    only_a: int
    only_b: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float

    @property
    def verdict(self) -> str:
        if self.p_holm >= ALPHA:
            return "no difference shown"
        return "A is better" if self.only_a > self.only_b else "B is better"


def run(first: str, second: str, count: int | None, file: Path | None, connect: Callable[[], None]) -> int:
    """Prints the comparison, and writes it to `file` as JSON.

    Both are asked the questions of the first's experiment, which is said where they were trained on different ones.

    Raises:
        BadInput: there is no such checkpoint, or the file cannot be written.
    """
    if count is not None and count < 1:
        raise BadInput(f"--count {count}: must be at least 1")
    if file and not file.parent.is_dir():
        raise BadInput(f"--json {file}: no folder {file.parent}")
    a, b = stored.find(first, connect, say), stored.find(second, connect, say)
    if a.folder.resolve() == b.folder.resolve():
        raise BadInput(f"{first} and {second} are the same checkpoint")
    if a.experiment.data != b.experiment.data:
        say(f"asking the questions of A's experiment; B was trained on others: {other_data(a, b)}")
    count = count or QUESTIONS
    say(f"asking {count} questions a set")
    comparisons = compare(answered(a, a, count), answered(b, a, count))
    print_table(first, second, comparisons)
    if file:
        rows = [asdict(row) | {"verdict": row.verdict} for row in comparisons]
        whole = {"a": first, "b": second, "questions_a_set": count, "alpha": ALPHA, "comparisons": rows}
        state.write(file, json.dumps(whole, indent=1) + "\n")
    return 0


def answered(model: stored.Stored, asker: stored.Stored, count: int) -> Right:
    """What `model` gets right of the questions of `asker`'s experiment."""
    suite, params = model.open()
    found: Right = {}
    for split, name, result in suite.exact_match(params, count, asker.experiment.data):
        found[split, name] = [sample.prediction == sample.answer for sample in result.samples]
    return found


def other_data(a: stored.Stored, b: stored.Stored) -> str:
    """In what B's questions are not A's."""
    ours, theirs = a.experiment.data, b.experiment.data
    if type(ours) is not type(theirs):
        return f"{type(theirs).__name__} and not {type(ours).__name__}"
    names = [field.name for field in fields(theirs) if getattr(theirs, field.name) != getattr(ours, field.name)]
    return ", ".join(f"{name} {getattr(theirs, name)} and not {getattr(ours, name)}" for name in names)


def compare(a: Right, b: Right) -> list[Comparison]:
    """Every set, every family of modules (what stands before `__`) and every split, in this order."""
    groups: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for level in ("set", "family", "split"):
        for split, name in a:
            family, found, _ = name.partition("__")
            label = {"set": name, "family": family if found else name, "split": "all"}[level]
            groups.setdefault((level, split, label), []).append((split, name))
    rows: list[Comparison] = []
    for (level, split, label), members in groups.items():
        pairs = [pair for member in members for pair in zip(a[member], b[member], strict=True)]
        both, only_a, only_b = (pairs.count(kind) for kind in ((True, True), (True, False), (False, True)))
        n = len(pairs)
        low, high = paired_interval(both, only_a, only_b, n - both - only_a - only_b)
        p = mcnemar_exact(only_a, only_b)
        exact = ((both + only_a) / n, (both + only_b) / n)
        rows.append(Comparison(level, split, label, n, *exact, only_a, only_b, exact[0] - exact[1], low, high, p, p))
    adjusted: list[Comparison] = []
    for level, split in dict.fromkeys((row.level, row.split) for row in rows):
        tests = [row for row in rows if (row.level, row.split) == (level, split)]
        values = holm([row.p for row in tests])
        adjusted += [Comparison(**asdict(row) | {"p_holm": p}) for row, p in zip(tests, values, strict=True)]
    return adjusted


def print_table(first: str, second: str, comparisons: Sequence[Comparison]) -> None:
    """For people; families where there are several modules in one."""
    table = Table(box=None, pad_edge=False, title=f"A: {first}\nB: {second}", title_justify="left")
    for column in ("split", "set"):
        table.add_column(column, no_wrap=True)
    for column in ("A", "B", "only A", "only B", "A - B", "95% interval", "p", "p (Holm)"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    levels = {level: sum(row.level == level for row in comparisons) for level in ("set", "family", "split")}
    for row in comparisons:
        # A level that groups nothing repeats the one below it.
        if (row.level == "family" and levels["family"] == levels["set"]) or (
            row.level == "split" and levels["split"] == levels["set"]
        ):
            continue
        name = {"set": row.name, "family": f"all {row.name}", "split": "all together"}[row.level]
        table.add_row(
            row.split,
            name,
            f"{row.a:.2%}",
            f"{row.b:.2%}",
            str(row.only_a),
            str(row.only_b),
            f"{100 * row.difference:+.2f}",
            f"{100 * row.low:+.1f} to {100 * row.high:+.1f}",
            f"{row.p:.2g}",
            f"{row.p_holm:.2g}",
            row.verdict,
        )
    # Into a file or a pipe whole lines, however long.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def say(line: str) -> None:
    """To stderr: the table alone is the result."""
    print(line, file=sys.stderr, flush=True)
