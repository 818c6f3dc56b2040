"""The embedded server from a client's side: started when it is not up, found when it is, stopped."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vishwam.errors import BadInput
from vishwam.server.store import instance

PREFERRED_PORT = 8090
START_SECONDS = 30.0
STOP_SECONDS = 10.0
PORTS_TRIED = 5


@dataclass(frozen=True)
class Address:
    """Where a server listens, and as whom: values for WANDB_BASE_URL, WANDB_API_KEY, WANDB_ENTITY."""

    url: str
    api_key: str
    entity: str


def address(folder: Path) -> Address | None:
    """The address of the server that runs on `folder`; None when none does."""
    known = _recorded(folder)
    if known is None or not _serves(folder) or not _answers(folder, known["url"]):
        return None
    return _address(folder, known["url"])


def last_url(folder: Path) -> str | None:
    """Where the server of `folder` answers, or answered when it last ran."""
    known = _recorded(folder.absolute())
    return known["url"] if known else None


def start_or_reuse(folder: Path, port: int | None = None) -> Address:
    """The server of `folder`, started as a process of its own when none runs; returns when it answers.

    Without `port` it takes the one it had last time, so that addresses of reports stay valid, else 8090 or a free one.
    Raises BadInput when a given port is taken or the server does not come up.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with _starting(folder):
        running = address(folder)
        if running is not None:
            return running
        if port:
            return _start(folder, port)
        for _ in range(PORTS_TRIED - 1):
            chosen = _port(folder)
            try:
                return _start(folder, chosen)
            except BadInput:
                if _is_free(chosen):
                    raise
                # Another program took it since it was looked at.
        return _start(folder, _port(folder))


def _start(folder: Path, port: int) -> Address:
    log_path = folder / "server.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "vishwam.server", "--data", str(folder), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START_SECONDS
    while not (_serves(folder) and _answers(folder, url)):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log_path.read_text(errors="replace").strip().splitlines()
            reason = lines[-1].removeprefix("error: ") if lines else "no reason given"
            raise BadInput(f"the embedded server did not start: {reason} (see {log_path})")
        time.sleep(0.02)
    return _address(folder, url)


def stop(folder: Path) -> bool:
    """Ends the server of `folder` and waits for it; False when none runs."""
    if not _serves(folder):
        return False
    process = _holder(folder)
    if process is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _serves(folder):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
            deadline += STOP_SECONDS
        time.sleep(0.02)
    return True


def record(folder: Path, host: str, port: int) -> None:
    """Notes where this process serves the folder, so that `address`, `start_or_reuse` and `stop` find it."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "localhost") else f"[{host}]" if ":" in host else host
    details = {"pid": os.getpid(), "port": port, "url": f"http://{shown}:{port}"}
    temporary = folder / "server.json.new"
    temporary.write_text(json.dumps(details) + "\n")
    temporary.replace(folder / "server.json")


def _environment() -> dict[str, str]:
    """The server must import this very package, wherever it was started from."""
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}


@contextlib.contextmanager
def _starting(folder: Path) -> Iterator[None]:
    """One starter at a time: two shells that ask at once get one server."""
    with (folder / "starting").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _recorded(folder: Path) -> dict | None:
    try:
        return json.loads((folder / "server.json").read_text())
    except (OSError, ValueError):
        return None


def _holder(folder: Path) -> int | None:
    """The process that wrote its id into the lock it holds; server.json may still be the one before."""
    try:
        return int((folder / "lock").read_text())
    except (OSError, ValueError):
        return None


def _address(folder: Path, url: str) -> Address:
    return Address(url, (folder / "api_key").read_text().strip(), "local")


def _serves(folder: Path) -> bool:
    """Whether some process holds the folder's lock; a recycled pid cannot pretend to."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _answers(folder: Path, url: str) -> bool:
    """Whether this folder's own server answers there, and no other that has the port."""
    # Never through a proxy: it is this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url + "/ready", timeout=5) as reply:
            return reply.read().decode() == instance((folder / "api_key").read_text().strip())
    except (OSError, urllib.error.URLError, UnicodeDecodeError):
        return False


def _port(folder: Path) -> int:
    known = _recorded(folder)
    for candidate in (known["port"] if known else PREFERRED_PORT, PREFERRED_PORT):
        if _is_free(candidate):
            return candidate
    return free_port()


def free_port() -> int:
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
