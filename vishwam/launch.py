"""One command from a sweep file to a live report: what `run.sh` runs.

It starts nothing of its own: the real `wandb sweep` and `wandb agent` do the work, as they would by hand.
"""

import contextlib
import ctypes
import functools
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import yaml

from vishwam import config, environment, state
from vishwam.errors import BadInput

# The agent and its trial get this long to save a checkpoint and say goodbye after Ctrl-C.
GRACE_SECONDS = 20

# Loaded here, for between fork and exec nothing may be.
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1

UNFINISHED = ("PENDING", "RUNNING", "PAUSED")


def run(file: Path, count: int | None) -> int:
    """Checks the sweep file, makes or continues the sweep, trains and reports; returns the exit code.

    Raises:
        BadInput: the sweep file is not sound, or W&B refused it; nothing was launched.
    """
    from vishwam import check
    from vishwam.tracking import sweeps

    if count is not None and count < 1:
        raise BadInput(f"--count {count}: must be at least 1")
    check.check(file)
    if os.environ.get("WANDB_MODE") in environment.OFFLINE:
        raise BadInput(f"a sweep needs a W&B server, and WANDB_MODE={os.environ['WANDB_MODE']}; unset it")
    environment.apply()
    say(f"W&B server    {os.environ.get('WANDB_BASE_URL', 'as configured')}")

    launches = Launches(state.folder() / "launches.json")
    digest = digest_of(file)
    path = launches.unfinished(digest)
    if path:
        resume_if_paused(path)
        say(f"sweep         {path} was not finished: going on with it")
    else:
        path = create_sweep(file)
        launches.remember(digest, path)
        say(f"sweep         {path}")
    report_url = make_report(path)
    say(f"report        {report_url or sweeps.url(path)}")
    say("", "Ctrl-C stops; the same command goes on from there.", "")

    began = time.monotonic()
    code = run_agent(path, count)
    make_report(path)  # Now with the figures of the trials in its text.
    trials = sweeps.trials(path)
    say("", sweeps.table(trials), "")
    say(f"sweep         {path} is {sweeps.state(path)} after {time.monotonic() - began:.0f} s here")
    say(f"report        {report_url or sweeps.url(path)}")
    best = sweeps.best(trials)
    if best:
        say(f"evaluate      .venv/bin/vishwam evaluate {'/'.join(path.split('/')[:2])}/checkpoint-{best.id}:best")
    failed = [trial for trial in trials if trial.state in ("failed", "crashed")]
    if failed:
        say(f"failed        {len(failed)} of {len(trials)} trials; what they said: {agent_log(path)}")
    return exit_code(code, sweeps.state(path), [trial.state for trial in trials])


def exit_code(agent: int, sweep: str | None, trials: list[str]) -> int:
    """Of a launch, by the agent's own and the states of sweep and trials. Python may still abort an agent (a negative
    code) at its end, when all it was for is done.
    """
    if agent > 0 or (agent < 0 and (sweep is None or sweep in UNFINISHED)):
        return agent
    return 0 if "finished" in trials else 1


def digest_of(file: Path) -> str:
    """Names a sweep by its file and by what the Gin files of its command say: an edit of either makes another sweep."""
    said = hashlib.blake2b(file.read_bytes(), digest_size=8)
    command = yaml.safe_load(file.read_text()).get("command") or []
    if gin_files := [word for word in map(str, command) if word.endswith(".gin")]:
        said.update(config.load(gin_files).config_str.encode())
    return said.hexdigest()


class Launches:
    """Which sweep was made from which file, by the file's digest, so that a second start can go on with it."""

    def __init__(self, path: Path):
        self._path = path

    def unfinished(self, digest: str) -> str | None:
        """The path of the sweep made from this very file, if its server still has it and it is not at its end."""
        from vishwam.tracking import sweeps

        path = self._read().get(self._key(digest))
        return path if path and sweeps.state(path) in UNFINISHED else None

    def remember(self, digest: str, path: str) -> None:
        launches = self._read() | {self._key(digest): path}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state.write(self._path, json.dumps(launches, indent=1))

    def _read(self) -> dict[str, str]:
        try:
            return json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}

    def _key(self, digest: str) -> str:
        where = (os.environ.get(name, "default") for name in ("WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT"))
        return " ".join([*where, digest])


def create_sweep(file: Path) -> str:
    """Runs `wandb sweep FILE`; returns entity/project/id.

    Raises:
        BadInput: W&B refused the sweep; its own words follow.
    """
    done = subprocess.run([_wandb(), "sweep", str(file)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said = _plain(done.stdout + done.stderr)
    found = re.search(r"wandb agent '?([^\s']+/[^\s']+/[^\s']+)", said)
    if done.returncode or not found:
        last = [line for line in said.splitlines() if line.strip()][-1:] or ["no output"]
        raise BadInput(f"wandb sweep {file}: {last[0].strip()}")
    return found[1]


def resume_if_paused(path: str) -> None:
    """An agent of a paused sweep would wait in silence; whoever starts it again wants it to go on."""
    from vishwam.tracking import sweeps

    if sweeps.state(path) == "PAUSED":
        say(f"sweep         {path} was paused: resuming it")
        subprocess.run([_wandb(), "sweep", "--resume", path], check=True, capture_output=True)


def make_report(path: str) -> str | None:
    """The report's address; a report that can't be made is said and does not stop a sweep."""
    try:
        from vishwam.tracking import report

        return report.build(*path.split("/"))
    except Exception as error:  # The server in use may be one that takes no reports.
        say(f"no report     {type(error).__name__}: {error}")
        return None


def run_agent(path: str, count: int | None) -> int:
    """Runs `wandb agent` to its end, showing what its trials print. Returns an exit code: 130 after Ctrl-C.

    The agent stands in a session of its own, so that Ctrl-C reaches it once and through here, and is told to end when
    this process dies: no trial outlives the script that started it. It writes to files and not to a pipe, which would
    break under a trial that is saving its checkpoint just then.
    """
    command = [_wandb(), "agent", "--forward-signals", *(["--count", str(count)] if count else []), path]
    log, said = agent_log(path), agent_log(path).with_suffix(".out")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as errors, said.open("a") as output, said.open(errors="replace") as reader:
        reader.seek(0, os.SEEK_END)
        agent = subprocess.Popen(
            command,
            stdout=output,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=functools.partial(die_with_parent, os.getpid()) if sys.platform == "linux" else None,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        with _terminated_like_interrupted(), _ended(agent):
            try:
                while agent.poll() is None:
                    show(reader)
                    time.sleep(0.2)
                show(reader)
            except KeyboardInterrupt:
                say("", "stopping: the trial saves its checkpoint ...")
                _end(agent)
                show(reader)
                say("stopped; the same command goes on from here")
                return 130
    if agent.returncode:
        say(f"wandb agent ended with exit code {agent.returncode}; its log: {log}")
    return agent.returncode


def agent_log(path: str) -> Path:
    """Where the agents of a sweep and its trials leave their messages and errors."""
    return state.folder() / "logs" / f"agent-{path.rpartition('/')[2]}.log"


def show(reader: IO[str]) -> None:
    print(reader.read(), end="", flush=True)


def die_with_parent(parent: int) -> None:
    """In the child, before exec: the kernel sends SIGTERM when `parent` is gone, however it went (Linux)."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # It went before the kernel was told.
        os._exit(1)


def say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


@contextlib.contextmanager
def _ended(agent: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Whatever happens here, the agent does not outlive it."""
    try:
        yield
    finally:
        if agent.poll() is None:
            _end(agent)


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP end this script as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _end(agent: "subprocess.Popen[bytes]") -> None:
    """SIGINT, then SIGTERM, then SIGKILL to the agent, whose trials do as it does. A second Ctrl-C hurries."""
    for number, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            agent.send_signal(number)
        try:
            agent.wait(timeout=patience)
            break
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            continue


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _wandb() -> str:
    """The client's own command, beside this interpreter."""
    return str(Path(sys.executable).parent / "wandb")
