"""Which user of this machine is at the other end of a loopback connection, as Linux tells in /proc/net/tcp."""

import ipaddress
import os
import struct
from pathlib import Path

from starlette.requests import Request

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_own_user(request: Request) -> bool:
    """Whether the request comes from this machine, by a loopback name, from a process of the user who runs the server.

    By a loopback name: a page elsewhere cannot reach us through a name that it points here. From this very user:
    neither another person's browser nor a proxy that passes on what others ask. Where the system does not tell whose
    a connection is (not Linux), every process of the machine counts as the user's.
    """
    client, server = request.client, request.scope.get("server")
    name = (request.headers.get("host") or "").rsplit(":", 1)[0].strip("[]")
    if client is None or server is None or not _is_loopback(name) or not _is_loopback(client.host):
        return False
    if any(header in request.headers for header in _FORWARDED):
        return False
    if not _TABLES[0].exists():
        return True
    return _owner((client.host, client.port), tuple(server)) == os.getuid()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return _plain(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return False


def _owner(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """User id of the client's socket; None when the kernel shows none."""
    wanted = [(_plain(ipaddress.ip_address(host)), port) for host, port in (client, server)]
    for table in _TABLES:
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            # The port first: most lines are other connections.
            if fields[1].endswith(f":{client[1]:04X}") and [_endpoint(fields[1]), _endpoint(fields[2])] == wanted:
                return int(fields[7])
    return None


def _endpoint(text: str) -> tuple[Address, int]:
    """An address as the kernel writes it: words of 32 bits in the machine's byte order, a colon, the port."""
    host, _, port = text.partition(":")
    words = [int(host[start : start + 8], 16) for start in range(0, len(host), 8)]
    return _plain(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))), int(port, 16)


def _plain(address: Address) -> Address:
    """IPv4 where IPv6 only wraps it."""
    return getattr(address, "ipv4_mapped", None) or address
