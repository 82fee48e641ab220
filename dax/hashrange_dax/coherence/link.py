"""The way from this node to one other: it is told what has changed, and asked to make writes.

The connection is dialled at once and again whenever it is lost. What is told goes on where the other says it was; the
log keeps that for a while. A write that was sent is answered exactly once: by the other, or with `Lost` when nobody
knows what came of it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final, Protocol

from hashrange.runtime.logging import get_logger
from hashrange.wire.fields import FrameError
from hashrange_dax.coherence import messages as wire
from hashrange_dax.coherence.changes import ChangeLog
from hashrange_dax.coherence.connections import HANDSHAKE_TICKS, Dialled, Self
from hashrange_dax.coherence.membership import SILENT_TICKS

CONNECT_TIMEOUT_S: Final = 1.0
BACKOFF_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0

CHUNK_BYTES: Final = 128 << 10
"""Changes that go out in one frame, about."""

WAITING_BYTES_MAX: Final = 256 << 10
"""What may wait on the connection before changes stay in the log."""

RESUME_TICKS: Final = 40
"""How long changes are kept for a node that cannot be reached."""

FORWARD_TICKS: Final = 120
"""How long the answer to a forwarded write may take."""

Answered = Callable[[bytes | None], None]
"""Told the answer to a forwarded write; None when nobody knows what came of it. May raise FrameError."""

log = get_logger("dax")


class LinkOwner(Protocol):
    """Whose links these are."""

    loop: asyncio.AbstractEventLoop
    own: Self
    changes: ChangeLog

    def address_of(self, node_id: str) -> tuple[str, int] | None:
        """Where a node listens for the others; None if that cannot be told."""
        ...

    def link_up(self, node_id: str) -> None:
        """A connection to a node is up."""
        ...

    def link_down(self, node_id: str) -> None:
        """It has ended."""
        ...

    def link_heard(self, node_id: str, hears: list[str]) -> None:
        """The node is there, and sees these alive."""
        ...


class Link:
    """One other node, as this one reaches it."""

    def __init__(self, owner: LinkOwner, node_id: str) -> None:
        self._owner = owner
        self.node_id = node_id
        self.up: Dialled | None = None
        self.acknowledged = math.inf
        """The number of the last change that the other says it has; infinite before it has said so."""
        self.down_ticks = 0
        self._connection: Dialled | None = None
        self._connection_ticks = 0
        self._dialling: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._stopped = False
        self._cursor = 0
        self._pumping = False
        self._pending: dict[int, tuple[Answered, int]] = {}
        self._last_forward = 0
        self._ticks = 0

    # ---- the connection

    def dial(self) -> None:
        """Begin an attempt to connect, unless there is a connection."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if not self._stopped and self._dialling is None and self._connection is None:
            self._dialling = self._owner.loop.create_task(self._dial())

    async def _dial(self) -> None:
        owner = self._owner
        reason = ""
        try:
            address = owner.address_of(self.node_id)
            if address is None:
                raise ValueError("its address is not known")
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await owner.loop.create_connection(self._made, *address)
        except TimeoutError:
            reason = "no connection in time"
        except (OSError, ValueError) as error:
            reason = str(error)
        self._dialling = None
        if reason and self._connection is not None:
            self._connection.close(reason)
        elif reason or self._connection is None:
            self._failed(reason or "the connection was lost")

    def _made(self) -> Dialled:
        self._connection_ticks = 0
        self._connection = Dialled(self._owner.loop, self._owner.own, self.node_id, self)
        return self._connection

    def _failed(self, reason: str) -> None:
        if self._failures == 0 and not self._stopped:
            log.info("a cache node cannot be reached", node=self.node_id, reason=reason)
        self._failures += 1
        if not self._stopped and self._retry is None and self._dialling is None:
            pause_s = min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(self._failures - 1, 10))
            self._retry = self._owner.loop.call_later(pause_s, self._redial)

    def _redial(self) -> None:
        self._retry = None
        self.dial()

    def welcome(self, connection: Dialled, last: int) -> None:
        """See `connections.Sender`."""
        if last > self._owner.changes.head:
            connection.close("it has more than it was ever told")
            return
        self.up = connection
        self._failures = 0
        self._cursor = last
        self.acknowledged = last
        log.info("connected to a cache node", node=self.node_id)
        self._owner.link_up(self.node_id)
        self.pump()

    def lost(self, connection: Dialled, reason: str) -> None:
        """See `connections.Sender`."""
        if connection is not self._connection:
            return
        self._connection = None
        was_up = self.up is not None
        self.up = None
        self.down_ticks = 0
        pending, self._pending = self._pending, {}
        if was_up:
            log.info("the connection to a cache node has ended", node=self.node_id, reason=reason)
            self._owner.link_down(self.node_id)
        for answered, _ in pending.values():
            connection.guarded(answered, None)
        self._failed(reason)

    def end(self, reason: str) -> None:
        """End the connection there is; another one is tried for."""
        if self._connection is not None:
            self._connection.close(reason)

    def stop(self, goodbye: bool) -> asyncio.Future[None] | None:
        """End the connection and dial no more; the future is done when what was sent has gone out.

        `goodbye`: tell the other that this is all there was, if it is.
        """
        self._stopped = True
        if self._retry is not None:
            self._retry.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        connection = self._connection
        if connection is None:
            return None
        if self.up is not None and goodbye:
            self.pump()
            if self._cursor == self._owner.changes.head:
                connection.send(wire.GOODBYE, 0, b"")
        gone = connection.gone()
        connection.close("this node stops, or the other has gone", flush=True)
        return gone

    # ---- telling

    def room(self, connection: Dialled) -> None:
        """See `connections.Sender`."""
        self.pump()

    def pump(self) -> None:
        """Send what the other has not been told, as far as it takes it in."""
        connection, changes = self.up, self._owner.changes
        if connection is None or self._pumping:
            return
        self._pumping = True  # a flush that leaves room calls back here
        while not connection.closed and connection.queued_bytes < WAITING_BYTES_MAX:
            found = changes.after(self._cursor, CHUNK_BYTES)
            if found is None:
                # It has missed something: the next number says so.
                self._cursor = changes.head
                connection.send(wire.TELL, self._cursor + 1, wire.encode_tell(b"", 0))
                continue
            entries, last = found
            if last == self._cursor:
                break
            connection.send(wire.TELL, self._cursor + 1, wire.encode_tell(entries, last - self._cursor))
            self._cursor = last
            connection.flush()
        self._pumping = False

    def pong(self, connection: Dialled, last: int, hears: list[str]) -> None:
        """See `connections.Sender`."""
        self.acknowledged = last
        self._owner.link_heard(self.node_id, hears)

    def ping(self, hears: bytes) -> None:
        """Ask whether the other is there, and tell it whom this node sees."""
        if self.up is not None:
            self.up.send(wire.PING, 0, hears)

    # ---- forwarding

    def forward(self, write: bytes, answered: Answered) -> bool:
        """Have a write made there; False if it cannot be sent now, and was not."""
        connection = self.up
        if connection is None or connection.full:
            return False
        self._last_forward += 1
        self._pending[self._last_forward] = (answered, self._ticks + FORWARD_TICKS)
        connection.send(wire.FORWARD, self._last_forward, write)
        return True

    def answered(self, connection: Dialled, number: int, answer: bytes) -> None:
        """See `connections.Sender`."""
        waiting = self._pending.pop(number, None)
        if waiting is None:
            return  # given up on
        try:
            waiting[0](answer)
        except FrameError:
            waiting[0](None)
            raise

    # ---- time

    def tick(self) -> None:
        """A tick of the owner's timer has passed."""
        self._ticks += 1
        connection = self._connection
        if self.up is not None and connection is not None:
            connection.idle_ticks += 1
            if connection.idle_ticks > SILENT_TICKS:
                connection.close("it has gone silent")
        if self.up is None:
            self.down_ticks += 1
            if connection is not None:
                self._connection_ticks += 1
                if self._connection_ticks > HANDSHAKE_TICKS:
                    connection.close("it did not answer in time")
            return
        late = [number for number, (_, until) in self._pending.items() if until <= self._ticks]
        for number in late:
            waiting = self._pending.pop(number, None)
            if waiting is not None and connection is not None:
                connection.guarded(waiting[0], None)

    def needs(self) -> float:
        """Up to which number the log may forget, as far as this node is concerned."""
        return math.inf if self.up is None and self.down_ticks > RESUME_TICKS else self.acknowledged
