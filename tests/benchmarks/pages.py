"""How soon the pages show what the server has, in a real browser: headless Chromium against a server of its own.

First draw: from the address to the charts of the first screen, on a server that has just started and has read nothing
yet. Live: rows sent as the client sends them, to a page that is open.

Beside TensorBoard's HParams page on the same runs, where $TENSORBOARD or the path has one: until its table shows trials
(the first screen has no more), its server having read every event before.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.screenshots import browser, chromium
from tests.server.pages.world import World
from vishwam.server import history, local
from vishwam.server.local import Address
from vishwam.server.pages import thinned
from vishwam.server.store import Store

TRIALS, POINTS = 200, 10_000
METRICS = ("validation/loss", "train/loss", "interpolate/exact_match", "extrapolate/exact_match")
RUN_METRICS = 50
CHARTS, SERIES, LIVE_POINTS = 20, 5, 500
UPDATES = 10
PROJECT = "benchmark"
LIMIT_S = 60.0

# Notes when a page first fulfils `ready`, and how long the main thread was busy at most, in ms.
WATCH = """
const ready = () => { %s };
const look = () => { if (ready()) window.drawnAt ??= performance.now(); else requestAnimationFrame(look); };
requestAnimationFrame(look);
window.longest = 0;
let last = performance.now();
const channel = new MessageChannel();
channel.port1.onmessage = () => {
  const now = performance.now();
  window.longest = Math.max(window.longest, now - last);
  last = now;
  setTimeout(() => { last = performance.now(); channel.port2.postMessage(0); }, 0);
};
channel.port2.postMessage(0);
"""
VISIBLE = "[...document.querySelectorAll('.chart .plot')].filter((one) => one.chart.visible)"
# TensorBoard's table of trials has cells with a setting in them.
TABLE = """["tf-hparams-dashboard", "tf-hparams-main", "tf-hparams-sessions-pane", "tf-hparams-table-view"]
    .reduce((root, name) => root?.querySelector(name)?.shadowRoot, document)
    ?.querySelectorAll("vaadin-grid-cell-content") ?? []"""
DRAWN = f"{VISIBLE}.every((one) => Number(one.chart.root.dataset.points) > 0)"


def run() -> list[dict]:
    if chromium() is None:
        raise SystemExit("no Chromium on this machine: install one, or name it in $CHROMIUM")
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder))
        address = local.start_or_reuse(Path(folder), port=local.free_port())
        try:
            with browser() as opened:
                # The browser itself is busy for its first seconds.
                opened.new_page().wait_for_timeout(3000)
                page = f"{address.url}/{address.entity}/{PROJECT}"
                run_page = _first_draw(opened, f"{page}/runs/wide", f"{VISIBLE}.length && {DRAWN}")
                charts = "document.querySelectorAll('#curves .chart[data-points]').length"
                sweep_page = _first_draw(
                    opened,
                    f"{page}/sweeps/abcd1234",
                    f"{charts} >= {len(METRICS)} && document.querySelector('#parallel canvas')",
                )
                delay, block = _live(opened, page, address)
        finally:
            local.stop(Path(folder))
        peer = _tensorboard(Path(folder) / "tensorboard")
    rows = [
        ("sweep_page_first_draw_s", sweep_page, peer, "s"),
        ("run_page_first_draw_s", run_page, None, "s"),
        ("live_delay_s", delay, None, "s"),
        ("live_update_block_ms", block, None, "ms"),
    ]
    return [
        {"what": what, "ours": ours, "peer": peer, "ratio": None if peer is None else peer / ours, "unit": unit}
        for what, ours, peer, unit in rows
    ]


def _fill(folder: Path) -> None:
    """A sweep of long trials, a run of many metrics, and a run that goes on."""
    store = Store(folder)
    world = World(store, PROJECT)
    rng = np.random.default_rng(0)
    sweep = world.sweep()
    steps = np.arange(POINTS, dtype=float)
    for trial, (config, curves) in enumerate(_trials()):
        number = world.run(f"t{trial:03d}", config, sweep, state="finished", ended_at=time.time())
        _columns(world, number, {"train/step": steps, **curves})
    number = world.run("wide", {}, state="finished", ended_at=time.time())
    wide = {f"part{i % 5}/metric_{i}": rng.standard_normal(POINTS).cumsum() for i in range(RUN_METRICS)}
    _columns(world, number, {"train/step": steps, **wide})
    number = world.run("live", {})
    world.log(number, list(_live_rows(0, LIVE_POINTS)))
    # What the server does within seconds of a run's end.
    asyncio.run(thinned.keep(store))
    store.close()


def _trials() -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Settings and curves of each trial of the sweep, the same whenever asked."""
    rng = np.random.default_rng(1)
    steps = np.arange(POINTS, dtype=float)
    for trial in range(TRIALS):
        config = {
            "position": ("place", "rope")[trial % 2],
            "learning_rate": float(10 ** rng.uniform(-4, -1)),
            "weight_decay": float(rng.choice([0.0, 0.01, 0.1])),
        }
        noise = 0.02 * rng.standard_normal((len(METRICS), POINTS))
        speeds = rng.uniform(1e3, 5e3, len(METRICS))
        yield config, {name: np.exp(-steps / speeds[i]) + noise[i] for i, name in enumerate(METRICS)}


def _tensorboard(folder: Path) -> float | None:
    """Seconds from the address of TensorBoard's HParams page to trials in its table; None where it is not installed."""
    program = os.environ.get("TENSORBOARD") or shutil.which("tensorboard")
    if not program:
        print("pages: no TensorBoard to measure beside; $TENSORBOARD names one", file=sys.stderr)
        return None
    folder.mkdir()
    configs, curves = zip(*_trials(), strict=True)
    values = np.array([list(of_trial.values()) for of_trial in curves], np.float32)
    names, knobs = np.array(json.dumps(METRICS)), np.array(json.dumps(configs))
    np.savez(folder / "curves.npz", steps=np.arange(POINTS), values=values, metrics=names, knobs=knobs)
    # The first line of the script names the Python that has TensorBoard.
    python = Path(program).read_text().splitlines()[0].removeprefix("#!").strip()
    writer = Path(__file__).with_name("_tensorboard_events.py")
    subprocess.run([python, str(writer), str(folder / "events"), str(folder / "curves.npz")], check=True)
    port = local.free_port()
    command = [program, "--logdir", str(folder / "events"), "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _until(lambda: _groups(address) == TRIALS, 10 * LIMIT_S)
        with browser() as opened:
            opened.new_page().wait_for_timeout(3000)
            ready = f"[...{TABLE}].filter((one) => /place|rope/.test(one.textContent)).length >= 10"
            return _first_draw(opened, f"{address}/#hparams", ready)
    finally:
        server.terminate()
        server.wait()


def _groups(address: str) -> int:
    """How many trials TensorBoard has read to their last step."""
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    asked = {"startIndex": 0, "sliceSize": TRIALS, "allowedStatuses": statuses, "colParams": []}
    request = urllib.request.Request(
        f"{address}/data/plugin/hparams/session_groups",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    found: list[dict] = []
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=60) as reply:
        found = json.load(reply)["sessionGroups"]
    ends = [value.get("trainingStep") for group in found for value in group.get("metricValues", [])]
    return len(found) if ends and min(ends) == POINTS - 1 else 0


def _columns(world: World, run: int, columns: dict[str, np.ndarray]) -> None:
    """Rows as `history.append` leaves them by metric; the rows' own text, which no chart reads, is left out."""
    with world.store.transaction() as db:
        for first in range(0, POINTS, history.CHUNK):
            parts = {key: np.ascontiguousarray(y[first : first + history.CHUNK]) for key, y in columns.items()}
            db.executemany(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(run, history.HISTORY, key, first, len(y), b"", y.tobytes()) for key, y in parts.items()],
            )
        db.execute("INSERT INTO series_end VALUES (?, ?, ?)", (run, history.HISTORY, POINTS))
        summary = json.dumps({key: float(y[-1]) for key, y in columns.items()})
        db.execute("UPDATE runs SET history_lines = ?, summary_json = ? WHERE id = ?", (POINTS, summary, run))


def _live_rows(start: int, end: int) -> Iterator[dict]:
    for step in range(start, end):
        yield {
            "train/step": step,
            **{f"live/chart{c}/{s}": (step * (s + 1) % 97) / (c + 1) for c in range(CHARTS) for s in range(SERIES)},
        }


def _first_draw(opened: Any, address: str, ready: str) -> float:
    """Seconds from the address to the first screen's charts."""
    page = opened.new_page(viewport={"width": 1360, "height": 900})
    page.add_init_script(WATCH % f"return {ready};")
    page.goto(address, wait_until="domcontentloaded")
    drawn = _until(lambda: page.evaluate("window.drawnAt"))
    page.close()
    return drawn / 1000


def _live(opened: Any, project: str, address: Address) -> tuple[float, float]:
    """Seconds until a row that the server has is on the page (the worst), and the main thread's longest pause in ms."""
    page = opened.new_page(viewport={"width": 1360, "height": 2000})
    page.add_init_script(WATCH % f"return {VISIBLE}.length >= {CHARTS} && {DRAWN};")
    page.goto(f"{project}/runs/live", wait_until="domcontentloaded")
    _until(lambda: page.evaluate("window.drawnAt"))
    _until(lambda: page.locator("#live.on").count())
    time.sleep(2)
    # When the last chart of the page has drawn as many points as it should.
    shown = f"Math.min(...{VISIBLE}.map((one) => Number(one.chart.root.dataset.points)))"
    watch = f"""(wanted) => new Promise((done) => {{
        const look = () => {shown} >= wanted ? done(Date.now() / 1000) : setTimeout(look, 5);
        look();
    }})"""
    delays, pauses = [], []
    for update in range(UPDATES):
        count = LIVE_POINTS + update
        page.evaluate("window.longest = 0")
        _send(address, count, list(_live_rows(count, count + 1)))
        begun = time.time()
        drawn = page.evaluate(watch, SERIES * (count + 1))
        page.wait_for_timeout(300)
        delays.append(drawn - begun)
        pauses.append(page.evaluate("window.longest"))
    page.close()
    return max(delays), statistics.median(pauses)


def _send(address: Address, offset: int, rows: list[dict]) -> None:
    """Rows to the run `live`, as the client streams them."""
    content = [json.dumps({"_step": offset + i, "_runtime": offset + i, **row}) for i, row in enumerate(rows)]
    body = json.dumps({"files": {"wandb-history.jsonl": {"offset": offset, "content": content}}}).encode()
    key = base64.b64encode(f"api:{address.api_key}".encode()).decode()
    request = urllib.request.Request(
        f"{address.url}/files/{address.entity}/{PROJECT}/live/file_stream",
        body,
        {"Authorization": f"Basic {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        reply.read()


def _until(found: Any, limit_s: float = LIMIT_S) -> Any:
    end = time.monotonic() + limit_s
    while not (value := found()):
        if time.monotonic() > end:
            raise SystemExit(f"the page did not draw in {limit_s:.0f} s")
        time.sleep(0.02)
    return value
