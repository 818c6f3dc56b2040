"""Group commit: what arrives at the same moment is committed at once, as databases under many clients do.

Nobody is answered before the commit that holds what was said. An act is whole or nothing, and may be made twice: it
does nothing but read and write the database.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

from vishwam.server.store import Store

MOST = 64  # acts of a transaction; it holds everybody else up meanwhile
Act = Callable[[sqlite3.Connection], Any]


class Together:
    """Acts that come turn after turn of the event loop, in one transaction; `undone()` when one failed.

    The first turn that brings none ends the wait: a commit costs more than the acts of one client.
    """

    def __init__(self, store: Store, undone: Callable[[], None] = lambda: None) -> None:
        self._store, self._undone = store, undone
        self._waiting: list[tuple[Act, asyncio.Future[Any]]] = []

    async def commit(self, act: Act) -> Any:
        """What `act` returned, once it is committed; raises what it raised, or why the commit failed."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._gather, loop, 0)
        future = loop.create_future()
        self._waiting.append((act, future))
        return await future

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int) -> None:
        if before < len(self._waiting) < MOST:
            loop.call_soon(self._gather, loop, len(self._waiting))
        else:
            self._flush()

    def _flush(self) -> None:
        if self._store.held_back is not None:
            self._store.held_back.append(self._flush)
            return
        waiting, self._waiting = self._waiting, []
        outcomes = self._commit([act for act, _ in waiting])
        for (_, future), (value, failure) in zip(waiting, outcomes, strict=True):
            if future.done():
                continue  # its request was cancelled
            if failure is None:
                future.set_result(value)
            else:
                future.set_exception(failure)

    def _commit(self, acts: list[Act]) -> list[tuple[Any, Exception | None]]:
        """What each act returned or raised. One that raises is undone with all of them, and then each is by itself."""
        try:
            with self._store.transaction() as db:
                return [(act(db), None) for act in acts]
        except Exception as error:
            self._undone()
            return [(None, error)] if len(acts) == 1 else [self._commit([act])[0] for act in acts]
