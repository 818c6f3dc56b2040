"""The embedded server under load, beside a bare ASGI application that makes one SQLite commit a request.

Rows of growth have the number of runs in their name, each of 1,000 rows of history; latencies are medians. They
are drawn in .vishwam/benchmarks/server_growth.svg.
"""

import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks._drawing import draw
from tests.benchmarks._load import Client, bare, folder_bytes, load, post, quantile
from tests.server.talk import Talk
from vishwam import state
from vishwam.server import bayes, local, search
from vishwam.server.store import Store

CLIENTS = 8
SECONDS = 5.0
BATCH = 1_000
RUNS = (10, 100, 1_000)
TRIALS = 500
HEARTBEAT = 'mutation H($id: ID!) { agentHeartbeat(input: {id: $id, runState: "{}"}) { commands } }'
PAGE = """query R { project(name: "p") { runCount runs(first: 50, order: "-created_at") {
    edges { node { id name state config summaryMetrics } } pageInfo { hasNextPage } } } }"""
SWEEP = {
    "method": "bayes",
    "metric": {"name": "loss", "goal": "minimize"},
    "parameters": {
        **{f"x{index}": {"min": 0.0, "max": 1.0} for index in range(4)},
        "rate": {"distribution": "log_uniform_values", "min": 0.0001, "max": 0.1},
        "kind": {"values": ["a", "b", "c"]},
        "layers": {"min": 1, "max": 8},
    },
}


def run() -> list[dict]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _starting(folder / "start")
        rows += _under_load(folder / "load")
        growth = _growth(folder / "growth")
        _draw(growth)
        rows += growth
        rows += _suggestions(folder / "bayes")
        return rows


def _row(what: str, ours: float, unit: str, peer: float | None = None, more_is_better: bool = False) -> dict:
    ratio = None if peer is None else round(ours / peer if more_is_better else peer / ours, 2)
    return {"what": what, "ours": round(ours, 2), "peer": peer and round(peer, 2), "ratio": ratio, "unit": unit}


def _starting(folder: Path) -> list[dict]:
    """A fresh folder, and then one that was there; the middle of five."""
    took = []
    for _ in range(5):
        started = time.perf_counter()
        local.start_or_reuse(folder)
        took.append(time.perf_counter() - started)
        local.stop(folder)
    return [_row("start_seconds", statistics.median(took), "s")]


def line(step: int) -> str:
    row = {"_step": step, "_runtime": step / 7, "_timestamp": 1.7e9 + step / 7, "train/step": step}
    return json.dumps({**row, "train/loss": random.random(), "train/gradient_norm": random.random()})


class Feed:
    """The next request of each client: `size` rows of its own run."""

    def __init__(self, address: local.Address, names: list[str], size: int) -> None:
        self.address, self.names, self.size = address, names, size
        self.sent = [0] * len(names)
        self.bytes = 0
        texts = [line(step) for step in range(size * 20)]
        self._chunks = [texts[start : start + size] for start in range(0, len(texts), size)]

    def __call__(self, client: int) -> bytes:
        first = self.sent[client]
        self.sent[client] += self.size
        # Rows that differ in their steps alone would be taken for the same.
        chunk = self._chunks[first // self.size % len(self._chunks)]
        self.bytes += sum(map(len, chunk))
        body = json.dumps({"files": {"wandb-history.jsonl": {"offset": first, "content": chunk}}}).encode()
        path = f"/files/local/p/{self.names[client]}/file_stream"
        return post(self.address.url, path, self.address.api_key, body)


def _under_load(folder: Path) -> list[dict]:
    address = local.start_or_reuse(folder, port=local.free_port())
    talk = Talk(address)
    try:
        batched, single = ([f"{kind}{index}" for index in range(CLIENTS)] for kind in "bs")
        for name in batched + single:
            talk.run("p", name)
        before = folder_bytes(folder)
        feed = Feed(address, batched, BATCH)
        batches, _ = load(address.url, feed, CLIENTS, SECONDS)
        written = sum(feed.sent)
        size = (folder_bytes(folder) - before) / written
        text = feed.bytes / written
        beats = Beats(talk)
        beats.during(lambda: load(address.url, Feed(address, single, 1), CLIENTS, SECONDS))
        rates, cpu = _beside_the_peer(talk, folder)
        return [
            _row("rows_per_second_batched", batches * BATCH, "rows/s"),
            _row("requests_per_second_single_row", *rates, more_is_better=True),
            _row("cpu_us_per_single_row", *cpu),
            _row("heartbeat_p99_ms", 1e3 * quantile(beats.took, 0.99), "ms"),
            _row("memory_mb", _memory(folder), "MB"),
            _row("bytes_per_row", size, "bytes (peer: its JSON)", text),
        ]
    finally:
        local.stop(folder)


def _beside_the_peer(talk: Talk, folder: Path) -> tuple[tuple[float, str, float], tuple[float, str, float]]:
    """Single-row requests a second of this server and of the bare application, in turns; the middle of five each.

    And the processor's time that one takes of each, which other work on the machine moves less.
    """
    names = [f"t{index}" for index in range(CLIENTS)]
    for name in names:
        talk.run("p", name)
    rates: list[list[float]] = [[], []]
    with bare(folder / "bare") as (url, process):
        feeds = [Feed(talk.address, names, 1), Feed(local.Address(url, "k" * 40, "local"), names, 1)]
        processes = [_process(folder), process]
        before = [_cpu(process) for process in processes]
        for _ in range(5):
            for feed, found in zip(feeds, rates, strict=True):
                found.append(load(feed.address.url, feed, CLIENTS, SECONDS / 5)[0])
        took = [
            1e6 * (_cpu(process) - start) / sum(feed.sent)
            for process, start, feed in zip(processes, before, feeds, strict=True)
        ]
    ours, peer = map(statistics.median, rates)
    return (ours, "requests/s", peer), (took[0], "us", took[1])


def _cpu(process: psutil.Process) -> float:
    return sum(process.cpu_times()[:2])


def _process(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "lock").read_text()))


def _memory(folder: Path) -> float:
    return _process(folder).memory_info().rss / 2**20


class Beats:
    """An agent that speaks fifty times a second beside whatever else goes on."""

    def __init__(self, talk: Talk) -> None:
        sweep = talk.sweep("p", {"method": "random", "parameters": {"x": {"min": 0.0, "max": 1.0}}})
        body = json.dumps({"query": HEARTBEAT, "variables": {"id": talk.agent("p", sweep["name"])}}).encode()
        self._request = post(talk.address.url, "/graphql", talk.address.api_key, body)
        self._url = talk.address.url
        self.took: list[float] = []

    def during(self, act: Callable[[], Any]) -> Any:
        over = threading.Event()

        def beat() -> None:
            client = Client(self._url)
            while not over.wait(0.02):
                self.took.append(client.ask(self._request))

        thread = threading.Thread(target=beat)
        thread.start()
        try:
            return act()
        finally:
            over.set()
            thread.join()


def _growth(folder: Path) -> list[dict]:
    address = local.start_or_reuse(folder, port=local.free_port())
    talk = Talk(address)
    page = post(address.url, "/graphql", address.api_key, json.dumps({"query": PAGE}).encode())
    rows: list[dict] = []
    names: list[str] = []
    rows_of_a_run = [line(step) for step in range(BATCH)]
    try:
        for count in RUNS:
            while len(names) < count:
                names.append(f"r{len(names)}")
                talk.run("p", names[-1], config=json.dumps({f"knob{i}": {"value": i} for i in range(10)}))
                talk.stream("p", names[-1], {"wandb-history.jsonl": {"offset": 0, "content": rows_of_a_run}})
            client, feed = Client(address.url), Feed(address, names[-1:], 1)
            feed.sent = [1000]
            appended = [client.ask(feed(0)) for _ in range(200)]
            pages = [client.ask(page) for _ in range(10)]
            rows += [
                _row(f"storage_mb, {count} runs", folder_bytes(folder) / 2**20, "MB"),
                _row(f"storage_kb_per_run, {count} runs", folder_bytes(folder) / count / 1024, "KB"),
                _row(f"append_ms, {count} runs", 1e3 * statistics.median(appended), "ms"),
                _row(f"page_of_50_ms, {count} runs", 1e3 * statistics.median(pages), "ms"),
            ]
        return rows
    finally:
        local.stop(folder)


def _draw(rows: list[dict]) -> None:
    panels: dict[str, dict[int, float]] = {}
    for row in rows:
        name, _, count = row["what"].partition(", ")
        panels.setdefault(name, {})[int(count.split()[0])] = row["ours"]
    folder = state.folder() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    draw(folder / "server_growth.svg", "runs of 1,000 rows", panels)


def _suggestions(folder: Path) -> list[dict]:
    """A suggestion at 500 finished trials, asked for over HTTP by a new agent each time, and who waited meanwhile."""
    address = local.start_or_reuse(folder, port=local.free_port())
    talk = Talk(address)
    sweep = talk.sweep("p", SWEEP)["name"]
    local.stop(folder)
    _finish_trials(folder, TRIALS)
    address = local.start_or_reuse(folder)
    try:
        talk = Talk(address)
        took = []
        beats = Beats(talk)
        for _ in range(5):
            agent = talk.agent("p", sweep)
            started = time.perf_counter()
            (command,) = beats.during(lambda agent=agent: talk.heartbeat(agent))
            took.append(time.perf_counter() - started)
            assert command["type"] == "run"
        return [
            _row("bayes_suggestion_ms", 1e3 * statistics.median(took), "ms"),
            _row("others_meanwhile_p99_ms", 1e3 * quantile(beats.took, 0.99), "ms"),
            _row("memory_mb, after suggestions", _memory(folder), "MB"),
        ]
    finally:
        local.stop(folder)


def _finish_trials(folder: Path, count: int) -> None:
    """Trials of the one sweep of the folder, at random points."""
    parameters = search.space(SWEEP)
    store = Store(folder)
    with store.transaction() as db:
        for index in range(count):
            values = search.random_point(parameters, str(index))
            db.execute(
                "INSERT INTO runs (project_id, name, state, created_at, sweep_id, suggestion_json, search_json, "
                "metric_best, metric_count) VALUES (1, ?, 'finished', 0, 1, ?, ?, ?, 1)",
                (f"t{index}", json.dumps(search.arguments(parameters, values)),
                 json.dumps(bayes.coordinates_of(parameters, values)), random.random()),
            )  # fmt: skip
    store.close()
