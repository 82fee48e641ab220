"""The workloads of transactions, on a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from tests.cluster.histories.lists import ListHistory
from tests.cluster.workloads.appends import Appends
from tests.cluster.workloads.bank import Bank
from tests.cluster.workloads.client import ApiClient, Refused, Unknown, Unsent
from tests.cluster.workloads.tokens import WanderingClient

Work = Callable[[ApiClient, int], Awaitable[None]]

START_S = 60.0
LOOK_S = 90.0
REFUSED_PAUSE_S = 0.002
FAILED_PAUSE_S = 0.05
LOOKER = 9_000
"""The number of the client that reads everything in the end."""


class TransactionLoad:
    """`clients` that append and read lists, and `bankers` that move money, each one call at a time.

    `torn`: what should be read in a transaction is not; the checks must notice.
    """

    def __init__(
        self,
        endpoints: list[str],
        tables: list[str],
        directory: Path,
        seed: int,
        *,
        clients: int = 16,
        bankers: int = 4,
        mark: str = "",
        torn: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.history = ListHistory(directory / "lists.jsonl")
        self.appends = Appends(tables, self.history, seed, mark, torn=torn)
        self.bank = Bank(tables, seed + 1, mark, torn=torn)
        self.failures: Counter[str] = Counter()
        self.done = 0
        """Operations that were answered with success."""
        self.seconds = 0.0
        self.settled_s = 0.0
        """How long it took in the end until everything could be read."""
        self._endpoints = endpoints
        self._clients = clients
        self._bankers = bankers
        self._thread: threading.Thread | None = None
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        self._began = 0.0

    # What a run calls

    def start(self) -> None:
        """Open the accounts and begin."""
        asyncio.run(self._open())
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._run_thread, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, after what is under way."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(60)
            self._thread = None
            self.seconds = time.monotonic() - self._began
        if self._error is not None:
            raise RuntimeError("the load broke off") from self._error

    def look_at_everything(self) -> None:
        """Read every list and add up every bank, in transactions; raises what stood in the way at last."""
        began = time.monotonic()
        asyncio.run(self._look(began + LOOK_S))
        self.settled_s = time.monotonic() - began
        self.history.close()

    # On the thread

    async def _open(self) -> None:
        client = WanderingClient(self._endpoints, 0)
        await self.bank.open(client, time.monotonic() + START_S)
        client.close()

    async def _look(self, deadline: float) -> None:
        client = WanderingClient(self._endpoints, 0, timeout_s=20.0)
        await self.appends.look(client, LOOKER, deadline)
        await self.bank.look_at_all(client, deadline)
        client.close()

    def _run_thread(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._run())
        except BaseException as error:
            self._error = error

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients + self._bankers):
                work = self.appends.step if number < self._clients else self.bank.step
                group.create_task(self._closed_loop(work, number))

    async def _closed_loop(self, work: Work, process: int) -> None:
        assert self._stop is not None
        client = WanderingClient(self._endpoints, process)
        while not self._stop.is_set():
            try:
                await work(client, process)
            except Refused as refused:
                self.failures[f"refused {refused.type_name}"] += 1
                await asyncio.sleep(REFUSED_PAUSE_S)
            except (Unknown, Unsent) as error:
                self.failures[f"{type(error).__name__} {error}"[:80]] += 1
                await asyncio.sleep(FAILED_PAUSE_S)
            else:
                self.done += 1
        client.close()
