"""Sending again what may be sent again, at the next router, until its outcome is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tests.cluster.workloads.client import ApiClient, RawClient, Refused, Unknown, Unsent

T = TypeVar("T")
Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]

CONFLICT = "TransactionConflictException"
CANCELLED = "TransactionCanceledException"
IN_PROGRESS = "TransactionInProgressException"
EXPECTED = frozenset(
    (CONFLICT, CANCELLED, IN_PROGRESS, "ConditionalCheckFailedException", "ThrottlingException")
)
"""Refusals that a correct server may answer with."""

PATIENCE_S = 20.0
PAUSE_S = 0.1
PAUSE_MAX_S = 1.0


RECONNECT_CALLS = 60
"""Routers share a port: a client that kept its connection would never come to one that was started again."""


class WanderingClient:
    """A client of several routers: after a failure it goes to the next one. One call at a time."""

    def __init__(self, endpoints: list[str], first: int, timeout_s: float = 8.0) -> None:
        self._clients = [RawClient(endpoint, timeout_s) for endpoint in endpoints]
        self._at = first % len(endpoints)
        self._calls = 0

    async def ready(self) -> None:
        """Have a connection to any router, or raise `Unsent`."""
        for _ in self._clients:
            try:
                await self._clients[self._at].ready()
                return
            except Unsent as unsent:
                failure = unsent
                self._move()
        raise failure

    async def call(self, operation: str, document: dict[str, Any]) -> dict[str, Any]:
        """One call; raises `Refused`, `Unsent` or `Unknown`."""
        self._calls += 1
        if self._calls % RECONNECT_CALLS == 0:
            self._clients[self._at].close()
        try:
            await self.ready()
            return await self._clients[self._at].call(operation, document)
        except Unknown as unknown:
            if not unknown.answered:
                self._move()
            raise

    def _move(self) -> None:
        self._at = (self._at + 1) % len(self._clients)

    def close(self) -> None:
        """Give all connections up."""
        for client in self._clients:
            client.close()


async def insist(client: ApiClient, what: Callable[[], Awaitable[T]], deadline: float | None = None) -> T:
    """Do something until its outcome is known. With a `deadline` (monotonic seconds) refusals are repeated too.

    Without one, a refusal after an unknown outcome is final: what carries a token and is cancelled now was not
    done before either. Raises the last `Unknown`, `Unsent` or `Refused` when time is up.
    """
    until = deadline if deadline is not None else time.monotonic() + PATIENCE_S
    pause_s = PAUSE_S
    unknown: Unknown | None = None
    while True:
        try:
            return await what()
        except Unknown as error:
            unknown = error
            failure: Exception = error
        except Unsent as error:
            failure = unknown or error
        except Refused as error:
            if deadline is None and error.type_name != IN_PROGRESS:
                raise
            failure = error if deadline is not None else Unknown("still in progress")
        if time.monotonic() + pause_s > until:
            raise failure
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 1.5, PAUSE_MAX_S)


async def read_together(call: Call, gets: list[dict[str, Any]], torn: bool) -> list[dict[str, Any] | None]:
    """The items of `Get`s, as of one moment; `torn`: each as of a moment of its own, which a check must find out."""
    if not torn:
        answer = await call("TransactGetItems", {"TransactItems": [{"Get": get} for get in gets]})
        return [each.get("Item") for each in answer["Responses"]]
    answers = [await call("GetItem", {**get, "ConsistentRead": True}) for get in gets]
    return [answer.get("Item") for answer in answers]
