"""What a table or index has consumed lately: per second for some minutes, per minute for an hour, and its peaks.

Kept in memory by the vendor of capacity, for auto scaling and for the peaks of tables on demand. Times are monotonic
seconds; amounts are half units. A report tells of some time: what it says is spread evenly over that.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

SECONDS = 300
MINUTES = 60
WINDOW_SLOTS = 30
"""A window of peaks is looked at in so many parts."""

Amounts = tuple[int, int, int, int]
"""(read used, write used, read refused, write refused), in half units."""


class Consumed(NamedTuple):
    """What was consumed and refused in one period, in half units."""

    read: int
    write: int
    read_refused: int
    write_refused: int


NOTHING = Consumed(0, 0, 0, 0)


class Ring:
    """The last `count` periods of `width_s` seconds. Period n lasts from n * width_s to (n + 1) * width_s."""

    __slots__ = ("_amounts", "_count", "_periods", "width_s")

    def __init__(self, count: int, width_s: float) -> None:
        self.width_s = width_s
        self._count = count
        self._amounts = array("q", bytes(8 * 4 * count))
        self._periods = array("q", [-1]) * count

    def add(self, begin: float, end: float, amounts: Amounts) -> None:
        """Spread `amounts` over the time from `begin` to `end`."""
        width = self.width_s
        first, last = int(begin // width), int(end // width)
        given = [0, 0, 0, 0]
        for period in range(max(first, last - self._count + 1), last + 1):
            # Shares of the whole so far, so that what is rounded comes with a later period.
            part = 1.0 if period == last else ((period + 1) * width - begin) / (end - begin)
            slot = self._slot(period)
            for kind, amount in enumerate(amounts):
                so_far = int(amount * part)
                self._amounts[slot + kind] += so_far - given[kind]
                given[kind] = so_far

    def _slot(self, period: int) -> int:
        place = period % self._count
        if self._periods[place] != period:
            self._periods[place] = period
            self._amounts[4 * place : 4 * place + 4] = array("q", (0, 0, 0, 0))
        return 4 * place

    def cut(self, begin: float, end: float, read: float, write: float) -> None:
        """Let no period from `begin` to `end` have more than so much a second that was read, or written."""
        width = self.width_s
        last = int(end // width)
        for period in range(max(int(begin // width), last - self._count + 1), last + 1):
            slot = self._slot(period)
            self._amounts[slot] = min(self._amounts[slot], int(read * width))
            self._amounts[slot + 1] = min(self._amounts[slot + 1], int(write * width))

    def last(self, count: int, now: float, since: float) -> list[Consumed]:
        """The last `count` whole periods before `now`, oldest first; none that began before `since`."""
        current = int(now // self.width_s)
        first = max(current - min(count, self._count - 1), int(-(-since // self.width_s)))
        return [self._of(period) for period in range(first, current)]

    def _of(self, period: int) -> Consumed:
        place = period % self._count
        if self._periods[place] != period:
            return NOTHING
        return Consumed(*self._amounts[4 * place : 4 * place + 4])

    def highest(self, before: float) -> tuple[int, int]:
        """The most that was read, and written, in one period that was over at `before`."""
        bound = int(before // self.width_s)
        read = write = 0
        for place, period in enumerate(self._periods):
            if 0 <= period < bound:
                read = max(read, self._amounts[4 * place])
                write = max(write, self._amounts[4 * place + 1])
        return read, write


class History:
    """All that is kept of one table or index. `window_s`: the window of peaks (`previous_peak`)."""

    __slots__ = ("_parts", "_peak", "_seen", "_window_s", "minutes", "seconds")

    def __init__(self, window_s: float) -> None:
        self.seconds = Ring(SECONDS, 1.0)
        self.minutes = Ring(MINUTES, 60.0)
        self._window_s = window_s
        self._parts = Ring(2 * WINDOW_SLOTS + 1, window_s / WINDOW_SLOTS)
        self._seen = -1
        self._peak = (0.0, 0.0)

    def add(self, begin: float, end: float, amounts: Amounts, read_limit: float, write_limit: float) -> None:
        """Spread `amounts` over the time from `begin` to `end`, at most two windows.

        The limits, a second, are those in force: what was saved up and used on top of them makes no peak.
        """
        self.previous_peak(end)  # before what is old is overwritten
        for ring in (self.seconds, self.minutes, self._parts):
            ring.add(begin, end, amounts)
        self._parts.cut(begin, end, read_limit, write_limit)

    def previous_peak(self, now: float) -> tuple[float, float]:
        """The highest consumption, (read, write) a second, averaged over a part of a window that is a window ago.

        Traffic of the last window does not count: a table on demand may double once in a window.
        """
        part = int(now // self._parts.width_s)
        if part != self._seen:
            self._seen = part
            read, write = self._parts.highest(now - self._window_s)
            width = self._parts.width_s
            self._peak = max(self._peak[0], read / width), max(self._peak[1], write / width)
        return self._peak
