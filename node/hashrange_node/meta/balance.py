"""Spreading leaders and replicas evenly over the nodes: pure functions.

Something moves from one node to another only if the first has at least two more of it. Each such move makes the sum
of squares smaller, so moves come to an end, and nothing is ever moved back. Leaders go only to voters that are there
and caught up; replicas go only within their AZ.
"""

from __future__ import annotations

from collections import Counter

from hashrange.wire.cluster import GroupReport, NodeRecord, Placement
from hashrange_node.meta import placement as places
from hashrange_node.meta.placement import UP
from hashrange_node.meta.reconcile import Place, ReconcileSettings, Transfer, View, group_order, stable


def leader_transfers(view: View, settings: ReconcileSettings, busy: frozenset[int]) -> list[Transfer]:
    """Leaders to move: first all that are on nodes to be drained, then what evens out the rest.

    Partitions in `busy` have a change under way and are left alone.
    """
    led: Counter[int] = Counter()
    movable: list[tuple[Placement, GroupReport]] = []
    for placement in group_order(view.placements):
        leader = view.leader(placement["id"])
        if leader is None:
            continue
        node = _node_of(placement, leader.replica)
        if node is None:
            continue
        led[node] += 1
        if placement["id"] not in busy and stable(view, placement, settings) is not None:
            movable.append((placement, leader))
    found: list[Transfer] = []
    for draining in (True, False):
        if not draining and not settings.balance:
            break
        for placement, leader in movable:
            if len(found) == settings.transfers_max:
                return found
            transfer = _transfer(view, placement, leader, led, draining)
            if transfer is not None:
                found.append(transfer)
    return found


def _transfer(
    view: View, placement: Placement, leader: GroupReport, led: Counter[int], draining: bool
) -> Transfer | None:
    """One leader to move off a node to be drained, or to a node that leads at least two fewer; counts it."""
    source = _node_of(placement, leader.replica)
    if source is None or (view.nodes[source]["state"] != UP) != draining:
        return None
    heirs = [
        replica
        for replica in placement["replicas"]
        if replica["node"] != source and view.nodes[replica["node"]]["state"] == UP
    ]
    if not heirs:
        return None
    heir = min(heirs, key=lambda replica: (led[replica["node"]], replica["id"]))
    if not draining and led[source] - led[heir["node"]] < 2:
        return None
    led[source] -= 1
    led[heir["node"]] += 1
    return Transfer(placement["id"], heir["id"])


def replica_moves(
    view: View, settings: ReconcileSettings, load: Counter[int], free: int, busy: frozenset[int]
) -> list[Place]:
    """Up to `free` replicas to move within their AZ, from nodes with many to nodes with at least two fewer.

    `load` counts replicas by node and is kept up to date. Leaders are not moved while a follower can be.
    """
    by_az: dict[str, list[NodeRecord]] = {}
    for id_, record in view.nodes.items():
        if record["state"] == UP and view.alive(id_, settings):
            by_az.setdefault(record["az"], []).append(record)
    found: list[Place] = []
    moved: set[int] = set()
    for az in sorted(by_az):
        while len(found) < free:
            place = _move_within(view, settings, by_az[az], load, busy | moved)
            if place is None:
                break
            found.append(place)
            moved.add(place.after["id"])
    return found


def _move_within(
    view: View, settings: ReconcileSettings, nodes: list[NodeRecord], load: Counter[int], busy: frozenset[int]
) -> Place | None:
    source = max(nodes, key=lambda node: (load[node["id"]], -node["id"]))
    target = min(nodes, key=lambda node: (load[node["id"]], node["id"]))
    if load[source["id"]] - load[target["id"]] < 2:
        return None
    best: tuple[bool, int] | None = None
    for placement in group_order(view.placements):
        if placement["id"] in busy:
            continue
        replica = places.replica_on(placement, source["id"], source["generation"])
        if replica is None or _node_hosts(placement, target["id"]):
            continue
        leader = stable(view, placement, settings)
        if leader is None:
            continue
        rank = (leader.replica == replica["id"], placement["id"])
        if best is None or rank < best:
            best = rank
    if best is None:
        return None
    placement = view.placements[best[1]]
    replica = places.replica_on(placement, source["id"], source["generation"])
    assert replica is not None
    load[source["id"]] -= 1
    load[target["id"]] += 1
    why = f"node {source['id']} has more replicas than node {target['id']}"
    return Place(places.with_replica(placement, target, replica["id"]), why)


def _node_of(placement: Placement, replica_id: int) -> int | None:
    for replica in placement["replicas"]:
        if replica["id"] == replica_id:
            return replica["node"]
    return None


def _node_hosts(placement: Placement, node: int) -> bool:
    return any(replica["node"] == node for replica in placement["replicas"])
