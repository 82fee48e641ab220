"""A network between regions that tests can silence: a TCP proxy for each direction.

    with Network() as network:
        port = network.way("eu-west-1", "us-east-1", target_port)   # what eu-west-1 takes for us-east-1
        network.cut("eu-west-1", "us-east-1")
        network.heal()

A cut drops what is sent, in both directions, and keeps connections open, as a network that has gone silent does;
connections made meanwhile are accepted and never answered. Healing closes those that were cut.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

CHUNK = 1 << 16
Way = tuple[str, str]


@dataclass(eq=False)
class _Link:
    """One connection through a proxy; `lost` once something of it was dropped."""

    way: Way
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    lost: bool = False

    def close(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Network:
    """All ways between regions, on a thread with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        self._servers: list[asyncio.Server] = []
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cut: set[Way] = set()

    def __enter__(self) -> Network:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def way(self, source: str, destination: str, port: int) -> int:
        """The port at which `source` reaches a port of `destination`."""
        return int(self._run(self._listen((source, destination), lambda: port)))

    def cut(self, one: str, other: str) -> None:
        """Silence the ways between two regions."""
        self._run(self._change({*self._cut, (one, other), (other, one)}))

    def heal(self) -> None:
        """Let everything through again."""
        self._run(self._change(set()))

    async def _change(self, cut: set[Way]) -> None:
        healed = self._cut - cut
        self._cut = cut
        for link in list(self._links):
            if link.lost and link.way in healed:
                link.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for link in list(self._links):
            link.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, way: Way, port: Callable[[], int]) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            link = _Link(way, [writer])
            self._links.add(link)
            try:
                await self._join(link, reader, port())
            except OSError:
                pass
            finally:
                link.close()
                self._links.discard(link)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _join(self, link: _Link, reader: asyncio.StreamReader, port: int) -> None:
        answers, writer = await asyncio.open_connection("127.0.0.1", port)
        link.writers.append(writer)
        forth = asyncio.ensure_future(self._pump(link, reader, writer))
        back = asyncio.ensure_future(self._pump(link, answers, link.writers[0]))
        try:
            await asyncio.wait({forth, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (forth, back):
                task.cancel()
            await asyncio.gather(forth, back, return_exceptions=True)

    async def _pump(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if link.way in self._cut or link.lost:
                link.lost = True
                continue
            writer.write(data)
            await writer.drain()
