"""Where replicas go: pure functions on node records.

A partition has one replica in each of three availability zones (AZs); in a cluster of one AZ, or of fewer than
three nodes, it has one replica. Two replicas share an AZ only when there are fewer AZs than replicas. An AZ counts
while it has a node that is in service, even one that does not answer at the moment: an AZ that is away comes back,
and copying everything that was in it to the others would only make them share its fate. Who knows that it will not
come back takes its nodes out of service.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from hashrange.model.table_document import HASH_MAX, HASH_MIN
from hashrange.wire.cluster import CONTROL, NodeRecord, Placement, ReplicaPlace

REPLICATION_FACTOR = 3
UP = "up"
DRAINING = "draining"
REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that could take a replica. `alive`: it answers. `load`: replicas that it has or will have."""

    record: NodeRecord
    alive: bool
    load: int


def in_service(nodes: Iterable[NodeRecord]) -> list[NodeRecord]:
    """The nodes that may be given replicas, whether they answer at the moment or not."""
    return [node for node in nodes if node["state"] == UP]


def replication_factor(nodes: Iterable[NodeRecord]) -> int:
    """How many replicas a new partition gets: three, or one if there are too few nodes or only one AZ."""
    serving = in_service(nodes)
    if len(serving) < REPLICATION_FACTOR or len({node["az"] for node in serving}) < 2:
        return 1
    return REPLICATION_FACTOR


def may_share(nodes: Iterable[NodeRecord], replicas: int) -> bool:
    """Whether `replicas` replicas of one partition have to share AZs: there are fewer AZs in service."""
    return len({node["az"] for node in in_service(nodes)}) < replicas


def choose(
    candidates: Iterable[Candidate],
    count: int,
    *,
    sharing: bool,
    taken_azs: Iterable[str] = (),
    must_live: bool = False,
) -> list[NodeRecord]:
    """Up to `count` nodes for replicas of one partition that has replicas in `taken_azs` already.

    Nodes in AZs without a replica come first, then those that answer, then those with the fewest replicas. No AZ
    gets a second replica unless `sharing`. `must_live` leaves out who does not answer.
    """
    used = Counter(taken_azs)
    pool = {c.record["id"]: c for c in candidates if c.record["state"] == UP and (c.alive or not must_live)}
    chosen: list[NodeRecord] = []
    while pool and len(chosen) < count:
        best = min(pool.values(), key=lambda c: (used[c.record["az"]], not c.alive, c.load, c.record["id"]))
        if used[best.record["az"]] and not sharing:
            break
        del pool[best.record["id"]]
        used[best.record["az"]] += 1
        chosen.append(best.record)
    return chosen


def new_placement(
    partition: int, table: str, index: str | None, lo: int, hi: int, nodes: Iterable[NodeRecord]
) -> Placement:
    """The placement of a new, empty partition: replicas 1, 2, 3 on the given nodes."""
    replicas: list[ReplicaPlace] = [
        {"id": number, "node": node["id"], "generation": node["generation"]}
        for number, node in enumerate(nodes, start=1)
    ]
    return {
        "id": partition,
        "store": partition,
        "table": table,
        "index": index,
        "lo": lo,
        "hi": hi,
        "origin": "create",
        "initial": [replica["id"] for replica in replicas],
        "replicas": replicas,
        "conf": 1,
        "next_replica": len(replicas) + 1,
    }


def control_placement(members: Iterable[NodeRecord]) -> Placement:
    """The placement of the control plane's own group on the first nodes of a cluster."""
    return new_placement(CONTROL, "", None, HASH_MIN, HASH_MAX, members)


def standalone_placement(partition: int, table: str, index: str | None, lo: int, hi: int) -> Placement:
    """The placement of a partition of the embedded server, where placements are not recorded."""
    placement = new_placement(partition, table, index, lo, hi, ())
    placement["replicas"] = [{"id": 1, "node": 1, "generation": 1}]
    placement["initial"] = [1]
    placement["next_replica"] = 2
    return placement


def child_placements(parent: Placement, at: int, children: Collection[int]) -> list[Placement]:
    """The placements of the two partitions that replace `parent`: below `at`, and from `at` on.

    They lie where the parent's replicas are, in its store, with the same replica ids.
    """
    low, high = children
    replicas = [replica for replica in parent["replicas"] if not replica.get("leaving")]
    placements: list[Placement] = []
    for child, lo, hi in ((low, parent["lo"], at - 1), (high, at, parent["hi"])):
        placements.append(
            {
                "id": child,
                "store": parent["store"],
                "table": parent["table"],
                "index": parent["index"],
                "lo": lo,
                "hi": hi,
                "origin": "split",
                "initial": [replica["id"] for replica in replicas],
                "replicas": [{**replica} for replica in replicas],
                "conf": 1,
                "next_replica": parent["next_replica"],
                "parent": parent["id"],
            }
        )
    return placements


def replica_on(placement: Placement, node: int, generation: int) -> ReplicaPlace | None:
    """The replica that a node of that generation runs, or None."""
    for replica in placement["replicas"]:
        if replica["node"] == node and replica["generation"] == generation:
            return replica
    return None


def with_replica(placement: Placement, node: NodeRecord, leaving: int | None = None) -> Placement:
    """The next version of a placement: one more replica on `node`, and replica `leaving` on its way out."""
    replicas: list[ReplicaPlace] = [{**replica} for replica in placement["replicas"]]
    for replica in replicas:
        if replica["id"] == leaving:
            replica["leaving"] = True
    replicas.append({"id": placement["next_replica"], "node": node["id"], "generation": node["generation"]})
    after = revised_placement(placement, replicas)
    after["next_replica"] += 1
    return after


def leaving_replica(placement: Placement, replica_id: int) -> Placement:
    """The next version of a placement, with one replica on its way out."""
    replicas: list[ReplicaPlace] = [{**replica} for replica in placement["replicas"]]
    for replica in replicas:
        if replica["id"] == replica_id:
            replica["leaving"] = True
    return revised_placement(placement, replicas)


def called_off(placement: Placement, newcomer: int) -> Placement:
    """The next version of a placement, as before a move: without the replica that was to come, and nobody leaves."""
    replicas: list[ReplicaPlace] = [{**each} for each in placement["replicas"] if each["id"] != newcomer]
    for replica in replicas:
        replica.pop("leaving", None)
    return revised_placement(placement, replicas)


def without_replicas(placement: Placement, gone: Collection[int]) -> Placement:
    """The next version of a placement, without the replicas `gone`."""
    return revised_placement(placement, [r for r in placement["replicas"] if r["id"] not in gone])


def revised_placement(placement: Placement, replicas: list[ReplicaPlace]) -> Placement:
    """The next version of a placement, with these replicas."""
    after: Placement = {**placement, "replicas": replicas}
    after["conf"] = placement["conf"] + 1
    return after


def loads(placements: Iterable[Placement], nodes: Mapping[int, NodeRecord]) -> Counter[int]:
    """How many replicas each node has or will have; those on their way out do not count."""
    load: Counter[int] = Counter(dict.fromkeys(nodes, 0))
    for placement in placements:
        for replica in placement["replicas"]:
            if not replica.get("leaving") and "successors" not in placement:
                load[replica["node"]] += 1
    return load
