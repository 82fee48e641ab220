"""What the leader of the control plane has heard from the nodes: kept in memory, gone with the leadership.

Nodes report every second, so a new leader knows everything after a few seconds. Until then it must not conclude
anything from silence: a node counts as heard when the leadership began.
"""

from __future__ import annotations

from collections.abc import Mapping

from hashrange.model.table_document import TableDocument, is_updating, table_status
from hashrange.wire.cluster import GroupReport, NodeRecord, NodeReport, Placement
from hashrange_node.meta.documents import partitions_of
from hashrange_node.meta.reconcile import LEADER, ReconcileSettings, View

REPORT_AGE_S = 5.0


class Observed:
    """Reports by node, with the time at which they came (monotonic seconds)."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.reports: dict[int, NodeReport] = {}
        self._heard: dict[int, float] = {}
        self._hot_since: dict[int, float] = {}
        self._led_at: dict[int, float] = {}

    def take(self, report: NodeReport, now: float, settings: ReconcileSettings) -> None:
        """Take over a report of a node that is registered as it says."""
        self.reports[report.node] = report
        self._heard[report.node] = now
        for group in report.groups:
            if group.role != LEADER:
                continue
            self._led_at[group.partition] = now
            if (
                group.reads_per_s > settings.split_reads_per_s
                or group.writes_per_s > settings.split_writes_per_s
            ):
                self._hot_since.setdefault(group.partition, now)
            else:
                self._hot_since.pop(group.partition, None)

    def forget(self, node: int) -> None:
        """A node has lost its data: what it reported before does not count."""
        self.reports.pop(node, None)
        self._heard.pop(node, None)

    def silent_s(self, node: int, now: float) -> float:
        """For how long a node has not been heard, at most since the leadership began."""
        return now - max(self._heard.get(node, self.since), self.since)

    def heard_at(self, node: int) -> float:
        """When a node reported last; minus infinity if it has not since the leadership began."""
        return self._heard.get(node, float("-inf"))

    def led(self, partition: int, now: float) -> bool:
        """Whether a partition had a leader in the last seconds."""
        return now - self._led_at.get(partition, float("-inf")) <= REPORT_AGE_S

    def fresh(self, now: float) -> dict[int, dict[int, GroupReport]]:
        """The reports of the last seconds, by partition and replica."""
        found: dict[int, dict[int, GroupReport]] = {}
        for node, report in self.reports.items():
            if now - self._heard[node] <= REPORT_AGE_S:
                for group in report.groups:
                    found.setdefault(group.partition, {})[group.replica] = group
        return found

    def view(
        self,
        placements: Mapping[int, Placement],
        nodes: Mapping[int, NodeRecord],
        documents: Mapping[str, TableDocument],
        unsplittable: frozenset[int],
        now: float,
    ) -> View:
        """What the planner needs."""
        return View(
            placements,
            nodes,
            {node: self.silent_s(node, now) for node in nodes},
            self.fresh(now),
            {partition: now - since for partition, since in self._hot_since.items()},
            frozenset(name for name, document in documents.items() if steady(document)),
            unsplittable,
        )

    def totals(self, document: TableDocument, now: float) -> dict[str | None, tuple[int, int]]:
        """Counts of a table and its indexes as their leaders reported them: index name -> (entries, bytes)."""
        reports = self.fresh(now)
        totals: dict[str | None, tuple[int, int]] = {None: (0, 0)}
        for number, index in enumerate(document["LocalSecondaryIndexes"], start=1):
            totals[index["IndexName"]] = self._sum(reports, [p["id"] for p in document["Partitions"]], number)
        for index in document["GlobalSecondaryIndexes"]:
            totals[index["IndexName"]] = self._sum(reports, [p["id"] for p in index["Partitions"]], 0)
        totals[None] = self._sum(reports, [p["id"] for p in document["Partitions"]], 0)
        return totals

    @staticmethod
    def _sum(
        reports: Mapping[int, Mapping[int, GroupReport]], partitions: list[int], space: int
    ) -> tuple[int, int]:
        entries = size = 0
        for partition in partitions:
            best = max(reports.get(partition, {}).values(), key=lambda r: r.applied, default=None)
            if best is not None:
                count, count_bytes = best.counts.get(space, (0, 0))
                entries += count
                size += count_bytes
        return entries, size


def steady(document: TableDocument) -> bool:
    """Whether a table has no change under way, so that it may be split."""
    return table_status(document) == "ACTIVE" and not is_updating(document) and bool(partitions_of(document))
