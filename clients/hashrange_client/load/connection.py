"""One connection of the load generator: send a request, wait for its answer, send the next.

At a fixed rate a request is due at a set time, and its latency counts from then: a server that stalls is
charged for the requests it kept from being sent (no coordinated omission).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import TypeVar, cast

import orjson
from hdrh.histogram import HdrHistogram

from hashrange_client.load.http import ProtocolError, Response, ResponseReader
from hashrange_client.load.requests import RequestSource
from hashrange_client.load.settings import LoadSettings

P = TypeVar("P", bound=asyncio.Protocol)

LATENCY_MAX_US = 60_000_000
SIGNIFICANT_DIGITS = 3
RECONNECT_PAUSE_S = 0.1


class Tally:
    """What one process has counted: latencies by operation in µs, errors by type."""

    def __init__(self) -> None:
        self.latencies: dict[str, HdrHistogram] = {}
        self.errors: Counter[str] = Counter()
        self.done = 0
        """Requests answered without an error since the start of the measurement."""

    def record(self, operation: str, seconds: float) -> None:
        """Count a request that succeeded."""
        histogram = self.latencies.get(operation)
        if histogram is None:
            histogram = self.latencies[operation] = new_histogram()
        histogram.record_value(min(max(1, round(seconds * 1_000_000)), LATENCY_MAX_US))
        self.done += 1

    def reset(self) -> None:
        """Forget the warm-up."""
        self.latencies.clear()
        self.errors.clear()
        self.done = 0


def new_histogram() -> HdrHistogram:
    """A histogram of microseconds, from 1 µs to a minute, exact to three digits."""
    return HdrHistogram(1, LATENCY_MAX_US, SIGNIFICANT_DIGITS)


class Budget:
    """How many requests may still be started; None is no limit."""

    __slots__ = ("left",)

    def __init__(self, left: int | None) -> None:
        self.left = left

    def take(self) -> bool:
        """Whether one more may be started."""
        if self.left is None:
            return True
        if self.left <= 0:
            return False
        self.left -= 1
        return True


class LoadConnection(asyncio.Protocol):
    """A closed loop over one connection; reopens it when the server closes it."""

    def __init__(
        self,
        settings: LoadSettings,
        source: RequestSource,
        tally: Tally,
        budget: Budget,
        interval_s: float | None,
        on_idle: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._source = source
        self._tally = tally
        self._budget = budget
        self._interval_s = interval_s
        self._on_idle = on_idle
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._operation = ""
        self._started = 0.0
        self._due = 0.0
        self._waiting = False
        self._running = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self, delay_s: float = 0.0) -> None:
        """Begin to send on an open connection; at a fixed rate the first request is due after `delay_s`."""
        self._running = True
        self._due = perf_counter() + delay_s
        self._next()

    def stop(self) -> None:
        """Send no more; a request under way is no longer counted."""
        self._running = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's classes derive from none of asyncio's

    def data_received(self, data: bytes) -> None:
        try:
            response = self._reader.feed(data)
        except ProtocolError as error:
            self._fail(f"protocol: {error}")
            self._reader = ResponseReader()
            if self._transport is not None:
                self._transport.abort()
            return
        if response is None or not self._running or not self._waiting:
            return
        self._waiting = False
        if response.status == 200:
            self._tally.record(self._operation, perf_counter() - self._started)
        else:
            self._fail(error_type(response))
        if response.keep_alive:
            self._next()
        elif self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._reader = ResponseReader()
        if self._timer is not None:
            self._timer.cancel()
        if not self._running:
            return
        if self._waiting:
            self._waiting = False
            self._fail("connection lost")
        asyncio.get_running_loop().create_task(self._reconnect())

    async def _reconnect(self) -> None:
        while self._running:
            try:
                await open_connection(self._settings, lambda: self)
            except OSError:
                self._fail("connection refused")
                await asyncio.sleep(RECONNECT_PAUSE_S)
            else:
                self._next()
                return

    def _fail(self, kind: str) -> None:
        self._tally.errors[kind] += 1

    def _next(self) -> None:
        if not self._running:
            return
        if not self._budget.take():
            self._running = False
            self._on_idle()
            return
        if self._interval_s is None:
            self._send(perf_counter())
            return
        due = self._due
        self._due = due + self._interval_s
        delay = due - perf_counter()
        if delay > 0:
            self._timer = asyncio.get_running_loop().call_later(delay, self._send, due)
        else:
            self._send(due)

    def _send(self, started: float) -> None:
        if self._transport is None or not self._running:
            return
        self._operation, request = self._source.next()
        self._started = started
        self._waiting = True
        self._transport.write(request)


async def open_connection(settings: LoadSettings, factory: Callable[[], P]) -> P:
    """Connect to the endpoint of `settings`."""
    context = ssl.create_default_context() if settings.tls else None
    _, protocol = await asyncio.get_running_loop().create_connection(
        factory, settings.host, settings.port, ssl=context
    )
    return protocol


def error_type(response: Response) -> str:
    """What to count a failed request under: the name in `__type`, or the status code."""
    try:
        name = orjson.loads(response.body)["__type"]
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status}"
    return str(name).rpartition("#")[2]
