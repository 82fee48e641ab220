"""The pool: runs functions on workers, warm or new, within the limits of concurrency.

pool = Pool(directory, code, settings=PoolSettings(work_dir), metrics=TriggerMetrics(), clock=SystemClock())
await pool.start()
result = await pool.invoke(Invocation(directory.resolve("hello"), b"{}", request_id, arn))
entries, cursor = pool.logs.read("hello", after=0, limit=100)
await pool.stop()
"""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from hashrange_router.triggers import environment
from hashrange_router.triggers.contracts import (
    CodeStore,
    FunctionDirectory,
    FunctionVersion,
    Invocation,
    InvocationResult,
    TriggerMetrics,
)
from hashrange_router.triggers.fleet import Fleet, StartFailed
from hashrange_router.triggers.guard import Guard
from hashrange_router.triggers.logs import logs_of
from hashrange_router.triggers.packages import Packages
from hashrange_router.triggers.settings import PoolSettings
from hashrange_router.triggers.slots import Slots
from hashrange_router.triggers.worker import Worker

_TICK_S = 1.0


class Pool:
    """Implements contracts.Invoker. One for each process; started and stopped on the event loop it works on.

    `logs` are the functions' logs (see logs.py), `guard` tells what limits and isolation this machine allows.
    """

    def __init__(
        self,
        directory: FunctionDirectory,
        code: CodeStore,
        *,
        settings: PoolSettings,
        metrics: TriggerMetrics,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self._directory = directory
        self._metrics = metrics
        self._clock = clock
        self._slots = Slots(settings.account_concurrency)
        self._packages = Packages(settings.work_dir.resolve() / "code", code, settings.code_cache_bytes)
        self.guard = Guard(settings, environment.visible_paths(), environment.probe_code())
        self.logs = logs_of(settings, clock)
        self._fleets: dict[tuple[str, str], Fleet] = {}
        self._owner_of: dict[Worker, Fleet] = {}
        self._numbers = itertools.count(1)
        self._starting_max = 2 * (os.cpu_count() or 1)
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._settled = asyncio.Event()
        """Whether the pool has started, or never will any more."""

    async def start(self) -> None:
        """Clean up what a killed pool left, start the guard, follow the directory. OSError when it cannot."""
        self._packages.prepare()
        # Workers of other users pass through it; they cannot list it, and where they can be they do not see it.
        self.settings.work_dir.chmod(0o711)
        await self.guard.start()
        self._running = True
        self._settled.set()
        self._directory.subscribe(self._changed)
        self._tick()

    async def stop(self) -> None:
        """Kill every worker, end the guard, remove directories and cgroups. Code and logs stay."""
        self._running = False
        self._settled.set()
        if self._timer is not None:
            self._timer.cancel()
        for fleet in list(self._fleets.values()):
            await fleet.stop()
        workers = list(self._owner_of)
        await self.guard.stop()
        for worker in workers:
            await worker.closed()
        await self._packages.close()
        self.logs.close()

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run it on a worker, warm or new; see contracts.Invoker. Cancelled, it returns when the worker is dead."""
        if not self._running:
            await self._settled.wait()  # a server listens before the guard of its pool is ready
        if not self._running:
            raise ApiError(
                "ServiceException", "The pool is not running", status=503, fields={"Type": "Service"}
            )
        function = invocation.function
        metrics, name = self._metrics, function.name
        slot = self._slots.take(name, function.reserved)
        if isinstance(slot, str):
            _add(metrics.throttles, name)
            raise ApiError(
                "TooManyRequestsException",
                "Rate Exceeded.",
                status=429,
                fields={"Reason": slot, "Type": "User"},
            )
        metrics.concurrent[name] = self._slots.running(name)
        try:
            result = await self._run(invocation)
        except ApiError as error:
            if error.status == 429:
                _add(metrics.throttles, name)
            raise
        finally:
            self._slots.give_back(slot)
            metrics.concurrent[name] = self._slots.running(name)
        _add(metrics.invocations, name)
        if result.error is not None:
            _add(metrics.errors, name)
        metrics.duration_ms[name] = metrics.duration_ms.get(name, 0.0) + result.duration_ms
        return result

    async def _run(self, invocation: Invocation) -> InvocationResult:
        fleet = self._fleet(invocation.function)
        while True:
            try:
                worker = fleet.idle_worker() or await fleet.worker()
            except StartFailed as failure:
                return failure.worker.failed_start(invocation)
            if worker.waiting:
                break  # else it ended in the moment between being free and being ours
        result = await worker.run(invocation)
        if worker.alive:
            fleet.worked()
        return result

    async def warm(self, function: FunctionVersion) -> None:
        """See that a worker of this version is ready. Returns when it is, or when its start has failed."""
        fleet = self._fleet(function)
        if not self._running or fleet.idle:
            return
        try:
            fleet.offer(await fleet.worker())
        except (StartFailed, ApiError):
            return  # the first invocation is told why

    def share(self, pools: int) -> None:
        """So many pools live: this one takes its part of the limits of concurrency."""
        self._slots.share(pools)

    def statistics(self) -> dict[str, int]:
        """Workers idle, busy and starting; invocations waiting; all plain integers."""
        fleets = self._fleets.values()
        idle = sum(len(fleet.idle) for fleet in fleets)
        return {
            "workers_idle": idle,
            "workers_busy": sum(len(fleet.workers) for fleet in fleets) - idle,
            "workers_starting": sum(fleet.starting for fleet in fleets),
            "invocations_waiting": sum(fleet.waiting for fleet in fleets),
        }

    # What workers tell.

    def worker_idle(self, worker: Worker) -> None:
        """See worker.WorkerOwner."""
        fleet = self._owner_of.get(worker)
        if fleet is None or not self._running:
            worker.kill()
        else:
            fleet.ready(worker)

    def worker_ended(self, worker: Worker) -> None:
        """See worker.WorkerOwner."""
        fleet = self._owner_of.pop(worker, None)
        self._packages.leave(worker.function.code)
        if fleet is not None:
            deliberate = worker.exit is not None and worker.exit.reason in ("silence", "stop")
            fleet.ended(worker, failed=worker.never_ready or not deliberate)
            self._drop_if_empty(fleet)

    # What fleets ask.

    def room(self, fleet: Fleet) -> bool:
        """See fleet.FleetOwner."""
        if not self._running or sum(other.starting for other in self._fleets.values()) >= self._starting_max:
            return False
        if (
            sum(len(other.workers) + other.starting for other in self._fleets.values())
            < self.settings.workers
        ):
            return True
        idle = [worker for other in self._fleets.values() for worker in other.idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda worker: worker.idle_since)
        self._end(oldest)
        return True

    async def launch(self, fleet: Fleet) -> Worker:
        """See fleet.FleetOwner."""
        function = fleet.function
        worker = Worker(
            next(self._numbers),
            function,
            self,
            self.guard,
            self.logs.of(function.name),
            self._clock,
            self.settings,
        )
        self._owner_of[worker] = fleet
        used = False
        try:
            task_root: Path = await self._packages.use(function.code)
            used = True
            await worker.start(task_root)
        except BaseException:
            self._owner_of.pop(worker, None)
            if used:
                self._packages.leave(function.code)
            await worker.abandon()
            raise
        _add(self._metrics.cold_starts, function.name)
        return worker

    def slots_changed(self) -> None:
        """See fleet.FleetOwner."""
        if self._running:
            for fleet in list(self._fleets.values()):
                if fleet.waiting:
                    fleet.staff()

    # Fleets.

    def _fleet(self, function: FunctionVersion) -> Fleet:
        key = (function.arn, function.revision)
        fleet = self._fleets.get(key)
        if fleet is None:
            for (arn, _), other in list(self._fleets.items()):
                if arn == function.arn:
                    self._retire(other)
            fleet = Fleet(function, self, self._clock, self.settings.queue_wait_s)
            self._fleets[key] = fleet
        return fleet

    def _changed(self, name: str) -> None:
        """A function was made, changed or deleted: workers of versions that are no more end when they are done."""
        gone = True
        for (arn, revision), fleet in list(self._fleets.items()):
            if fleet.function.name != name:
                continue
            try:
                if self._directory.resolve(arn).revision == revision:
                    gone = False
                    continue
            except ApiError:
                pass
            self._retire(fleet)
        if gone:
            self._slots.forget(name)

    def _retire(self, fleet: Fleet) -> None:
        fleet.retire()
        self._drop_if_empty(fleet)

    def _drop_if_empty(self, fleet: Fleet) -> None:
        if fleet.empty and (fleet.retired or not self._running):
            self._fleets.pop((fleet.function.arn, fleet.function.revision), None)

    def _end(self, worker: Worker) -> None:
        """End an idle worker."""
        fleet = self._owner_of.get(worker)
        if fleet is not None:
            fleet.dismiss(worker)
        worker.kill()

    # Time.

    def _tick(self) -> None:
        """Once a second: end workers that have been idle for long, hand logs to the operating system."""
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        before = self._clock.monotonic() - self.settings.idle_s
        for fleet in list(self._fleets.values()):
            for worker in [worker for worker in fleet.idle if worker.idle_since < before]:
                self._end(worker)
        self.logs.flush()


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1
