"""Global tables on several nodes: what other regions are to get outlives leaders, moves and splits."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.regions import versions
from hashrange_node.replica.effects import Effects
from hashrange_node.storage import keyspace

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.cluster import ClusterCommand
from hashrange.wire.messages import DELETE, ChangeTable, WriteItem, WriteResult
from hashrange.wire.regions import APPLIED, OLDER, ApplyReplicated, ReplicatedOutcome

from .region_support import NUMBER, REGIONS, replication
from .test_meta_moves import hosts, settled
from .test_node_snapshots import Cluster
from .test_transact_nodes import Nodes, on_both_sides

OTHER = NUMBER[REGIONS[1]]
SPACES = (keyspace.ITEMS, keyspace.TOMBSTONES, keyspace.MARKS)


def global_nodes(azs: str = "abc") -> Nodes:
    nodes = Nodes(azs, kept_up=False)
    document: Any = dict(nodes.cluster.control.node.catalogue.documents["Things"])
    expected = (document["TableId"], document["Generation"])
    document["Replication"] = replication(REGIONS[0])
    document["Generation"] += 1
    assert not isinstance(nodes.ask(ChangeTable("Things", expected, document, [])), ApiError)
    nodes.cluster.world.run(3)
    return nodes


def write(nodes: Nodes, name: str, value: str | None) -> WriteResult:
    """A put, or a deletion for None."""
    message = nodes.put_of(name, value) if value is not None else WriteItem(0, 0, DELETE, nodes.key(name))
    message.partition = nodes.schema.partition_for(message.key).id
    result = nodes.ask(message)
    assert isinstance(result, WriteResult)
    return result


def arrive(nodes: Nodes, name: str, stamp: int, value: str | None) -> int:
    """What another region sends; the outcome."""
    key = nodes.key(name)
    record = records.tombstone(stamp, 9, OTHER)
    if value is not None:
        json = b'{"pk":{"S":"%s"},"v":{"S":"%s"}}' % (name.encode(), value.encode())
        record = records.pack(json, 9, stamp, 9, 0, OTHER)
    partition = nodes.schema.partition_for(key).id
    answer = nodes.ask(ApplyReplicated(partition, 0, REGIONS[1], [(key, record)]))
    assert isinstance(answer, ReplicatedOutcome), answer
    return answer.outcomes[0]


def stored(engine: Any, space: int) -> tuple[tuple[bytes, bytes], ...]:
    prefix = keyspace.space_prefix(1, space)
    return tuple(engine.scan(prefix, prefix + b"\xff" * 9))


def test_the_next_leader_has_marks_and_tombstones_and_is_told_of_new_ones() -> None:
    nodes = global_nodes()
    put = write(nodes, "a", "1")
    write(nodes, "b", "1")
    deleted = write(nodes, "b", None)
    ahead = deleted.stamp + (300 << LOGICAL_BITS)
    assert arrive(nodes, "c", ahead, None) == APPLIED
    first = nodes.leader(1)
    first.stop()
    second = nodes.leader(1)
    assert second is not first
    engine = second.node.engine
    marks = {key[10:]: versions.unpack_mark(mark)[0] for key, mark in stored(engine, keyspace.MARKS)}
    assert marks == {nodes.key("a"): put.stamp, nodes.key("b"): deleted.stamp}
    assert [key[10:] for key, _ in stored(engine, keyspace.TOMBSTONES)] == sorted(
        (nodes.key("b"), nodes.key("c"))
    )
    told: list[Any] = []
    second.node.replicas[1].on_marked = lambda replica, marked: told.extend(marked)
    again = write(nodes, "c", "2")
    assert again.stamp > ahead, "above a deletion that another leader took"
    assert [(key, stamp) for key, stamp, _ in told] == [(nodes.key("c"), again.stamp)]
    assert arrive(nodes, "b", put.stamp, "old") == OLDER
    assert nodes.cluster.errors() == []


def test_a_replica_that_moves_takes_marks_and_tombstones_along() -> None:
    nodes = global_nodes("aabbcc")
    cluster = nodes.cluster
    for name in ("a", "b", "c"):
        write(nodes, name, "1")
    write(nodes, "b", None)
    source = hosts(cluster, 1)[0]
    target = {1: 2, 2: 1}[source]
    cluster.ask(ClusterCommand("move", {"partition": 1, "from": source, "to": target}))
    cluster.world.run(2)
    write(nodes, "c", None)
    cluster.world.until(lambda: settled(cluster), 120)
    cluster.world.run(2)
    holders = [node for node in cluster.nodes.values() if 1 in node.node.replicas]
    assert cluster.nodes[target] in holders
    for space, count in zip(SPACES, (1, 2, 3), strict=True):
        found = {stored(node.node.engine, space) for node in holders}
        assert len(found) == 1
        assert len(next(iter(found))) == count
    assert cluster.errors() == []


def test_the_children_of_a_split_go_on_with_marks_and_tombstones() -> None:
    nodes = global_nodes()
    cluster = nodes.cluster
    names = on_both_sides(nodes)
    for name in names:
        write(nodes, name, "1")
    deleted = {name: write(nodes, name, None).stamp for name in names}
    assert len(cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))["children"]) == 2
    cluster.world.until(lambda: settled(cluster), 120)
    for name in names:
        assert arrive(nodes, name, deleted[name] - 1, "old") == OLDER
        assert arrive(nodes, name, deleted[name], "new") in (APPLIED, OLDER), "their regions decide"
        assert write(nodes, name, "2").stamp > deleted[name]
    assert cluster.errors() == []


@pytest.mark.parametrize("space", [keyspace.TOMBSTONES, keyspace.MARKS])
def test_a_scrub_covers_marks_and_tombstones(space: int) -> None:
    cluster = Cluster()
    leader = cluster.leader
    replica = leader.node.replicas[1]
    # Written as evaluation would, had the table been a global one.
    key = replica.items + b"\x40" + bytes(8)
    values = {
        keyspace.TOMBSTONES: (versions.tombstone_key(key), records.tombstone(5, 1, OTHER)),
        keyspace.MARKS: (versions.mark_key(key), versions.pack_mark(5, 3)),
    }
    replica.group.propose(Effects(list(values.values()), [], None), None)
    cluster.run(60.0)
    assert leader.scrubber.passes >= 1
    assert cluster.equal(1, 2, 3)
    victim = next(machine for machine in cluster.machines.values() if machine is not leader)
    [(at, value)] = stored(victim.engine, space)
    victim.engine.write([(at, value[:-1] + b"?")])
    cluster.run(60.0)
    damaged = [n for n in (1, 2, 3) if cluster.machines[n].group.damaged]
    assert damaged == [victim.number]
