"""Lists of runs, page by page."""

import pytest

from tests.server.talk import Talk
from vishwam.server.local import Address

QUERY = """query Q($after: String, $order: String, $filters: JSONString) { project(name: "listed") {
    runCount(filters: $filters)
    runs(first: 3, after: $after, order: $order, filters: $filters) {
        totalCount edges { cursor node { name user { username } } } pageInfo { endCursor hasNextPage } } } }"""


def walk(talk: Talk, **given: str) -> list[tuple[str, str, str]]:
    """(name, cursor, user) of every run, from every page."""
    found: list[tuple[str, str, str]] = []
    after = None
    while True:
        project = talk.graphql(QUERY, after=after, **given)["project"]
        runs = project["runs"]
        assert runs["totalCount"] == project["runCount"] == 8
        assert len(runs["edges"]) <= 3
        found += [(e["node"]["name"], e["cursor"], e["node"]["user"]["username"]) for e in runs["edges"]]
        after = runs["pageInfo"]["endCursor"]
        if not runs["pageInfo"]["hasNextPage"]:
            return found


@pytest.mark.parametrize("order", ["", "+created_at", "-created_at", "created_at"])
def test_pages_of_all_runs_are_those_of_a_filter_that_lets_all_through(server: Address, order: str) -> None:
    """The one goes by the database's index, the other reads every run."""
    talk = Talk(server)
    for index in range(8):
        talk.run("listed", f"r{index}")
    plain = walk(talk, order=order)
    assert plain == walk(talk, order=order, filters='{"state": {"$ne": "nothing"}}')
    names = [name for name, _, _ in plain]
    assert names == sorted(names, reverse=order.startswith("-")) and len(set(names)) == 8
