"""`vishwam <command>`: exits 0, or 2 for bad input with one line on stderr, or 1 for a failure of its own.

Commands import what they need when they run, so that `vishwam env` and `vishwam questions` never wait for JAX.
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from data_pipelines import BadInput as BadData
from vishwam.errors import BadInput


def main(arguments: Sequence[str] | None = None) -> int:
    args = parser().parse_args(arguments)
    try:
        return args.run(args)
    except (BadInput, BadData) as error:
        print(f"vishwam {args.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader (`head`, say) has had enough; Python would complain once more when it closes stdout.
        sys.stdout = None
        return 0
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        # A folder that cannot be written, a disk that is full; what has no file to name is a fault of ours.
        if error.filename is None:
            raise
        print(f"vishwam {args.command}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    except Exception as error:
        # A wrong key, a server that does not answer: the client says what it is, and a traceback adds nothing.
        if not type(error).__module__.startswith("wandb."):
            raise
        print(f"vishwam {args.command}: W&B: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="vishwam", description=__import__("vishwam").__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, help: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(run=run)
        return added

    added = command("train", "run one trial: Gin files, then knobs as name=value", train)
    added.add_argument("arguments", nargs="+", metavar="FILE.gin | knob=value")

    added = command("check", "prove a sweep sound before it is launched", check)
    added.add_argument("file", metavar="SWEEP.yaml")

    added = command("launch", "sweep, train and report in one go (what run.sh does)", launch)
    added.add_argument("file", nargs="?", type=Path, default=Path("experiments/math.yaml"), metavar="SWEEP.yaml")
    added.add_argument("--count", type=int, help="trials this agent runs at most (default: the whole sweep)")

    added = command("evaluate", "exact match of a checkpoint: a folder or entity/project/checkpoint-ID:alias", evaluate)
    added.add_argument("checkpoint", metavar="FOLDER | ARTIFACT")
    added.add_argument("--count", type=int, help="questions a set (default: as many as when it was stored)")
    added.add_argument("--errors", action="store_true", help="also exact match by length, carries, depth")
    added.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured to a file")
    added.add_argument(
        "--tasks", metavar="NAMES", help="instead: published benchmarks, with commas (gsm8k,mmlu_maths,bbq), or 'all'"
    )
    added.add_argument(
        "--benchmarks", type=Path, metavar="FOLDER", help="official files, NAME/... (default: .vishwam/benchmarks)"
    )
    added.add_argument(
        "--shots", type=int, metavar="N", help="worked examples before a question (default: as published)"
    )
    added.add_argument("--limit", type=int, metavar="N", help="items a benchmark at most (default: all)")

    added = command("compare", "which of two checkpoints is better, on the same questions", compare)
    added.add_argument("first", metavar="A", help="a folder or entity/project/checkpoint-ID:alias")
    added.add_argument("second", metavar="B")
    added.add_argument("--count", type=int, help="questions a set (default: 500)")
    added.add_argument("--json", type=Path, metavar="FILE", help="also write the comparison to a file")

    added = command("export", "write a checkpoint as a folder that Hugging Face's transformers loads", export)
    added.add_argument("checkpoint", help="a folder or entity/project/checkpoint-ID:alias")
    added.add_argument("folder", type=Path)
    added.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the weights there")

    added = command("report", "build or refresh the W&B report of a sweep", report)
    added.add_argument("sweep", help="entity/project/id, or the id alone")
    added.add_argument(
        "--html", type=Path, metavar="FILE", help="also write the report as one page that needs no server"
    )

    command("doctor", "what to know before a sweep: devices, memory, JAX, disk, W&B; exit 2 with the remedy", doctor)

    added = command("memory", "the whole course of a run's memory, printed and as a chart", memory)
    added.add_argument("of", metavar="RUN", help="entity/project/id, or the id alone")
    added.add_argument("--html", type=Path, metavar="FILE", help="also write a page that needs no server")
    added.add_argument("--png", type=Path, metavar="FILE", help="also write a picture")

    added = command("env", "print the exports with which `wandb` works in this shell", env)

    added = command("serve", "run the embedded W&B server in the foreground", serve)
    added.add_argument("--host", default="127.0.0.1")
    added.add_argument("--port", type=int, default=8090)
    added.add_argument("--data", type=Path, metavar="FOLDER", help="folder of its data (default: .vishwam/server)")
    added.add_argument(
        "--allow-remote",
        action="store_true",
        help="others reach it, by --host or through a proxy on this machine: pages need a login",
    )
    added.add_argument(
        "--test-fixtures", action="store_true", help="for W&B's system tests: POST /db/user makes users; loopback only"
    )
    acts = added.add_mutually_exclusive_group()
    acts.add_argument("--add-user", metavar="NAME", help="instead of serving: add a user and print the key, once")
    acts.add_argument("--new-key", metavar="NAME", help="instead of serving: another key for a user; the old ones end")

    acts.add_argument("--backup", type=Path, metavar="FILE", help="instead: copy everything into one tar, server or no")
    acts.add_argument("--gc", action="store_true", help="instead: count what nobody can read any more")
    added.add_argument("--yes", action="store_true", help="with --gc: remove them")

    command("stop", "end the embedded server that run.sh or `vishwam env` started", stop)

    from vishwam import prepare

    prepare.add_arguments(command("prepare", "write an experiment's questions once, packed for training", prepare.run))

    from data_pipelines.modular_math import command as questions_module

    questions_module.add_arguments(command("questions", "print questions as JSON lines", questions_module.run))
    return top


def train(args: argparse.Namespace) -> int:
    from vishwam import config, environment, trial

    return trial.run(*config.split_arguments(args.arguments), environment.apply)


def check(args: argparse.Namespace) -> int:
    from vishwam import check

    return check.main(args)


def launch(args: argparse.Namespace) -> int:
    from vishwam import launch

    return launch.run(args.file, args.count)


def evaluate(args: argparse.Namespace) -> int:
    from vishwam import environment, evaluate

    if args.tasks:
        from vishwam import benchmark

        return benchmark.run(
            args.checkpoint, args.tasks, args.benchmarks, args.json, environment.apply, args.shots, args.limit
        )
    return evaluate.run(args.checkpoint, args.count, environment.apply, args.errors, args.json)


def compare(args: argparse.Namespace) -> int:
    from vishwam import compare, environment

    return compare.run(args.first, args.second, args.count, args.json, environment.apply)


def export(args: argparse.Namespace) -> int:
    from vishwam import environment, export

    return export.run(args.checkpoint, args.folder, args.dtype, environment.apply)


def report(args: argparse.Namespace) -> int:
    from vishwam import environment
    from vishwam.tracking import report

    environment.apply()
    address = report.build(*report.resolve(args.sweep))
    if args.html:
        report.export(address, args.html)
    print(address)
    return 0


def doctor(args: argparse.Namespace) -> int:
    from vishwam import doctor

    return doctor.run()


def memory(args: argparse.Namespace) -> int:
    from vishwam import course, environment

    environment.apply()
    return course.run(args.of, args.html, args.png)


def env(args: argparse.Namespace) -> int:
    from vishwam import environment

    for name, value in environment.variables().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def serve(args: argparse.Namespace) -> int:
    from vishwam import state

    folder = args.data or state.folder() / "server"
    if args.add_user or args.new_key:
        from vishwam.server import users

        print(users.add(folder, args.add_user) if args.add_user else users.replace_key(folder, args.new_key))
        print("the key is shown this once; `wandb login --host URL` and the pages' login take it", file=sys.stderr)
        return 0
    if args.backup:
        from vishwam.server import backup

        print(backup.write(folder, args.backup))
        return 0
    if args.gc:
        from vishwam.server import collect

        print(collect.run(folder, delete=args.yes))
        return 0
    if args.yes:
        raise BadInput("--yes goes with --gc")
    from vishwam.server import app

    app.serve(args.host, args.port, folder, args.allow_remote, args.test_fixtures)
    return 0


def stop(args: argparse.Namespace) -> int:
    from vishwam import state
    from vishwam.server import local

    ended = local.stop(state.folder() / "server")
    print("server stopped" if ended else "no server was running")
    return 0


if __name__ == "__main__":
    sys.exit(main())
