"""The wire door itself: its listener, its connections, the one timer, and draining."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable, Mapping

from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange.runtime.operation_stats import Histogram
from hashrange_dax.contracts import AttributeLists, Backend
from hashrange_dax.forms import Forms
from hashrange_dax.metrics import Metrics
from hashrange_dax.protocol.authorize import Verifier
from hashrange_dax.protocol.methods import NAMES
from hashrange_dax.protocol.quick import QuickGet
from hashrange_dax.protocol.quick_query import QuickQuery
from hashrange_dax.protocol.replies import Replies
from hashrange_dax.protocol.requests import Reader
from hashrange_dax.tier import Tier

from .connection import WireConnection
from .exchange import Endpoint
from .limits import WireLimits

_TICK_S = 1.0


class WireDoor:
    """Serves the DAX protocol in front of a tier.

    `endpoints` tells what nodes clients shall use. `secrets` maps access keys to secrets: with none of them everybody
    is let in, else connections must be authorized. `metrics` is the tier's, whose connections and bytes are counted
    here. `now` is a coarse clock, in seconds of the monotonic clock.
    """

    def __init__(
        self,
        tier: Tier,
        backend: Backend,
        attribute_lists: AttributeLists,
        endpoints: Callable[[], list[Endpoint]],
        secrets: Mapping[str, str],
        region: str,
        clock: Clock,
        metrics: Metrics | None = None,
        limits: WireLimits | None = None,
        forms: Forms | None = None,
        strict_region: bool = False,
    ) -> None:
        self.tier = tier
        self.backend = backend
        self.attribute_lists = attribute_lists
        self.endpoints = endpoints
        self.metrics = metrics if metrics is not None else tier.metrics
        self.limits = limits if limits is not None else WireLimits()
        self.log = get_logger("dax")
        self.clock = clock
        self.verifier = Verifier(secrets, region, lambda: clock.wall_ms() / 1000, strict_region)
        self.forms = forms if forms is not None else Forms(attribute_lists, tier.store)
        self.readers = [
            Reader(backend.table, attribute_lists.names_of, selects_all) for selects_all in (False, True)
        ]
        """Readers of requests, by whether the client selects all attributes always."""
        self.replies = Replies(self.forms, attribute_lists.id_of, tier.store)
        self.quick = QuickGet(tier, backend.table, self.forms)
        self.quick_query = QuickQuery(tier, backend.table, self.replies)
        self.latencies = {name: Histogram() for name in NAMES.values()}
        """Seconds from a complete request to its reply, errors included, by operation."""
        self.connections: set[WireConnection] = set()
        self.now = clock.monotonic()
        self.buffered_bytes = 0
        """Bytes of requests that are not complete, or wait behind others."""
        self.refused_count = 0
        """Connections closed at once: there were too many, or the door is being drained."""
        self.malformed_count = 0
        """Connections closed because what they sent cannot be understood."""
        self.timed_out_count = 0
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._draining = False
        self.held = False
        self._emptied: asyncio.Event = asyncio.Event()
        self._next_sweep = 0.0

    @property
    def ports(self) -> list[int]:
        """The ports listened on, in the order of the calls of `listen`."""
        return [int(server.sockets[0].getsockname()[1]) for server in self._listeners if server.sockets]

    @property
    def draining(self) -> bool:
        """Whether drain() has been called."""
        return self._draining

    def hold(self) -> None:
        """Take connections from now on, but answer nothing before `go`."""
        self.held = True

    def go(self) -> None:
        """Serve the clients that wait, and those to come."""
        self.held = False
        for connection in list(self.connections):
            connection.go()

    async def listen(
        self, host: str, port: int, ssl: ssl_module.SSLContext | None = None, reuse_port: bool = False
    ) -> int:
        """Begin to listen, once or at several addresses; returns the port. OSError when the address cannot be had."""
        if self._timer is None:
            self._tick()
        server = await asyncio.get_running_loop().create_server(
            lambda: WireConnection(self),
            host,
            port,
            ssl=ssl,
            reuse_port=reuse_port or None,
            backlog=self.limits.backlog,
        )
        self._listeners.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def drain(self, grace_s: float) -> None:
        """Stop: no new connections, idle ones close, requests under way are answered within `grace_s` seconds."""
        self._draining = True
        for server in self._listeners:
            server.close()
        for connection in list(self.connections):
            connection.drain()
        if self.connections:
            try:
                await asyncio.wait_for(self._emptied.wait(), grace_s)
            except TimeoutError:
                pass
        for connection in list(self.connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for server in self._listeners:
            await server.wait_closed()

    # Called by connections.

    def admit(self, connection: WireConnection) -> bool:
        """Register a new connection; False when it is to be closed."""
        if self._draining or len(self.connections) >= self.limits.connections_max:
            self.refused_count += 1
            return False
        self.connections.add(connection)
        self.metrics.connections += 1
        return True

    def forget(self, connection: WireConnection) -> None:
        """A connection is gone."""
        if connection in self.connections:
            self.connections.remove(connection)
            self.metrics.connections -= 1
        if not self.connections:
            self._emptied.set()

    def _tick(self) -> None:
        self.now = self.clock.monotonic()
        interval_s = self.limits.sweep_interval_s
        if self.now >= self._next_sweep:
            self._next_sweep = self.now + interval_s
            for connection in list(self.connections):
                self.timed_out_count += connection.sweep(self.now)
        self._timer = asyncio.get_running_loop().call_later(min(_TICK_S, interval_s), self._tick)
