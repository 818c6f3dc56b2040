"""The pages people browse, at the addresses the wandb client prints; what they ask for and may do is under /-/."""

from starlette.routing import BaseRoute

from vishwam.server.pages.control import control_routes
from vishwam.server.pages.data import data_routes
from vishwam.server.pages.export import export_routes
from vishwam.server.pages.html import page_routes
from vishwam.server.store import Store


def routes(store: Store) -> list[BaseRoute]:
    """All routes of the pages; mount them last, because /{entity}/{project} takes any path of two parts."""
    return [*data_routes(store), *control_routes(store), *export_routes(store), *page_routes(store)]
