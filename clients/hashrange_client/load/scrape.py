"""Reads /metrics of the processes under load while it goes on."""

from __future__ import annotations

import asyncio
from time import perf_counter
from urllib.parse import urlsplit

from hashrange_client.load.client import Client
from hashrange_client.load.metrics import ProcessSamples, parse
from hashrange_client.load.settings import LoadError, LoadSettings

TIMEOUT_S = 5.0


class Target:
    """One process; its connection is kept, and opened again when it was lost."""

    def __init__(self, name: str, url: str) -> None:
        self.process = ProcessSamples(name, url)
        parts = urlsplit(url)
        self._path = parts.path or "/metrics"
        self._settings = LoadSettings(endpoint=f"{parts.scheme}://{parts.netloc}")
        self._client: Client | None = None

    async def read(self, zero_s: float) -> bool:
        """Take a sample; whether that was possible. A process that does not answer has a gap in its figures."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._client is None:
                    self._client = await Client.connect(self._settings)
                response = await self._client.get(self._path)
        except (LoadError, TimeoutError):
            self.close()
            return False
        if response.status != 200:
            return False
        if not response.keep_alive:
            self.close()
        sample = parse(response.body.decode("utf-8", "replace"), perf_counter() - zero_s)
        self.process.samples.append(sample)
        return True

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None


class Scraper:
    """Samples of several processes (name → URL of the metrics), one when the run begins, one when it ends,
    and between.
    """

    def __init__(self, targets: dict[str, str], interval_s: float = 2.0) -> None:
        self._targets = [Target(name, url) for name, url in targets.items()]
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None
        self._zero_s = 0.0

    @property
    def processes(self) -> list[ProcessSamples]:
        """What was sampled; processes that never answered are left out."""
        return [target.process for target in self._targets if target.process.samples]

    async def begin(self, zero_s: float) -> None:
        """Take the first sample and go on by itself. `zero_s`: when the measurement began, by `perf_counter`."""
        self._zero_s = zero_s
        await self._sample()
        self._task = asyncio.create_task(self._go_on())

    async def end(self) -> None:
        """Take the last sample."""
        await self._stop()
        await self._sample()

    async def close(self) -> None:
        """Give up: close all connections."""
        await self._stop()
        for target in self._targets:
            target.close()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _sample(self) -> None:
        await asyncio.gather(*(target.read(self._zero_s) for target in self._targets))

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            await self._sample()
