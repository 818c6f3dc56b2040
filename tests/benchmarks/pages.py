"""How soon the pages show what the server has, in a real browser: headless Chromium against a server of its own.

First draw: from the address to the charts of the first screen, on a server that has just started and has read nothing
yet. Live: rows sent as the client sends them, to a page that is open.
"""

import asyncio
import base64
import json
import statistics
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
DRAWN = f"{VISIBLE}.every((one) => Number(one.chart.root.dataset.points) > 0)"


def run() -> list[dict]:
    if chromium() is None:
        raise SystemExit("no Chromium on this machine: install one, or name it in $CHROMIUM")
    with tempfile.TemporaryDirectory() as folder:
        _fill(Path(folder))
        address = local.start_or_reuse(Path(folder), port=local.free_port())
        try:
            with browser() as opened:
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
    rows = [
        ("sweep_page_first_draw_s", sweep_page, "s"),
        ("run_page_first_draw_s", run_page, "s"),
        ("live_delay_s", delay, "s"),
        ("live_update_block_ms", block, "ms"),
    ]
    return [{"what": what, "ours": ours, "peer": None, "ratio": None, "unit": unit} for what, ours, unit in rows]


def _fill(folder: Path) -> None:
    """A sweep of long trials, a run of many metrics, and a run that goes on."""
    store = Store(folder)
    world = World(store, PROJECT)
    rng = np.random.default_rng(0)
    sweep = world.sweep()
    steps = np.arange(POINTS, dtype=float)
    for trial in range(TRIALS):
        config = {
            "position": ("place", "rope")[trial % 2],
            "learning_rate": float(10 ** rng.uniform(-4, -1)),
            "weight_decay": float(rng.choice([0.0, 0.01, 0.1])),
        }
        number = world.run(f"t{trial:03d}", config, sweep, state="finished", ended_at=time.time())
        curves = {name: np.exp(-steps / rng.uniform(1e3, 5e3)) + 0.02 * rng.standard_normal(POINTS) for name in METRICS}
        _columns(world, number, {"train/step": steps, **curves})
    number = world.run("wide", {}, state="finished", ended_at=time.time())
    wide = {f"part{i % 5}/metric_{i}": rng.standard_normal(POINTS).cumsum() for i in range(RUN_METRICS)}
    _columns(world, number, {"train/step": steps, **wide})
    number = world.run("live", {})
    world.log(number, list(_live_rows(0, LIVE_POINTS)))
    # What the server does within seconds of a run's end.
    asyncio.run(thinned.keep(store))
    store.close()


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


def _until(found: Any) -> Any:
    end = time.monotonic() + LIMIT_S
    while not (value := found()):
        if time.monotonic() > end:
            raise SystemExit(f"the page did not draw in {LIMIT_S:.0f} s")
        time.sleep(0.02)
    return value
