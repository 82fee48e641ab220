"""All workloads together, on a thread with an event loop of its own, so that a campaign can go about its faults.

    load = Load([endpoint], directory, seed=1)
    load.start(partitions)            # [(label, low, high)]: hash ranges to probe
    with load.window("kill node 1"):  # failures in here, and shortly after, are expected
        ...
    findings = load.finish()          # stops, looks at everything once more, checks the history

Load is modest on purpose (a pause after each operation): on a small machine a saturated processor would be
mistaken for a fault.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from tests.cluster.histories.history import History
from tests.cluster.histories.linear import check_history
from tests.cluster.workloads.client import ApiClient, BotoClient, RawClient, Refused, Unknown, Unsent
from tests.cluster.workloads.ledger import Ledger
from tests.cluster.workloads.probes import Probe, key_within
from tests.cluster.workloads.purses import Purses
from tests.cluster.workloads.registers import Registers

TABLE = "Campaign"
CREATE = {
    "TableName": TABLE,
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
BUCKET_S = 0.1
FINAL_DEADLINE_S = 60.0
ALLOWED_OUTSIDE = 0.001
"""Share of operations that may fail outside of fault windows."""


@dataclass
class Findings:
    """What a run came to; `wrong` is empty when everything held."""

    wrong: list[str] = field(default_factory=list)
    operations: int = 0
    unknown: int = 0
    entries: int = 0
    checked_s: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    outside: tuple[int, int] = (0, 0)
    """Operations that failed outside of fault windows, and all of them there."""

    longest_gap_s: float = 0.0
    gap_of: str = ""

    def text(self) -> str:
        """One line."""
        failed, total = self.outside
        return (
            f"{self.operations} operations ({self.unknown} unknown), {self.entries} entries; failed outside of "
            f"faults {failed} of {total}; longest without writes {self.longest_gap_s:.1f} s ({self.gap_of}); "
            f"checked in {self.checked_s:.1f} s"
        )


class Load:
    """The workloads of one run."""

    def __init__(
        self,
        endpoints: list[str],
        directory: Path,
        seed: int,
        *,
        clients: int = 12,
        pause_s: float = 0.02,
        mark: str = "",
        boto3: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.history = History(directory / "history.jsonl")
        self.registers = Registers(TABLE, self.history, seed, mark)
        self.purses = Purses(TABLE, self.history, seed + 1, mark)
        self.ledger = Ledger(TABLE, mark)
        self.probes: list[Probe] = []
        self.windows: list[tuple[str, float, float]] = []
        self.failures: Counter[str] = Counter()
        self._done: Counter[int] = Counter()
        self._failed: Counter[int] = Counter()
        self._endpoints = endpoints
        self._clients = clients
        self._pause_s = pause_s
        self._mark = mark
        self._pool = ThreadPoolExecutor(clients + 8) if boto3 else None
        self._random = random.Random(seed + 2)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None

    # What a campaign calls

    def start(self, partitions: list[tuple[str, int, int]] | None = None) -> None:
        """Create the table if need be and begin."""
        for label, low, high in partitions or []:
            self.probes.append(Probe(TABLE, key_within(low, high, self._mark), label))
        started = threading.Event()
        self._thread = threading.Thread(target=self._run_thread, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)

    @contextmanager
    def window(self, name: str, grace_s: float = 10.0) -> Iterator[None]:
        """Failures from here to `grace_s` after the end are put down to a fault."""
        start = time.monotonic()
        self.windows.append((name, start, float("inf")))
        place = len(self.windows) - 1
        try:
            yield
        finally:
            self.windows[place] = (name, start, time.monotonic() + grace_s)

    def wait_writable(self, timeout_s: float = 60.0) -> bool:
        """Until every probed partition has taken a write that was sent after this call."""
        began = time.monotonic()
        deadline = began + timeout_s
        while time.monotonic() < deadline:
            if all(probe.written_since(began) for probe in self.probes):
                return True
            time.sleep(0.1)
        return False

    def finish(self) -> Findings:
        """Stop, read everything once more, check all there is to check."""
        self.stop()
        findings = Findings(failures=self.failures)
        try:
            asyncio.run(self._final_look())
        except TimeoutError:
            findings.wrong.append(f"the final look did not end within {FINAL_DEADLINE_S:.0f} s")
        self.history.close()
        findings.wrong += [*self.registers.wrong, *self.purses.wrong, *self.ledger.wrong]
        started = time.monotonic()
        findings.wrong += [violation.text() for violation in check_history(self.history.operations)]
        findings.checked_s = time.monotonic() - started
        findings.operations = len(self.history.operations)
        findings.unknown = sum(each.outcome == "unknown" for each in self.history.operations)
        findings.entries = len(self.ledger.acknowledged)
        findings.outside = self._outside_windows()
        failed, total = findings.outside
        if failed > max(2.0, total * ALLOWED_OUTSIDE):
            findings.wrong.append(
                f"{failed} of {total} operations failed outside of faults: {dict(self.failures)}"
            )
        if self.probes:
            worst = max(self.probes, key=lambda probe: probe.longest_s())
            findings.longest_gap_s, findings.gap_of = worst.longest_s(), worst.label
        return findings

    def stop(self) -> None:
        """End the load; nothing is checked."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(30)
            self._thread = None
        if self._error is not None:
            raise RuntimeError("the load broke off") from self._error

    @property
    def counts(self) -> tuple[int, int]:
        """Operations done and failed so far."""
        return self._done.total(), self._failed.total()

    # On the thread

    def _client(self, number: int) -> ApiClient:
        endpoint = self._endpoints[number % len(self._endpoints)]
        return RawClient(endpoint) if self._pool is None else BotoClient(endpoint, self._pool)

    def _run_thread(self, started: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._run(started))
        except BaseException as error:
            self._error = error
            started.set()

    async def _run(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        started.set()
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._closed_loop(self._client(number), number))
            for number, probe in enumerate(self.probes):
                group.create_task(probe.run(self._client(number), self._stop))

    async def _closed_loop(self, client: ApiClient, process: int) -> None:
        assert self._stop is not None
        works = (self.registers.step, self.registers.step, self.purses.step, self.ledger.step)
        while not self._stop.is_set():
            work = works[int(self._random.random() * len(works))]
            try:
                await work(client, process)
            except (Unknown, Unsent, Refused) as error:
                self._count_failure(error)
            else:
                self._done[int(time.monotonic() / BUCKET_S)] += 1
            await asyncio.sleep(self._pause_s * (0.5 + self._random.random()))
        client.close()

    def _count_failure(self, error: Exception) -> None:
        self._failed[int(time.monotonic() / BUCKET_S)] += 1
        self.failures[f"{type(error).__name__} {error}"[:90]] += 1

    def _outside_windows(self) -> tuple[int, int]:
        def inside(bucket: int) -> bool:
            return any(start - BUCKET_S <= bucket * BUCKET_S <= end for _, start, end in self.windows)

        failed = sum(count for bucket, count in self._failed.items() if not inside(bucket))
        return failed, failed + sum(count for bucket, count in self._done.items() if not inside(bucket))

    # The end

    async def _final_look(self) -> None:
        client: ApiClient = RawClient(self._endpoints[0], timeout_s=20.0)
        try:
            async with asyncio.timeout(FINAL_DEADLINE_S):
                for register in self.registers.all.values():
                    await self._insist(self.registers.read, client, 9000, register)
                for purse in self.purses.all:
                    await self._insist(self.purses.read, client, 9000, purse, True)
                await self._insist(self.ledger.verify, client)
        finally:
            client.close()

    async def _insist(self, what: Any, *arguments: Any) -> None:
        """Repeat a read until it is answered; the deadline is the caller's."""
        while True:
            try:
                await what(*arguments)
                return
            except (Unknown, Unsent, Refused) as error:
                self.failures[f"final {type(error).__name__} {error}"[:90]] += 1
                await asyncio.sleep(0.2)
