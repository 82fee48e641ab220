"""An embedded server in this process whose clock the test moves: for everything that needs minutes to show.

with clocked(throttling="on") as server:
    server.client.put_item(...)
    server.clock.advance(300)
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from hashrange.cli.embedded import EmbeddedServer, start_embedded
from hashrange.runtime.clock import ManualClock
from hashrange.runtime.settings import load
from tests.conformance.conftest import make_client

START_S = 30.0


class Clocked:
    """A running server: its clock, an SDK client that sends everything once, and the metrics page."""

    def __init__(self, server: EmbeddedServer, clock: ManualClock, loop: asyncio.AbstractEventLoop) -> None:
        self.clock = clock
        self._loop = loop
        self.endpoint = f"http://127.0.0.1:{server.port}"
        self.client = make_client(self.endpoint)
        self.server = server

    def on_loop(self, act: Callable[[EmbeddedServer], Any]) -> Any:
        """Do something with the server itself, in its own thread; what `act` returns."""

        async def run() -> Any:
            return act(self.server)

        return self.run(run())

    def run(self, steps: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the server's thread; what it returns."""
        return asyncio.run_coroutine_threadsafe(steps, self._loop).result(START_S)

    def metrics(self) -> dict[str, float]:
        """Every line of /metrics, by its name and labels."""
        lines = self.server.telemetry.render().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


@contextmanager
def clocked(**settings: Any) -> Iterator[Clocked]:
    """Run a server in memory with these settings until the block ends."""
    clock = ManualClock()
    started: list[EmbeddedServer | BaseException] = []
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        try:
            config = load({"in_memory": True, "port": "0", **settings}, {}).config
            server = await start_embedded(config, clock)
        except BaseException as error:
            started.append(error)
            ready.set()
            return
        started.append(server)
        ready.set()
        await stop.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        assert ready.wait(START_S)
        server = started[0]
        if isinstance(server, BaseException):
            raise server
        made = Clocked(server, clock, loop)
        yield made
        made.client.close()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_S)
        loop.close()
