"""Sweeps as an agent sees them, agents played by hand."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.server.talk import Talk
from vishwam.server.local import Address


@pytest.fixture
def talk(server: Address) -> Talk:
    return Talk(server)


AGENTS = """query Q($s: String!) {
project(name: "burnt") { sweep(sweepName: $s) { agents { edges { node { state } } } } } }"""


def grid(**parameters: list[Any]) -> dict[str, Any]:
    return {
        "method": "grid",
        "program": "x.py",
        "metric": {"name": "a.b/loss", "goal": "maximize"},
        "parameters": {name: {"values": values} for name, values in parameters.items()},
    }


def test_eight_agents_at_once_never_get_one_point_twice(talk: Talk) -> None:
    sweep = talk.sweep("eight", grid(x=list(range(8)), y=list(range(5))))
    assert sweep["state"] == "PENDING"

    def work(_: int) -> list[str]:
        agent, found = talk.agent("eight", sweep["name"]), []
        while command := talk.trial("eight", agent):
            found.append(json.dumps(command["args"], sort_keys=True))
        return found

    with ThreadPoolExecutor(8) as pool:
        points = [point for found in pool.map(work, range(8)) for point in found]
    assert len(points) == 40 == len(set(points))
    assert talk.state("eight", sweep["name"]) == "FINISHED"


def test_a_command_names_the_program_and_typed_values(talk: Talk) -> None:
    sweep = talk.sweep("command", grid(x=[0.5], s=["1e-5"], flag=[True], n=[None], l=[[1, 2]]))
    (command,) = talk.heartbeat(talk.agent("command", sweep["name"]))
    assert command["type"] == "run" and command["program"] == "x.py"
    assert command["args"] == {
        "x": {"value": 0.5}, "s": {"value": "1e-5"},
        "flag": {"value": True}, "n": {"value": None}, "l": {"value": [1, 2]},
    }  # fmt: skip


def test_a_lost_reply_gives_the_same_run_again(talk: Talk) -> None:
    sweep = talk.sweep("lost", grid(x=[1, 2]))
    agent = talk.agent("lost", sweep["name"])
    (command,) = talk.heartbeat(agent)
    assert talk.heartbeat(agent) == [command]
    assert talk.heartbeat(agent, command["run_id"]) == [], "it runs now"


def test_a_trial_that_dies_before_the_agent_looks_again_has_failed(talk: Talk) -> None:
    """It looks like a lost reply, but only once."""
    sweep = talk.sweep("atonce", grid(x=[1, 2]))
    agent = talk.agent("atonce", sweep["name"])
    (first,), again, (second,) = (talk.heartbeat(agent) for _ in range(3))
    assert again == [first] and second["args"] != first["args"]
    states = talk.graphql('{ project(name: "atonce") { runs { edges { node { name state } } } } }')
    by_name = {edge["node"]["name"]: edge["node"]["state"] for edge in states["project"]["runs"]["edges"]}
    assert by_name == {first["run_id"]: "failed", second["run_id"]: "pending"}


def test_a_trial_that_never_reached_wandb_is_failed_and_not_repeated(talk: Talk) -> None:
    sweep = talk.sweep("unborn", grid(x=[1, 2]))
    agent = talk.agent("unborn", sweep["name"])
    (first,) = talk.heartbeat(agent)
    talk.heartbeat(agent, first["run_id"])
    (second,) = talk.heartbeat(agent)
    assert second["args"] != first["args"]
    states = talk.graphql('{ project(name: "unborn") { runs { edges { node { name state } } } } }')
    by_name = {edge["node"]["name"]: edge["node"]["state"] for edge in states["project"]["runs"]["edges"]}
    assert by_name == {first["run_id"]: "failed", second["run_id"]: "pending"}


def test_paused_waits_stopped_and_canceled_end(talk: Talk) -> None:
    change = "mutation M($id: ID, $s: String) { upsertSweep(input: {id: $id, state: $s}) { sweep { state } } }"
    sweep = talk.sweep("states", grid(x=[1, 2, 3, 4]))
    agent = talk.agent("states", sweep["name"])
    talk.graphql(change, id=sweep["id"], s="PAUSED")
    assert talk.heartbeat(agent) == []
    talk.graphql(change, id=sweep["id"], s="RUNNING")
    (command,) = talk.heartbeat(agent)
    name = command["run_id"]
    talk.graphql(change, id=sweep["id"], s="FINISHED")
    assert talk.heartbeat(agent, name) == [], "stop lets the running trial end"
    talk.graphql(change, id=sweep["id"], s="CANCELED")
    assert talk.heartbeat(agent, name) == [{"type": "stop", "run_id": name}]
    assert talk.heartbeat(agent) == [{"type": "exit"}]


def test_run_cap_ends_a_random_sweep(talk: Talk) -> None:
    config = {"method": "random", "run_cap": 3, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    sweep = talk.sweep("cap", config)
    agent = talk.agent("cap", sweep["name"])
    assert [talk.trial("cap", agent) is not None for _ in range(4)] == [True, True, True, False]
    assert talk.state("cap", sweep["name"]) == "FINISHED"


def test_bayes_learns_from_results(talk: Talk) -> None:
    config = {
        "method": "bayes",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"min": -10.0, "max": 10.0}},
    }
    sweep = talk.sweep("bayes", config)
    agent = talk.agent("bayes", sweep["name"])
    query = "mutation M($input: AgentHeartbeatInput!) { agentHeartbeat(input: $input) { commands } }"
    losses = []
    for _ in range(30):
        reply = talk.graphql(query, input={"id": agent})
        (command,) = json.loads(reply["agentHeartbeat"]["commands"])
        name, x = command["run_id"], command["args"]["x"]["value"]
        losses.append((x - 4) ** 2)
        talk.run("bayes", name)
        row = json.dumps({"_step": 0, "loss": losses[-1]})
        talk.stream("bayes", name, {"wandb-history.jsonl": {"offset": 0, "content": [row]}}, complete=True, exitcode=0)
    assert min(losses) < 0.1
    best = talk.graphql('{ project(name: "bayes") { sweeps { edges { node { bestLoss runCount } } } } }')
    assert best["project"]["sweeps"]["edges"][0]["node"] == {"bestLoss": min(losses), "runCount": 30}


def test_early_stopping_stops_the_worse_and_tells_agent_and_run(talk: Talk) -> None:
    config = grid(x=[1, 2, 3]) | {"early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 3}}
    sweep = talk.sweep("stop", config)

    def log(name: str, values: list[float]) -> list[bool]:
        talk.run("stop", name)
        rows = [json.dumps({"_step": i, "a": {"b/loss": value}}) for i, value in enumerate(values)]
        return [
            talk.stream("stop", name, {"wandb-history.jsonl": {"offset": i, "content": [row]}})["stopped"]
            for i, row in enumerate(rows)
        ]

    agents = [talk.agent("stop", sweep["name"]) for _ in range(3)]
    good, poor, late = [talk.heartbeat(agent)[0]["run_id"] for agent in agents]
    assert log(good, [5.0, 6.0, 7.0]) == [False, False, False], "the first to reach a band sets it"
    # At band 2: 6.0 and 1.0, to be maximised; the best 1/3 of two is the better one.
    assert log(poor, [2.0, 1.0]) == [False, True]
    assert log(late, [float("nan"), 9.0, 5.0]) == [False, False, False], "NaN is no iteration, and 9.0 is good enough"
    assert talk.heartbeat(agents[1], poor) == [{"type": "stop", "run_id": poor}]
    talk.heartbeat(agents[1])
    runs = talk.graphql('{ project(name: "stop") { runs { edges { node { name state stopped } } } } }')
    states = {edge["node"]["name"]: edge["node"] for edge in runs["project"]["runs"]["edges"]}
    assert states[poor]["state"] == "finished" and states[poor]["stopped"]
    assert states[good]["state"] == "running" and not states[good]["stopped"]


def test_a_preempted_trial_is_resumed_before_a_new_one_begins(talk: Talk) -> None:
    sweep = talk.sweep("preempted", grid(x=[1, 2]))
    first = talk.agent("preempted", sweep["name"])
    (command,) = talk.heartbeat(first)
    name = command["run_id"]
    talk.run("preempted", name)
    talk.heartbeat(first, name)
    talk.stream("preempted", name, preempting=True)
    talk.stream("preempted", name, complete=True, exitcode=1)
    (again,) = talk.heartbeat(talk.agent("preempted", sweep["name"]))
    assert again == {**command, "type": "resume"}


def test_an_agent_that_burns_trials_gets_no_more_and_is_told_why(talk: Talk) -> None:
    sweep = talk.sweep("burnt", grid(x=list(range(20))))
    agent = talk.agent("burnt", sweep["name"])
    names = []
    for _ in range(5):
        (command,) = talk.heartbeat(agent)
        names.append(command["run_id"])
        talk.heartbeat(agent, command["run_id"])
    stop, leave = talk.heartbeat(agent)
    assert (stop["type"], leave) == ("stop", {"type": "exit"})
    assert all(name in stop["run_id"] for name in names) and "gives this agent no more trials" in stop["run_id"]
    assert talk.heartbeat(agent) == [{"type": "exit"}], "said once: the function agent reads only the first command"
    agents = talk.graphql(AGENTS, s=sweep["name"])["project"]["sweep"]["agents"]["edges"]
    assert [edge["node"]["state"] for edge in agents] == ["STOPPED"]
    assert talk.heartbeat(talk.agent("burnt", sweep["name"]))[0]["type"] == "run", "another agent goes on"


def test_failures_that_are_not_in_a_row_burn_nothing(talk: Talk) -> None:
    sweep = talk.sweep("slow", grid(x=list(range(20))))
    agent = talk.agent("slow", sweep["name"])
    for _ in range(4):
        (command,) = talk.heartbeat(agent)
        talk.heartbeat(agent, command["run_id"])
    assert talk.trial("slow", agent), "one that works in between"
    for _ in range(4):
        (command,) = talk.heartbeat(agent)
        talk.heartbeat(agent, command["run_id"])
    assert talk.heartbeat(agent)[0]["type"] == "run"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "guess"}, "method must be one of grid, random, bayes"),
        ({"parameters": {}}, "a sweep needs parameters"),
        ({"parameters": {"x": {"min": 2.0, "max": 1.0}}}, "parameter x"),
        ({"method": "bayes", "metric": None}, "method bayes needs a metric"),
        ({"run_cap": 0}, "run_cap must be a positive integer"),
        ({"early_terminate": {"type": "hyperband"}}, "hyperband needs min_iter or max_iter"),
        ({"early_terminate": {"type": "envelope"}}, "type must be hyperband"),
        ({"metric": {"name": "x", "goal": "up"}}, "goal must be minimize or maximize"),
    ],
)
def test_a_sweep_that_cannot_work_is_refused_with_the_reason(talk: Talk, change: dict, words: str) -> None:
    query = "mutation M($input: UpsertSweepInput!) { upsertSweep(input: $input) { sweep { id } } }"
    config = json.dumps(grid(x=[1]) | change)
    status, message = talk.refused(query, input={"projectName": "bad", "config": config})
    assert status == 400 and words in message
