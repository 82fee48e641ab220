"""Deleting markers that stand for nothing any more: older than a client may send the same request again."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.transactions import MARKER_KEEP_S
from hashrange_node.replica.collector import Collector
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

SLACK_S = 60

_KEPT = (MARKER_KEEP_S + SLACK_S) * 1000 << LOGICAL_BITS


class MarkerCollector(Collector):
    """Collects the markers of the partitions that are led on a node. `now` is the wall clock as a stamp."""

    def __init__(self, replicas: Callable[[], Iterable[Replica]], now: Callable[[], int]) -> None:
        super().__init__(replicas, now, keyspace.MARKERS, _KEPT)

    def due(self, replica: Replica, key: bytes, stored: bytes, now: int) -> int:
        """When nobody can send the marker's request again."""
        return records.stamp(stored) + _KEPT
