"""`./run.sh benchmark [NAME ...]`: runs the named benchmarks, all by default, and prints each as a table.

A benchmark is a module beside this one with `run() -> list[dict]`, rows of {"what", "ours", "peer", "ratio", "unit"}:
`ratio` above 1 means ours is better, None where there is no peer to run beside. Whatever figures a row has more are
columns of their own.
"""

import difflib
import importlib
import json
import pkgutil
import sys

from rich.console import Console
from rich.table import Table

from vishwam import state

KEYS = ("what", "ours", "peer", "ratio", "unit")


def main(names: list[str]) -> int:
    available = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    for name in names:
        if name not in available:
            near = difflib.get_close_matches(name, available, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(available)}"
            print(f"no benchmark {name!r}; {hint}", file=sys.stderr)
            return 2
    folder = state.folder() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or available:
        rows = importlib.import_module(f"tests.benchmarks.{name}").run()
        (folder / f"{name}.json").write_text(json.dumps(rows, indent=1) + "\n")
        show(name, rows)
    return 0


def show(name: str, rows: list[dict]) -> None:
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    table.add_column("what")
    for column in ("ours", "peer", "ratio"):
        table.add_column(column, justify="right")
    table.add_column("unit")
    more = list(dict.fromkeys(key for row in rows for key in row if key not in KEYS))
    for column in more:
        table.add_column(column, justify="right")
    for row in rows:
        figures = [figure(row[key]) for key in ("ours", "peer", "ratio")]
        table.add_row(row["what"], *figures, row["unit"], *(figure(row.get(key)) for key in more))
    # Into a file or a pipe whole lines, however long.
    Console(width=None if sys.stdout.isatty() else 240).print(table, "")


def figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


__path__ = __import__("tests.benchmarks", fromlist=["benchmarks"]).__path__
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
