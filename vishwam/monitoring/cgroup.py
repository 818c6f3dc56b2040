"""How much memory the control groups that this process stands in leave to it: containers and batch systems set them.

Both versions of Linux's interface: cgroup v2's `memory.max`, and v1's `memory.limit_in_bytes` in a hierarchy apart.
"""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60  # v1 writes a number of that size where there is none


def limit(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes that the tightest of them allows; None where none sets a limit."""
    return min((most for most, _ in _groups(root, own)), default=None)


def available(root: Path = ROOT, own: Path = OWN) -> int | None:
    """Bytes that the tightest of them has left."""
    return min((max(0, most - used) for most, used in _groups(root, own)), default=None)


def _groups(root: Path, own: Path) -> Iterator[tuple[int, int]]:
    """(limit, bytes in use that cannot be given back) of each that sets a limit, from its own up to the root."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # Inside a container the path may be that of the host, which is not to be seen; its root is then the own one.
        below = Path(path.lstrip("/"))
        for folder in (top / below, *(top / above for above in below.parents)) if below.parts else (top,):
            most, used = _number(folder / names[0]), _number(folder / names[1])
            if most is not None and most < NO_LIMIT:
                yield most, (used or 0) - _of_statistics(folder / "memory.stat", names[2])


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _of_statistics(file: Path, name: str) -> int:
    """Pages of files that are not in use can be given back."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return next((int(value) for key, value in map(str.split, lines) if key == name), 0)
