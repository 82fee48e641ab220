"""Virtual time: one heap of events for the whole cluster, and processes that take part in it.

Nothing here looks at a real clock. Events of the same moment run in the order in which they were scheduled, so a
run is a function of its seed. Every event belongs to a process (or to the world, None): those of a process that
was killed never run, those of one that is paused wait until it goes on.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Protocol

Callback = Callable[[], None]


class Owner(Protocol):
    """What a process belongs to."""

    def look(self) -> None: ...


EVENTS_AT_ONCE_MAX = 20_000


class Stuck(AssertionError):
    """A process keeps itself busy without time passing."""


class Killed(BaseException):
    """Unwinds the callback of a process that was killed in the middle of it."""


class Event:
    """Something that will happen; `cancel` like the handle of an event loop."""

    __slots__ = ("callback", "process")

    def __init__(self, callback: Callback, process: Process | None) -> None:
        self.callback: Callback | None = callback
        self.process = process

    def cancel(self) -> None:
        """Do not happen."""
        self.callback = None


class World:
    """The time and everything that is going to happen."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.count = 0
        self.after_event: Callable[[Process], None] = lambda process: None
        """Called after each event of a process that is alive: where checkers look."""
        self._heap: list[tuple[float, int, Event]] = []
        self._scheduled = 0

    def at(self, when: float, callback: Callback, process: Process | None = None) -> Event:
        """Let something happen at a moment, not before now."""
        event = Event(callback, process)
        self._scheduled += 1
        heappush(self._heap, (when if when > self.now else self.now, self._scheduled, event))
        return event

    def after(self, delay_s: float, callback: Callback, process: Process | None = None) -> Event:
        """Let something happen after so many seconds."""
        return self.at(self.now + delay_s, callback, process)

    def run(self, until: float, stop: Callable[[], bool] | None = None) -> None:
        """Let everything happen up to a moment, or until `stop` says so."""
        heap = self._heap
        at_once, moment = 0, -1.0
        while heap and heap[0][0] <= until:
            when, _, event = heappop(heap)
            callback = event.callback
            if callback is None:
                continue
            at_once = at_once + 1 if when == moment else 0
            if at_once > EVENTS_AT_ONCE_MAX:
                raise Stuck(f"more than {EVENTS_AT_ONCE_MAX} events at {when:.6f} s, the last {callback}")
            self.now = moment = when
            process = event.process
            if process is None:
                self.count += 1
                callback()
            elif process.alive:
                if process.paused:
                    process.waiting.append(event)
                    continue
                self.count += 1
                try:
                    callback()
                except Killed:
                    continue
                if process.alive:
                    self.after_event(process)
            else:
                continue
            if stop is not None and stop():
                return
        if self.now < until:
            self.now = until


class Process:
    """One life of a program: what it schedules ends with it.

    Its monotonic clock has an offset and runs `rate` times as fast as the world; its wall clock belongs to the
    machine (`wall_offset_ms` may be changed at any time) and goes on over restarts.
    """

    def __init__(self, world: World, name: str, rate: float = 1.0, wall: WallClock | None = None) -> None:
        self.world = world
        self.name = name
        self.rate = rate
        self.alive = True
        self.paused = False
        self.waiting: list[Event] = []
        self.readings_left = -1
        """Readings of the monotonic clock until the process stalls in the middle of what it does; -1: never."""
        self.stall: Callable[[], None] = lambda: None
        self.owner: Owner | None = None
        """Who has it looked at by the checkers."""
        self.wall = wall or WallClock()
        self._monotonic_offset = world.random.uniform(0, 1000) - world.now * rate

    # ---- Clock

    def monotonic(self) -> float:
        if self.readings_left >= 0:
            self.readings_left -= 1
            if self.readings_left < 0:
                self.stall()
                if not self.alive:
                    raise Killed
        return self._monotonic_offset + self.world.now * self.rate

    def wall_ms(self) -> int:
        return self.wall.wall_ms(self.world.now)

    # ---- Scheduler

    def call_soon(self, callback: Callback) -> Event:
        return self.world.at(self.world.now, callback, self)

    def call_later(self, delay_s: float, callback: Callback) -> Event:
        return self.world.at(self.world.now + delay_s / self.rate, callback, self)

    # ---- what is done to it

    def pause(self) -> None:
        """Let it do nothing until `resume`; time passes all the same."""
        self.paused = True

    def resume(self) -> None:
        """Go on with what waited."""
        if self.paused:
            self.paused = False
            waiting, self.waiting = self.waiting, []
            for event in waiting:
                if event.callback is not None:
                    self.world.at(self.world.now, event.callback, self)

    def kill(self) -> None:
        """End it at once."""
        self.alive = False
        self.waiting.clear()


class WallClock:
    """The wall clock of one machine, which administrators set wrong."""

    def __init__(self, epoch_ms: int = 1_700_000_000_000) -> None:
        self.epoch_ms = epoch_ms
        self.offset_ms = 0

    def wall_ms(self, now: float) -> int:
        return self.epoch_ms + self.offset_ms + int(now * 1000)
