"""Deleting what has had its time in a space of a partition that is ordered by hash and not by age.

Each entry has to be looked at: a slice at a time, by the leader, and what is due of a slice goes in one replicated
entry. A partition is not walked again before the first of what was left in it is due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hashrange.errors import ApiError
from hashrange_node.replica.effects import Effects, Mutation
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

SLICE = 1_000
"""Entries looked at in one go: about a millisecond."""


@dataclass(slots=True)
class _Walk:
    """How far the walk of a partition has come, and when the first of what it left is due (0: it left nothing).

    `due`: not before this stamp.
    """

    due: int = 0
    cursor: bytes = b""
    soonest: int = 0
    waiting: bool = False


class Collector:
    """Collects entries of a space in the partitions that are led on a node. `now` is the wall clock as a stamp.

    `kept` says how long at least an entry written now is kept, `rest` how long a partition is left alone after a walk;
    both as differences of stamps.
    """

    def __init__(
        self,
        replicas: Callable[[], Iterable[Replica]],
        now: Callable[[], int],
        space: int,
        kept: int,
        rest: int = 0,
    ) -> None:
        self._replicas = replicas
        self._now = now
        self._space = space
        self._kept = kept
        self._rest = rest
        self._walks: dict[int, _Walk] = {}
        self.deleted = 0

    def due(self, replica: Replica, key: bytes, stored: bytes, now: int) -> int:
        """The stamp at which an entry may be deleted; at or below `now` it is. Given by the kind of collector."""
        raise AssertionError("a collector has a kind")

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
        low, high = keyspace.hashes_of(place.store, self._space, place.lo, place.hi)
        overlay = replica.group.overlay
        old: list[Mutation] = []
        key, seen = b"", 0
        for key, stored in islice(replica.engine.scan(max(low, walk.cursor), high), SLICE):
            seen += 1
            if key in overlay:
                continue  # about to be replaced by one of now
            due = self.due(replica, key, stored, now)
            if due <= now:
                old.append((key, None))
            elif not walk.soonest or due < walk.soonest:
                walk.soonest = due
        if seen == SLICE:
            walk.cursor = key + b"\0"
        else:
            walk.due = max(walk.soonest or now + self._kept, now + self._rest)
            walk.cursor, walk.soonest = b"", 0
        if old:
            self._delete(replica, walk, old)

    def _delete(self, replica: Replica, walk: _Walk, old: list[Mutation]) -> None:
        walk.waiting = True

        def done(answer: Any) -> None:
            walk.waiting = False
            if isinstance(answer, ApiError):
                walk.due, walk.cursor, walk.soonest = 0, b"", 0
            else:
                self.deleted += len(old)

        replica.group.propose(Effects(old, [], None), done)
