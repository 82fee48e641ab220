"""Where asynchronous invocations are put: `contracts.EventQueue`.

In a pool the runner of the same process takes an event over in the very write that keeps it, and begins at once. A
process without a pool rings the bell, which the pools look at many times a second.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from hashrange.errors import ApiError
from hashrange.runtime.logging import get_logger
from hashrange_router.triggers.events.rows import Event
from hashrange_router.triggers.events.store import EventStore


class Taker(Protocol):
    """Who can run events in this process."""

    def reserve(self, arn: str) -> str | None:
        """The name to claim an event by, with a place kept for it; None when there is no room."""
        ...

    def take(self, event: Event, owner: str, payload: bytes) -> None:
        """Run an event that was put with a name of `reserve`."""
        ...

    def give_back(self, arn: str) -> None:
        """The place of `reserve` is not needed after all."""
        ...


class DurableEventQueue:
    """The queue, as one process puts events into it."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._taker: Taker | None = None
        self._ringing: set[asyncio.Task[None]] = set()
        self._log = get_logger("triggers")

    def attach(self, taker: Taker) -> None:
        """Events put here are run here, as far as there is room."""
        self._taker = taker

    async def put(
        self, function_arn: str, payload: bytes, request_id: str, client_context: bytes | None
    ) -> None:
        """Keep an event until it has been run, or given up. When this returns it is not lost any more."""
        taker = self._taker
        owner = taker.reserve(function_arn) if taker is not None else None
        try:
            event = await self._store.put(function_arn, payload, request_id, client_context, owner)
        except BaseException:
            if taker is not None and owner is not None:
                taker.give_back(function_arn)
            raise
        if taker is not None and owner is not None:
            taker.take(event, owner, payload)
            return
        ringing = asyncio.get_running_loop().create_task(self._ring(event.queue))
        self._ringing.add(ringing)
        ringing.add_done_callback(self._ringing.discard)

    async def _ring(self, queue: int) -> None:
        try:
            await self._store.ring(queue)
        except ApiError as error:
            # The pools look into every queue from time to time anyway.
            self._log.debug("the bell of the events could not be rung", reason=str(error))
