"""Splits: which partitions to split, and the steps of a split that has been decided. Pure functions.

decided    the parent's placement names the place and the ids of the children (group 0)
applied    the leader put the split into the parent's log: it serves nothing behind that entry, the children,
           made of its data on every replica that applies the entry, serve instead
finished   the table's document and the children's placements take the parent's place (group 0, one entry)
retired    every replica of the parent has applied the split, or is lost: its placement goes
"""

from __future__ import annotations

from hashrange.model.ledger import is_system_table
from hashrange.wire.cluster import CONTROL, Placement
from hashrange_node.meta.reconcile import (
    Action,
    BeginSplit,
    FinishSplit,
    ReconcileSettings,
    Retire,
    SendSplit,
    View,
    group_order,
    stable,
)

LEDGER_HEAT = 4
"""The ledger of transactions is split at so many times the writes of a table: it has no ceilings, and in several
partitions its writes share less of the work (tests/bench: 1.5 to 1.8 times the processor time of a transaction)."""


def step(view: View, placement: Placement, settings: ReconcileSettings) -> Action | None:
    """The next step of a split that has been decided, or None."""
    partition = placement["id"]
    intent = placement.get("split")
    if "successors" in placement:
        return Retire(partition) if _replaced(view, placement, settings) else None
    if intent is None:
        return None
    if any(report.split_applied for report in view.reports.get(partition, {}).values()):
        return FinishSplit(partition)
    if view.leader(partition) is not None:
        low, high = intent["children"]
        return SendSplit(partition, intent["at"], (low, high))
    return None


def _replaced(view: View, placement: Placement, settings: ReconcileSettings) -> bool:
    """Whether nobody needs the parent any more: no replica is still to make its children's replicas of it."""
    reports = view.reports.get(placement["id"], {})
    for child in placement["successors"]:
        if child in view.placements and view.leader(child) is None:
            return False
    for replica in placement["replicas"]:
        record = view.nodes.get(replica["node"])
        if record is None or record["generation"] != replica["generation"]:
            continue
        if view.silent_s.get(replica["node"], 0.0) >= settings.grace_s:
            continue
        report = reports.get(replica["id"])
        if report is None or not (report.split_applied or report.damaged) or report.queued:
            return False
    return True


def begin(view: View, settings: ReconcileSettings, busy: frozenset[int]) -> list[BeginSplit]:
    """Partitions to split now: too large, or hot for some time and not for a single key."""
    under_way = sum("split" in p or "successors" in p for p in view.placements.values())
    found: list[BeginSplit] = []
    for placement in group_order(view.placements):
        if len(found) + under_way >= settings.splits_max:
            break
        partition = placement["id"]
        if partition == CONTROL or partition in busy or partition in view.unsplittable:
            continue
        if placement["table"] not in view.steady or placement["lo"] == placement["hi"]:
            continue
        leader = stable(view, placement, settings)
        if leader is None:
            continue
        if leader.size_bytes > settings.split_bytes:
            found.append(BeginSplit(partition, None, f"{leader.size_bytes} bytes"))
        elif view.hot_s.get(partition, 0.0) >= settings.split_hot_s and leader.heat_at is not None:
            if is_system_table(placement["table"]):
                if leader.writes_per_s < LEDGER_HEAT * settings.split_writes_per_s:
                    continue
            why = f"{leader.reads_per_s:.0f} reads and {leader.writes_per_s:.0f} writes a second"
            found.append(BeginSplit(partition, leader.heat_at, why))
    return found


def valid_at(placement: Placement, at: int) -> bool:
    """Whether a split at this hash leaves both children something."""
    return placement["lo"] < at <= placement["hi"]
