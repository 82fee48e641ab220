"""Time as an argument: wall clock, monotonic clock and the stamps that order writes.

Cores never read a clock. Whoever composes a program makes one `SystemClock` and hands it down; tests and
simulations hand down a `ManualClock` and move it by hand. A `StampClock` turns a clock into hybrid logical
stamps (milliseconds in the upper bits, a counter in the lower 16), which never repeat and never go back even
when the wall clock does.

    clock = SystemClock()
    stamps = StampClock(clock, after=highest_stamp_found_on_disk)
    record_stamp = stamps.next()
"""

from __future__ import annotations

import time
from typing import Protocol

LOGICAL_BITS = 16
"""Low bits of a stamp that count within one millisecond; an overflow carries into the milliseconds."""


class Clock(Protocol):
    """What a program may know about time."""

    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump either way when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back: for durations, timeouts and leases."""
        ...


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    monotonic = staticmethod(time.monotonic)
    """The function itself: admission asks it several times for every request."""

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is told to move: tests decide what time it is."""

    __slots__ = ("_monotonic", "_wall_ms")

    def __init__(self, wall_ms: int = 1_700_000_000_000, monotonic: float = 0.0) -> None:
        self._wall_ms = wall_ms
        self._monotonic = monotonic

    def wall_ms(self) -> int:
        return self._wall_ms

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both clocks; negative durations are a mistake of the caller."""
        if seconds < 0:
            raise ValueError("time passes forwards; use set_wall_ms to set the wall clock back")
        self._monotonic += seconds
        self._wall_ms += round(seconds * 1000)

    def set_wall_ms(self, wall_ms: int) -> None:
        """Set the wall clock alone, as an administrator or NTP would; the monotonic clock is untouched."""
        self._wall_ms = wall_ms


class StampClock:
    """Hybrid logical clock: strictly increasing 64-bit stamps close to the wall clock.

    A stamp is `milliseconds << 16 | counter`. While the wall clock stands still or runs behind, the counter
    goes on from the last stamp; past 65,535 it carries into the milliseconds, so order is kept at any rate.
    Given the same clock readings it returns the same stamps.
    """

    __slots__ = ("_last", "_wall_ms")

    def __init__(self, clock: Clock, after: int = 0) -> None:
        self._wall_ms = clock.wall_ms
        self._last = after

    @property
    def last(self) -> int:
        """The highest stamp given out or seen so far."""
        return self._last

    @property
    def wall(self) -> int:
        """The wall clock as a stamp: it has seen nothing of other clocks, and may go back."""
        return self._wall_ms() << LOGICAL_BITS

    @property
    def now(self) -> int:
        """Where the clock stands: no stamp below it will be given out. Asking gives none out."""
        return max(self._wall_ms() << LOGICAL_BITS, self._last)

    def next(self) -> int:
        """A stamp greater than every one before it."""
        stamp = self._wall_ms() << LOGICAL_BITS
        if stamp <= self._last:
            stamp = self._last + 1
        self._last = stamp
        return stamp

    def observe(self, stamp: int) -> None:
        """Never give out anything at or below `stamp`: one read from disk or received from elsewhere."""
        if stamp > self._last:
            self._last = stamp


def wall_ms_of(stamp: int) -> int:
    """The milliseconds since the epoch inside a stamp."""
    return stamp >> LOGICAL_BITS
