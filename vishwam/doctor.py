"""`vishwam doctor`: what a person needs to know before a sweep, within two seconds, and the remedy of what is wrong."""

import base64
import http.client
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement

from vishwam import environment, state
from vishwam.errors import BadInput
from vishwam.monitoring import driver, memory
from vishwam.server import local
from vishwam.sizes import size

SECONDS = 1.9  # for everything; what has not answered by then is said not to have
LEAST_DISK = 2e9
PLUGINS = {13: "jax-cuda13-plugin", 12: "jax-cuda12-plugin"}
# On a GPU it must not take the memory of whoever computes there.
START_JAX = """
import jax
devices = jax.devices()
print(devices[0].platform, len(devices), devices[0].device_kind, sep="|")
"""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was seen, and what to do where that is wrong."""

    what: str
    seen: str
    remedy: str | None = None


def run(say: Callable[[str], None] = print) -> int:
    """Prints the findings.

    Raises:
        BadInput: something is wrong.
    """
    # Starting Python counts.
    end = time.monotonic() + max(SECONDS - (time.time() - psutil.Process().create_time()), 0.5)
    # What takes long runs beside the rest: JAX's start, the driver, and the server, for which W&B's client is loaded.
    jax = _start_jax()
    nvidia = driver.Driver()
    answers: list[Finding] = []
    server = threading.Thread(target=lambda: answers.extend(_server(end)), daemon=True)
    server.start()
    findings = [*_host(), *_disk()]
    reading = nvidia.wait(max(0.0, min(end - time.monotonic() - 0.2, 1.5)))
    findings = [*_devices(nvidia, reading), *findings]
    server.join(max(0.0, end - time.monotonic()))
    if server.is_alive():
        # Without an address in the environment it may still be W&B's client that loads.
        named = os.environ.get("WANDB_BASE_URL")
        remedy = f"see that {named} can be reached from here" if named else None
        answers = [Finding("W&B", "no answer in the time there was", remedy)]
    findings = [*_jax(jax, reading, end), *findings, *answers]
    nvidia.close()
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        say(f"{'!!' if finding.remedy else 'ok'}  {finding.what:<{width}}  {finding.seen}")
        if finding.remedy:
            say(f"    {'':<{width}}  -> {finding.remedy}")
    wrong = list(dict.fromkeys(finding.what for finding in findings if finding.remedy))
    if wrong:
        raise BadInput(f"to be put right before a sweep: {', '.join(wrong)}")
    return 0


def _start_jax() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", START_JAX],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )


def _jax(process: "subprocess.Popen[str]", reading: dict[str, Any] | None, end: float) -> Iterator[Finding]:
    versions = {name: _version(name) for name in ("jax", "jaxlib", *PLUGINS.values())}
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    try:
        said, complaint = process.communicate(timeout=max(0.05, end - time.monotonic()))
        started = process.returncode == 0
    except subprocess.TimeoutExpired:
        process.kill()
        said, complaint, started = "", "", True
    if not started:
        last = (complaint.strip().splitlines() or ["no reason given"])[-1]
        yield Finding("JAX", f"{text}: does not start: {last[:200]}", "./run.sh installs what fits together")
    elif said:
        platform, count, kind = said.strip().split("|")
        where = "the CPU" if platform == "cpu" else f"{count} x {kind} ({platform})"
        yield Finding("JAX", f"{text}; computes on {where}")
    else:
        yield Finding("JAX", f"{text}; was still starting when the time was up")
    yield from unfit(versions, reading, said.split("|")[0])


def unfit(versions: dict[str, str | None], reading: dict[str, Any] | None, platform: str) -> Iterator[Finding]:
    """What does not fit together among JAX, its plugins and the driver. platform: JAX's own word, "" if unknown."""
    remedy = "./run.sh installs versions that fit; by hand: pip install -e '.[cuda]' -c constraints.txt"
    for text in importlib.metadata.requires("jax") or ():
        needed = Requirement(text)
        if needed.name == "jaxlib" and not needed.marker and not needed.specifier.contains(versions["jaxlib"] or "0"):
            yield Finding("versions", f"jax {versions['jax']} needs jaxlib {needed.specifier}", remedy)
    plugins = {major: versions[name] for major, name in PLUGINS.items() if versions.get(name)}
    for major, version in plugins.items():
        if version != versions["jaxlib"]:
            yield Finding("versions", f"{PLUGINS[major]} {version} beside jaxlib {versions['jaxlib']}", remedy)
    if not reading or not reading["devices"]:
        return
    cuda = reading.get("cuda")
    known = int(str(cuda).split(".")[0]) if cuda else None
    if plugins and known and min(plugins) > known:
        yield Finding(
            "versions",
            f"the driver {reading['driver']} knows CUDA {cuda}, the plugin is for {min(plugins)}",
            f"update NVIDIA's driver, or pip install 'jax[cuda{known}]'",
        )
    chosen = os.environ.get("JAX_PLATFORMS", "")
    if not plugins:
        yield Finding("JAX", "there is a GPU, and JAX computes on the CPU: it has no CUDA plugin", remedy)
    elif platform == "cpu" and not chosen:
        yield Finding(
            "JAX", "there is a GPU, and JAX computes on the CPU", "python -c 'import jax; jax.devices()' says why"
        )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _devices(nvidia: driver.Driver, reading: dict[str, Any] | None) -> Iterator[Finding]:
    if reading is None:
        if nvidia.fault or nvidia.pid:
            fault = nvidia.fault or "NVIDIA's driver does not answer in time"
            yield Finding("driver", fault, "nvidia-smi in another shell; if that hangs, restart the machine")
        elif Path("/dev/nvidia0").exists() or Path("/proc/driver/nvidia").exists():
            yield Finding(
                "driver", "there is an NVIDIA device and no libnvidia-ml.so.1", "install NVIDIA's driver whole"
            )
        else:
            yield Finding("devices", f"no GPU; {os.cpu_count()} CPU cores")
        return
    for name, error in reading["errors"].items():
        yield Finding("driver", f"{name}: {error}", "nvidia-smi should work for this user; else reinstall the driver")
    if reading["devices"]:
        yield Finding("driver", f"NVIDIA {reading.get('driver')}, CUDA up to {reading.get('cuda')}")
    seen = driver.visible(reading["devices"])
    if reading["devices"] and not seen:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        yield Finding("devices", f"CUDA_VISIBLE_DEVICES={hidden!r} leaves no GPU", "unset CUDA_VISIBLE_DEVICES")
    for device in seen:
        yield _device(device)


def _device(device: dict[str, Any]) -> Finding:
    slice_ = f" {str(device['uuid'])[:10]}" if device.get("parent") else ""
    what = f"GPU {device['index']}{slice_}"
    if device.get("lost") or not device.get("uuid"):
        return Finding(what, "lost: it has fallen off the bus", "restart the machine; if it is lost again, replace it")
    total, free = device.get("total"), device.get("free")
    parts = [str(device.get("name"))]
    if total and free is not None:
        parts.append(f"{size(free)} free of {size(total)}")
    taken = [
        f"{size(one['bytes'])} by {_who(one['pid'])}" if one["bytes"] is not None else f"by {_who(one['pid'])}"
        for one in device.get("processes") or ()
    ]
    parts += [f"taken: {', '.join(taken)}"] if taken else []
    if device.get("utilisation") is not None:
        parts.append(f"{device['utilisation']}% busy")
    if device.get("power_w") is not None:
        parts.append(
            f"{device['power_w']:.0f} W" + (f" of {device['power_limit_w']:.0f}" * bool(device["power_limit_w"]))
        )
    if device.get("throttle"):
        parts.append(f"throttled by {', '.join(device['throttle'])}")
    remedy = None
    if device.get("ecc_uncorrected"):
        parts.append(f"{device['ecc_uncorrected']} uncorrected memory errors")
        remedy = "nvidia-smi -r when nobody uses it; errors that come back: replace it"
    if total and free is not None and free < memory.jax_fraction() * total:
        share = max(0.05, int(20 * free / total) / 20 - 0.05)
        remedy = f"end who has taken it, or let JAX take less: export XLA_CLIENT_MEM_FRACTION={share:.2f}"
    return Finding(what, "; ".join(parts), remedy)


def _who(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"{process.name()} ({pid}, {process.username()})"
    except (psutil.Error, KeyError):
        return f"process {pid}"


def _host() -> Iterator[Finding]:
    limit = memory.host_limit()
    free = max(0, memory.host_available(limit))
    running = [one.info | {"pid": one.pid} for one in psutil.process_iter(["name", "memory_info"])]
    known = [(one["memory_info"].rss, one["name"], one["pid"]) for one in running if one["memory_info"]]
    largest = sorted(known, reverse=True)[:3]
    taken = ", ".join(f"{size(used)} by {name} ({pid})" for used, name, pid in largest)
    full = free < 0.08 * limit
    yield Finding(
        "host memory",
        f"{size(free)} free of {size(limit)}; most is taken: {taken}",
        "end one of these, or trials will be ended by the system" if full else None,
    )


def _disk() -> Iterator[Finding]:
    home = state.folder()
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    remedy = None
    if not os.access(existing, os.W_OK):
        remedy = f"make {existing} writable, or export VISHWAM_HOME=another folder"
    elif free < LEAST_DISK:
        remedy = "free some: `vishwam serve --gc`, old folders in checkpoints/; or export VISHWAM_HOME=another disk"
    yield Finding(
        "disk", f"{size(free)} free at {home}" + ("" if os.access(existing, os.W_OK) else ", not writable"), remedy
    )
    cache = home / "compile_cache"
    files = [file for file in cache.rglob("*-cache") if file.is_file()] if cache.exists() else []
    total = sum(file.stat().st_size for file in files)
    words = f"{len(files)} programs, {size(total)}" if files else "empty: the first trial compiles for half a minute"
    yield Finding("compile cache", words)


def _server(end: float) -> Iterator[Finding]:
    """The W&B server in use, and whether its key works."""
    if (mode := os.environ.get("WANDB_MODE")) in environment.OFFLINE:
        yield Finding("W&B", f"WANDB_MODE={mode}: runs stay on this machine, and sweeps do not work")
        return
    folder = state.folder() / "server"
    if _never_chosen() or environment.uses_embedded_server():
        address = local.address(folder)
        if address is None:
            yield Finding("W&B", "the embedded server, which is not up; ./run.sh and `vishwam env` start it")
            return
        url, key = address.url, address.api_key
        name = f"the embedded server at {url}"
    else:
        url, key = _configured()
        name = url
    if not key:
        yield Finding("W&B", f"{name}: no API key", f"wandb login --host {url}, or export WANDB_API_KEY=...")
        return
    yield _viewer(name, url, key, max(0.2, end - time.monotonic() - 0.1))


def _never_chosen() -> bool:
    """Whether no other server can have been, which is known without W&B's client: that takes a second to load."""
    netrc = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    known = ("WANDB_BASE_URL", "WANDB_API_KEY", "WANDB_MODE")
    return not any(map(os.environ.get, known)) and not netrc.exists() and not netrc.with_name("_netrc").exists()


def _configured() -> tuple[str, str]:
    """Address and key as W&B's client would find them; it is asked only where the environment does not say."""
    url, key = os.environ.get("WANDB_BASE_URL"), os.environ.get("WANDB_API_KEY")
    if not url or not key:
        import wandb
        from wandb.sdk.lib import wbauth

        url = url or str(wandb.setup().settings.base_url)
        key = key or wbauth.read_netrc_auth(host=url) or ""
    return url.rstrip("/"), key


def _viewer(name: str, url: str, key: str, seconds: float) -> Finding:
    body = json.dumps({"query": "query Viewer { viewer { id username entity } }"}).encode()
    coded = base64.b64encode(f"api:{key}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {coded}"}
    login = f"wandb login --relogin --host {url}, or export WANDB_API_KEY=..."
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}/graphql", body, headers), timeout=seconds) as reply:
            viewer = json.load(reply)["data"]["viewer"]
    except urllib.error.HTTPError as error:
        refused = error.code in (400, 401, 403)
        return Finding("W&B", f"{name} answers {error.code}" + ": the key is refused" * refused, login)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        reason = str(getattr(error, "reason", error))
        return Finding("W&B", f"{name} does not answer ({reason})", "see that it is up and WANDB_BASE_URL is right")
    if not viewer:
        return Finding("W&B", f"{name}: the key is refused", login)
    return Finding("W&B", f"{name}, as {viewer.get('username') or viewer.get('entity')}; the key works")
