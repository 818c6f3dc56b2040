import time

import pytest
from wandb_workspaces import expr

from vishwam.server.pages.runsets import matches, select


def make(name, **values):
    return {"id": name, "name": name.upper(), "label": name, "state": "finished", "tags": [], "created": time.time(),
            "config": {}, "summary": {}, "sweep": None} | values  # fmt: skip


RUNS = [
    make("a", config={"lr": 0.1, "kind": "x", "model.layers": 2}, summary={"loss": 1.0}, sweep="s1", tags=["good"]),
    make("b", config={"lr": 0.2, "kind": "y"}, summary={"loss": 3.0}, sweep="s1", state="running"),
    make("c", config={"lr": 0.3, "kind": "x"}, sweep="s2", created=time.time() - 90_000),
]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("", "abc"),
        ("Metric('Sweep') == 's1'", "ab"),
        ("Metric('ID') in ['a', 'c']", "ac"),
        ("Metric('ID') not in ['a', 'c']", "b"),
        ("Metric('Name') == 'B'", "b"),
        ("Metric('State') == 'running'", "b"),
        ("Metric('State') != 'running'", "ac"),
        ("Config('lr') >= 0.2", "bc"),
        ("Config('lr') <= 0.2 and Config('kind') == 'x'", "a"),
        ("Config('lr') == 0.1 or Config('lr') == 0.3", "ac"),
        ("Config('kind') == 'y' or Config('kind') == 'x' and Config('lr') >= 0.3", "bc"),
        ("(Config('kind') == 'y' or Config('kind') == 'x') and Config('lr') >= 0.3", "c"),
        ("SummaryMetric('loss') <= 2", "a"),
        ("Tags() in ['good', 'other']", "a"),
        ("Metric('CreatedTimestamp') within_last 1 days", "ab"),
    ],
)
def test_filters_as_wandb_workspaces_writes_them(text, chosen):
    """Both forms: the tree of older reports and the flat list of newer ones."""
    tree = expr.expr_to_filters(text)
    for filters in (tree.model_dump(by_alias=True, exclude_none=True), expr.filters_tree_to_v2(tree)):
        assert "".join(run["id"] for run in RUNS if matches(run, filters)) == chosen


def names(runset):
    return "".join(run["id"] for run in select(RUNS, runset))


def test_order_search_and_hidden_runs():
    by_loss = {"keys": [{"key": {"section": "summary", "name": "loss"}, "ascending": False}]}
    assert names({"sort": by_loss}) == "bac"
    assert names({"search": {"query": "B"}}) == "b"
    assert names({"search": {"query": "^[AC]$", "isRegex": True}}) == "ac"
    assert names({"selections": {"root": 1, "tree": ["a"]}}) == "bc"
    assert names({"selections": {"root": 0, "tree": ["a", {"value": "g", "children": ["c"]}]}}) == "ac"


def test_a_disabled_filter_filters_nothing():
    leaf = {"key": {"section": "config", "name": "lr"}, "op": "=", "value": 5, "disabled": True}
    assert len([run for run in RUNS if matches(run, {"filterFormat": "filterV2", "filters": [leaf]})]) == 3
