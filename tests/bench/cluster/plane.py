"""What the control plane's messages cost: reports of nodes, rounds of the planner, the catalogue's feed.

Measured in this process on made-up clusters, without sockets: encoding, decoding, and what is done with a message.
Figures are the least of several runs, in microseconds of processor time, fixed and for each partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from hashrange_node.meta import placement as places
from hashrange_node.meta import records
from hashrange_node.meta.observed import Observed
from hashrange_node.meta.plan import plan
from hashrange_node.meta.reconcile import ReconcileSettings

from hashrange.model.table_document import HASH_MAX
from hashrange.routing.view import ClusterView
from hashrange.wire.cluster import CatalogueUpdate, GroupReport, NodeRecord, NodeReport, Placement
from hashrange.wire.codec import Codec

FEW, MANY = 10, 1_000
NODES = 9
TRIES = 7


@dataclass(frozen=True)
class Line:
    """A cost of `fixed_us`, and `each_us` more for each partition (or replica) that is in it."""

    fixed_us: float
    each_us: float

    def at(self, count: float) -> float:
        """The cost with so many."""
        return self.fixed_us + self.each_us * count


@dataclass(frozen=True)
class PlaneCost:
    """report_send: a node makes bytes of a report. report_take: the control leader takes one in. Both by replica.

    round: a round of the planner that finds nothing to do, by partition. change: the feed sends a changed placement
    to one watcher, who takes it over. catalogue_bytes: a placement in the catalogue, what a new watcher is sent.
    """

    report_send: Line
    report_take: Line
    report_bytes: Line
    round: Line
    change_send_us: float
    change_take_us: float
    change_bytes: int
    catalogue_bytes: float


def measure() -> PlaneCost:
    """All of it; takes some seconds."""
    codec = Codec()
    settings = ReconcileSettings()
    send, take, size, rounds = [], [], [], []
    for count in (FEW, MANY):
        report = _report(1, count)
        data = codec.encode_request(report)
        size.append(float(len(data)))
        send.append(_least_us(lambda report=report: codec.encode_request(report)))  # type: ignore[misc]
        observed = Observed(0.0)

        def taken(data: bytes = data, observed: Observed = observed) -> None:
            observed.take(codec.decode_request(data), 1.0, settings)

        take.append(_least_us(taken))
        rounds.append(_round_us(count))
    placement = records.dump(_placement(1))
    update = CatalogueUpdate(12, False, [(records.placement_key(1), placement)], 11)
    data = codec.encode_cast(update)
    return PlaneCost(
        _line(send),
        _line(take),
        _line(size),
        _line(rounds),
        _least_us(lambda: codec.encode_cast(update)),
        _take_change_us(codec),
        len(data),
        len(placement) + len(records.placement_key(1)),
    )


def _take_change_us(codec: Codec) -> float:
    """Decoding and taking over one changed placement, each time another one."""
    view = ClusterView()
    full = [(records.placement_key(n), records.dump(_placement(n))) for n in range(1, 101)]
    view.apply(CatalogueUpdate(1, True, list(full), 1))
    updates = []
    for index in range(2, 1_002):
        changed: Placement = {**_placement(index % 100 + 1), "conf": index}
        entry = (records.placement_key(changed["id"]), records.dump(changed))
        updates.append(codec.encode_cast(CatalogueUpdate(index, False, [entry], index - 1)))
    begun = time.process_time()
    for data in updates:
        view.apply(codec.decode_cast(data))
    return (time.process_time() - begun) * 1e6 / len(updates)


def _round_us(count: int) -> float:
    """One round over `count` partitions that are as they should be."""
    settings = ReconcileSettings()
    nodes = {number: _node(number) for number in range(1, NODES + 1)}
    placements = {number: _placement(number) for number in range(1, count + 1)}
    observed = Observed(0.0)
    by_node: dict[int, list[GroupReport]] = {number: [] for number in nodes}
    for placement in placements.values():
        for place in placement["replicas"]:
            by_node[place["node"]].append(_group(placement["id"], place["id"], place["id"] == 1))
    for number, groups in by_node.items():
        observed.take(NodeReport(number, 1, 1 << 40, 1.0, groups), 10.0, settings)

    def one_round() -> None:
        actions = plan(observed.view(placements, nodes, {}, frozenset(), 10.5), settings)
        del actions

    return _least_us(one_round)


def _report(node: int, count: int) -> NodeReport:
    groups = [_group(number, 1 + number % 3, number % 3 == 0) for number in range(1, count + 1)]
    return NodeReport(node, 1, 1 << 40, 123.4, groups)


def _group(partition: int, replica: int, leads: bool) -> GroupReport:
    report = GroupReport(partition, replica, "leader" if leads else "follower", 7, 1_234_567)
    report.counts = {0: (100_000, 40_000_000)}
    report.size_bytes = 40_000_000
    if leads:
        report.voters, report.behind = [1, 2, 3], {2: 0, 3: 1}
        report.reads_per_s, report.writes_per_s = 250.0, 250.0
    return report


def _node(number: int) -> NodeRecord:
    return {
        "id": number,
        "az": f"az{(number - 1) % 3 + 1}",
        "address": f"10.0.0.{number}:7000",
        "admin": f"10.0.0.{number}:7001",
        "incarnation": f"{number:032x}",
        "generation": 1,
        "state": places.UP,
    }


def _placement(number: int) -> Placement:
    """Replicas in the three zones; leaders (the first replicas) go round all nodes."""
    row, zone = (number // 3) % (NODES // 3), number % 3
    nodes = [_node(3 * row + (zone + step) % 3 + 1) for step in range(3)]
    return places.new_placement(number, "bench", None, 0, HASH_MAX, nodes)


def _least_us(work: Callable[[], object]) -> float:
    """Least processor time of one call."""
    work()
    best = float("inf")
    for _ in range(TRIES):
        calls, begun = 0, time.process_time()
        while time.process_time() - begun < 0.03:
            work()
            calls += 1
        best = min(best, (time.process_time() - begun) * 1e6 / calls)
    return best


def _line(figures: list[float]) -> Line:
    """The line through the costs with FEW and with MANY."""
    each = (figures[1] - figures[0]) / (MANY - FEW)
    return Line(figures[0] - each * FEW, each)
