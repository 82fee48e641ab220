"""Deleting markers that stand for nothing any more: older than a client may send the same request again.

Markers are ordered by hash, so each is looked at: a slice at a time, by the leader, and the old ones of a slice go in
one replicated entry. A partition is not walked again before the oldest marker that was left in it is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.transactions import MARKER_KEEP_S
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

SLICE = 1_000
"""Markers looked at in one go: about a millisecond."""
SLACK_S = 60

_KEPT = (MARKER_KEEP_S + SLACK_S) * 1000 << LOGICAL_BITS


@dataclass(slots=True)
class _Walk:
    """How far the walk of a partition has come, and the oldest marker that it left. `due`: not before this stamp."""

    due: int = 0
    cursor: bytes = b""
    oldest: int = 0
    waiting: bool = False


class MarkerCollector:
    """Collects the markers of the partitions that are led on a node. `now` is the wall clock as a stamp."""

    def __init__(self, replicas: Callable[[], Iterable[Replica]], now: Callable[[], int]) -> None:
        self._replicas = replicas
        self._now = now
        self._walks: dict[int, _Walk] = {}
        self.deleted = 0

    def step(self) -> bool:
        """Look at one slice of one partition. False: nothing is due now."""
        now = self._now()
        walks: dict[int, _Walk] = {}
        chosen: tuple[Replica, _Walk] | None = None
        for replica in self._replicas():
            group = replica.group
            if replica.index_name is not None or not group.serving or group.split is not None:
                continue
            walk = walks[replica.id] = self._walks.get(replica.id) or _Walk()
            if walk.due <= now and not walk.waiting and (chosen is None or walk.due < chosen[1].due):
                chosen = (replica, walk)
        self._walks = walks
        if chosen is None or chosen[0].group.driver.stalled is not None:
            return False
        self._slice(*chosen, now)
        return True

    def _slice(self, replica: Replica, walk: _Walk, now: int) -> None:
        place = replica.place
        low, high = keyspace.hashes_of(place.store, keyspace.MARKERS, place.lo, place.hi)
        overlay = replica.group.overlay
        old: list[Mutation] = []
        key, seen = b"", 0
        for key, stored in islice(replica.engine.scan(max(low, walk.cursor), high), SLICE):
            seen += 1
            if key in overlay:
                continue  # about to be replaced by one of now
            stamp = records.stamp(stored)
            if stamp + _KEPT <= now:
                old.append((key, None))
            elif not walk.oldest or stamp < walk.oldest:
                walk.oldest = stamp
        if seen == SLICE:
            walk.cursor = key + b"\0"
        else:
            walk.due = (walk.oldest or now) + _KEPT
            walk.cursor, walk.oldest = b"", 0
        if old:
            self._delete(replica, walk, old)

    def _delete(self, replica: Replica, walk: _Walk, old: list[Mutation]) -> None:
        walk.waiting = True

        def done(answer: Any) -> None:
            walk.waiting = False
            if isinstance(answer, ApiError):
                walk.due, walk.cursor, walk.oldest = 0, b"", 0
            else:
                self.deleted += len(old)

        replica.group.propose(Effects(old, [], None), done)
