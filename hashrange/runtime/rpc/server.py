"""The side that is dialled: accepts connections, checks who is there, and hands messages to a handler.

    server = RpcServer(identity, codec, handler)
    await server.start("127.0.0.1", 9100)
    ...
    await server.stop()

A peer of another cluster, of another protocol version, or one that means another node is refused with a reason. One
that is silent for longer than `SILENT_TICKS` of the timer is disconnected: it would have sent pings.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from functools import partial
from typing import Any

from hashrange.errors import ApiError, internal
from hashrange.runtime.logging import get_logger
from hashrange.runtime.rpc import frames
from hashrange.runtime.rpc.connection import QUEUE_BYTES_MAX, Connection
from hashrange.runtime.rpc.identity import (
    NODE,
    Identity,
    decode_hello,
    encode_hello,
    encode_refused,
    foreign,
    objection,
)
from hashrange.runtime.rpc.peers import Handler
from hashrange.wire.codec import Codec
from hashrange.wire.fields import FrameError

TICK_S = 0.5
SILENT_TICKS = 6
STOP_TIMEOUT_S = 2.0
"""How long a stop waits for what was sent to go out."""

STUCK_TICKS = 60
"""Ticks after which a peer that does not read its answers is disconnected."""

UNREAD_BYTES_MAX = 8 * QUEUE_BYTES_MAX
"""Answers that may wait for a peer that does not read them."""

log = get_logger("rpc")


class AcceptedConnection(Connection):
    """The server's end of a connection; a `Peer` to the handler."""

    def __init__(self, server: RpcServer) -> None:
        super().__init__(server.loop)
        self.server = server
        self.codec = server.codec
        self.handler = server.handler
        self.identity = Identity("", 0, "", "", 0, "")
        self.accepted = False
        self.reading_paused = False

    def on_open(self) -> None:
        self.server.connections.add(self)

    def on_frame(self, kind: int, frame_id: int, body: bytes) -> None:
        if not self.accepted:
            if kind != frames.HELLO:
                raise FrameError("something else before it said who it is")
            self._on_hello(body)
        elif kind == frames.REQUEST:
            self._on_request(frame_id, body)
        elif kind == frames.CAST:
            self.handler.cast(self, self.codec.decode_cast(body))
        elif kind == frames.PING:
            self._on_ping(body)
        else:
            raise FrameError(f"a frame of kind {kind}")

    def _on_hello(self, body: bytes) -> None:
        own = self.server.identity
        other, protocol, expected = decode_hello(body)
        self.identity = other
        reason = objection(own, other, protocol)
        if reason is None and expected not in (0, own.id):
            reason = f"this is {own}, not node {expected}"
        if reason is not None:
            self.send(frames.REFUSED, 0, encode_refused(reason))
            self.close(f"refused: {reason}", flush=True)
            return
        self.accepted = True
        self.server.admit(self)
        self.send(frames.HELLO, 0, encode_hello(own))

    def _on_ping(self, body: bytes) -> None:
        own = self.server.identity.cluster
        other = body.decode("utf-8", "replace")
        if foreign(own, other):
            self.close(f"it has joined cluster {other}, this is cluster {own}")
            return
        self.send(frames.PONG, 0, own.encode())

    def _on_request(self, frame_id: int, body: bytes) -> None:
        message = self.codec.decode_request(body)
        done = partial(self._reply, frame_id, message)
        try:
            self.handler.request(self, message, done)
        except ApiError as error:
            done(error)
        except Exception:
            log.error("handling a message failed", message=type(message).__name__, exc_info=True)
            done(internal())

    def _reply(self, frame_id: int, message: Any, answer: Any) -> None:
        if self.closed:
            return
        try:
            body = self.codec.encode_reply(message, answer)
        except Exception:
            log.error("an answer cannot be sent", message=type(message).__name__, exc_info=True)
            body = self.codec.encode_reply(message, internal())
        self.send(frames.REPLY, frame_id, body)
        if self.full:
            self._hold_back()

    def _hold_back(self) -> None:
        """Take in nothing more while so many answers wait."""
        if self.queued_bytes > UNREAD_BYTES_MAX:
            self.close("it does not read its answers")
        elif not self.reading_paused and self.transport is not None:
            self.reading_paused = True
            self.transport.pause_reading()

    def on_room(self) -> None:
        if self.reading_paused and not self.closed and self.transport is not None:
            self.reading_paused = False
            self.idle_ticks = 0
            self.transport.resume_reading()

    def cast(self, message: Any) -> None:
        """Tell the peer something; one that does not take it in is disconnected, so that it notices."""
        if self.full:
            self.close("it does not take in what it is told")
        elif not self.closed:
            self.send(frames.CAST, 0, self.codec.encode_cast(message))

    def on_close(self, reason: str) -> None:
        self.server.dismiss(self, reason)

    def tick(self) -> None:
        """Half a second has passed."""
        self.idle_ticks += 1
        if self.idle_ticks > (STUCK_TICKS if self.reading_paused else SILENT_TICKS):
            self.close("it does not read its answers" if self.reading_paused else "it has gone silent")


class RpcServer:
    """Listens on one address; all connections share one handler."""

    def __init__(
        self,
        identity: Identity,
        codec: Codec,
        handler: Handler,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`identity` is read at every handshake: its cluster may be set later."""
        self.identity = identity
        self.codec = codec
        self.handler = handler
        self.loop = loop or asyncio.get_running_loop()
        self.connections: set[AcceptedConnection] = set()
        self.blocked: frozenset[int] = frozenset()
        self._heard_at: dict[int, float] = {}
        self._by_node: dict[int, AcceptedConnection] = {}
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; OSError if the address is taken. Port 0 takes a free one. Returns the port."""
        self._listener = await self.loop.create_server(lambda: AcceptedConnection(self), host, port)
        self._timer = self.loop.call_later(TICK_S, self._tick)
        found: int = self._listener.sockets[0].getsockname()[1]
        return found

    async def stop(self) -> None:
        """Accept nothing more and end all connections once what was sent has gone out."""
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.close()
        ending = list(self.connections)
        for connection in ending:
            connection.close("this process stops", flush=True)
        gone = [connection.gone() for connection in ending]
        if gone and (await asyncio.wait(gone, timeout=STOP_TIMEOUT_S))[1]:
            log.warning("some peers did not take in what was sent to them before this process stopped")
        for connection in ending:
            if connection.transport is not None:
                connection.transport.abort()
        if self._listener is not None:
            await self._listener.wait_closed()

    def block(self, nodes: Iterable[int]) -> None:
        """Drop all frames from and to these nodes; replaces the set of before. Connections stay."""
        self.blocked = frozenset(nodes)
        for connection in list(self.connections):
            connection.mute(self._is_blocked(connection))

    def heard_at(self, node: int) -> float:
        """The loop's time when a node was last heard on a connection of its own; -inf if it never was."""
        connection = self._by_node.get(node)
        return connection.heard_at if connection is not None else self._heard_at.get(node, -math.inf)

    def admit(self, connection: AcceptedConnection) -> None:
        """A connection has said who is there."""
        other = connection.identity
        if other.kind == NODE:
            self._by_node[other.id] = connection
            if other.id in self.blocked:
                connection.mute(True)
        log.debug("a peer has connected", peer=str(other), process=other.process)

    def dismiss(self, connection: AcceptedConnection, reason: str) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        other = connection.identity
        if self._by_node.get(other.id) is connection:
            del self._by_node[other.id]
            self._heard_at[other.id] = connection.heard_at
        level = log.info if connection.accepted else log.warning
        level("a connection has ended", peer=str(other) or "unknown", reason=reason)

    def _is_blocked(self, connection: AcceptedConnection) -> bool:
        return connection.identity.kind == NODE and connection.identity.id in self.blocked

    def _tick(self) -> None:
        self._timer = self.loop.call_later(TICK_S, self._tick)
        for connection in list(self.connections):
            connection.tick()
