"""Snapshots and scrubs on whole nodes: a replica joins by a snapshot, one falls behind, one is damaged."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hashrange_node.log.memory import MemoryLog
from hashrange_node.node import Node
from hashrange_node.replica.scrubber import Scrubber
from hashrange_node.replica.staging import MemoryStaging
from hashrange_node.settings import NodeIdentity, ReplicationSettings
from hashrange_node.snapshots import Snapshots, ranges_of
from hashrange_node.storage import EngineError, MemoryEngine, keyspace
from hashrange_router.api.tables_create import plan_create

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.model.value import dump, normalise_item
from hashrange.runtime.clock import ManualClock, StampClock
from hashrange.wire.cluster import ChangeMembers, Placement, RaftBatch, ScrubReport
from hashrange.wire.faults import NotLeader, Unreachable
from hashrange.wire.messages import PUT, ReadItem, WriteItem
from tests.sim.wire import carry
from tests.unit.snapshot_support import Loop, own

PARTITION = 1


def schema_of_table() -> TableSchema:
    request = {
        "TableName": "Things",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    document = plan_create(
        request,
        now=1.0,
        table_id="id",
        region="us-east-1",
        account="0" * 12,
        next_partition_ids=lambda: PARTITION,
    )
    return TableSchema.from_document(document)


class Machine:
    """One node and its way to the others."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster, self.number = cluster, number
        loop = cluster.loop
        self.engine = MemoryEngine()
        self.errors: list[str] = []
        self.node = Node(
            MemoryLog(),
            self.engine,
            loop,
            StampClock(ManualClock()),
            monotonic=lambda: loop.now,
            rng=random.Random(number),
            fatal=lambda text: pytest.fail(text),
            on_error=lambda text, error: self.errors.append(f"{text}: {error}"),
            identity=NodeIdentity(id=number, generation=1, az=f"az{number}", standalone=False),
            settings=ReplicationSettings(snapshot_bytes_per_s=1 << 20),
            peers=self,  # type: ignore[arg-type]
        )
        node = self.node
        self.snapshots = Snapshots(node, MemoryStaging(), loop.run_off_loop, lambda: loop.now)
        self.scrubber = Scrubber(
            self.engine,
            loop,
            self,
            groups=lambda: list(node.driver.groups.values()),
            damaged=node.driver.disable,
            report=node.report,
            interval_s=20.0,
        )
        node.scrubbed = self.scrubber.applied
        node.handle(ScrubReport, self.scrubber.on_report)
        self.snapshots.resume()
        node.recover(pause=lambda seconds: None)
        self.scrubber.start()

    @property
    def group(self) -> Any:
        return self.node.driver.groups[PARTITION]

    def request(self, node: int, message: Any, done: Any, timeout_s: float = 10.0) -> None:
        loop, cluster = self.cluster.loop, self.cluster
        if {node, self.number} & cluster.cut:
            loop.call_later(0.5, lambda: done(Unreachable(node, True)))
            return
        arriving = carry(message)
        loop.call_later(
            0.001,
            lambda: cluster.machines[node].node.send(
                arriving, lambda answer: loop.call_later(0.001, lambda: done(answer))
            ),
        )

    def cast(self, node: int, message: Any) -> None:
        if isinstance(message, RaftBatch) and not {node, self.number} & self.cluster.cut:
            batch = carry(message)
            self.cluster.loop.call_later(0.001, lambda: self.cluster.machines[node].node.on_raft(batch))

    def silent_s(self, node: int) -> float:
        return 60.0 if {node, self.number} & self.cluster.cut else 0.0

    def is_up(self, node: int) -> bool:
        return not {node, self.number} & self.cluster.cut


class Cluster:
    """Four nodes; the table's one partition begins on the first three."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.cut: set[int] = set()
        self.machines: dict[int, Machine] = {}
        self.schema = schema_of_table()
        for number in (1, 2, 3, 4):
            self.machines[number] = Machine(self, number)
        self.partition = self.schema.partitions.all[0]
        for number in (1, 2, 3):
            self.machines[number].node.open_replica(self.placement(3), self.schema, None)
        self.run(20.0)

    def placement(self, replicas: int) -> Placement:
        part = self.partition
        return {
            "id": part.id,
            "store": part.id,
            "table": "Things",
            "index": None,
            "lo": part.lo,
            "hi": part.hi,
            "origin": "create",
            "initial": [1, 2, 3],
            "replicas": [{"id": n, "node": n, "generation": 1} for n in range(1, replicas + 1)],
            "conf": replicas,
            "next_replica": replicas + 1,
        }

    def run(self, seconds: float) -> None:
        self.loop.run(until=self.loop.now + seconds)

    @property
    def leader(self) -> Machine:
        return next(
            m for m in self.machines.values() if PARTITION in m.node.driver.groups and m.group.serving
        )

    def put(self, first: int, count: int) -> None:
        answers: list[Any] = []
        for n in range(first, first + count):
            item: dict[str, Any] = {"pk": {"S": f"key{n}"}, "text": {"S": f"value {n} " * 20}}
            write = WriteItem(PARTITION, 1, PUT, self.schema.codec.encode(item))
            write.item_size = normalise_item(item)
            write.item_json = dump(item)
            self.leader.node.send(write, answers.append)
            if n % 50 == 0:
                self.run(0.01)
        self.run(2.0)
        assert len(answers) == count
        assert not [answer for answer in answers if isinstance(answer, ApiError)]

    def data(self, number: int) -> dict[bytes, bytes]:
        machine = self.machines[number]
        found = own(machine.engine, ranges_of(machine.group))
        return {key: value for key, value in found.items() if key[:1] != b"D"}

    def compact(self) -> None:
        """Forget the log of the leader: whoever lacks any of it needs a snapshot."""
        group = self.leader.group
        group.storage.install(group.applied_index, group.applied_term)

    def equal(self, *numbers: int) -> bool:
        first = self.data(numbers[0])
        return bool(first) and all(self.data(number) == first for number in numbers[1:])


def test_a_new_replica_gets_the_state_and_follows_while_writes_go_on():
    cluster = Cluster()
    cluster.put(0, 1500)
    cluster.machines[4].node.open_replica(cluster.placement(4), cluster.schema, None)
    for number in (1, 2, 3):
        node = cluster.machines[number].node
        node.groups.place(node.driver.groups[PARTITION], cluster.placement(4))
    answers: list[Any] = []
    cluster.leader.node.send(ChangeMembers(PARTITION, [4], [], []), answers.append)
    cluster.put(1500, 300)
    cluster.run(5.0)
    assert answers == [None]
    assert cluster.machines[4].snapshots.installer.installed == 1
    cluster.put(1800, 100)
    assert cluster.equal(1, 2, 3, 4)
    assert cluster.machines[4].group.counts == cluster.leader.group.counts
    assert cluster.machines[4].snapshots.installer.interrupted() == []
    assert [machine.errors for machine in cluster.machines.values()] == [[], [], [], []]


def test_a_replica_that_was_away_for_too_long_gets_the_state():
    cluster = Cluster()
    cluster.put(0, 100)
    away = next(number for number in (1, 2, 3) if cluster.machines[number] is not cluster.leader)
    cluster.cut = {away}
    cluster.put(50, 1500)
    cluster.compact()
    cluster.cut = set()
    cluster.run(20.0)
    assert cluster.machines[away].snapshots.installer.installed == 1
    cluster.put(2000, 50)
    cluster.run(2.0)
    assert cluster.equal(1, 2, 3)
    assert cluster.machines[away].group.damaged == ""


@pytest.mark.parametrize("which", ["leader", "follower"])
def test_a_scrub_finds_the_replica_that_differs(which: str):
    cluster = Cluster()
    cluster.put(0, 1200)
    cluster.run(30.0)
    assert [cluster.machines[n].group.damaged for n in (1, 2, 3)] == ["", "", ""]
    assert cluster.leader.scrubber.passes >= 1
    leader = cluster.leader
    victim = leader if which == "leader" else next(m for m in cluster.machines.values() if m is not leader)
    key = next(key for key in own_keys(victim) if key.startswith(keyspace.space_prefix(PARTITION, 0)))
    victim.engine.write([(key, (victim.engine.get(key) or b"")[:-1] + b"?")])
    cluster.run(60.0)
    damaged = {n: cluster.machines[n].group.damaged for n in (1, 2, 3)}
    assert [n for n, reason in damaged.items() if reason] == [victim.number]
    assert "checksum" in damaged[victim.number]
    # The others go on.
    cluster.put(5000, 20)


def own_keys(machine: Machine) -> list[bytes]:
    return [key for key, _ in machine.engine.scan(b"P", b"Q")]


def test_a_leader_that_cannot_read_its_data_gives_way_to_the_others() -> None:
    cluster = Cluster()
    cluster.put(0, 10)
    broken = cluster.leader

    def damaged(key: bytes) -> bytes | None:
        raise EngineError("a block does not match its checksum")

    broken.node.engine.get = damaged  # type: ignore[method-assign]
    key = cluster.schema.codec.encode({"pk": {"S": "key1"}})
    answers: list[Any] = []
    broken.node.send(ReadItem(PARTITION, 1, key, True), answers.append)
    assert isinstance(answers[0], NotLeader)
    cluster.run(10.0)
    assert cluster.leader is not broken
    assert "cannot be read" in broken.group.damaged
    broken.node.send(ReadItem(PARTITION, 1, key, False), answers.append)
    assert isinstance(answers[1], NotLeader), "nor does it serve what it may have wrong"
    cluster.leader.node.send(ReadItem(PARTITION, 1, key, True), answers.append)
    cluster.run(1.0)
    assert isinstance(answers[2], bytes)
