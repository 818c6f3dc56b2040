"""Eight clients that keep their connections and wait for each answer, in one process that costs little; and the peer:
a bare ASGI application that makes one SQLite commit a request, behind the same uvicorn.
"""

import base64
import contextlib
import select
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from vishwam.server.local import free_port

BARE = """
import json, sqlite3, sys, uvicorn
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode=WAL"); db.execute("PRAGMA synchronous=NORMAL")
db.execute("CREATE TABLE bodies (id INTEGER PRIMARY KEY, body BLOB)")
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    db.execute("INSERT INTO bodies (body) VALUES (?)", (body,))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
uvicorn.run(app, port=int(sys.argv[2]), http="httptools", ws="none", log_config=None, access_log=False, lifespan="off")
"""


@contextlib.contextmanager
def bare(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of the bare application, and its process."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen([sys.executable, "-c", BARE, str(folder / "bare.sqlite"), str(port)]) as process:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
        process.terminate()


def post(url: str, path: str, key: str, body: bytes) -> bytes:
    """One request as bytes."""
    token = base64.b64encode(f"api:{key}".encode()).decode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Basic {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection; sends requests one after the other."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got = b""

    def send(self, request: bytes) -> None:
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Reads what there is; whether the answer is whole. Raises RuntimeError for one that is no success."""
        self._got += self.socket.recv(1 << 16)
        head, gap, body = self._got.partition(b"\r\n\r\n")
        if not gap:
            return False
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError((head + body)[:500].decode())
        self._got = b""
        return True

    def ask(self, request: bytes) -> float:
        """Seconds to the whole answer."""
        self.send(request)
        while not self.answered():
            pass
        return time.perf_counter() - self.sent


def load(url: str, requests: Callable[[int], bytes], clients: int, seconds: float) -> tuple[float, list[float]]:
    """Answers a second, and the seconds each took; `requests(client)` is the next request of that client."""
    poll = select.epoll()
    by_descriptor = {}
    for index in range(clients):
        client = Client(url)
        by_descriptor[client.socket.fileno()] = index, client
        poll.register(client.socket, select.EPOLLIN)
        client.send(requests(index))
    started = time.perf_counter()
    took = []
    while (now := time.perf_counter()) < started + seconds:
        for descriptor, _ in poll.poll():
            index, client = by_descriptor[descriptor]
            if client.answered():
                took.append(time.perf_counter() - client.sent)
                client.send(requests(index))
    for _, client in by_descriptor.values():
        while not client.answered():
            pass
        client.socket.close()
    return len(took) / (now - started), took


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def folder_bytes(folder: Path) -> int:
    """Size of the database once its log is written back."""
    with contextlib.closing(sqlite3.connect(folder / "server.sqlite", timeout=30)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return db.execute("PRAGMA page_count").fetchone()[0] * db.execute("PRAGMA page_size").fetchone()[0]
