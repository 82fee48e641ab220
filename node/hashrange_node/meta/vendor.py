"""The vendor of capacity: it counts what all routers consume of each table and index, and deals out what is left.

    vendor = Vendor(VendorSettings(), now)
    vendor.follow(name, document, now)          # for every table, and whenever a document changes
    answer = vendor.report(message, now)        # a CapacityReport; `hashrange.wire.capacity` says what is in both
    vendor.minutes("orders", "", now, 5)        # what was consumed, for auto scaling
    vendor.peaks("orders", "", now)             # previous peaks of a table on demand

Its state lives as long as a control plane's leader leads and is made anew from reports: the successor begins with
empty buckets (`Pool`), takes over what routers have left, and fills up from there. Everything saved up is lost with
a leader, nothing comes out of nothing, and routers go on with the rates that they have.

A report may come twice, or not at all. One that was not answered is sent again under its number and may have grown:
what was counted under this number is not counted again.

A pure core: times are monotonic seconds, given with every call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hashrange.model.table_document import PAY_PER_REQUEST, TableDocument
from hashrange.model.table_limits import BURST_S, Limit, limits, metered
from hashrange.wire.capacity import Answer, CapacityNeed, CapacityReport
from hashrange_node.meta.consumption import Amounts, Consumed, History
from hashrange_node.meta.pool import Pool

PERIOD_MS = 1_000
VALID_MS = 2_500
FORGET_S = 3.0
"""A router is forgotten later than its grants end."""

ADOPT_S = 5.0
"""Time in which what unknown routers have left is taken over from the vendor before."""

REPORTERS_FORGET_S = 600.0
SPREAD_MAX_S = 10.0

ON_DEMAND_QUOTA = 40_000
"""Most that a table on demand grows to by itself, in units (DynamoDB Developer Guide, service quotas)."""

NOTABLE_GROWTH = 1.1
"""A peak is put on record when it is so many times what is there."""


@dataclass(frozen=True, slots=True)
class VendorSettings:
    """`multiplier` scales every limit, `burst_s` bounds what is saved up, `peak_window_s` is the time in which a
    table on demand may double."""

    multiplier: float = 1.0
    burst_s: float = BURST_S
    peak_window_s: float = 1_800.0


@dataclass(slots=True)
class _Metered:
    """One table or global index."""

    life: str
    read: Pool
    write: Pool
    limits: tuple[Limit, Limit]
    on_demand: bool
    warm: tuple[int, int]
    history: History | None = None


@dataclass(slots=True)
class _Reporter:
    """One router: its last report's number, and what was counted under it already."""

    number: int
    heard: float
    counted: dict[tuple[str, str], Amounts] = field(default_factory=dict)


class Vendor:
    """See the module. `now` is when it begins."""

    def __init__(self, settings: VendorSettings, now: float) -> None:
        self.settings = settings
        self.since = now
        """Nothing is known of what was consumed before."""
        self._metered: dict[tuple[str, str], _Metered] = {}
        self._indexes: dict[str, tuple[str, ...]] = {}
        self._reporters: dict[str, _Reporter] = {}

    # ---- tables

    def follow(self, name: str, document: TableDocument | None, now: float) -> None:
        """A table is there, has changed, or is gone (None)."""
        wanted = tuple(metered(document)) if document is not None else ()
        for index in self._indexes.pop(name, ()):
            if index not in wanted:
                del self._metered[name, index]
        if document is not None:
            self._indexes[name] = wanted
            for index in wanted:
                self._follow_one((name, index), document, now)

    def _follow_one(self, key: tuple[str, str], document: TableDocument, now: float) -> None:
        index = key[1]
        settings = self.settings
        found = limits(document, index, multiplier=settings.multiplier, burst_s=settings.burst_s)
        owner = _owner(document, index)
        assert found is not None
        read, write = found
        life = document["TableId"]
        on_demand = document["BillingMode"] == PAY_PER_REQUEST
        warm = (owner["Warm"]["Read"], owner["Warm"]["Write"])
        each = self._metered.get(key)
        if each is None or each.life != life:
            pools = [Pool(limit.rate_half, limit.burst_s, FORGET_S, now) for limit in found]
            self._metered[key] = _Metered(life, pools[0], pools[1], found, on_demand, warm)
            return
        each.limits, each.on_demand, each.warm = found, on_demand, warm
        each.read.change(read.rate_half, read.burst_s, now)
        each.write.change(write.rate_half, write.burst_s, now)

    # ---- reports

    def report(self, message: CapacityReport, now: float) -> Answer:
        """Count what a router has consumed and grant it its share."""
        reporter = self._reporters.get(message.router)
        grants: list[dict[str, Any]] = []
        if reporter is None:
            self._forget_reporters(now)
            reporter = self._reporters[message.router] = _Reporter(message.number, now - PERIOD_MS / 1000)
        elif message.number > reporter.number:
            reporter.number = message.number
            reporter.counted = {}
        if message.number == reporter.number:
            since = max(reporter.heard, now - SPREAD_MAX_S)
            for need in message.needs:
                grant = self._need(message.router, need, reporter.counted, since, now)
                if grant is not None:
                    grants.append(grant)
            reporter.heard = now
        return {"grants": grants, "valid_ms": VALID_MS, "period_ms": PERIOD_MS}

    def _need(
        self,
        router: str,
        need: CapacityNeed,
        counted: dict[tuple[str, str], Amounts],
        since: float,
        now: float,
    ) -> dict[str, Any] | None:
        key = (need.table, need.index)
        each = self._metered.get(key)
        if each is None:
            return None
        said = (need.read_used, need.write_used, need.read_refused, need.write_refused)
        before = counted.get(key, (0, 0, 0, 0))
        read_used, write_used, read_refused, write_refused = (
            max(amount - known, 0) for amount, known in zip(said, before, strict=True)
        )
        counted[key] = _largest(said, before)
        new = (read_used, write_used, read_refused, write_refused)
        if any(new):
            if each.history is None:
                each.history = History(self.settings.peak_window_s)
            each.history.add(since, now, new, each.read.rate, each.write.rate)
        adopt = now - self.since < ADOPT_S
        read, read_rate = each.read.report(router, read_used, need.read_left, read_refused, now, adopt)
        write, write_rate = each.write.report(router, write_used, need.write_left, write_refused, now, adopt)
        return {
            "table": need.table,
            "index": need.index,
            "read": read,
            "write": write,
            "read_rate": read_rate,
            "write_rate": write_rate,
            "read_limit": each.limits[0].reason,
            "write_limit": each.limits[1].reason,
        }

    def _forget_reporters(self, now: float) -> None:
        gone = [name for name, each in self._reporters.items() if now - each.heard > REPORTERS_FORGET_S]
        for name in gone:
            del self._reporters[name]

    # ---- what was consumed

    def minutes(self, table: str, index: str, now: float, count: int) -> list[Consumed]:
        """The last whole minutes, oldest first, of which everything is known: up to `count`, at most 59.

        Empty for a while after a change of the leader. Amounts are half units over the minute.
        """
        return self._periods(table, index, now, count, 60.0)

    def seconds(self, table: str, index: str, now: float, count: int) -> list[Consumed]:
        """The last whole seconds, likewise: up to `count`, at most 299. The newest one or two may still grow."""
        return self._periods(table, index, now, count, 1.0)

    def _periods(self, table: str, index: str, now: float, count: int, width_s: float) -> list[Consumed]:
        each = self._metered.get((table, index))
        if each is None:
            return []
        history = each.history or _NO_HISTORY
        ring = history.minutes if width_s == 60.0 else history.seconds
        return ring.last(count, now, self.since)

    # ---- on demand

    def grown(self, now: float) -> list[tuple[str, str, int, int]]:
        """Tables and indexes on demand that are warm for notably more than is on record: (table, index, read, write).

        A table on demand takes twice its previous peak at once, the highest consumption of more than a window ago.
        The units (whole, a second) are to be put into the document as its warm throughput; its change comes back
        through `follow` and raises the limit.
        """
        found = []
        for (table, index), each in self._metered.items():
            if not each.on_demand or each.history is None:
                continue
            peaks = each.history.previous_peak(now)
            # Half units a second, doubled, are units a second.
            read, write = (
                max(min(int(peak / self.settings.multiplier), ON_DEMAND_QUOTA), warm)
                for peak, warm in zip(peaks, each.warm, strict=True)
            )
            if read >= each.warm[0] * NOTABLE_GROWTH or write >= each.warm[1] * NOTABLE_GROWTH:
                found.append((table, index, read, write))
        return found


_NO_HISTORY = History(1.0)


def _largest(one: Amounts, other: Amounts) -> Amounts:
    return max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _owner(document: TableDocument, index: str) -> Any:
    """What holds the throughput: the document, or the sub-document of an index."""
    if not index:
        return document
    return next(each for each in document["GlobalSecondaryIndexes"] if each["IndexName"] == index)
