"""Many agents at once, and what goes on while a search thinks."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.talk import Talk
from vishwam.server import bayes
from vishwam.server.app import create_app
from vishwam.server.local import Address
from vishwam.server.store import Store

BAYES = {"method": "bayes", "metric": {"name": "loss"}, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
HEARTBEAT = "mutation M($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) { commands } }"

# Eight agents in threads, each until there is nothing left; prints the points they were given. They begin at a word.
AGENTS = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from tests.server.talk import Talk
from vishwam.server.local import Address
talk = Talk(Address(*sys.argv[1:4]))
project, sweep = sys.argv[4:]
def work(_):
    agent, found = talk.agent(project, sweep), []
    while command := talk.trial(project, agent, "loss", 1.0):
        found.append(command["args"])
    return found
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(8) as pool:
    print(json.dumps([point for found in pool.map(work, range(8)) for point in found]))
"""


def test_sixteen_agents_in_two_processes_never_get_one_point_twice(server: Address) -> None:
    talk = Talk(server)
    knobs = {"x": {"values": list(range(8))}, "y": {"values": list(range(10))}}
    sweep = talk.sweep("crowd", {"method": "grid", "metric": {"name": "loss"}, "parameters": knobs})
    command = [sys.executable, "-c", AGENTS, server.url, server.api_key, server.entity, "crowd", sweep["name"]]
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 2
    for process in processes:
        print("go", file=process.stdin, flush=True)
    shares = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    points = [(point["x"]["value"], point["y"]["value"]) for share in shares for point in share]
    assert all(shares), "both took part"
    assert sorted(points) == [(x, y) for x in range(8) for y in range(10)]
    assert talk.state("crowd", sweep["name"]) == "FINISHED"


class Inside:
    """The application without a socket, on the test's own event loop."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        token = base64.b64encode(f"api:{self.store.api_key}".encode()).decode()
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(self.store, open_pages=False)),
            base_url="http://test",
            headers={"Authorization": f"Basic {token}"},
        )

    async def graphql(self, query: str, **given: Any) -> Any:
        reply = await self.client.post("/graphql", json={"query": query, "variables": {"input": given}})
        return reply.json()["data"]

    async def sweep(self, config: dict[str, Any]) -> dict[str, Any]:
        query = "mutation M($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { id name state } } }"
        return (await self.graphql(query, projectName="p", config=json.dumps(config)))["upsertSweep"]["sweep"]

    async def agent(self, sweep: dict[str, Any]) -> str:
        query = "mutation M($input: CreateAgentInput!) { createAgent(input: $input) { agent { id } } }"
        made = await self.graphql(query, host="h", projectName="p", sweep=sweep["name"])
        return made["createAgent"]["agent"]["id"]

    async def heartbeat(self, agent: str, *alive: str) -> list[dict[str, Any]]:
        reply = await self.graphql(HEARTBEAT, id=agent, runState=json.dumps(dict.fromkeys(alive, True)))
        return json.loads(reply["agentHeartbeat"]["commands"])


class Thinking:
    """A search that takes until it is told to end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.end = threading.Event(), threading.Event()
        suggest = bayes.suggest

        def slow(*arguments: Any, **more: Any) -> Any:
            self.begun.set()
            assert self.end.wait(30)
            return suggest(*arguments, **more)

        monkeypatch.setattr(bayes, "suggest", slow)

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 30)


@pytest.fixture
def thinking(monkeypatch: pytest.MonkeyPatch) -> Thinking:
    return Thinking(monkeypatch)


def test_nothing_else_waits_while_a_search_thinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        server = Inside(tmp_path)
        sweep = await server.sweep(BAYES)
        worker, asker = await server.agent(sweep), await server.agent(sweep)
        (running,) = await server.heartbeat(worker)
        name = running["run_id"]
        thinking = Thinking(monkeypatch)
        asked = asyncio.create_task(server.heartbeat(asker))
        await thinking.has_begun()
        # Reads, writes, other sweeps, and this sweep's running trials: all are answered.
        assert (await server.client.get("/ready")).status_code == 200
        row = {"files": {"wandb-history.jsonl": {"offset": 0, "content": ['{"_step": 0, "loss": 1}']}}}
        assert (await server.client.post(f"/files/local/p/{name}/file_stream", json=row)).status_code == 200
        grid = await server.sweep({"method": "grid", "parameters": {"x": {"values": [1]}}})
        assert (await server.heartbeat(await server.agent(grid)))[0]["type"] == "run"
        assert await server.heartbeat(worker, name) == []
        assert not asked.done()
        thinking.end.set()
        assert [command["type"] for command in await asyncio.wait_for(asked, 30)] == ["run"]

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_sweep_that_is_stopped_while_its_search_thinks_begins_no_trial(tmp_path: Path, thinking: Thinking) -> None:
    async def scenario() -> None:
        server = Inside(tmp_path)
        sweep = await server.sweep(BAYES)
        agent = await server.agent(sweep)
        asked = asyncio.create_task(server.heartbeat(agent))
        await thinking.has_begun()
        query = "mutation M($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { state } } }"
        await server.graphql(query, id=sweep["id"], state="CANCELED")
        thinking.end.set()
        assert await asked == []
        assert await server.heartbeat(agent) == [{"type": "exit"}]
        assert server.store.reader().execute("SELECT count(*) FROM runs").fetchone()[0] == 0

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_agents_that_ask_while_a_search_thinks_get_points_of_their_own(tmp_path: Path, thinking: Thinking) -> None:
    async def scenario() -> None:
        server = Inside(tmp_path)
        sweep = await server.sweep(BAYES)
        asked = [asyncio.create_task(server.heartbeat(await server.agent(sweep))) for _ in range(4)]
        await thinking.has_begun()
        thinking.end.set()
        points = [commands[0]["args"]["x"]["value"] for commands in await asyncio.gather(*asked)]
        assert len(set(points)) == 4

    asyncio.run(asyncio.wait_for(scenario(), 60))
