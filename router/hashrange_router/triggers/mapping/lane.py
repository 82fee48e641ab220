"""One sub-queue of a shard: which batch the function is called with next, and what follows from how that ended.

    lane.offer(entries)
    unit = lane.poll(moment, flush, caught_up_ms)   # to call the function with, or (verdict) to give up; or None
    lane.succeeded(...) | .failed_from(...) | .failed(...) | .refused(...) | .dropped(...)    # one of them for it
    lane.wake()                                     # when to poll again if nothing happens before

At most one unit is out at a time, and units come out in the order of their records: that is what keeps the order of
the changes of an item. Records leave the lane for two reasons only: the function has taken them, or they were given up
and whoever polls has reported it. `first` is the lowest record that has not left.

What a failure does (AWS Lambda Developer Guide, How Lambda processes records from stream-based event sources):

    the function failed         with bisecting and more than one record: two halves, at once, and nothing is counted;
                                else one of the retries is used up, the next attempt comes after a pause
    it names failed records     those before the lowest one have left; with bisecting the rest comes again at once and
                                nothing is counted, unless nothing has left: then the rest is halved.
                                Without, one of the retries is used up
    it could not be called      nothing is counted, the next attempt comes after a pause
    no retries left             the verdict RETRIES_EXHAUSTED over the unit
    records are too old         before any call: the verdict AGE_EXCEEDED over those, the others go on

With a tumbling window a unit's records are all of one window, which runs from a multiple of its length to the next by
the creation time of the records. It is closed by a call without records: when a record of a later window is there, when
everything written before its end has been read, at the end of the shard, or when its state has become too large.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from hashrange_router.triggers.mapping.settings import Entry, Moment, Settings

EVENT_BYTES_MAX = 6 * 1024 * 1024
"""The largest event of a call (AWS Lambda quotas: invocation payload)."""
STATE_BYTES_MAX = 1024 * 1024
"""The largest state of a tumbling window that is kept; a larger one closes the window."""
EMPTY_STATE = b"{}"

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
AGE_EXCEEDED = "MaximumRecordAgeExceeded"

RETRY_FIRST_S = 0.2
RETRY_MAX_S = 30.0
"""Pauses after failures of the function: they double from the first to the longest."""
REFUSED_FIRST_S = 0.1
REFUSED_MAX_S = 5.0
"""The same when it could not be called at all."""

# What an event has around its records, generously: of a window without its state, too.
_ENVELOPE_BYTES = 2048


@dataclass(slots=True)
class Window:
    """A tumbling window: where it starts (ms since 1970), and the state that the function returned last (JSON)."""

    start_ms: int
    state: bytes = EMPTY_STATE


@dataclass(slots=True)
class Answer:
    """How a call ended, as far as a report about its records tells: `error` is what X-Amz-Function-Error says."""

    request_id: str
    version: str
    error: str | None


@dataclass(slots=True)
class Unit:
    """Records that are handled together. `failures` count against the retries, `calls` are all that were made.

    `verdict` set: not to be called with any more, but to be reported. `final`: the call that closes `window`, without
    records; `early`: because its state is too large. `ready_at` (monotonic): not before that.
    """

    records: list[Entry]
    failures: int = 0
    calls: int = 0
    refusals: int = 0
    ready_at: float = 0.0
    verdict: str | None = None
    answer: Answer | None = None
    window: Window | None = None
    final: bool = False
    early: bool = False


@dataclass(slots=True)
class Lane:
    """See the module. `window` is the open one, None between windows."""

    settings: Settings
    window: Window | None = None
    _buffer: deque[Entry] = field(default_factory=deque)
    _bytes: int = 0
    _units: deque[Unit] = field(default_factory=deque)
    _out: bool = False
    _window_floor_ms: int = 0

    def restore(self, window: Window) -> None:
        """Go on with a window that was open when somebody else had this shard; before anything is offered."""
        self.window = window
        self._window_floor_ms = window.start_ms
        if len(window.state) > STATE_BYTES_MAX:
            self._units.append(Unit([], window=window, final=True, early=True))

    @property
    def open_window(self) -> Window | None:
        """The window that a checkpoint must have: one whose last call is due comes before the open one."""
        if self._units and self._units[0].final:
            return self._units[0].window
        return self.window

    @property
    def buffered(self) -> tuple[int, int]:
        """Records that are in no unit yet, and their bytes."""
        return len(self._buffer), self._bytes

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is out, and no window is open."""
        return not self._units and not self._buffer and self.window is None

    @property
    def first(self) -> int | None:
        """The lowest sequence number that has not left; None when all have."""
        found = [unit.records[0].sequence for unit in self._units if unit.records]
        if self._buffer:
            found.append(self._buffer[0].sequence)
        return min(found, default=None)

    @property
    def oldest_ms(self) -> int | None:
        """When the record that waits for longest was written; None when none waits."""
        if self._units and self._units[0].records:
            return self._units[0].records[0].created_ms
        return self._buffer[0].created_ms if self._buffer else None

    def offer(self, entries: Iterable[Entry]) -> None:
        """More records, in order."""
        for entry in entries:
            self._buffer.append(entry)
            self._bytes += len(entry.body) + 1

    def poll(self, moment: Moment, flush: bool, caught_up_ms: int) -> Unit | None:
        """The unit that is next, if its time has come.

        `flush`: wait for no more records and leave no window open, since none will come. `caught_up_ms`: all that was
        written before that time has been offered (0: not known).
        """
        if self._out:
            return None
        if not self._units:
            unit = self._formed(moment, flush, caught_up_ms)
            if unit is None:
                return None
            self._units.append(unit)
        unit = self._units[0]
        if unit.verdict is None:
            if unit.ready_at > moment.monotonic:
                return None
            unit = self._aged(unit, moment)
        self._out = True
        return unit

    def wake(self) -> float | None:
        """When (monotonic) `poll` may give something without a record or a call having come in between."""
        if self._out:
            return None
        if self._units:
            return self._units[0].ready_at
        if self._buffer:
            return self._buffer[0].arrived + self.settings.window_s
        return None

    def succeeded(self, state: bytes | None = None) -> None:
        """The function has taken the unit; `state` is what it returned for its window."""
        unit = self._taken()
        self._units.popleft()
        if unit.window is None:
            return
        if unit.final:
            self._closed(unit)
        else:
            self._keep_state(unit.window, state)

    def failed_from(self, lowest: int, answer: Answer, moment: Moment, state: bytes | None = None) -> None:
        """The function has taken the records below the sequence number `lowest`, which is one of the unit's."""
        unit = self._taken()
        at = next(index for index, entry in enumerate(unit.records) if entry.sequence == lowest)
        if not at:
            self._out = True
            self.failed(answer, moment)
            return
        unit.records = unit.records[at:]
        unit.calls += 1
        unit.answer = answer
        if unit.window is not None:
            self._keep_state(unit.window, state)
        if not self.settings.bisect:
            self._count(unit, moment)

    def failed(self, answer: Answer, moment: Moment) -> None:
        """The function was called with the unit, and none of it counts as taken."""
        unit = self._taken()
        unit.calls += 1
        unit.answer = answer
        if self.settings.bisect and len(unit.records) > 1:
            self._units.popleft()
            middle = len(unit.records) // 2
            for half in (unit.records[middle:], unit.records[:middle]):
                self._units.appendleft(
                    Unit(half, unit.failures, unit.calls, answer=answer, window=unit.window)
                )
            return
        self._count(unit, moment)

    def refused(self, moment: Moment) -> None:
        """The function could not be called: throttled, not found, or something is out of order."""
        unit = self._taken()
        unit.refusals += 1
        unit.ready_at = moment.monotonic + _pause(unit.refusals, REFUSED_FIRST_S, REFUSED_MAX_S)

    def dropped(self) -> None:
        """The unit with a verdict has been reported."""
        unit = self._taken()
        self._units.popleft()
        if unit.final:
            self._closed(unit)

    def _closed(self, unit: Unit) -> None:
        if self.window is unit.window:
            self.window = None

    def _taken(self) -> Unit:
        assert self._out, "nothing was polled"
        self._out = False
        return self._units[0]

    def _count(self, unit: Unit, moment: Moment) -> None:
        unit.failures += 1
        if 0 <= self.settings.retries_max < unit.failures:
            unit.verdict = RETRIES_EXHAUSTED
        else:
            unit.ready_at = moment.monotonic + _pause(unit.failures, RETRY_FIRST_S, RETRY_MAX_S)

    def _aged(self, unit: Unit, moment: Moment) -> Unit:
        """The unit, or first one of those of its records that are too old."""
        if self.settings.age_max_s < 0 or not unit.records:
            return unit
        oldest_ms = moment.wall_ms - 1000 * self.settings.age_max_s
        old = [entry for entry in unit.records if entry.created_ms < oldest_ms]
        if not old:
            return unit
        if len(old) == len(unit.records):
            unit.verdict = AGE_EXCEEDED
            return unit
        unit.records = [entry for entry in unit.records if entry.created_ms >= oldest_ms]
        given_up = Unit(old, unit.failures, unit.calls, verdict=AGE_EXCEEDED, answer=unit.answer)
        self._units.appendleft(given_up)
        return given_up

    def _formed(self, moment: Moment, flush: bool, caught_up_ms: int) -> Unit | None:
        """The next unit of records that are in none yet."""
        settings = self.settings
        if settings.tumbling_ms or self.window is not None:
            return self._formed_in_window(moment, flush, caught_up_ms)
        buffer = self._buffer
        if not buffer or not (flush or self._due(moment)):
            return None
        return Unit(self._take(EVENT_BYTES_MAX - _ENVELOPE_BYTES, None))

    def _due(self, moment: Moment) -> bool:
        """Whether a batch is full or has waited for long enough."""
        settings = self.settings
        return (
            len(self._buffer) >= settings.batch_size
            or self._bytes >= EVENT_BYTES_MAX - _ENVELOPE_BYTES
            or self._buffer[0].arrived + settings.window_s <= moment.monotonic
        )

    def _formed_in_window(self, moment: Moment, flush: bool, caught_up_ms: int) -> Unit | None:
        length_ms = self.settings.tumbling_ms
        buffer = self._buffer
        window = self.window
        if window is not None:
            end_ms = window.start_ms + length_ms
            passed = not length_ms or (not buffer and flush) or caught_up_ms >= end_ms
            if self._window_of(buffer[0]) != window.start_ms if buffer else passed:
                return Unit([], window=window, final=True)
        if not buffer:
            return None
        start_ms = self._window_of(buffer[0])
        complete = self._window_of(buffer[-1]) != start_ms or caught_up_ms >= start_ms + length_ms
        if not (flush or complete or self._due(moment)):
            return None
        if window is None:
            self.window = window = Window(start_ms)
            self._window_floor_ms = start_ms
        room = EVENT_BYTES_MAX - _ENVELOPE_BYTES - len(window.state)
        return Unit(self._take(room, start_ms), window=window)

    def _window_of(self, entry: Entry) -> int:
        """Where its window starts. Time does not go back: a record that comes late is of the window that is open."""
        length_ms = self.settings.tumbling_ms
        if not length_ms:
            return -1
        return max(entry.created_ms - entry.created_ms % length_ms, self._window_floor_ms)

    def _take(self, bytes_max: int, window_ms: int | None) -> list[Entry]:
        """The records of the next unit: one at least."""
        buffer = self._buffer
        taken: list[Entry] = []
        size = 0
        while buffer and len(taken) < self.settings.batch_size:
            entry = buffer[0]
            more = len(entry.body) + 1
            if taken and (
                size + more > bytes_max or (window_ms is not None and self._window_of(entry) != window_ms)
            ):
                break
            size += more
            taken.append(buffer.popleft())
        self._bytes -= size
        return taken

    def _keep_state(self, window: Window, state: bytes | None) -> None:
        """Take over a window's state; one that is too large is handed out once more, and the window is over.

        Records of it that are still to come begin with no state.
        """
        window.state = EMPTY_STATE if state is None else state
        if len(window.state) <= STATE_BYTES_MAX:
            return
        rest = [unit for unit in self._units if unit.window is window]
        self._units.appendleft(Unit([], window=window, final=True, early=True))
        if rest:
            self.window = Window(window.start_ms)
            for unit in rest:
                unit.window = self.window


def _pause(count: int, first_s: float, longest_s: float) -> float:
    return min(first_s * float(1 << min(count - 1, 30)), longest_s)
