"""Runs the events of the queue in one pool: finds those that are due, claims them, runs them, settles them.

    runner = EventRunner(store, pool, directory, destinations, pool_id="pool-1", clock=clock, metrics=metrics)
    await runner.start()
    await runner.stop()

Any number of pools are at it at the same time. An event is whoever's name is in its row; the name stands for one
claim of one run of a program. While an event is run its claim's counter is moved on; who sees a counter stand still
for `SILENT_S` on the own clock takes the event over. So an event whose pool dies is run again, by another one or by
the next: at least once, whatever happens between any two steps. A pool that knows that it is alone does not wait.

An event that has been run for the last time is not run again only because its outcome cannot be delivered: the
outcome is kept in the row first (`EventStore.settle`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange_router.triggers.contracts import Destinations, FunctionDirectory, Invoker, TriggerMetrics
from hashrange_router.triggers.events import rows
from hashrange_router.triggers.events.outcome import name_of
from hashrange_router.triggers.events.rows import QUEUES, Event, Seen
from hashrange_router.triggers.events.run import EventRun
from hashrange_router.triggers.events.store import EventStore

SILENT_S: Final = 10.0
"""A claim whose counter has not changed for so long is nobody's any more."""
RENEW_S: Final = 3.0
PAGE_ROWS: Final = 64
PAGES_MAX: Final = 16
"""Pages of a queue looked at in one go: rows in front of it that are being run are stepped over."""
RENEWALS_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class EventSettings:
    """How events are looked for and run. Times in seconds.

    `delay_scale` multiplies the waits between attempts (one and two minutes, and the back-off of throttles).
    """

    running_max: int = 100
    function_max: int = 80
    """Of one function: a function that takes its time leaves room for others."""
    scan_s: float = 2.0
    bell_s: float = 0.05
    delay_scale: float = 1.0


@dataclass(slots=True)
class _Running:
    event: Event
    owner: str
    since_s: float
    task: asyncio.Task[None] | None = None


class EventRunner:
    """The runner of one pool. Everything happens on the event loop that it is started on."""

    def __init__(
        self,
        store: EventStore,
        invoker: Invoker,
        directory: FunctionDirectory,
        destinations: Destinations,
        *,
        pool_id: str,
        clock: Clock,
        metrics: TriggerMetrics,
        settings: EventSettings | None = None,
        alone: bool = False,
    ) -> None:
        """`alone`: there can be no other pool, and nothing runs any more for those that there were."""
        self._store = store
        self._alone = alone
        self._clock = clock
        self.settings = settings or EventSettings()
        self._run = EventRun(
            store,
            invoker,
            directory,
            destinations,
            metrics,
            clock,
            self.settings.delay_scale,
            self._due_later,
        )
        self._name = f"{pool_id}/{secrets.token_hex(4)}"
        self._claims = 0
        self._taken = 0
        self._taken_by: dict[str, int] = {}
        """Places for events that are run, claimed or put: all, and by function."""
        self._running: dict[tuple[str, str], _Running] = {}
        self._suspects: dict[tuple[str, str], tuple[str, int, float]] = {}
        """Claims of others: whose, the counter, and since when it is that (monotonic seconds)."""
        self._bell: rows.Row = {}
        self._rung: set[int] = set()
        self._waiting: dict[str, deque[Seen]] = {}
        """Rows that were found when there was no room, by function."""
        self._claiming: set[asyncio.Task[None]] = set()
        self._more = False
        """Whether there may be more rows than those in `_waiting`."""
        self._next_scan_s = 0.0
        self._first_queue = secrets.randbelow(QUEUES)
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._stopping = False
        self._log = get_logger("triggers")

    # What the queue of this process asks (`Taker`).

    def reserve(self, arn: str) -> str | None:
        """The name to claim an event by, with a place kept for it; None when there is no room."""
        if self._stopping:
            return None
        if not self._occupy(arn):
            self._more = True
            return None
        return self._new_owner()

    def take(self, event: Event, owner: str, payload: bytes) -> None:
        """Run an event that was put with a name of `reserve`."""
        self._start(event, owner, payload)

    def give_back(self, arn: str) -> None:
        """The place of `reserve` is not needed after all."""
        self._taken -= 1
        name = name_of(arn)
        self._taken_by[name] -= 1
        if not self._taken_by[name]:
            del self._taken_by[name]

    # Life.

    async def start(self) -> None:
        """Look for events until stopped."""
        loop = asyncio.get_running_loop()
        self._loops = [
            loop.create_task(self._forever(self._look, "events could not be looked for")),
            loop.create_task(self._forever(self._renew_later, "claims of events could not be renewed")),
        ]
        if not self._alone:  # else nobody rings: what is put in this process is taken over or looked for
            listening = self._forever(self._listen, "the bell of the events could not be heard")
            self._loops.append(loop.create_task(listening))

    async def stop(self, grace_s: float = 0.0) -> None:
        """Claim nothing more, give what is running `grace_s`, and leave the rest to the other pools at once."""
        self._stopping = True
        if grace_s > 0 and self._running:
            await asyncio.wait([run.task for run in self._running.values() if run.task], timeout=grace_s)
        left = list(self._running.values())
        tasks = [*self._loops, *self._claiming, *(run.task for run in left if run.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._loops = []
        for run in left:
            try:
                await self._store.release(run.event, run.owner)
            except ApiError as error:
                self._log.warning(
                    "an event could not be left to others", request_id=run.event.id, reason=str(error)
                )

    def statistics(self) -> dict[str, int]:
        """Events running here now, and what became of events since the start."""
        return {"running": len(self._running), **self._run.counts}

    async def idle(self) -> None:
        """Wait until nothing runs here."""
        while self._running:
            await asyncio.wait([run.task for run in self._running.values() if run.task is not None])

    # Looking for events.

    async def sweep(self, queues: Iterable[int] | None = None) -> None:
        """Look into queues (all of them without any named) and start what is due, as far as there is room."""
        whole = queues is None
        if queues is None:
            self._first_queue = (self._first_queue + 1) % QUEUES
            queues = [(self._first_queue + number) % QUEUES for number in range(QUEUES)]
            self._more = False
            self._waiting.clear()
            self._next_scan_s = self._clock.monotonic() + self.settings.scan_s
        suspects: dict[tuple[str, str], tuple[str, int, float]] = {}
        for queue in queues:
            await self._sweep_queue(queue, suspects)
        self._suspects = suspects if whole else self._suspects | suspects

    async def _sweep_queue(self, queue: int, suspects: dict[tuple[str, str], tuple[str, int, float]]) -> None:
        after: rows.Row | None = None
        left = 0
        for _ in range(PAGES_MAX):
            # A little ahead, so that whatever falls due before the next look is begun in time.
            now_ms = self._clock.wall_ms()
            until_ms = now_ms + int(self.settings.scan_s * 1000)
            page, after = await self._store.scan(queue, until_ms, PAGE_ROWS, after)
            due = [seen for seen in page if seen.due_ms <= now_ms]
            free = [seen for seen in due if seen.name not in self._running and self._is_free(seen, suspects)]
            claims = []
            for seen in free:
                if self._occupy(seen.arn):
                    claims.append(self._claim(seen))
                else:
                    self._waiting.setdefault(name_of(seen.arn), deque()).append(seen)
                    left += 1
            await asyncio.gather(*claims)
            if len(due) < len(page):
                self._due_later(page[len(due)].due_ms)
                return
            if after is None:
                return
            if left >= PAGE_ROWS:
                break
        self._more = True

    def _is_free(self, seen: Seen, suspects: dict[tuple[str, str], tuple[str, int, float]]) -> bool:
        if seen.owner is None or (self._alone and not seen.owner.startswith(self._name)):
            return True
        now_s = self._clock.monotonic()
        known = self._suspects.get(seen.name)
        if known is None or known[:2] != (seen.owner, seen.claim):
            known = (seen.owner, seen.claim, now_s)
        suspects[seen.name] = known
        return now_s - known[2] >= SILENT_S

    async def _claim(self, seen: Seen) -> None:
        """Take over a row, with a place that is there for it."""
        owner = self._new_owner()
        event: Event | None = None
        try:
            event = await self._store.claim(seen, owner)
        except (KeyError, ValueError) as error:
            self._log.error("a row of the queue is no event", key=seen.name, exc_info=error)
        finally:
            if event is None:
                self.give_back(seen.arn)
                self._feed()
        if event is not None:
            if seen.owner is not None:
                self._run.count("taken_over")
            self._start(event, owner, None)

    def _feed(self) -> None:
        """A place is free: claim what is known to wait for one; look for more when nothing is."""
        if self._stopping:
            return
        for waiting in self._waiting.values():
            while waiting and self._occupy(waiting[0].arn):
                claiming = asyncio.get_running_loop().create_task(self._claim(waiting.popleft()))
                self._claiming.add(claiming)
                claiming.add_done_callback(self._claiming.discard)
        if self._more and not any(self._waiting.values()):
            self._next_scan_s = 0.0
            self._wake.set()

    def _occupy(self, arn: str) -> bool:
        """Take a place for an event; False when there is none."""
        name = name_of(arn)
        by = self._taken_by.get(name, 0)
        if self._taken >= self.settings.running_max or by >= self.settings.function_max:
            return False
        self._taken += 1
        self._taken_by[name] = by + 1
        return True

    def _new_owner(self) -> str:
        self._claims += 1
        return f"{self._name}/{self._claims}"

    def _due_later(self, due_ms: int) -> None:
        """An event is due then: look again in time."""
        delay_s = max(due_ms - self._clock.wall_ms(), 0) / 1000
        at_s = self._clock.monotonic() + delay_s
        if at_s < self._next_scan_s:
            self._next_scan_s = at_s
            self._wake.set()

    # Running.

    def _start(self, event: Event, owner: str, payload: bytes | None) -> None:
        run = _Running(event, owner, self._clock.monotonic())
        name = (event.key["pk"]["S"], event.key["sk"]["S"])
        self._running[name] = run
        run.task = asyncio.get_running_loop().create_task(self._run.run(event, owner, payload))
        run.task.add_done_callback(lambda task: self._ended(name, run, task))

    def _ended(self, name: tuple[str, str], run: _Running, task: asyncio.Task[None]) -> None:
        del self._running[name]
        self.give_back(run.event.arn)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("an event failed", request_id=run.event.id, exc_info=task.exception())
        self._feed()

    async def renew(self) -> None:
        """Move on the counters of all events that have been running for a while."""
        before_s = self._clock.monotonic() - RENEW_S
        due = [run for run in self._running.values() if run.since_s <= before_s]
        for at in range(0, len(due), RENEWALS_AT_ONCE):
            some = due[at : at + RENEWALS_AT_ONCE]
            await asyncio.gather(*(self._renew_one(run) for run in some))

    async def _renew_one(self, run: _Running) -> None:
        try:
            mine = await self._store.renew(run.event, run.owner)
        except ApiError as error:
            self._log.warning("the claim of an event could not be renewed", reason=str(error))
            return
        if not mine and run.owner in self._run.invoking and run.task is not None:
            # Somebody has taken this process for dead: what the function would still do here, it does there.
            self._log.warning("an event has been taken over by another pool", request_id=run.event.id)
            run.task.cancel()

    # The loops.

    async def _look(self) -> None:
        while True:
            delay_s = self._next_scan_s - self._clock.monotonic()
            if delay_s > 0 and not self._rung:
                self._wake.clear()
                try:
                    await asyncio.wait_for(self._wake.wait(), delay_s)
                except TimeoutError:
                    pass
                continue
            if delay_s > 0:
                rung, self._rung = self._rung, set()
                await self.sweep(rung)
            else:
                self._rung.clear()
                await self.sweep()

    async def _listen(self) -> None:
        while True:
            await asyncio.sleep(self.settings.bell_s)
            bell = await self._store.listen()
            rung = rows.rung(self._bell, bell)
            self._bell = bell
            if rung:
                self._rung.update(rung)
                self._wake.set()

    async def _renew_later(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self.renew()

    async def _forever(self, work: Callable[[], Coroutine[Any, Any, None]], trouble: str) -> None:
        """Keep a loop going: what fails is tried again a little later."""
        while True:
            try:
                await work()
            except ApiError as error:
                self._log.warning(trouble, reason=str(error))
            except Exception as error:
                self._log.error(trouble, exc_info=error)
            await asyncio.sleep(RENEW_S / 3)
