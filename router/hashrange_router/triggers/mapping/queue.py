"""What is between the records of one shard and the calls of a function: the lanes, and how far they all are.

    queue = ShardQueue(settings, checkpoint)
    while room := queue.room(): ... read behind queue.position ...; queue.accept(entries, page.after, page.ended)
    unit = queue.poll(lane, moment)          # see `lane`
    queue.checkpoint()                       # all records up to it have left: where another one would go on
    queue.change(settings)

Records are dealt to the lanes by the hash of their partition key, so the changes of one item stay in one lane. When the
number of lanes changes, nothing is read until the old lanes are empty: then no item is in two lanes at once. Records
that the mapping's filters leave out are never in a lane; the checkpoint passes them.

Reading ahead is bounded. When the lanes are full, when they are to be emptied and when the shard has ended, batches do
not wait to be filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hashrange_router.triggers.mapping.lane import Lane, Unit, Window
from hashrange_router.triggers.mapping.settings import Entry, Moment, Settings

AHEAD_RECORDS_MIN = 1000
AHEAD_BATCHES = 2
"""How far is read ahead: so many batches of each lane, and no less than so many records."""
AHEAD_BYTES_MAX = 16 * 1024 * 1024
"""And no more than so many bytes in all lanes of a shard."""
READ_MAX = 500
"""Records of one read: what is rendered at a time keeps everything else of the process waiting."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a shard's processing goes on: behind the sequence number `after`, in a window if one is open."""

    after: int
    window_start_ms: int | None = None
    state: bytes = b""


class ShardQueue:
    """See the module. `position` is where the next read goes on; `caught_up_ms`: see `Lane.poll`."""

    def __init__(self, settings: Settings, checkpoint: Checkpoint) -> None:
        self.settings = settings
        self.position = checkpoint.after
        self.ended = False
        self.caught_up_ms = 0
        self._wanted = settings
        self._lanes = _lanes(settings)
        if checkpoint.window_start_ms is not None:
            self._lanes[0].restore(Window(checkpoint.window_start_ms, checkpoint.state))

    @property
    def lanes(self) -> int:
        """How many lanes there are now."""
        return len(self._lanes)

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the function."""
        return all(lane.idle for lane in self._lanes)

    @property
    def finished(self) -> bool:
        """Whether all of the shard has been processed."""
        return self.ended and self.idle

    @property
    def oldest_ms(self) -> int | None:
        """When the record that waits for longest was written; None when none waits."""
        return min((at for lane in self._lanes if (at := lane.oldest_ms) is not None), default=None)

    def room(self) -> int:
        """How many records may be read now; 0: none."""
        if self._draining or self.ended:
            return 0
        records, size = self._buffered()
        if size >= AHEAD_BYTES_MAX:
            return 0
        settings = self.settings
        ahead = max(AHEAD_RECORDS_MIN, AHEAD_BATCHES * settings.batch_size * len(self._lanes))
        return min(max(ahead - records, 0), READ_MAX)

    def accept(self, entries: Iterable[tuple[int, Entry]], after: int, ended: bool) -> None:
        """Records that were read behind `position`, each with the hash of its partition key; and how far that was."""
        lanes = self._lanes
        if len(lanes) == 1:
            lanes[0].offer(entry for _, entry in entries)
        else:
            for position, entry in entries:
                lanes[position % len(lanes)].offer((entry,))
        self.position = after
        self.ended = ended

    def lane(self, index: int) -> Lane:
        """One of the lanes, to tell it how a call has ended."""
        return self._lanes[index]

    def poll(self, index: int, moment: Moment) -> Unit | None:
        """The next unit of a lane, if there is one."""
        return self._lanes[index].poll(moment, self._flushing(), self.caught_up_ms)

    def wake(self, index: int) -> float | None:
        """When a lane is to be polled again without anything having happened."""
        return self._lanes[index].wake()

    def checkpoint(self) -> Checkpoint:
        """All records up to `after` have left the lanes, or were never in one."""
        lowest = min((first for lane in self._lanes if (first := lane.first) is not None), default=None)
        after = self.position if lowest is None else lowest - 1
        window = self._lanes[0].open_window
        if window is None:
            return Checkpoint(after)
        return Checkpoint(after, window.start_ms, window.state)

    def change(self, settings: Settings) -> None:
        """Take over new settings: at once, but for the number of lanes and the windows. See `settle`."""
        self._wanted = settings
        # Of the lanes there are now, the rest of the settings holds at once: an old limit must not keep them busy.
        kept = replace(settings, lanes=self.settings.lanes, tumbling_ms=self.settings.tumbling_ms)
        self._apply(kept)

    def settle(self) -> bool:
        """Whether the lanes are as the settings want them now; to be called whenever a unit has left.

        True once after they have been made anew: then all lanes are to be polled again.
        """
        if not self._draining or not self.idle:
            return False
        self._lanes = _lanes(self._wanted)
        self._apply(self._wanted)
        return True

    @property
    def _draining(self) -> bool:
        now, wanted = self.settings, self._wanted
        return now.lanes != wanted.lanes or now.tumbling_ms != wanted.tumbling_ms

    def _apply(self, settings: Settings) -> None:
        self.settings = settings
        for lane in self._lanes:
            lane.settings = settings

    def _flushing(self) -> bool:
        return self.ended or self._draining or not self.room()

    def _buffered(self) -> tuple[int, int]:
        records = size = 0
        for lane in self._lanes:
            more_records, more_size = lane.buffered
            records += more_records
            size += more_size
        return records, size


def _lanes(settings: Settings) -> list[Lane]:
    return [Lane(settings) for _ in range(settings.lanes)]
