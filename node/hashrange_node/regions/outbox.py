"""Sending marked items to one other region: one link for all partitions that are led on a node.

What is ready in any lane goes into requests: as much as there is after a short wait, up to a size, and few requests at
once. An item is read when it is sent: what goes out is its current version, or the tombstone. The outcome of each says
what becomes of its key (`window`). When the link is down, or the region takes nothing of a table, keys wait in their
lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hashrange.model import record as records
from hashrange.model.regions import AHEAD_MAX_MS
from hashrange.runtime.clock import LOGICAL_BITS, wall_ms_of
from hashrange.wire.regions import (
    APPLIED,
    HELD,
    ITEMS_PATH,
    OLDER,
    Batch,
    Entry,
    Outcome,
    decode_reply,
    encode_request,
    schema_digest,
)
from hashrange_node.regions.contracts import LinkDown
from hashrange_node.regions.marks import PartitionMarks, made_ms
from hashrange_node.regions.statistics import TableLink
from hashrange_node.regions.versions import tombstone_key
from hashrange_node.regions.window import Lane
from hashrange_node.storage.engine import EngineError

if TYPE_CHECKING:
    from hashrange_node.regions.shipper import RegionShipper

LINGER_S: Final = 0.01
SPACING_S: Final = 0.05
"""Between two requests that are not full: each costs as much processor time as some tens of items."""
ENTRIES_MAX: Final = 500
BYTES_MAX: Final = 1 << 20
CHUNK: Final = 100
REQUESTS_MAX: Final = 4
BACK_OFF_MIN_S: Final = 0.1
BACK_OFF_MAX_S: Final = 5.0
RETRY_MIN_S: Final = 0.05
RETRY_MAX_S: Final = 1.0
HELD_MAX_S: Final = 5.0
PROBE_S: Final = 5.0
ALARM_S: Final = 3_600.0


class _Part:
    """The entries of one partition in a request; `stamps` are those of their versions."""

    __slots__ = ("entries", "lane", "marks")

    def __init__(self, marks: PartitionMarks, lane: Lane) -> None:
        self.marks = marks
        self.lane = lane
        self.entries: list[Entry] = []


class _Parcel:
    """One request: the parts of each table, in the order of the request's batches."""

    __slots__ = ("count", "size", "tables")

    def __init__(self) -> None:
        self.tables: dict[str, list[_Part]] = {}
        self.count = self.size = 0

    def batches(self) -> list[Batch]:
        return [
            (
                table,
                schema_digest(parts[0].marks.replica.schema),
                [each for part in parts for each in part.entries],
            )
            for table, parts in self.tables.items()
        ]


class Outbox:
    """The link of a node to `region`."""

    def __init__(self, shipper: RegionShipper, region: str) -> None:
        self.region = region
        self._shipper = shipper
        self._call_later = shipper.call_later
        self._ready: dict[tuple[int, str], PartitionMarks] = {}
        self._timing = False
        self._under_way = 0
        self._failures = 0
        self._resume_at = 0.0
        self._heard_at = shipper.now()
        self._sent_at = -1.0
        self._full = False
        self.tables: dict[str, TableLink] = {}
        self.error = ""
        """Why nothing could be sent last, "" when it could."""

    def table(self, name: str) -> TableLink:
        """What is counted of a table."""
        link = self.tables.get(name)
        if link is None:
            link = self.tables[name] = TableLink()
        return link

    def poke(self, marks: PartitionMarks) -> None:
        """A partition has something to send."""
        self._ready[marks.replica.id, marks.table] = marks
        self._soon()

    def _soon(self) -> None:
        """Send what there is in a moment: sooner after a pause, and when more is waiting than fits into a request."""
        if not self._timing:
            spacing_s = 0.0 if self._full else self._sent_at + SPACING_S - self._shipper.now()
            self._wait(max(LINGER_S, spacing_s))

    def _wait(self, delay_s: float) -> None:
        self._timing = True
        self._call_later(max(delay_s, self._resume_at - self._shipper.now()), self._pump)

    def _pump(self) -> None:
        self._timing = False
        if self._shipper.stopped or not self._shipper.links.knows(self.region):
            return
        if self._shipper.now() < self._resume_at:
            self._wait(0.0)
            return
        if self._under_way < REQUESTS_MAX and self._ready:
            parcel = self._collect()
            if parcel.count:
                self._send(parcel)
            self._full = parcel.count >= ENTRIES_MAX or parcel.size >= BYTES_MAX
            if self._full:
                self._wait(0.0)  # there is more: in a later tick, so that others get their turn

    def probe(self) -> None:
        """Ask for nothing, on a link that has been idle: whether it is up shows before somebody needs it."""
        idle_s = self._shipper.now() - self._heard_at
        if idle_s >= PROBE_S and not self._under_way and self._shipper.links.knows(self.region):
            self._heard_at = self._shipper.now()
            self._send(_Parcel())

    # ---- one request

    def _collect(self) -> _Parcel:
        """The entries of the next request, in turn from all partitions that have some."""
        parcel = _Parcel()
        now = self._shipper.now()
        for key in list(self._ready):
            marks = self._ready[key]
            lane = marks.lanes.get(self.region)
            table = self.table(marks.table)
            if lane is None or not lane.ready or not marks.leads:
                del self._ready[key]
            elif table.resume_at <= now:
                try:
                    self._fill(parcel, marks, lane, table)
                except EngineError as error:
                    self._shipper.report(
                        f"items of {marks.table} to be sent to {self.region} cannot be read", error
                    )
                    self._pause(table, str(error))
                if parcel.count >= ENTRIES_MAX or parcel.size >= BYTES_MAX:
                    # Those that have had their turn come last the next time.
                    self._ready[key] = self._ready.pop(key)
                    break
        return parcel

    def _fill(self, parcel: _Parcel, marks: PartitionMarks, lane: Lane, table: TableLink) -> None:
        part = _Part(marks, lane)
        items, engine = marks.replica.items, marks.replica.engine
        while lane.ready and parcel.count < ENTRIES_MAX and parcel.size < BYTES_MAX:
            keys = lane.take(min(CHUNK, ENTRIES_MAX - parcel.count))
            try:
                versions = engine.get_many([items + key for key in keys])
                gone = [key for key, version in zip(keys, versions, strict=True) if version is None]
                buried = dict(
                    zip(gone, engine.get_many([tombstone_key(items + key) for key in gone]), strict=True)
                )
            except EngineError:
                for key in keys:
                    lane.failed(key)
                raise
            for key, version in zip(keys, versions, strict=True):
                record = buried[key] if version is None else version
                if parcel.size >= BYTES_MAX:
                    lane.failed(key)
                elif record is None:
                    # Nothing is known of it any more, so that there is nothing to tell.
                    lane.landed(key)
                    marks.confirm(key, marks.mark_of(key), lane.bit)
                elif lane.filled and lane.flying[key] and made_ms(record) < self._shipper.oldest_ms:
                    lane.expire(key)
                    self._alarm(marks.table, table)
                else:
                    part.entries.append((key, record))
                    parcel.count += 1
                    parcel.size += len(key) + len(record)
        if part.entries:
            parcel.tables.setdefault(marks.table, []).append(part)

    def _send(self, parcel: _Parcel) -> None:
        self._under_way += 1
        self._sent_at = self._shipper.now()
        body = encode_request(self._shipper.region, parcel.batches())
        self._shipper.links.post(self.region, ITEMS_PATH, body, lambda answer: self._answered(parcel, answer))

    def _answered(self, parcel: _Parcel, answer: bytes | LinkDown) -> None:
        self._under_way -= 1
        self._heard_at = self._shipper.now()
        if self._shipper.stopped:
            return
        try:
            if isinstance(answer, LinkDown):
                raise answer
            now, outcomes = decode_reply(answer)
            if len(outcomes) != len(parcel.tables):
                raise ValueError("the reply has not one outcome for each table")
        except (LinkDown, ValueError) as error:
            self._down(parcel, str(error))
        else:
            self._failures, self.error = 0, ""
            for (table, parts), outcome in zip(parcel.tables.items(), outcomes, strict=True):
                self._settle(self.table(table), parts, outcome, now)
        self._again(parcel)

    def _again(self, parcel: _Parcel) -> None:
        """Let the lanes of a parcel go on."""
        for parts in parcel.tables.values():
            for part in parts:
                if part.marks.leads:
                    part.marks.proceed(self.region)
                    if part.lane.ready:
                        self.poke(part.marks)
        if self._ready:
            self._soon()

    # ---- outcomes

    def _settle(self, table: TableLink, parts: list[_Part], outcome: Outcome, now: int) -> None:
        """What became of the entries of one table."""
        count = sum(len(part.entries) for part in parts)
        if not isinstance(outcome, bytes) or len(outcome) != count:
            for part in parts:
                for key, _ in part.entries:
                    part.lane.failed(key)
            self._pause(
                table,
                ": ".join(map(str, outcome)) if isinstance(outcome, tuple) else "a reply of another size",
            )
            return
        table.error, table.failures = "", 0
        position = 0
        for part in parts:
            self._settle_part(table, part, outcome[position : position + len(part.entries)], now)
            position += len(part.entries)

    def _settle_part(self, table: TableLink, part: _Part, outcomes: bytes, now: int) -> None:
        lane, marks = part.lane, part.marks
        here, own = self._shipper.wall(), marks.replica.schema.region
        held: list[tuple[int, bytes]] = []
        retried: list[bytes] = []
        for (key, record), outcome in zip(part.entries, outcomes, strict=True):
            if outcome in (APPLIED, OLDER):
                since, stamp = lane.landed(key), records.stamp(record)
                marks.confirm(key, stamp, lane.bit)
                table.shipped += 1
                if outcome == APPLIED and since and records.region(record) == own:
                    table.latency.observe(max(0, wall_ms_of(here) - wall_ms_of(max(since, stamp))) / 1000)
            elif outcome == HELD:
                lane.sleep(key)
                held.append((records.stamp(record), key))
            else:
                lane.sleep(key)
                retried.append(key)
        if held:
            ahead_ms = wall_ms_of(min(stamp for stamp, _ in held)) - AHEAD_MAX_MS - wall_ms_of(now)
            delay_s = min(HELD_MAX_S, max(RETRY_MIN_S, ahead_ms / 1000))
            self._call_later(delay_s, self._waker(part, [key for _, key in held]))
        if retried:
            delay_s = min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(lane.retries, 10))
            lane.retries += 1
            self._call_later(delay_s, self._waker(part, retried))
        elif not held:
            lane.retries = 0

    def _waker(self, part: _Part, keys: list[bytes]) -> Callable[[], None]:
        def wake() -> None:
            if part.marks.leads and part.marks.lanes.get(self.region) is part.lane:
                part.lane.wake(keys)
                self.poke(part.marks)

        return wake

    def _pause(self, table: TableLink, error: str) -> None:
        """The region takes nothing of a table now."""
        delay_s = self._shipper.jittered(min(BACK_OFF_MAX_S, BACK_OFF_MIN_S * 2 ** min(table.failures, 10)))
        if not table.error:
            self._shipper.note("a region takes no items of a table", region=self.region, reason=error)
        table.failures += 1
        table.error = error
        table.resume_at = self._shipper.now() + delay_s
        self._call_later(delay_s, self._look)

    def _look(self) -> None:
        if self._ready and not self._timing:
            self._wait(0.0)

    def _down(self, parcel: _Parcel, error: str) -> None:
        """The region was not reached: everything goes back, and waits."""
        for parts in parcel.tables.values():
            for part in parts:
                for key, _ in part.entries:
                    part.lane.failed(key)
        delay_s = self._shipper.jittered(min(BACK_OFF_MAX_S, BACK_OFF_MIN_S * 2 ** min(self._failures, 10)))
        self._failures += 1
        self.error = error
        self._resume_at = self._shipper.now() + delay_s

    def _alarm(self, name: str, table: TableLink) -> None:
        """Something cannot be sent any more: told to operators, once an hour."""
        now = self._shipper.now()
        if now - table.alarmed_at >= ALARM_S:
            table.alarmed_at = now
            self._shipper.warn(
                "changes of a global table are too old to be sent: the region was cut off for longer than deletions "
                "are remembered; remove the table's replica there and add it again",
                table=name,
                region=self.region,
            )


def lag_ms(oldest: int, now: int) -> int:
    """How long ago a stamp was, in milliseconds; 0 for none."""
    return max(0, (now >> LOGICAL_BITS) - (oldest >> LOGICAL_BITS)) if oldest else 0
