"""What arrives from the other nodes: what they have written and read, and writes that they want made here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from hashrange.errors import ApiError, internal
from hashrange.runtime.logging import get_logger
from hashrange_dax.coherence import messages as wire
from hashrange_dax.coherence.connections import HANDSHAKE_TICKS, Accepted, Self
from hashrange_dax.coherence.inbound import Inbound
from hashrange_dax.coherence.membership import SILENT_TICKS, Membership
from hashrange_dax.coherence.messages import Key
from hashrange_dax.contracts import BackendDone, BackendReply, Change, Request

STRANGERS_MAX: Final = 64
"""Connections of which nobody has shown yet who is there."""

FORWARDED_MAX: Final = 10_000
"""Writes for others that are under way at a time."""

log = get_logger("dax")


class LocalTier(Protocol):
    """The caches of this node, as the others act on them."""

    def write_here(self, operation: str, request: Request, done: BackendDone) -> None:
        """Make a write, take over what it leaves, and tell the others."""
        ...

    def accept(self, changes: Sequence[Change]) -> None:
        """Take over what another node has written or read."""
        ...

    def drop(self, keys: Sequence[Key]) -> None:
        """Serve these keys no more."""
        ...

    def clear(self) -> None:
        """Serve no item any more that is cached."""
        ...


class Receiving:
    """All connections that others have dialled (`connections.Receiver`)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        own: Self,
        membership: Membership,
        tier: Callable[[], LocalTier],
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._own = own
        self._membership = membership
        self._tier = tier
        self._changed = changed
        self._inbound = Inbound()
        self._strangers: set[Accepted] = set()
        self._by_node: dict[str, Accepted] = {}
        self._under_way = 0
        self._idle: asyncio.Future[None] | None = None
        self.stopping = False
        self.received = 0
        self.clears = 0
        self.forwarded = 0

    def accept(self) -> Accepted:
        """A connection is being made (the listener's protocol factory)."""
        connection = Accepted(self._loop, self._own, self)
        if len(self._strangers) >= STRANGERS_MAX or self.stopping:
            connection.close("there are too many connections, or this node stops")
        else:
            self._strangers.add(connection)
        return connection

    # ---- connections.Receiver

    def admit(self, connection: Accepted) -> int:
        """See `connections.Receiver`."""
        hello = connection.hello
        assert hello is not None
        self._strangers.discard(connection)
        older = self._by_node.get(hello.node_id)
        if older is not None:
            older.close("it has made another connection")
        self._by_node[hello.node_id] = connection
        last, lost = self._inbound.admit(
            hello.node_id, hello.process, self._membership.primary == hello.node_id
        )
        if lost:
            self._give_up(hello.node_id, "it was started anew")
        self._membership.opened(hello.node_id)
        self._changed()
        return last

    def pinged(self, connection: Accepted, hears: list[str]) -> None:
        """See `connections.Receiver`."""
        self._membership.heard(connection.node_id, hears)
        connection.send(
            wire.PONG, self._inbound.last(connection.node_id), wire.pack(*self._membership.living())
        )

    def told(self, connection: Accepted, first: int, changes: bytes) -> None:
        """See `connections.Receiver`."""
        node_id = connection.node_id
        known, lost = self._inbound.take(node_id, first)
        if lost:
            self._give_up(node_id, "it has told of changes that did not arrive")
        count, runs = wire.decode_tell(changes, known)
        wrote = False
        for told, invalid in runs:
            self.received += len(told) + len(invalid)
            if told:
                wrote = wrote or any(change.written for change in told)
                self._tier().accept(told)
            else:
                wrote = True
                self._tier().drop(invalid)
        self._membership.heard(node_id)
        self._inbound.taken(node_id, first + count - 1, wrote)

    def goodbye(self, connection: Accepted) -> None:
        """See `connections.Receiver`."""
        connection.said_goodbye = True

    def forwarded_write(self, connection: Accepted, number: int, write: bytes) -> None:
        """See `connections.Receiver`."""
        operation, request = wire.decode_forward(write)
        self._membership.heard(connection.node_id)
        if self.stopping or self._under_way >= FORWARDED_MAX:
            connection.send(wire.ANSWER, number, wire.encode_answer(None))
            return
        self._under_way += 1
        self.forwarded += 1

        def done(answer: BackendReply | ApiError) -> None:
            self._under_way -= 1
            if self._idle is not None and not self._under_way and not self._idle.done():
                self._idle.set_result(None)
            connection.send(wire.ANSWER, number, wire.encode_answer(answer))
            if connection.full:
                connection.close("it does not read its answers")

        try:
            self._tier().write_here(operation, request, done)
        except ApiError as error:
            done(error)
        except Exception:
            log.error("a forwarded write failed", operation=operation, exc_info=True)
            done(internal())

    def ended(self, connection: Accepted, reason: str) -> None:
        """See `connections.Receiver`."""
        self._strangers.discard(connection)
        if not connection.admitted:
            log.warning("a connection from another cache node was not made", reason=reason)
            return
        node_id = connection.node_id
        if self._by_node.get(node_id) is connection:
            del self._by_node[node_id]
        self._inbound.ended(node_id, connection.said_goodbye)
        self._membership.closed(node_id)

    # ---- what the owner learns

    def died(self, node_id: str, successor: str | None = None) -> None:
        """A node is dead, has gone, or was started anew as process `successor`."""
        connection = self._by_node.get(node_id)
        hello = connection.hello if connection is not None else None
        if connection is not None and (hello is None or hello.process != successor):
            connection.close("it is dead, or has gone")
        if self._inbound.died(node_id, successor):
            self._give_up(node_id, "it has died, and may not have told everything")

    def writes(self, node_id: str) -> None:
        """A node is the primary now."""
        self._inbound.writes(node_id)

    def tick(self) -> None:
        """A tick of the owner's timer has passed."""
        for connection in list(self._strangers):
            connection.age_ticks += 1
            if connection.age_ticks > HANDSHAKE_TICKS:
                connection.close("it did not show in time who it is")
        for connection in list(self._by_node.values()):
            connection.idle_ticks += 1
            if connection.idle_ticks > SILENT_TICKS:
                connection.close("it has gone silent")

    async def drain(self, timeout_s: float) -> None:
        """Make no more writes for others, and wait until those under way are answered."""
        self.stopping = True
        if self._under_way:
            self._idle = self._loop.create_future()
            await asyncio.wait([self._idle], timeout=timeout_s)

    def stop(self) -> list[asyncio.Future[None]]:
        """End all connections; the futures are done when what was sent has gone out."""
        self.stopping = True
        ending = [*self._strangers, *self._by_node.values()]
        for connection in ending:
            connection.close("this node stops", flush=True)
        return [connection.gone() for connection in ending if connection.transport is not None]

    def _give_up(self, node_id: str, reason: str) -> None:
        log.warning("the item cache is given up", node=node_id, reason=reason)
        self.clears += 1
        self._tier().clear()
