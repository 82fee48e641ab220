"""Forgetting deletions of global tables when nobody can bring their items back any more.

A tombstone goes when it has been here for the retention and no other region lacks it. Until then a version of the item
that was on its way, or came out of another region's fill, must find it. One with a newer item at its key is of no use,
and goes at the same age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from hashrange.runtime.clock import LOGICAL_BITS
from hashrange_node.regions.versions import mark_key, stored_at_s
from hashrange_node.replica.collector import Collector
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

REST: Final = 16
"""A partition is left alone for this part of the retention after a walk: tombstones of a busy table come of age all the
time, and each walk looks at all of them."""

_SECOND: Final = 1000 << LOGICAL_BITS


class TombstoneCollector(Collector):
    """Collects the tombstones of the partitions that are led on a node. `now` is the wall clock as a stamp."""

    def __init__(
        self, replicas: Callable[[], Iterable[Replica]], now: Callable[[], int], retention_s: float
    ) -> None:
        # A tombstone's time is in whole seconds.
        self._retention = int((retention_s + 1.0) * _SECOND)
        self._pause = int(retention_s * _SECOND / REST)
        super().__init__(replicas, now, keyspace.TOMBSTONES, self._retention, self._pause)

    def due(self, replica: Replica, key: bytes, stored: bytes, now: int) -> int:
        """When the tombstone is old enough; it stays while its mark does, unless there is an item again."""
        due = stored_at_s(stored) * _SECOND + self._retention
        if due > now:
            return due
        item = keyspace.item_key(key)
        if replica.newest(item) is None and replica.newest(mark_key(item)) is not None:
            return now + self._pause + 1
        return due
