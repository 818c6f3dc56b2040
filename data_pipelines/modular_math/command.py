"""`vishwam questions`: questions as JSON lines, for people to read and other programs to use."""

import argparse
import sys
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

from data_pipelines import BadInput
from data_pipelines.modular_math import registry, table
from data_pipelines.modular_math.source import ModularMath
from data_pipelines.splits import SPLITS

# Lines a write: enough that the system call costs nothing, few enough that `head` ends at once.
_CHUNK = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `vishwam questions`."""
    parser.add_argument(
        "--module",
        action="append",
        metavar="M",
        help="a module's name, several with commas or by repeating it, or 'all', evenly mixed (default: all)",
    )
    parser.add_argument("--split", default="train", metavar="S", help=f"{', '.join(SPLITS)} (default: train)")
    parser.add_argument("--count", type=int, default=10, metavar="N", help="how many (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other questions (default: 0)")
    parser.add_argument(
        "--depth", type=int, default=0, metavar="N", help="modules in a composed question (default: 2 to 4)"
    )
    parser.add_argument("--table", action="store_true", help="print instead what each module's sets draw from")
    parser.add_argument("--difficulty", default="all", help="easy, medium or hard thirds of the training range, or all")


def run(args: argparse.Namespace) -> int:
    """Prints `{"module", "question", "answer", "index"}` lines, or the table of modules. Raises BadInput for an unknown
    name or a negative count.
    """
    if args.table:
        print(table.markdown(), end="")
        return 0
    if args.count < 0:
        raise BadInput(f"--count {args.count} is negative")
    asked = ",".join(args.module or ["all"]).split(",")
    modules = registry.names() if "all" in asked else tuple(dict.fromkeys(asked))
    settings: dict[str, dict[str, Any]] = {name: {"difficulty": args.difficulty} for name in modules}
    if args.depth:
        composing = [name for name in modules if registry.find(name).composed != (1, 1)]
        if not composing:
            raise BadInput(f"--depth {args.depth}: {', '.join(modules)} is not composed of others")
        for name in composing:
            settings[name]["depth"] = args.depth
    source = ModularMath(modules, args.seed, settings).mixture(args.split)
    write = sys.stdout.write
    for start in range(0, args.count, _CHUNK):
        lines = []
        for index in range(start, min(args.count, start + _CHUNK)):
            module, question, answer, _ = source[index]
            text = f'"question": {quoted(question)}, "answer": {quoted(answer)}'
            lines.append(f'{{"module": "{module}", {text}, "index": {index}}}\n')
        write("".join(lines))
    return 0
