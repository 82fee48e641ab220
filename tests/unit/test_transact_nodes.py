"""Transactions on several nodes: locks over changes of leader, snapshots and splits; recovery through the network."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hashrange_node.storage import keyspace
from hashrange_node.transactions.upkeep import Upkeep

from hashrange.errors import ApiError
from hashrange.model import ledger
from hashrange.model import record as records
from hashrange.model.value import Item, dump, normalise_item
from hashrange.wire.cluster import ClusterCommand
from hashrange.wire.messages import DELETE, PUT, WriteItem, WriteResult
from hashrange.wire.transactions import (
    DONE,
    LATE,
    STALLED_S,
    TransactFinish,
    TransactPrepare,
    TransactRead,
    TransactWrite,
)

from .meta_nodes import TestCluster, TestNode
from .test_meta_moves import hosts, put, read, settled
from .test_node_snapshots import Cluster
from .transact_support import ledger_change, txid


class Nodes:
    """A cluster with the table `Things`, the ledger, and what looks after transactions."""

    def __init__(self, azs: str = "abc", kept_up: bool = True) -> None:
        self.cluster = TestCluster(azs)
        self.cluster.begin()
        self.cluster.create()
        change = ledger_change(self.cluster.control.node.catalogue)
        assert not isinstance(self.cluster.ask(change), ApiError)
        self.cluster.world.run(3)
        for node in self.cluster.nodes.values() if kept_up else ():
            self.keep_up(node)

    def keep_up(self, node: TestNode) -> Upkeep:
        world = self.cluster.world
        # The clocks of the nodes stand still; that of the pass moves on.
        upkeep = Upkeep(
            node.node,
            wall_ms=lambda: 1_700_000_000_000 + int(world.now * 1000),
            monotonic=lambda: world.now,
            call_later=node.node.scheduler.call_later,
            report=node.node.report,
        )
        upkeep.start()
        return upkeep

    @property
    def schema(self) -> Any:
        return self.cluster.control.node.catalogue.schemas["Things"]

    def leader(self, partition: int) -> TestNode:
        def found() -> list[TestNode]:
            return [
                node
                for node in self.cluster.nodes.values()
                if node.up and partition in node.node.replicas and node.node.replicas[partition].group.serving
            ]

        self.cluster.world.until(found)
        return found()[0]

    def locked(self, partition: int) -> int:
        return len(self.leader(partition).node.replicas[partition].locked)

    def key(self, name: str) -> bytes:
        encoded: bytes = self.schema.codec.encode({"pk": {"S": name}})
        return encoded

    def put_of(self, name: str, value: str) -> WriteItem:
        item: Item = {"pk": {"S": name}, "v": {"S": value}}
        action = WriteItem(0, 0, PUT, self.key(name))
        action.item_size = normalise_item(item)
        action.item_json = dump(item)
        return action

    def stamp(self) -> int:
        return max(node.node.stamps.now for node in self.cluster.nodes.values()) + 1

    def ask(self, message: Any) -> Any:
        return self.cluster.ask(message, seconds=40.0)

    def value(self, name: str) -> str | None:
        item = read(self.cluster, name)
        return item["v"]["S"] if item is not None else None


def on_both_sides(nodes: Nodes) -> tuple[str, str]:
    names = [f"k{number}" for number in range(40)]
    low = next(name for name in names if nodes.key(name)[0] < 0x80)
    high = next(name for name in names if nodes.key(name)[0] >= 0x80)
    return low, high


def test_the_next_leader_knows_the_locks_and_ends_them() -> None:
    nodes = Nodes(kept_up=False)
    put(nodes.cluster, {"pk": {"S": "gone"}, "v": {"S": "1"}})
    delete = WriteItem(1, 0, DELETE, nodes.key("gone"))
    assert isinstance(nodes.ask(delete), WriteResult)
    stamp = nodes.stamp() + (300 << 16)
    message = TransactPrepare(1, 0, txid(1), stamp, [nodes.put_of("a", "1"), nodes.put_of("b", "1")])
    assert nodes.ask(message).verdict == DONE
    first = nodes.leader(1)
    first.stop()
    second = nodes.leader(1)
    assert second is not first
    replica = second.node.replicas[1]
    assert sorted(replica.locked) == sorted([nodes.key("a"), nodes.key("b")])
    assert replica.group.max_delete > 0
    assert second.node.stamps.last >= stamp
    refused = nodes.ask(TransactWrite(1, 0, txid(2), [nodes.put_of("a", "2")]))
    assert [error.type_name for error in refused.results] == ["TransactionConflictException"]
    assert nodes.ask(message).verdict == DONE, "as the first time"
    assert nodes.ask(TransactFinish(1, 0, txid(1), True, [])) is None
    assert nodes.value("a") == nodes.value("b") == "1"
    assert nodes.ask(message).verdict == LATE
    # What has led before has everything too, and holds no locks in memory.
    first.start()
    nodes.cluster.world.run(10)
    held = first.node.replicas[1]
    assert held.group.max_delete == replica.group.max_delete
    assert not held.locked
    for node in nodes.cluster.nodes.values():
        prefix = keyspace.space_prefix(1, keyspace.LOCKS)
        assert list(node.engine.scan(prefix, prefix + b"\xff" * 9)) == []


def test_a_leader_that_was_replaced_forgets_its_locks() -> None:
    nodes = Nodes(kept_up=False)
    old = nodes.leader(1)
    cluster = nodes.cluster
    nodes.ask(TransactPrepare(1, 0, txid(1), nodes.stamp(), [nodes.put_of("a", "1")]))
    for other in cluster.nodes:
        if other != old.id:
            cluster.world.cut.add(frozenset((old.id, other)))
    answers: list[Any] = []
    # It does not know yet: these go into its log, and are never committed.
    old.node.send(TransactPrepare(1, 0, txid(2), nodes.stamp(), [nodes.put_of("b", "2")]), answers.append)
    old.node.send(TransactFinish(1, 0, txid(1), False, []), answers.append)
    assert len(old.node.replicas[1].locked) == 2
    cluster.world.until(lambda: not old.node.replicas[1].group.serving)
    assert not old.node.replicas[1].locked
    assert all(isinstance(answer, ApiError) for answer in answers)
    new = nodes.leader(1)
    assert list(new.node.replicas[1].locked) == [nodes.key("a")]
    cluster.world.cut.clear()
    cluster.world.run(3)
    assert nodes.ask(TransactFinish(1, 0, txid(1), True, [])) is None
    assert nodes.value("a") == "1"
    assert nodes.value("b") is None


def test_a_replica_that_moves_takes_locks_markers_and_watermark_along() -> None:
    nodes = Nodes("aabbcc")
    cluster = nodes.cluster
    put(cluster, {"pk": {"S": "gone"}, "v": {"S": "1"}})
    nodes.ask(WriteItem(1, 0, DELETE, nodes.key("gone")))
    assert nodes.ask(TransactWrite(1, 0, txid(1), [nodes.put_of("m", "1")])).verdict == DONE
    source = hosts(cluster, 1)[0]
    target = {1: 2, 2: 1}[source]
    cluster.ask(ClusterCommand("move", {"partition": 1, "from": source, "to": target}))
    cluster.world.run(2)
    nodes.ask(TransactPrepare(1, 0, txid(2), nodes.stamp(), [nodes.put_of("a", "1")]))
    cluster.world.until(lambda: settled(cluster), 120)
    assert nodes.leader(1).node.replicas[1].group.max_delete > 0
    replicas = {n: node.node.replicas[1] for n, node in cluster.nodes.items() if 1 in node.node.replicas}
    assert target in replicas
    cluster.world.run(2)
    states = {(each.group.max_delete, each.group.deletes) for each in replicas.values()}
    assert len(states) == 1
    spaces = (keyspace.LOCKS, keyspace.MARKERS)
    for space in spaces:
        prefix = keyspace.space_prefix(1, space)
        stored = [tuple(cluster.nodes[n].engine.scan(prefix, prefix + b"\xff" * 9)) for n in replicas]
        assert len(set(stored)) == 1
    cluster.world.run(STALLED_S + 8)
    assert nodes.locked(1) == 0
    assert cluster.errors() == []


def test_stalled_parts_on_several_nodes_end_alike_over_a_split() -> None:
    nodes = Nodes()
    cluster = nodes.cluster
    low_name, high_name = on_both_sides(nodes)
    hashes = [int.from_bytes(nodes.key(name)[:8], "big") for name in (low_name, high_name)]
    for number, committed in ((1, True), (2, False)):
        actions = [nodes.put_of(name, str(number)) for name in (low_name, high_name)]
        parts: dict[int, list[WriteItem]] = {}
        for action in actions:
            parts.setdefault(nodes.schema.partition_for(action.key).id, []).append(action)
        stamp = nodes.stamp()
        for partition, part in parts.items():
            assert nodes.ask(TransactPrepare(partition, 0, txid(number), stamp, part)).verdict == DONE
        if committed:
            row = ledger.decision_row(txid(number), True, [("Things", hashes)], 1_700_000_000)
            schema = cluster.control.node.catalogue.schemas[ledger.LEDGER_TABLE]
            key = schema.codec.encode(row)
            write = WriteItem(schema.partition_for(key).id, 0, PUT, key)
            write.item_size, write.item_json = normalise_item(row), dump(row)
            assert isinstance(nodes.ask(write), WriteResult)
            answer = cluster.ask(ClusterCommand("split", {"partition": 1, "at": 1 << 63}))
            assert len(answer["children"]) == 2
            cluster.world.until(lambda: settled(cluster), 120)
        cluster.world.run(STALLED_S + 5)
        for name in (low_name, high_name):
            assert nodes.value(name) == "1", "the first was decided, the second given up"
        assert all(nodes.locked(part.id) == 0 for part in nodes.schema.partitions.all)
    for name in (low_name, high_name):
        partition = nodes.schema.partition_for(nodes.key(name)).id
        versions = nodes.ask(TransactRead(partition, 0, [nodes.key(name)]))
        assert versions.locked == [False]
        assert orjson.loads(records.item_json(versions.records[0]))["v"] == {"S": "1"}
    assert cluster.errors() == []


@pytest.mark.parametrize("space", [keyspace.LOCKS, keyspace.MARKERS])
def test_a_scrub_covers_locks_and_markers(space: int) -> None:
    cluster = Cluster()
    leader = cluster.leader
    schema = cluster.schema

    def put_of(name: str) -> WriteItem:
        item: Item = {"pk": {"S": name}}
        action = WriteItem(0, 0, PUT, schema.codec.encode(item))
        action.item_size, action.item_json = normalise_item(item), dump(item)
        return action

    answers: list[Any] = []
    leader.node.send(TransactWrite(1, 0, txid(1), [put_of("a")]), answers.append)
    stamp = leader.node.stamps.now + 1
    leader.node.send(TransactPrepare(1, 0, txid(2), stamp, [put_of("b")]), answers.append)
    cluster.run(60.0)
    assert [answer.verdict for answer in answers] == [DONE, DONE]
    assert leader.scrubber.passes >= 1
    assert [cluster.machines[n].group.damaged for n in (1, 2, 3)] == ["", "", ""]
    assert cluster.equal(1, 2, 3)
    victim = next(machine for machine in cluster.machines.values() if machine is not leader)
    prefix = keyspace.space_prefix(1, space)
    [(key, stored)] = list(victim.engine.scan(prefix, prefix + b"\xff" * 9))
    victim.engine.write([(key, stored[:-1] + b"?")])
    cluster.run(60.0)
    damaged = {n: cluster.machines[n].group.damaged for n in (1, 2, 3)}
    assert [n for n, reason in damaged.items() if reason] == [victim.number]
