"""The way to one node: a connection that is dialled when it is needed, and again whenever it is lost.

A link is idle (waiting for its next attempt), dialling, or up. Requests made while it dials wait for the outcome;
while it is idle they fail at once, as nothing has been sent.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from hashrange.errors import internal
from hashrange.runtime.logging import get_logger
from hashrange.runtime.rpc import frames
from hashrange.runtime.rpc.connection import Connection
from hashrange.runtime.rpc.identity import (
    NODE,
    Identity,
    decode_hello,
    decode_refused,
    encode_hello,
    foreign,
    objection,
)
from hashrange.runtime.rpc.peers import Done
from hashrange.wire.faults import Overloaded, Unreachable
from hashrange.wire.fields import FrameError

if TYPE_CHECKING:
    from hashrange.runtime.rpc.rpc_peers import RpcPeers

CONNECT_TIMEOUT_S = 2.0
BACKOFF_S = 0.05
BACKOFF_MAX_S = 2.0
REFUSED_PAUSE_S = 5.0
WAITING_MAX = 10_000
"""Requests that may wait for a connection to come up."""

log = get_logger("rpc")


class DialledConnection(Connection):
    """The end of a connection at the side that dialled; a `Peer` to the handler of what the other casts."""

    def __init__(self, link: Link) -> None:
        super().__init__(link.peers.loop)
        self.link = link
        self.codec = link.peers.codec
        self.handler = link.peers.handler
        self.identity = Identity(NODE, link.node, "", "", 0, "")
        self.accepted = False
        self.refused = False
        self.pending: dict[int, tuple[Done, float]] = {}
        """Requests without an answer: who waits, and until when (the loop's time)."""
        self._last_id = 0

    def request(self, message: Any, done: Done, deadline: float) -> None:
        """Send a request; `done` gets the answer, or an error by the deadline or when the connection ends."""
        try:
            body = self.codec.encode_request(message)
        except Exception:
            log.error("a message cannot be sent", message=type(message).__name__, exc_info=True)
            done(internal())
            return
        self._last_id = frame_id = self._last_id + 1
        self.pending[frame_id] = (done, deadline)
        self.send(frames.REQUEST, frame_id, body)

    def cast(self, message: Any) -> None:
        """Tell the node something; dropped while too much waits.

        It goes out at once: whoever casts has gathered already, and a tick is a long time to a single write.
        """
        if not self.full and not self.closed:
            self.send(frames.CAST, 0, self.codec.encode_cast(message))
            self.flush()

    def on_open(self) -> None:
        self.send(frames.HELLO, 0, encode_hello(self.link.peers.identity, self.link.node))

    def on_frame(self, kind: int, frame_id: int, body: bytes) -> None:
        if kind == frames.REPLY and self.accepted:
            waiting = self.pending.pop(frame_id, None)
            try:
                answer = self.codec.decode_reply(body)
            except FrameError as error:
                if waiting is not None:
                    self.guarded(waiting[0], internal("an unreadable answer"))
                raise error
            if waiting is not None:
                waiting[0](answer)
        elif kind == frames.CAST and self.accepted:
            if self.handler is not None:
                self.handler.cast(self, self.codec.decode_cast(body))
        elif kind == frames.PONG and self.accepted:
            self._check_cluster(body)
        elif kind == frames.HELLO and not self.accepted:
            self._on_hello(body)
        elif kind == frames.REFUSED and not self.accepted:
            self.refused = True
            self.close(f"refused: {decode_refused(body)}")
        else:
            raise FrameError(f"a frame of kind {kind}")

    def _on_hello(self, body: bytes) -> None:
        own = self.link.peers.identity
        other, protocol, _ = decode_hello(body)
        reason = objection(own, other, protocol)
        if reason is None and (other.kind != NODE or other.id != self.link.node):
            reason = f"it is {other}"
        if reason is not None:
            self.refused = True
            self.close(reason)
            return
        self.identity = other
        self.accepted = True
        self.link.on_up(self)

    def _check_cluster(self, body: bytes) -> None:
        own = self.link.peers.identity.cluster
        other = body.decode("utf-8", "replace")
        if foreign(own, other):
            self.refused = True
            self.close(f"it has joined cluster {other}, this is cluster {own}")
        else:
            self.identity.cluster = other

    def on_close(self, reason: str) -> None:
        self.link.on_lost(self, reason)
        pending, self.pending = self.pending, {}
        error = Unreachable(self.link.node, sent=True)
        for done, _ in pending.values():
            self.guarded(done, error)

    def expire(self, now: float) -> None:
        """Give up on requests whose time has come."""
        late = [frame_id for frame_id, (_, deadline) in self.pending.items() if deadline <= now]
        for frame_id in late:
            waiting = self.pending.pop(
                frame_id, None
            )  # a callback before this one may have ended the connection
            if waiting is not None:
                self.guarded(waiting[0], Unreachable(self.link.node, sent=True))


class Link:
    """One node as `RpcPeers` sees it."""

    def __init__(self, peers: RpcPeers, node: int) -> None:
        self.peers = peers
        self.node = node
        self.up: DialledConnection | None = None
        self.process: int | None = None
        self._connection: DialledConnection | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._waiting: list[tuple[Any, Done, float]] = []
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._heard_at = -math.inf
        self._forgotten = False

    @property
    def heard_at(self) -> float:
        """The loop's time when the node was last heard here; -inf if it never was."""
        return self.up.heard_at if self.up is not None else self._heard_at

    def request_later(self, message: Any, done: Done, deadline: float) -> None:
        """A request while there is no connection: it waits for an attempt under way, or fails."""
        if self._dialling is None and self._connection is None:
            done(Unreachable(self.node, sent=False))
        elif len(self._waiting) >= WAITING_MAX:
            done(Overloaded(f"too many requests wait for node {self.node}"))
        else:
            self._waiting.append((message, done, deadline))

    def dial(self) -> None:
        """Begin an attempt to connect."""
        self._retry = None
        if self._forgotten or self._dialling is not None or self._connection is not None:
            return
        self._dialling = self.peers.loop.create_task(self._dial())

    async def _dial(self) -> None:
        reason = ""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connect()
        except TimeoutError:
            reason = "no connection in time"
        except (OSError, ValueError) as error:
            reason = str(error)
        self._dialling = None
        if reason:
            self._failed(reason)

    async def _connect(self) -> None:
        address = self.peers.addresses(self.node)
        if address is None:
            raise ValueError("its address is not known")
        host, _, port = address.rpartition(":")
        if self.node in self.peers.blocked:
            await asyncio.sleep(CONNECT_TIMEOUT_S)  # what is cut off does not even refuse
            raise ValueError("it is blocked")
        # Known to the link at once: what the server says may arrive before this task goes on.
        await self.peers.loop.create_connection(self._made, host.strip("[]"), int(port))

    def _made(self) -> DialledConnection:
        self._connection = DialledConnection(self)
        return self._connection

    def _failed(self, reason: str, pause_s: float | None = None, *, quiet: bool = False) -> None:
        """An attempt has failed, or a connection was lost: fail who waits, try again later."""
        self._connection = None
        if self._failures == 0 and not quiet and not self._forgotten:
            log.info("a node cannot be reached", node=self.node, reason=reason)
        self._failures += 1
        waiting, self._waiting = self._waiting, []
        if not self._forgotten and self._retry is None:
            if pause_s is None:
                longest = min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** min(self._failures, 10))
                pause_s = longest * self.peers.rng.uniform(0.5, 1.0)
            self._retry = self.peers.loop.call_later(pause_s, self.dial)
        for _, done, _ in waiting:
            self.peers.guarded(done, Unreachable(self.node, sent=False))

    def on_up(self, connection: DialledConnection) -> None:
        """The handshake is complete."""
        self.up = connection
        self._failures = 0
        process = connection.identity.process
        restarted = self.process is not None and self.process != process
        self.process = process
        log.info("connected", node=self.node, process=process)
        waiting, self._waiting = self._waiting, []
        for message, done, deadline in waiting:
            connection.request(message, done, deadline)
        self.peers.announce_up(self.node, process, restarted)

    def on_lost(self, connection: DialledConnection, reason: str) -> None:
        """The connection has ended, or never got as far as being up."""
        if connection is not self._connection:
            return
        was_up = self.up is not None
        if was_up:
            self._heard_at = connection.heard_at
        self.up = None
        if was_up or connection.refused:
            (log.info if self._forgotten else log.warning)(
                "a connection has ended", node=self.node, reason=reason
            )
        self._failed(
            reason, REFUSED_PAUSE_S if connection.refused else None, quiet=was_up or connection.refused
        )
        if connection.refused:
            self.peers.announce_refused(self.node, reason)
        if was_up:
            self.peers.announce_down(self.node)

    def tick(self, now: float) -> None:
        """A tenth of a second has passed: give up on what is late."""
        if self.up is not None:
            self.up.expire(now)
        late = [entry for entry in self._waiting if entry[2] <= now]
        if late:
            self._waiting = [entry for entry in self._waiting if entry[2] > now]
            for _, done, _ in late:
                self.peers.guarded(done, Unreachable(self.node, sent=False))

    def ping(self, silent_ticks: int) -> None:
        """Half a second has passed: say something, and end a connection on which nothing is heard."""
        connection = self._connection
        if connection is None:
            return
        connection.idle_ticks += 1
        if connection.idle_ticks > silent_ticks:
            connection.close("nothing is heard of it")
        elif connection.accepted:
            connection.send(frames.PING, 0, self.peers.identity.cluster.encode())

    def mute(self, muted: bool) -> None:
        """Drop all frames of the connection, or no longer."""
        if self._connection is not None:
            self._connection.mute(muted)

    def forget(self, reason: str) -> None:
        """End the connection and dial no more."""
        self._forgotten = True
        if self._retry is not None:
            self._retry.cancel()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._connection is not None:
            self._connection.close(reason, flush=True)
        else:
            self._failed(reason)
