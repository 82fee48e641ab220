"""The marks of one partition at its leader: finding them in the engine, and clearing what other regions have.

A new leader finds the marks by scanning them in small steps, and takes those that are made meanwhile from the entries
that are applied. So does a lane that had no room for all (`window`). Bits are cleared some time after a region has
confirmed the version: many keys in one log entry, and none that was changed again meanwhile.

A bit is cleared only in a mark whose stamp is not above that of the version that was confirmed: a mark above it stands
for a change that the region may not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.regions import FILLING
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange_node.regions.versions import mark_key, pack_mark, stored_at_s, tombstone_key, unpack_mark
from hashrange_node.regions.window import Lane
from hashrange_node.replica.effects import Effects, Marked, Mutation
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineError

STEP: Final = 500
COUNT_STEP: Final = 2_000
PAUSE_S: Final = 0.002
CLEAR_S: Final = 0.5
CLEAR_KEYS: Final = 500
RETRY_S: Final = 0.5
RECOUNT_S: Final = 30.0
RECENT_STAMPS: Final = 5_000 << LOGICAL_BITS
"""A mark with an older stamp than this was made now all the same: time to live deletes with an old stamp."""

Later = Callable[[float, Callable[[], None]], Any]
Confirmed = dict[bytes, list[tuple[int, int]]]
"""Key to what was confirmed of it: stamp and bit."""


class PartitionMarks:
    """The pending keys of a partition that is led here, a lane for each region.

    `wall()` is the wall clock as a stamp; `poke(marks, lane)` is called when a lane has something to send.
    """

    def __init__(
        self,
        replica: Replica,
        call_later: Later,
        wall: Callable[[], int],
        poke: Callable[[PartitionMarks, str], None],
        report: Callable[[str, BaseException], None],
    ) -> None:
        self.replica = replica
        self.table = replica.schema.name
        self.lanes: dict[str, Lane] = {}
        self.stopped = False
        self._call_later = call_later
        self._wall = wall
        self._poke = poke
        self._report = report
        place = replica.place
        self._low, self._high = keyspace.hashes_of(place.store, keyspace.MARKS, place.lo, place.hi)
        self._confirmed: Confirmed = {}
        self._flushing = False
        self._scanning: set[str] = set()
        self._counting = False
        self._cleaned = 0

    @property
    def leads(self) -> bool:
        """Whether this is still for the leader of the partition to do."""
        group = self.replica.group
        return not self.stopped and group.serving and group.split is None

    # ---- lanes

    def agree(self) -> None:
        """Have a lane for each replica that the table's document has now, and clear the bits of those it had."""
        targets = self.replica.schema.replicas
        wanted = {target.region: target.bit for target in targets}
        filled = {target.region: target.filled for target in targets}
        for region in [each for each, lane in self.lanes.items() if wanted.get(each) != lane.bit]:
            del self.lanes[region]
        for region, bit in wanted.items():
            if region not in self.lanes:
                self.lanes[region] = Lane(bit)
                self.proceed(region)
            self.lanes[region].filled = filled[region]
        if self._cleaned != self.replica.schema.replica_bits or not self._cleaned:
            self._cleaned = self.replica.schema.replica_bits
            self._later(PAUSE_S, lambda: self._clean(b"", self._cleaned))

    def marked(self, marked: list[Marked]) -> None:
        """Marks were applied."""
        now = self._wall()
        for region, lane in self.lanes.items():
            grown = False
            for key, stamp, bits in marked:
                if bits & lane.bit:
                    since = stamp if now - stamp < RECENT_STAMPS else now
                    grown |= lane.mark(key, 0 if bits & FILLING else since)
            if grown:
                self._poke(self, region)
            elif lane.scanning:
                self.proceed(region)

    def proceed(self, region: str) -> None:
        """Scan on for a lane, if there is something to scan for and room."""
        lane = self.lanes.get(region)
        if lane is None or not lane.scanning or region in self._scanning:
            return
        if lane.room:
            self._scanning.add(region)
            self._later(PAUSE_S, lambda: self._scan(region, lane))
        elif not self._counting:
            self._counting = True
            self._later(PAUSE_S, lambda: self._count(b"", {}))

    def _later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call after a pause, unless this has ended; what cannot be read is told, and tried again."""

        def run() -> None:
            if not self.leads:
                return
            try:
                callback()
            except EngineError as error:
                self._report(f"the marks of {self.table} cannot be read", error)
                self._later(10 * RETRY_S, callback)

        self._call_later(delay_s, run)

    # ---- scans

    def _step(self, cursor: bytes, count: int) -> tuple[list[Marked], bytes | None]:
        """The next marks by their newest state, and where to go on; None at the end."""
        overlay = self.replica.group.overlay
        start = len(self.replica.items)
        found: list[Marked] = []
        low = max(self._low, self._low[:start] + cursor)
        for walked, (full_key, stored) in enumerate(self.replica.engine.scan(low, self._high), start=1):
            held = overlay.get(full_key)
            newest = stored if held is None else held[1]
            if newest is not None:
                stamp, bits = unpack_mark(newest)
                found.append((full_key[start:], stamp, bits))
            if walked == count:
                return found, full_key[start:] + b"\x00"
        return found, None

    def _scan(self, region: str, lane: Lane) -> None:
        if self.lanes.get(region) is not lane:
            self._scanning.discard(region)
            return
        marks, cursor = self._step(lane.cursor, STEP)
        grown = lane.found(self._since(self._open(marks, lane.bit)), cursor)
        self._scanning.discard(region)
        if grown:
            self._poke(self, region)
        self.proceed(region)

    def _open(self, marks: list[Marked], bit: int) -> list[Marked]:
        """Those that a region lacks, but for what it has confirmed and is not cleared yet."""
        confirmed = self._confirmed
        return [
            (key, stamp, bits)
            for key, stamp, bits in marks
            if bits & bit
            and not any(bit == cleared and upto >= stamp for upto, cleared in confirmed.get(key, ()))
        ]

    def _since(self, marks: list[Marked]) -> list[tuple[bytes, int]]:
        """Since when a region lacks these: a deletion by time to live has an old stamp, its tombstone says when."""
        items, now = self.replica.items, self._wall()
        old = [key for key, stamp, bits in marks if not bits & FILLING and now - stamp >= RECENT_STAMPS]
        buried = self.replica.engine.get_many([tombstone_key(items + key) for key in old]) if old else []
        stored = {
            key: stored_at_s(tombstone) * 1000 << LOGICAL_BITS
            for key, tombstone in zip(old, buried, strict=True)
            if tombstone is not None
        }
        return [(key, 0 if bits & FILLING else max(stamp, stored.get(key, 0))) for key, stamp, bits in marks]

    def _count(self, cursor: bytes, totals: dict[str, tuple[int, int]]) -> None:
        """Count what lanes without room have in the engine, in steps."""
        marks, following = self._step(cursor, COUNT_STEP)
        for region, lane in self.lanes.items():
            if lane.scanning:
                pending = self._open(marks, lane.bit)
                stamps = [stamp for _, stamp, bits in pending if not bits & FILLING]
                count, first = totals.get(region, (0, 0))
                first = min((each for each in (first, *stamps) if each), default=0)
                totals[region] = (count + len(pending), first)
        if following is not None:
            self._later(PAUSE_S, lambda: self._count(following, totals))
            return
        for region, lane in self.lanes.items():
            if lane.scanning:
                lane.counted, lane.counted_since = totals.get(region, (0, 0))
        self._later(RECOUNT_S, self._recount)

    def _recount(self) -> None:
        self._counting = False
        for region in self.lanes:
            self.proceed(region)

    # ---- clearing

    def confirm(self, key: bytes, stamp: int, bit: int) -> None:
        """A region has the version of an item with this stamp: its bit goes, in a while."""
        known = self._confirmed.get(key)
        if known is None:
            self._confirmed[key] = [(stamp, bit)]
        else:
            known.append((stamp, bit))
        if not self._flushing:
            self._flushing = True
            self._later(CLEAR_S, self._flush)

    def _flush(self) -> None:
        keys = list(self._confirmed)[:CLEAR_KEYS]
        batch = {key: self._confirmed.pop(key) for key in keys}
        self._flushing = bool(self._confirmed)
        if self._flushing:
            self._later(PAUSE_S, self._flush)
        mutations: list[Mutation] = []
        for key, full_key, mark in self._newest(keys):
            stamp, bits = unpack_mark(mark)
            left = bits
            for upto, bit in batch[key]:
                if stamp <= upto:
                    left &= ~bit
            if left != bits:
                mutations.append((full_key, _remaining(stamp, left, self.replica.schema.replica_bits)))
        if mutations:
            self.replica.group.propose(
                Effects(mutations, [], None), lambda answer: self._flushed(answer, batch)
            )

    def _flushed(self, answer: Any, batch: Confirmed) -> None:
        if not isinstance(answer, ApiError) or not self.leads:
            return
        for key, known in batch.items():
            self._confirmed.setdefault(key, []).extend(known)
        if not self._flushing:
            self._flushing = True
            self._later(RETRY_S, self._flush)

    def _newest(self, keys: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
        """Key, engine key of the mark, and mark of those that have one, by their newest state."""
        overlay, items = self.replica.group.overlay, self.replica.items
        full_keys = [mark_key(items + key) for key in keys]
        stored = self.replica.engine.get_many(full_keys)
        found = []
        for key, full_key, mark in zip(keys, full_keys, stored, strict=True):
            held = overlay.get(full_key)
            newest = mark if held is None else held[1]
            if newest is not None:
                found.append((key, full_key, newest))
        return found

    def mark_of(self, key: bytes) -> int:
        """The stamp of a key's mark, 0 when it has none."""
        found = self._newest([key])
        return int(unpack_mark(found[0][2])[0]) if found else 0

    def _clean(self, cursor: bytes, live: int) -> None:
        """Clear the bits of replicas that the table has no more, in steps."""
        if live != self.replica.schema.replica_bits:
            return  # another pass has begun
        marks, following = self._step(cursor, STEP)
        items = self.replica.items
        mutations: list[Mutation] = [
            (mark_key(items + key), _remaining(stamp, bits, live))
            for key, stamp, bits in marks
            if bits & ~(live | FILLING)
        ]

        def cleaned(answer: Any) -> None:
            if isinstance(answer, ApiError):
                self._later(RETRY_S, lambda: self._clean(cursor, live))
            elif following is not None:
                self._later(PAUSE_S, lambda: self._clean(following, live))

        if mutations:
            self.replica.group.propose(Effects(mutations, [], None), cleaned)
        else:
            cleaned(None)


def _remaining(stamp: int, bits: int, live: int) -> bytes | None:
    """A mark with these bits as far as there are such replicas; None when nobody lacks the item."""
    left = bits & live
    return pack_mark(stamp, left | bits & FILLING) if left else None


def made_ms(record: bytes) -> int:
    """When a version was made here or came here, in milliseconds since 1970: by its stamp, or its tombstone."""
    made = records.stamp(record) >> LOGICAL_BITS
    if records.flags(record) & records.TOMBSTONE:
        return max(made, stored_at_s(record) * 1000)
    return made
