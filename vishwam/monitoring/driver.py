"""NVIDIA's driver, asked by a process of its own (`nvml.py`), so that nothing here waits longer than it wants."""

import contextlib
import ctypes
import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vishwam.monitoring import nvml

log = logging.getLogger(__name__)

# NVML's start alone may take seconds on a machine of many GPUs; what takes longer than this hangs.
HANGS_SECONDS = 20.0

_complained: set[str] = set()


def present(library: str = nvml.LIBRARY) -> bool:
    """Whether there is a driver's library to load at all, which asks no device."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


class Driver:
    """Readings of the GPUs that this process may use. `poll` never waits, `wait` as long as it is told."""

    def __init__(self, library: str = nvml.LIBRARY, hangs_after: float = HANGS_SECONDS):
        self._hangs_after = hangs_after
        self._asked_at: float | None = None
        self._received = b""
        self._process: subprocess.Popen[bytes] | None = None
        # What is wrong with the driver, for a person; None while nothing is.
        self.fault: str | None = None
        if not present(library):
            return
        arguments = [] if library == nvml.LIBRARY else [library]
        # Unbuffered both ways; `-P` keeps this folder's module names from standing for the standard library's.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(nvml.__file__)), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    @property
    def pid(self) -> int | None:
        """Of the process that asks, which is no part of a trial's memory."""
        return self._process.pid if self._process else None

    def poll(self) -> list[dict[str, Any]] | None:
        """What has come in since the last call, by device; None when nothing has. Asks anew."""
        reading = self._take(0.0)
        self._ask()
        return visible(reading["devices"]) if reading else None

    def wait(self, seconds: float) -> dict[str, Any] | None:
        """One whole answer, of all GPUs, as `nvml.Driver.read` gives it; None when it takes longer or there is none."""
        self._ask()
        end = time.monotonic() + seconds
        while self._process and (left := end - time.monotonic()) > 0:
            if reading := self._take(left):
                return reading
        return None

    def close(self) -> None:
        """Ends the process; one that hangs in the kernel is left to the kernel."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)

    def _ask(self) -> None:
        if self._process is None or self._asked_at is not None:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"\n")
        except OSError:
            self._give_up("the process that asks NVIDIA's driver has ended (the driver crashed it?)")
            return
        self._asked_at = time.monotonic()

    def _take(self, seconds: float) -> dict[str, Any] | None:
        if self._process is None or self._asked_at is None:
            return None
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            if time.monotonic() - self._asked_at > self._hangs_after:
                self._give_up(f"NVIDIA's driver has not answered for {self._hangs_after:g} s")
            return None
        piece = os.read(self._process.stdout.fileno(), 1 << 20)
        if not piece:
            self._give_up("the process that asks NVIDIA's driver has ended (the driver crashed it?)")
            return None
        self._received += piece
        if not self._received.endswith(b"\n"):
            return None
        line, self._received, self._asked_at = self._received, b"", None
        reading = json.loads(line)
        for name, error in reading["errors"].items():
            if name not in _complained:
                _complained.add(name)
                log.warning("NVML: %s: %s; its metrics are left out", name, error)
        return reading

    def _give_up(self, why: str) -> None:
        """Said once; from here on there are no readings."""
        self.fault = why
        log.warning("%s; metrics of the device are left out", why)
        self.close()


def visible(devices: list[dict[str, Any]], environ: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """The devices that `CUDA_VISIBLE_DEVICES` leaves to this process, in its order; those by CUDA's rules."""
    names = environ.get("CUDA_VISIBLE_DEVICES")
    if names is None:
        return devices
    found: list[dict[str, Any]] = []
    for name in (name.strip() for name in names.split(",")):
        if name.isdigit():
            chosen = [device for device in devices if device["index"] == int(name)]
        else:
            chosen = [device for device in devices if name and str(device.get("uuid", "")).startswith(name)]
        if not chosen:
            break  # CUDA stops at the first name that is no device, too.
        found += chosen
    return found


def once(seconds: float = 2.0, library: str = nvml.LIBRARY) -> dict[str, Any] | None:
    """One reading of all GPUs, or None where there is no driver or it takes longer."""
    driver = Driver(library)
    try:
        return driver.wait(seconds)
    finally:
        driver.close()
