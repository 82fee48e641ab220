"""The workers of one version of one function, and the invocations that wait for one.

Invocations that find no idle worker wait in order. There are as many workers starting as invocations waiting, as far
as the pool has room; whichever worker becomes free first serves the first in line, so a burst does not wait for its
last start. A start that fails is told to the first in line; after several failures the next start waits, longer
every time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from hashrange_router.triggers.contracts import FunctionVersion
from hashrange_router.triggers.slots import UNRESERVED
from hashrange_router.triggers.worker import RETURN_S, Worker

_FREE_FAILURES = 2
_BACKOFF_FIRST_S = 0.25
_BACKOFF_MAX_S = 5.0


def backoff_s(failures: int) -> float:
    """How long to wait with the next start after so many failures in a row."""
    if failures <= _FREE_FAILURES:
        return 0.0
    return float(min(_BACKOFF_MAX_S, _BACKOFF_FIRST_S * 2 ** min(failures - _FREE_FAILURES - 1, 20)))


class StartFailed(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """The worker that an invocation waited for ended before it was ready."""

    def __init__(self, worker: Worker) -> None:
        super().__init__("the worker did not start")
        self.worker = worker


class FleetOwner(Protocol):
    """What a fleet asks of the pool."""

    def room(self, fleet: Fleet) -> bool:
        """Whether one more worker may be started now; an idle one of others is ended if that makes the room."""
        ...

    async def launch(self, fleet: Fleet) -> Worker:
        """Start a worker. ApiError, OSError."""
        ...

    def slots_changed(self) -> None:
        """A worker has ended or is ready: others may start theirs."""
        ...


class Fleet:
    """See the module."""

    def __init__(self, function: FunctionVersion, owner: FleetOwner, clock: Clock, wait_s: float) -> None:
        self.function = function
        self.workers: set[Worker] = set()
        self.idle: deque[Worker] = deque()
        self.starting = 0
        self.retired = False
        self._owner = owner
        self._clock = clock
        self._wait_s = wait_s
        self._waiters: deque[asyncio.Future[Worker]] = deque()
        self._failures = 0
        self._not_before = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._starts: set[asyncio.Task[None]] = set()

    @property
    def empty(self) -> bool:
        """Whether nothing is left of it."""
        return not self.workers and not self.starting and not self._waiters

    @property
    def waiting(self) -> int:
        """Invocations in line."""
        return len(self._waiters)

    def idle_worker(self) -> Worker | None:
        """A warm worker, the one used last; it is the caller's."""
        while self.idle:
            worker = self.idle.pop()
            if worker.waiting:
                return worker
        return None

    async def worker(self) -> Worker:
        """A worker, when there is one. StartFailed; ApiError when none can be started or none becomes free in time."""
        worker = self.idle_worker()
        if worker is not None:
            return worker
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        self.staff()
        try:
            while True:
                await asyncio.wait({future}, timeout=self._wait_s)
                if future.done():
                    return future.result()
                if not self.starting and self._clock.monotonic() >= self._not_before:
                    raise ApiError(
                        "TooManyRequestsException",
                        "Every worker of the pool is busy.",
                        status=429,
                        fields={"Reason": UNRESERVED, "Type": "User"},
                    )
        finally:
            if not future.done():
                self._waiters.remove(future)
                future.cancel()
            elif future.exception() is None and future.result().waiting:
                # Given a worker at the moment it was cancelled; else the worker has been returned and is used.
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    self.offer(future.result())

    def offer(self, worker: Worker) -> None:
        """A worker is free."""
        while self._waiters:
            future = self._waiters.popleft()
            if not future.done():
                future.set_result(worker)
                return
        if self.retired:
            worker.kill()
            return
        worker.rested = True
        self.idle.append(worker)

    def ready(self, worker: Worker) -> None:
        """A worker asks for its first event, or its next."""
        if worker in self.workers:
            self.offer(worker)
        else:
            self.workers.add(worker)
            self.starting -= 1
            self.offer(worker)
            self._owner.slots_changed()

    def ended(self, worker: Worker, failed: bool) -> None:
        """A worker is no more. `failed`: by itself, in a start or in the middle of an invocation."""
        if worker.never_ready:
            self.starting -= 1
        self.dismiss(worker)
        if failed:
            self._count_failure()
        if worker.never_ready:
            self._fail_first(StartFailed(worker))
        self._owner.slots_changed()

    def dismiss(self, worker: Worker) -> None:
        """Count a worker no more, nor give it anything to do."""
        self.workers.discard(worker)
        if worker in self.idle:
            self.idle.remove(worker)

    def worked(self) -> None:
        """An invocation came to an end that the worker survived."""
        self._failures = 0
        self._not_before = 0.0

    def retire(self) -> None:
        """The function has changed: idle workers end now, busy ones when they are done."""
        self.retired = True
        while (worker := self.idle_worker()) is not None:
            worker.kill()

    def staff(self) -> None:
        """Start as many workers as invocations are in line, as far as there is room and it is time."""
        now = self._clock.monotonic()
        returning = sum(worker.returns_until > now for worker in self.workers)
        if returning and self._waiters:
            asyncio.get_running_loop().call_later(RETURN_S, self.staff)
        while self.starting + returning < len(self._waiters):
            delay_s = self._not_before - now
            if delay_s > 0:
                if self._alarm is None:
                    self._alarm = asyncio.get_running_loop().call_later(delay_s, self._alarmed)
                return
            if not self._owner.room(self):
                return
            self.starting += 1
            task = asyncio.get_running_loop().create_task(self._start())
            self._starts.add(task)
            task.add_done_callback(self._starts.discard)

    async def stop(self) -> None:
        """Nothing more is started, and nobody is to wait any more."""
        if self._alarm is not None:
            self._alarm.cancel()
        for task in self._starts:
            task.cancel()
        error = ApiError(
            "ServiceException", "The pool is being stopped", status=500, fields={"Type": "Service"}
        )
        while self._waiters:
            self._fail_first(error)
        await asyncio.gather(*self._starts, return_exceptions=True)

    def _alarmed(self) -> None:
        self._alarm = None
        self.staff()

    async def _start(self) -> None:
        try:
            await self._owner.launch(self)
        except (ApiError, OSError) as error:
            self.starting -= 1
            self._count_failure()
            if not isinstance(error, ApiError):
                error = ApiError("ServiceException", f"A worker could not be started: {error}", status=500)
            self._fail_first(error)
            self._owner.slots_changed()
        except asyncio.CancelledError:
            self.starting -= 1
            raise

    def _count_failure(self) -> None:
        self._failures += 1
        self._not_before = self._clock.monotonic() + backoff_s(self._failures)

    def _fail_first(self, error: Exception) -> None:
        while self._waiters:
            future = self._waiters.popleft()
            if not future.done():
                future.set_exception(error)
                return
