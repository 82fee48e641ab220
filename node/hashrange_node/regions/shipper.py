"""Sending what was changed here to the other regions of global tables: for all partitions that a node leads.

    engine: marks ──scan, entries applied──▶ PartitionMarks, a Lane for each region ──▶ Outbox, one for each region
                                                   ▲                                        │ POST /regions/v1/items
                                                   └──── confirmed: bits are cleared ◀──────┘

Only the leader of a partition sends, and what it sends is its committed state: one that has been replaced without
knowing sends versions that lose, or are had already. Without an endpoint of a region its keys wait, and are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hashrange.runtime.clock import wall_ms_of
from hashrange_node.regions.contracts import RegionLinks
from hashrange_node.regions.marks import PartitionMarks
from hashrange_node.regions.outbox import Outbox, lag_ms
from hashrange_node.regions.statistics import HeldBack, quantile_s
from hashrange_node.regions.window import LIMIT
from hashrange_node.replica.effects import Marked
from hashrange_node.replica.replica import Replica

if TYPE_CHECKING:
    from hashrange_node.node import Node

TICK_S: Final = 1.0
FIGURES_S: Final = 0.1
"""For so long a look at all lanes is good enough: a scrape asks for it several times."""
NODE_KEYS: Final = 500_000
LANE_KEYS_MIN: Final = 1_000
"""Keys in memory: over all lanes, and what each has at least."""
Note = Callable[..., Any]
Pending = dict[tuple[str, str], tuple[int, int, int]]


class RegionShipper:
    """The sender of one node. `region` is the name of its own; `note` and `warn` tell operators, with details.

    `random()` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        node: Node,
        links: RegionLinks,
        region: str,
        *,
        random: Callable[[], float],
        retention_s: float,
        note: Note,
        warn: Note,
    ) -> None:
        self.links = links
        self.region = region
        self.note = note
        self.warn = warn
        self.report = node.report
        self.now = node.monotonic
        self.call_later = node.scheduler.call_later
        self.stopped = False
        self.outboxes: dict[str, Outbox] = {}
        self.partitions: dict[int, PartitionMarks] = {}
        self.held = HeldBack(node.receiving.counts)
        self._node = node
        self._random = random
        self._retention_ms = int(retention_s * 1000)
        self._figures: tuple[float, Pending] = (-1.0, {})
        node.shipping = self

    def start(self) -> None:
        """Begin to look after links that are idle."""
        self.call_later(TICK_S, self._tick)

    def stop(self) -> None:
        """Send no more; marks wait for the next start."""
        self.stopped = True
        for marks in self.partitions.values():
            marks.stopped = True

    # ---- what the node tells

    def leading(self, replica: Replica, serving: bool) -> None:
        """A replica begins to lead, or has stopped."""
        self.closed(replica.id)
        if serving:
            self.changed(replica)

    def changed(self, replica: Replica) -> None:
        """The document of a table may have changed, of which a partition is led here."""
        marks = self.partitions.get(replica.id)
        if marks is None:
            if self.stopped or replica.index_name is not None or not replica.schema.region:
                return
            marks = PartitionMarks(replica, self.call_later, self.wall, self._poke, self.report)
            self.partitions[replica.id] = marks
            replica.on_marked = self._marked
        marks.agree()
        for region in marks.lanes:
            self.outbox(region)

    def closed(self, partition: int) -> None:
        """A partition is not led here any more."""
        marks = self.partitions.pop(partition, None)
        if marks is not None:
            marks.stopped = True

    def forget(self, table: str) -> None:
        """A table was deleted: its figures go."""
        for outbox in self.outboxes.values():
            outbox.tables.pop(table, None)

    def _marked(self, replica: Replica, marked: list[Marked]) -> None:
        marks = self.partitions.get(replica.id)
        if marks is not None:
            marks.marked(marked)

    def _poke(self, marks: PartitionMarks, region: str) -> None:
        self.outbox(region).poke(marks)

    # ---- what fills wait for

    def when_passed(self, replica: Replica, region: str, callback: Callable[[], None]) -> None:
        """Call once a region has everything of a partition that is pending for it now; never, if this ends before."""
        lane = self._lane(replica, region)
        if lane is not None:
            lane.when_passed(callback)

    def has_room(self, replica: Replica, region: str) -> bool:
        """Whether a fill may mark more: what waits to be sent would only wait longer."""
        lane = self._lane(replica, region)
        return lane is not None and lane.room

    def _lane(self, replica: Replica, region: str) -> Any:
        marks = self.partitions.get(replica.id)
        return marks.lanes.get(region) if marks is not None else None

    # ---- what outboxes need

    def outbox(self, region: str) -> Outbox:
        """The link to a region."""
        found = self.outboxes.get(region)
        if found is None:
            found = self.outboxes[region] = Outbox(self, region)
        return found

    def wall(self) -> int:
        """The wall clock as a stamp."""
        return self._node.stamps.wall

    def jittered(self, delay_s: float) -> float:
        """A pause that is not the same everywhere."""
        return delay_s * (0.5 + self._random())

    @property
    def oldest_ms(self) -> int:
        """What was made earlier is not sent any more: the region may have forgotten that it was deleted."""
        return wall_ms_of(self._node.stamps.wall) - self._retention_ms

    def _tick(self) -> None:
        if self.stopped:
            return
        self.held.tick()
        lanes = [lane for marks in self.partitions.values() for lane in marks.lanes.values()]
        for lane in lanes:
            lane.limit = max(LANE_KEYS_MIN, min(LIMIT, NODE_KEYS // len(lanes)))
        if self.partitions:
            for outbox in self.outboxes.values():
                outbox.probe()
        self.call_later(TICK_S, self._tick)

    # ---- figures

    def pending(self) -> Pending:
        """By table and region: keys that the region lacks, the oldest stamp of these (0: none), keys never sent."""
        looked_at, totals = self._figures
        if self.now() - looked_at < FIGURES_S:
            return totals
        totals = {}
        for marks in self.partitions.values():
            if not marks.leads:
                continue
            for region, lane in marks.lanes.items():
                keys, first, stale = totals.get((marks.table, region), (0, 0, 0))
                oldest = lane.oldest
                first = min(first, oldest) if first and oldest else first or oldest
                totals[marks.table, region] = (keys + lane.pending, first, stale + len(lane.stale))
        self._figures = (self.now(), totals)
        return totals

    def document(self) -> list[dict[str, Any]]:
        """What is pending of which table for which region."""
        now = self.wall()
        found = []
        for (table, region), (keys, oldest, stale) in sorted(self.pending().items()):
            outbox = self.outbox(region)
            link = outbox.table(table)
            found.append(
                {
                    "table": table,
                    "source": self.region,
                    "destination": region,
                    "pending_keys": keys,
                    "oldest_pending_s": lag_ms(oldest, now) / 1000,
                    "unshippable_keys": stale,
                    "shipped_items": link.shipped,
                    "latency_p50_s": quantile_s(link.latency, 0.50),
                    "latency_p99_s": quantile_s(link.latency, 0.99),
                    "error": outbox.error or link.error,
                }
            )
        return found
