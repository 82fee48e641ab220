"""One process of the load generator: `python -m hashrange_client.load.worker`, driven by its parent.

Standard input: one line of JSON with the `LoadSettings` of this process. Standard output, a JSON object a
line: `{"measuring": true}` when the warm-up is over, `{"done": n, "errors": m}` several times a second, and
at the end `{"result": {...}}`, or `{"failed": "sentence"}`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import Any

import uvloop

from hashrange_client.load.connection import Budget, LoadConnection, Tally, open_connection
from hashrange_client.load.requests import Head, RequestSource
from hashrange_client.load.settings import LoadSettings

REPORT_INTERVAL_S = 0.25


class Worker:
    """All connections of one process, over warm-up and measurement."""

    def __init__(self, settings: LoadSettings) -> None:
        self._settings = settings
        self._tally = Tally()
        self._budget = Budget(None)
        self._idle = 0
        self._all_idle = asyncio.Event()
        self._connections: list[LoadConnection] = []

    async def run(self) -> dict[str, Any]:
        """Connect, warm up, measure; returns the result as JSON-ready data."""
        settings = self._settings
        source = RequestSource(settings, Head(settings))
        interval = None if settings.rate is None else settings.connections / settings.rate
        for _ in range(settings.connections):
            connection = LoadConnection(settings, source, self._tally, self._budget, interval, self._on_idle)
            await open_connection(settings, lambda made=connection: made)  # type: ignore[misc]
            self._connections.append(connection)
        if settings.warm_up_s > 0:
            await self._phase(None, settings.warm_up_s)
        self._tally.reset()
        emit({"measuring": True})
        reporter = asyncio.create_task(self._report())
        started = perf_counter()
        if settings.count is None:
            await self._phase(None, settings.duration_s)
        else:
            await self._phase(settings.count, None)
        seconds = perf_counter() - started
        reporter.cancel()
        for connection in self._connections:
            connection.stop()
        return {
            "seconds": seconds,
            "errors": dict(self._tally.errors),
            "latencies": {
                name: histogram.encode().decode() for name, histogram in self._tally.latencies.items()
            },
        }

    async def _phase(self, count: int | None, seconds: float | None) -> None:
        """Send `count` requests, or for `seconds`; returns when every request has its answer."""
        self._idle = 0
        self._all_idle.clear()
        self._budget.left = count
        rate = self._settings.rate
        for number, connection in enumerate(self._connections):
            connection.start(number / rate if rate else 0.0)
        if seconds is not None:
            await asyncio.sleep(seconds)
            self._budget.left = 0
        await self._all_idle.wait()

    def _on_idle(self) -> None:
        self._idle += 1
        if self._idle == len(self._connections):
            self._all_idle.set()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL_S)
            emit({"done": self._tally.done, "errors": self._tally.errors.total()})


def emit(message: dict[str, Any]) -> None:
    """Tell the parent something."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry point of the process."""
    settings = LoadSettings.from_json(sys.stdin.readline())

    async def measured() -> dict[str, Any]:
        return await Worker(settings).run()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            emit({"result": runner.run(measured())})
    except OSError as error:
        emit({"failed": f"{settings.endpoint} does not answer ({error.strerror or error})"})
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
