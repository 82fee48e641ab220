"""The HTTP server: listening, the one timer, counters, draining.

`serve` starts a server on the running event loop (uvloop in production, any asyncio loop works):

    server = await serve(app, "127.0.0.1", 8000)
    ...
    await server.drain(timeout_s=10)

Time: one timer per server ticks once a second. It sets the Date of replies and `now`, the coarse clock by
which connections remember when something happened, and now and then sweeps all connections for passed
deadlines. A timer per connection, started and cancelled with each request, would cost more than answering
does.
"""

from __future__ import annotations

import asyncio
import ssl as ssl_module
import time
from collections.abc import Callable

from .connection import HttpConnection
from .delivery import Delivery
from .limits import HttpLimits
from .replies import ReplyHeads
from .request import Application

_TICK_S = 1.0


class HttpServer:
    """A listening server and its connections. Made by `serve`."""

    def __init__(
        self, app: Application, limits: HttpLimits, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self.app = app
        self.limits = limits
        self.heads = ReplyHeads()
        self.connections: set[HttpConnection] = set()
        self.lingering: set[Delivery] = set()
        self.now = 0.0
        self.body_bytes = 0
        self.failures = 0
        self.compressed_replies = 0
        self.compression_ns = 0
        self.refused_requests = 0
        self._accepted = 0
        self._refused = 0
        self._timed_out = 0
        self._closed_requests = 0
        self._closed_bytes_in = 0
        self._closed_bytes_out = 0
        self._wall_clock = wall_clock
        self._listener: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_sweep = 0.0
        self._draining = False
        self._emptied: asyncio.Future[None] | None = None

    @property
    def port(self) -> int:
        """The port listened on (useful when 0 was asked for)."""
        if self._listener is None or not self._listener.sockets:
            raise RuntimeError("the server is not listening")
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def draining(self) -> bool:
        """Whether drain() has been called."""
        return self._draining

    async def start(
        self, host: str, port: int, ssl: ssl_module.SSLContext | None = None, reuse_port: bool = False
    ) -> None:
        """Begins to listen. Raises OSError when the address cannot be had."""
        self._tick()
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: HttpConnection(self),
                host,
                port,
                ssl=ssl,
                reuse_port=reuse_port,
                backlog=self.limits.backlog,
            )
        except BaseException:
            self._stop_timer()
            raise

    async def drain(self, timeout_s: float) -> None:
        """Stops: no new connections, idle ones close, requests in flight are answered within `timeout_s`
        seconds.

        What is not finished then is cut off. Afterwards the server is closed; calling it again does nothing
        more.
        """
        self._draining = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            connection.drain()
        if self.connections or self.lingering:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._emptied], timeout=timeout_s)
        remaining: list[Delivery] = [*self.connections, *self.lingering]
        for left_over in remaining:
            left_over.abort()
        self._stop_timer()
        if self._listener is not None:
            await self._listener.wait_closed()

    def statistics(self) -> dict[str, int]:
        """Counters since the start and present queue lengths, all plain integers.

        connections_open, _accepted, _refused (over the limit, or while draining), _lingering, _timed_out;
        requests (complete ones), requests_in_flight (given to the application), requests_waiting (behind
        those), requests_refused (malformed, too large, too slow), requests_failed (the application raised);
        bytes_in, bytes_out; body_bytes_arriving (parts of bodies that are not complete).
        """
        connections = self.connections
        return {
            "connections_open": len(connections),
            "connections_accepted": self._accepted,
            "connections_refused": self._refused,
            "connections_lingering": len(self.lingering),
            "connections_timed_out": self._timed_out,
            "requests": self._closed_requests + sum(c.requests for c in connections),
            "requests_in_flight": sum(len(c.queue) for c in connections),
            "requests_waiting": sum(c.waiting() for c in connections),
            "requests_refused": self.refused_requests,
            "requests_failed": self.failures,
            "bytes_in": self._closed_bytes_in + sum(c.bytes_in for c in connections),
            "bytes_out": self._closed_bytes_out + sum(c.bytes_out for c in connections),
            "body_bytes_arriving": self.body_bytes,
            "replies_compressed": self.compressed_replies,
            "compression_us": self.compression_ns // 1000,
        }

    # Called by connections.

    def admit(self, connection: HttpConnection) -> bool:
        """Registers a new connection; False when it is to be refused."""
        if self._draining or len(self.connections) >= self.limits.connections_max:
            self._refused += 1
            return False
        self._accepted += 1
        self.connections.add(connection)
        return True

    def forget(self, connection: HttpConnection) -> None:
        """A connection is gone. Its counters are kept."""
        self.connections.discard(connection)
        self.lingering.discard(connection)
        self._closed_requests += connection.requests
        self._closed_bytes_in += connection.bytes_in
        self._closed_bytes_out += connection.bytes_out
        if not self.connections and not self.lingering and self._emptied is not None:
            if not self._emptied.done():
                self._emptied.set_result(None)

    # Time.

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        self.heads.set_time(self._wall_clock())
        interval_s = self.limits.sweep_interval_s
        if self.now >= self._next_sweep:
            self._next_sweep = self.now + interval_s
            for connection in list(self.connections):
                self._timed_out += connection.sweep(self.now)
            for refused in list(self.lingering):
                refused.overdue(self.now)
        self._timer = loop.call_later(min(_TICK_S, interval_s), self._tick)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def serve(
    app: Application,
    host: str,
    port: int,
    *,
    limits: HttpLimits | None = None,
    ssl: ssl_module.SSLContext | None = None,
    reuse_port: bool = False,
) -> HttpServer:
    """Starts an HTTP/1.1 server for `app` on the running loop. Port 0 takes a free one (see `.port`).

    `reuse_port` lets several processes share the port (SO_REUSEPORT). Raises OSError when the address is
    taken.
    """
    server = HttpServer(app, limits or HttpLimits())
    await server.start(host, port, ssl, reuse_port)
    return server
