"""`Peers` over TCP: one connection to each node that is asked something, kept up from then on.

    peers = RpcPeers(identity, addresses, codec, loop=loop, handler=handler, server=server)
    peers.listen(on_up, on_down)
    peers.request(2, message, done)

Every connection is pinged twice a second; one on which nothing has been heard for three seconds is ended, and dialled
again with growing pauses. A node that refuses is asked again after five seconds.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from typing import Any

from hashrange.errors import ApiError, internal
from hashrange.runtime.logging import get_logger
from hashrange.runtime.rpc.identity import NODE, Identity
from hashrange.runtime.rpc.link import Link
from hashrange.runtime.rpc.peers import REQUEST_TIMEOUT_S, Done, Handler
from hashrange.runtime.rpc.server import RpcServer
from hashrange.wire.codec import Codec
from hashrange.wire.faults import Overloaded, Unreachable

TICK_S = 0.1
TICKS_PER_PING = 5
SILENT_PINGS = 6

OnUp = Callable[[int, int, bool], None]
OnDown = Callable[[int], None]

log = get_logger("rpc")


class LocalPeer:
    """This process as a peer of itself."""

    closed = False

    def __init__(self, peers: RpcPeers) -> None:
        self._peers = peers
        self.identity = peers.identity

    def cast(self, message: Any) -> None:
        """Hand a one-way message to the own handler."""
        self._peers.cast(self.identity.id, message)

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Never: it is there as long as the process."""


class RpcPeers:
    """See `Peers` for the methods that it shares with other carriers."""

    def __init__(
        self,
        identity: Identity,
        addresses: Callable[[int], str | None],
        codec: Codec,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        handler: Handler | None = None,
        server: RpcServer | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """`addresses` gives a node's "host:port", None while it is not known; it is asked at every attempt.

        `handler` gets messages to the own node and what nodes cast on the connections dialled here. `server` is this
        process's own: what it hears of a node counts in `silent_s`, and `block` reaches it.
        """
        self.identity = identity
        self.addresses = addresses
        self.codec = codec
        self.loop = loop or asyncio.get_running_loop()
        self.handler = handler
        self.rng = rng or random.Random()
        self.blocked: frozenset[int] = frozenset()
        self.casts_dropped = 0
        self._server = server
        self._own = identity.id if identity.kind == NODE else None
        self._links: dict[int, Link] = {}
        self._local = LocalPeer(self)
        self._listeners: list[tuple[OnUp, OnDown]] = []
        self.on_refused: Callable[[int, str], None] | None = None
        """Called when a node and this process will not have one another, with the node and the reason."""
        self._ticks = 0
        self._stopped = False
        self._timer = self.loop.call_later(TICK_S, self._tick)

    # ---- Peers

    def request(self, node: int, message: Any, done: Done, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """See `Peers`."""
        link = self._links.get(node)
        if link is None:
            if node == self._own:
                self._request_here(message, done)
                return
            if self._stopped:
                done(Unreachable(node, sent=False))
                return
            link = self._open(node)
        connection = link.up
        if connection is None:
            link.request_later(message, done, self.loop.time() + timeout_s)
        elif connection.full:
            done(Overloaded(f"too much waits to be sent to node {node}"))
        else:
            connection.request(message, done, self.loop.time() + timeout_s)

    def cast(self, node: int, message: Any) -> None:
        """See `Peers`."""
        link = self._links.get(node)
        if link is None:
            if node == self._own:
                if self.handler is not None:
                    self.guarded(self.handler.cast, self._local, message)
                return
            if self._stopped:
                return
            link = self._open(node)
        connection = link.up
        if connection is None or connection.full:
            self.casts_dropped += 1
        else:
            connection.cast(message)

    def silent_s(self, node: int) -> float:
        """See `Peers`."""
        if node == self._own:
            return 0.0
        link = self._links.get(node)
        heard_at = link.heard_at if link is not None else -math.inf
        if self._server is not None:
            heard_at = max(heard_at, self._server.heard_at(node))
        return max(0.0, self.loop.time() - heard_at)

    def is_up(self, node: int) -> bool:
        """See `Peers`."""
        if node == self._own:
            return True
        link = self._links.get(node)
        return link is not None and link.up is not None

    # ---- what only this carrier has

    def connect(self, node: int) -> None:
        """Keep a connection to a node from now on, without waiting for a first message."""
        if node not in self._links and node != self._own and not self._stopped:
            self._open(node)

    def forget(self, node: int) -> None:
        """End the connection to a node and dial it no more, until it is asked something again."""
        link = self._links.pop(node, None)
        if link is not None:
            link.forget("it is not needed any more")

    def identity_of(self, node: int) -> Identity | None:
        """Who answered at the node's address; None while there is no connection."""
        link = self._links.get(node)
        return link.up.identity if link is not None and link.up is not None else None

    def listen(self, on_up: OnUp, on_down: OnDown) -> None:
        """Call `on_up(node, process, restarted)` when a connection is up, `on_down(node)` when it has ended.

        `restarted`: another process answered the last time.
        """
        self._listeners.append((on_up, on_down))

    def block(self, nodes: Iterable[int]) -> None:
        """Inject a fault: drop all frames from and to these nodes; replaces the set of before, empty heals.

        Connections stay until they are found silent. One that lost frames ends when its node is blocked no longer.
        """
        self.blocked = frozenset(nodes)
        for node, link in list(self._links.items()):
            link.mute(node in self.blocked)
        if self._server is not None:
            self._server.block(self.blocked)

    def stop(self) -> None:
        """End all connections; requests without an answer fail with Unreachable."""
        self._stopped = True
        self._timer.cancel()
        links, self._links = self._links, {}
        for link in links.values():
            link.forget("this process stops")

    # ---- for links

    def announce_up(self, node: int, process: int, restarted: bool) -> None:
        """Tell the listeners that a connection is up."""
        for on_up, _ in self._listeners:
            self.guarded(on_up, node, process, restarted)

    def announce_down(self, node: int) -> None:
        """Tell the listeners that a connection has ended."""
        for _, on_down in self._listeners:
            self.guarded(on_down, node)

    def announce_refused(self, node: int, reason: str) -> None:
        """Tell that a node and this process will not have one another."""
        if self.on_refused is not None:
            self.guarded(self.on_refused, node, reason)

    def guarded(self, callback: Callable[..., None], *arguments: Any) -> None:
        """Call what belongs to others: its errors are logged and stop nothing here."""
        try:
            callback(*arguments)
        except Exception:
            log.error("a callback failed", exc_info=True)

    def _open(self, node: int) -> Link:
        link = self._links[node] = Link(self, node)
        link.dial()
        return link

    def _request_here(self, message: Any, done: Done) -> None:
        if self.handler is None:
            done(internal("this process handles no messages"))
            return
        try:
            self.handler.request(self._local, message, done)
        except ApiError as error:
            done(error)
        except Exception:
            log.error("handling a message failed", message=type(message).__name__, exc_info=True)
            done(internal())

    def _tick(self) -> None:
        self._timer = self.loop.call_later(TICK_S, self._tick)
        self._ticks += 1
        now = self.loop.time()
        for link in list(self._links.values()):
            link.tick(now)
            if self._ticks % TICKS_PER_PING == 0:
                link.ping(SILENT_PINGS)
