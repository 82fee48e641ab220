"""Letting go of records that are older than they are kept, and of shards that have none left.

The leader walks what it trims and nothing else: records lie in the order of their numbers, which is that of time but
for a little, and no partition is looked at again before its oldest record is due. A slice of them goes in one
replicated entry, which deletes a range and says in the shard how far it is trimmed. A closed shard goes once it is
empty and has been closed for as long.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from hashrange.model.stream_record import stamp_of
from hashrange.model.stream_sequence import sequence_bytes
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange_node.streams.keeper import StreamKeeper
from hashrange_node.streams.pages import last_of
from hashrange_node.streams.shards import ShardRow, records_prefix, sequence_in

SLICE = 2_000
"""Records looked at in one go: some milliseconds."""
GATHER = 1_000
"""Records are let go of this part of the retention time late at most: 86 s of a day."""


class Trimmer:
    """Trims the streams of the partitions that are led on a node."""

    def __init__(self) -> None:
        self._under_way: set[StreamKeeper] = set()
        self.trimmed = 0
        """Records trimmed since the start."""

    def step(self, keeper: StreamKeeper, wall_ms: int, retention_ms: int) -> bool:
        """One slice of one partition; False when nothing more is due."""
        group = keeper.replica.group
        if wall_ms < keeper.trim_due_ms or group.driver.stalled is not None:
            return False
        if keeper in self._under_way:
            return True  # more may be due behind it: where an entry takes long, a slice has to go as soon as it can
        horizon = wall_ms - retention_ms
        due_ms = wall_ms + retention_ms
        for row in list(keeper.rows.values()):
            shard = keeper.shown(row)
            if shard is None:
                return False
            count, last, oldest = self._old(keeper, row, horizon << LOGICAL_BITS)
            if count:
                self._begin(keeper)
                keeper.trim(row, last, self._end(keeper, count))
                if count == SLICE or (oldest is None and not shard.open):
                    return True
                # What becomes due next waits for more: an entry for each few records would cost more than they do.
                keeper.trim_due_ms = wall_ms + retention_ms // GATHER
                return False
            if oldest is not None:
                due_ms = (oldest >> LOGICAL_BITS) + retention_ms
                break
            if shard.closed_ms is not None:
                if shard.closed_ms <= horizon:
                    self._begin(keeper)
                    keeper.forget(row, self._end(keeper, 0))
                    return True
                due_ms = shard.closed_ms + retention_ms
                break
        keeper.trim_due_ms = due_ms
        return False

    def _old(self, keeper: StreamKeeper, row: ShardRow, horizon: int) -> tuple[int, int, int | None]:
        """Records of a shard that are due, of one slice: count and last one; the stamp of the first that is not."""
        replica, shard = keeper.replica, row.shard
        prefix = records_prefix(replica.place.store, shard.lo)
        first = max(shard.start, shard.trimmed) + 1
        count = last = 0
        scan = replica.engine.scan(
            prefix + sequence_bytes(first), prefix + sequence_bytes(last_of(shard) + 1)
        )
        for key, value in islice(scan, SLICE):
            stamp = stamp_of(value)
            if stamp > horizon:
                return count, last, stamp
            count += 1
            last = sequence_in(key)
        return count, last, None

    def _begin(self, keeper: StreamKeeper) -> None:
        self._under_way.add(keeper)

    def _end(self, keeper: StreamKeeper, count: int) -> Any:
        def done(answer: Any) -> None:
            self._under_way.discard(keeper)
            if answer is None:
                self.trimmed += count

        return done
