"""The queue's rows, read and written through a `LocalClient`.

Every change is conditional on whose the row is: `False` or None as an answer says that it belongs to somebody else by
now, or is gone. Any other failure is raised as the ApiError it is.
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from dataclasses import replace
from typing import Any, Final

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange.runtime.clock import Clock
from hashrange_router.triggers.contracts import TRIGGER_TABLE, LocalClient
from hashrange_router.triggers.events import rows
from hashrange_router.triggers.events.rows import Event, Row, Seen

CONFLICTS_MAX: Final = 5
CONFLICT_S: Final = 0.02
PAYLOAD: Final = "payload"


class EventStore:
    """The sixteen queues."""

    def __init__(self, client: LocalClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def put(
        self, arn: str, payload: bytes, request_id: str, context: bytes | None, owner: str | None
    ) -> Event:
        """Keep a new event, due now, claimed by `owner` if one is given. Once this returns it is not lost."""
        now_ms = self._clock.wall_ms()
        event = Event(rows.queue_of(request_id), now_ms, request_id, arn, now_ms, context=context)
        if len(payload) <= rows.INLINE_BYTES:
            event = replace(event, payload=payload)
        else:
            event = replace(event, parts=await self._put_parts(request_id, PAYLOAD, payload))
        await self._client.call("PutItem", rows.put(event, owner))
        return event

    async def scan(
        self, queue: int, until_ms: int, limit: int, after: Row | None = None
    ) -> tuple[list[Seen], Row | None]:
        """One page of the rows that are due up to a moment, and where the next one begins."""
        reply = await self._client.call("Query", rows.scan(queue, until_ms, limit, after))
        return [Seen.of(row) for row in reply["Items"]], reply.get("LastEvaluatedKey")

    async def claim(self, seen: Seen, owner: str) -> Event | None:
        """Take over a row as it was seen; None when it has changed since."""
        reply = await self._guarded("UpdateItem", rows.claim(seen, owner))
        return Event.of(reply["Attributes"]) if reply is not None else None

    async def renew(self, event: Event, owner: str) -> bool:
        """Show that the owner is alive."""
        return await self._guarded("UpdateItem", rows.renew(event, owner)) is not None

    async def release(self, event: Event, owner: str) -> bool:
        """Leave the row to whoever comes next."""
        return await self._guarded("UpdateItem", rows.release(event, owner)) is not None

    async def settle(self, event: Event, owner: str, outcome: bytes) -> Event | None:
        """Keep what is still to be delivered; the event as it is from now on, or None."""
        if len(outcome) <= rows.INLINE_BYTES:
            event = replace(event, outcome=outcome)
        else:
            # Under a name of its own: somebody who has lost the event may be writing the same pieces.
            count = await self._put_parts(event.id, _outcome_of(owner), outcome)
            event = replace(event, outcome=owner.encode(), outcome_parts=count)
        done = await self._guarded("UpdateItem", rows.settle(event, owner))
        return event if done is not None else None

    async def move(self, event: Event, later: Event, owner: str) -> bool:
        """Let the event go on later, as `later` says, claimed by nobody."""
        for _ in range(CONFLICTS_MAX):
            try:
                await self._client.call("TransactWriteItems", rows.move(event, later, owner))
            except ApiError as error:
                if error.type_name != "TransactionCanceledException":
                    raise
                if "TransactionConflict" not in str(error.message):
                    return False
                await asyncio.sleep(CONFLICT_S)  # a renewal is under way
            else:
                return True
        return False

    async def finish(self, event: Event, owner: str) -> bool:
        """Remove the event for good."""
        if await self._guarded("DeleteItem", rows.finish(event, owner)) is None:
            return False
        await self._delete_parts(event.id, PAYLOAD, event.parts)
        if event.outcome is not None and event.outcome_parts:
            await self._delete_parts(event.id, _outcome_of(event.outcome.decode()), event.outcome_parts)
        return True

    async def payload(self, event: Event) -> bytes | None:
        """The payload of an event; None when its pieces are gone."""
        if event.payload is not None:
            return event.payload
        return await self._get_parts(event.id, PAYLOAD, event.parts)

    async def outcome(self, event: Event) -> bytes | None:
        """What is still to be delivered of an event; None when its pieces are gone."""
        if event.outcome is None or event.outcome_parts == 0:
            return event.outcome
        return await self._get_parts(event.id, _outcome_of(event.outcome.decode()), event.outcome_parts)

    async def ring(self, queue: int) -> None:
        """Tell the pools of a new row."""
        await self._client.call("UpdateItem", rows.ring(queue))

    async def listen(self) -> Row:
        """The counters of the bell."""
        reply = await self._client.call("GetItem", rows.listen())
        found: Row = reply.get("Item", {})
        return found

    # Pieces.

    async def _put_parts(self, request_id: str, what: str, data: bytes) -> int:
        pieces = rows.pieces(data)
        now_ms = self._clock.wall_ms()
        for number, piece in enumerate(pieces):
            await self._client.call("PutItem", rows.part(request_id, what, number, piece, now_ms))
        return len(pieces)

    async def _get_parts(self, request_id: str, what: str, count: int) -> bytes | None:
        found: list[bytes] = []
        for number in range(count):
            key = rows.part_key(request_id, what, number)
            request = {"TableName": TRIGGER_TABLE, "Key": key, "ConsistentRead": True}
            row = (await self._client.call("GetItem", request)).get("Item")
            if row is None:
                return None
            found.append(b64decode(row["data"]["B"]))
        return b"".join(found)

    async def _delete_parts(self, request_id: str, what: str, count: int) -> None:
        for number in range(count):
            request = {"TableName": TRIGGER_TABLE, "Key": rows.part_key(request_id, what, number)}
            await self._client.call("DeleteItem", request)

    async def _guarded(self, operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """A conditional write; None when the condition failed."""
        for attempt in range(CONFLICTS_MAX):
            try:
                return await self._client.call(operation, request)
            except ApiError as error:
                if error.type_name == CONDITION_FAILED:
                    return None
                if error.type_name != "TransactionConflictException" or attempt == CONFLICTS_MAX - 1:
                    raise
                await asyncio.sleep(CONFLICT_S)
        return None


def _outcome_of(owner: str) -> str:
    """The name of the pieces of an outcome that `owner` has written."""
    return f"outcome-{owner}"
