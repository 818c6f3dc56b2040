from starlette.routing import BaseRoute
from vishwam.server.store import Store


def routes(store: Store) -> list[BaseRoute]:
    return []
