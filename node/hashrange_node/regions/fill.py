"""Marking everything of a partition for a replica that has just been added: items and tombstones, in small steps.

The walk is a `Fill` like that of an index: behind an entry of its own, so that every write evaluated before the
replica was known is in the engine, with a cursor that is replicated. Each step marks the newest evaluated versions for
the one replica, in what marks there are already or in new ones with the bit FILLING. Items first, then tombstones: a
deletion between the two was evaluated with the replica known, and is marked by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hashrange.model import record as records
from hashrange.model.regions import FILLING, ReplicaTarget
from hashrange_node.regions.versions import mark_key, pack_mark, unpack_mark
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.fill import FINISHED, Fill, Later, Report
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

STEP: Final = 500
ROOM_DELAY_S: Final = 0.02
_ITEMS: Final = b"I"
_TOMBSTONES: Final = b"T"
_SPACES: Final = {_ITEMS: keyspace.ITEMS, _TOMBSTONES: keyspace.TOMBSTONES}


class ReplicaFill(Fill):
    """The walk of one partition for one replica. `room()` says whether more may be marked now."""

    def __init__(
        self,
        replica: Replica,
        target: ReplicaTarget,
        call_later: Later,
        done: Callable[[], None],
        report: Report,
        room: Callable[[], bool],
    ) -> None:
        self.target = target
        self._room = room
        super().__init__(replica, f"replica:{target.region}:{target.slot}", call_later, done, report)

    def wanted(self) -> bool:
        """Until the replica is removed."""
        return not self.stopped and any(
            (each.region, each.slot) == (self.target.region, self.target.slot)
            for each in self.replica.schema.replicas
        )

    def proceed(self) -> None:
        """Take the next step when there is room in what is to be sent."""
        if not self.wanted():
            return
        if self._room():
            self._call_later(0.0, self._step)
        else:
            self._call_later(ROOM_DELAY_S, self.proceed)

    def _walk(self, effects: Effects) -> bytes:
        """Mark the next items or tombstones; returns the cursor behind them: the space's letter, then the key."""
        replica = self.replica
        place, overlay = replica.place, replica.group.overlay
        phase, low = self._cursor[:1] or _ITEMS, self._cursor[1:]
        first, end = keyspace.hashes_of(place.store, _SPACES[phase], place.lo, place.hi)
        prefix = first[: len(replica.items)]
        newest: dict[bytes, int] = {}
        cursor = _TOMBSTONES if phase == _ITEMS else FINISHED
        walked = 0
        for full_key, stored in replica.engine.scan(max(first, prefix + low), end):
            walked += 1
            held = overlay.get(full_key)
            record = stored if held is None else held[1]
            if record is not None:
                newest[full_key[len(prefix) :]] = records.stamp(record)
            if walked == STEP:
                cursor = phase + full_key[len(prefix) :] + b"\x00"
                break
        self.walked += walked
        self._mark(effects, newest)
        return cursor

    def _mark(self, effects: Effects, newest: dict[bytes, int]) -> None:
        """Add marks of these keys, whose versions have these stamps."""
        replica, bit = self.replica, self.target.bit
        keys = [mark_key(replica.items + key) for key in newest]
        marks = replica.engine.get_many(keys)
        marked = []
        for (key, stamp), full_key, stored in zip(newest.items(), keys, marks, strict=True):
            held = replica.group.overlay.get(full_key)
            mark = stored if held is None else held[1]
            if mark is None:
                effects.mutations.append((full_key, pack_mark(stamp, bit | FILLING)))
            else:
                before, bits = unpack_mark(mark)
                if bits & bit:
                    continue
                effects.mutations.append((full_key, pack_mark(max(before, stamp), bits | bit)))
            marked.append((key, stamp, bit | FILLING))
        if marked:
            effects.marked = marked
