"""Corners of several nodes that were thought through one by one: splits, crashes, full disks, hand-overs.

The nodes are those of the simulation (`tests/sim`), with their disks; each situation is set up by hand.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from hashrange_node.log.format import HARD_STATE, hard_state
from hashrange_node.replica.effects import Effects
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy, EngineFull

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.wire.cluster import ChangeMembers, Placement, SplitPartition
from hashrange.wire.faults import LeadershipLost, NotLeader, Overloaded
from hashrange.wire.messages import ReadItem, WriteEntries, WriteItem, WriteResult
from tests.sim.cluster import Cluster, Machine, Options
from tests.sim.events import World
from tests.sim.workload import Messages, table_document, value_of

PARENT, LOW, HIGH = 1, 2, 3
MIDDLE = 1 << 63


class Stage:
    """Three machines with one partition, whose engines are flushed only on demand."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        options = Options(checkpoint_bytes=1 << 30, scrub_interval_s=1e6)
        self.cluster = Cluster(self.world, options, table_document(1))
        self.cluster.start()
        self.messages = Messages(self.cluster.schema)
        self.machines = self.cluster.machines
        self.run(8.0)

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)

    def until(self, holds: Callable[[], Any], within_s: float = 20.0) -> None:
        end = self.world.now + within_s
        while not holds():
            assert self.world.now < end, "it did not happen in time"
            self.run(0.01)

    def group(self, machine: Machine, partition: int = PARENT) -> Any:
        return machine.node.driver.groups[partition]

    def leaders(self, partition: int = PARENT) -> list[Machine]:
        return [
            machine
            for machine in self.machines.values()
            if machine.up
            and not machine.paused
            and partition in machine.node.driver.groups
            and self.group(machine, partition).serving
        ]

    def leader(self, partition: int = PARENT) -> Machine:
        self.until(lambda: self.leaders(partition))
        [leader] = self.leaders(partition)
        return leader

    def ask(self, machine: Machine, message: Any) -> list[Any]:
        """Hand a message to a node now; the list gets the answer."""
        answers: list[Any] = []
        machine.node.send(message, answers.append)
        return answers

    def put(self, key: str, value: int, partition: int = PARENT) -> None:
        answers = self.ask(self.leader(partition), self.write(key, value, partition))
        self.until(lambda: answers)
        assert isinstance(answers[0], WriteResult), answers

    def write(self, key: str, value: int, partition: int = PARENT) -> WriteItem:
        message = self.messages.put(key, value)
        message.partition = partition
        return message

    def read(self, key: str, partition: int = PARENT) -> ReadItem:
        message = self.messages.read(key)
        message.partition = partition
        return message

    def value(self, key: str, partition: int = PARENT) -> int | None:
        answers = self.ask(self.leader(partition), self.read(key, partition))
        self.until(lambda: answers)
        assert not isinstance(answers[0], ApiError), answers
        return value_of(answers[0])

    def keys(self, partition: int, count: int) -> list[str]:
        """Keys that lie in a child."""
        found = []
        number = 0
        while len(found) < count:
            key = f"key{number}"
            number += 1
            above = self.messages.read(key).key[0] >= 0x80
            if above == (partition == HIGH):
                found.append(key)
        return found

    # ---- splits

    def split(self) -> None:
        answers = self.ask(self.leader(), SplitPartition(PARENT, MIDDLE, (LOW, HIGH)))
        self.until(lambda: answers)
        assert answers == [None]

    def record_split(self) -> None:
        """What the catalogue says once it knows of the split; nodes open partitions in the order of their ids."""
        parent: Placement = {**self.cluster.placements[0], "successors": [LOW, HIGH]}  # type: ignore[typeddict-unknown-key]
        low: Placement = {**self.cluster.placements[0], "id": LOW, "origin": "split", "hi": MIDDLE - 1}
        high: Placement = {**self.cluster.placements[0], "id": HIGH, "origin": "split", "lo": MIDDLE}
        self.cluster.placements[:] = [parent, low, high]

    def open_placed(self, machine: Machine) -> None:
        for placement in self.cluster.placements:
            if placement["id"] not in machine.node.replicas:
                machine.node.open_replica(placement, self.cluster.schema, None)

    # ---- crashes

    def flush(self) -> None:
        for machine in self.machines.values():
            machine.node.engine.flush()

    def crash(self, *machines: Machine) -> None:
        """Power fails: the engines have what was flushed, the logs what was synced."""
        for machine in machines or tuple(self.machines.values()):
            machine.disk.journal.clear()
            machine.kill(power=True)

    def start(self) -> None:
        for machine in self.machines.values():
            if not machine.up:
                machine.start()

    def damaged(self) -> dict[tuple[int, int], str]:
        return {
            (machine.id, group.id): group.damaged
            for machine in self.machines.values()
            if machine.up
            for group in machine.node.driver.groups.values()
            if group.damaged
        }


def test_children_of_a_split_outlive_a_crash_that_loses_what_the_engines_had_not_flushed() -> None:
    stage = Stage()
    low, high = stage.keys(LOW, 1)[0], stage.keys(HIGH, 1)[0]
    stage.flush()
    stage.put(low, 1)
    stage.put(high, 2)
    stage.split()
    stage.put(low, 3, LOW)
    stage.run(1.0)
    stage.record_split()
    stage.crash()
    stage.start()
    stage.until(lambda: stage.leaders(LOW) and stage.leaders(HIGH))
    assert stage.damaged() == {}
    assert stage.value(low, LOW) == 3
    assert stage.value(high, HIGH) == 2


def test_a_crash_between_a_split_and_its_flush_loses_no_child() -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.flush()
    for machine in stage.machines.values():
        machine.node.flush_engine = lambda done: None  # it takes for ever
    stage.put(low, 1)
    stage.split()
    stage.put(low, 2, LOW)
    stage.run(1.0)
    stage.record_split()
    stage.crash()
    stage.start()
    stage.until(lambda: stage.leaders(LOW) and stage.leaders(HIGH))
    stage.run(2.0)
    assert stage.damaged() == {}
    assert stage.value(low, LOW) == 2


def test_a_replica_that_splits_late_does_not_spoil_what_its_children_have() -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.put(low, 1)
    leader = stage.leader()
    late = next(machine for machine in stage.machines.values() if machine is not leader)
    late.pause()
    stage.put(low, 2)
    stage.split()
    stage.run(4.0)
    stage.put(low, 3, LOW)
    stage.record_split()
    child = stage.leader(LOW).node.driver.groups[LOW]
    child.storage.install(child.applied_index, child.applied_term)
    # It hears of the children before it has applied what the parent did last.
    held: list[Any] = []
    parent = stage.group(late)
    stepped = late.node.driver.step
    late.node.driver.step = lambda group, message: (  # type: ignore[method-assign]
        held.append(message) if group is parent else stepped(group, message)
    )
    late.resume()
    stage.open_placed(late)
    stage.run(5.0)
    late.node.driver.step = stepped  # type: ignore[method-assign]
    stage.run(10.0)
    assert late.node.driver.groups[PARENT].split is not None
    assert stage.group(late, LOW).applied_index == stage.group(stage.leader(LOW), LOW).applied_index
    key = late.node.replicas[LOW].items + stage.messages.read(low).key
    assert value_of(late.node.engine.get(key)) == 3


def test_a_parent_whose_log_is_slow_answers_no_reads_once_its_children_may_serve() -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.put(low, 1)
    leader = stage.leader()
    leader.disk.slow_s = 30.0
    leader.node.send(SplitPartition(PARENT, MIDDLE, (LOW, HIGH)), lambda answer: None)
    stage.until(lambda: stage.leaders(LOW))
    assert stage.leader(LOW) is not leader
    stage.put(low, 2, LOW)
    answers = stage.ask(leader, stage.read(low))
    stage.run(1.0)
    assert not answers or isinstance(answers[0], ApiError), value_of(answers[0])


def test_a_partition_that_is_being_split_takes_nothing_more() -> None:
    stage = Stage()
    leader = stage.leader()
    replica = leader.node.replicas[PARENT]
    leader.node.send(SplitPartition(PARENT, MIDDLE, (LOW, HIGH)), lambda answer: None)
    stage.until(lambda: stage.group(leader).closing)
    last = stage.group(leader).last_index
    record = records.pack(b"{}", 1, 1, 1)
    answers = stage.ask(leader, WriteEntries(PARENT, 1, [(stage.read("a").key, record, 1)]))
    replica.group.propose(Effects([(b"B" + PARENT.to_bytes(8, "big"), b"")], [], None), answers.append)
    assert stage.group(leader).last_index == last
    assert [isinstance(answer, ApiError) for answer in answers] == [True, True]
    stage.run(1.0)
    assert stage.group(leader).split is not None
    assert stage.group(leader).pending == deque()


def test_a_leader_with_a_full_disk_sends_writers_elsewhere() -> None:
    stage = Stage()
    stage.put("a", 1)
    old = stage.leader()
    old.disk.full = True
    first = stage.ask(old, stage.write("a", 2))
    stage.run(0.5)
    assert len(first) == 1
    assert isinstance(first[0], LeadershipLost)
    stage.until(lambda: stage.leaders() and stage.leader() is not old)
    answers = stage.ask(old, stage.write("a", 3))
    assert [type(answer) for answer in answers] == [NotLeader]
    stage.put("a", 4)


def test_a_leader_whose_engine_is_full_lets_another_lead() -> None:
    stage = Stage()
    old = stage.leader()
    fill(old.node.engine)
    first = stage.ask(old, stage.write("a", 1))
    stage.until(lambda: stage.leaders() and stage.leader() is not old)
    assert len(first) == 1
    stage.put("a", 2)


def fill(engine: Any) -> None:
    def write(mutations: Any, delete_ranges: Any = ()) -> None:
        raise EngineFull("no space left on device")

    engine.write = write


def test_a_confirmed_read_waits_for_a_batch_that_the_engine_does_not_take() -> None:
    stage = Stage()
    stage.put("a", 1)
    leader = stage.leader()
    engine, write = leader.node.engine, leader.node.engine.write

    def busy(mutations: Any, delete_ranges: Any = ()) -> None:
        raise EngineBusy("later")

    engine.write = busy  # type: ignore[method-assign]
    leader.node.send(stage.write("a", 2), lambda answer: None)
    stage.run(0.1)
    group = stage.group(leader)
    answers: list[Any] = []
    key = leader.node.replicas[PARENT].items + stage.read("a").key
    leader.node.strong.confirm(group, lambda: value_of(engine.get(key)), answers.append)
    stage.run(0.2)
    assert answers == []
    engine.write = write  # type: ignore[method-assign]
    stage.run(0.2)
    assert answers == [2]


def test_what_a_full_log_holds_up_is_written_once_there_is_room_whoever_comes_meanwhile() -> None:
    stage = Stage()
    leader = stage.leader()
    driver = leader.node.driver
    leader.disk.full = True
    leader.node.send(stage.write("a", 1), lambda answer: None)
    stage.run(0.1)
    assert driver.log_stalled
    index = stage.group(leader).last_index
    driver.void(99)  # another partition goes meanwhile
    stage.run(0.5)
    leader.disk.full = False
    stage.run(5.0)
    found = [(r.group, r.index) for r in leader.disk.records if r.kind != HARD_STATE]
    assert (PARENT, index) in found
    assert (99, 1) in found
    assert driver.log_stalled is None
    stage.put("a", 2)


def test_a_group_whose_work_fails_does_not_stop_the_others() -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.split()
    stage.until(lambda: stage.leaders(LOW) and stage.leaders(HIGH))
    leader = stage.leader(LOW)
    broken = stage.group(leader, HIGH)

    def fail() -> None:
        raise AssertionError("impossible")

    broken.core = Broken(broken.core, fail)
    driver = leader.node.driver
    driver.touch(broken)
    driver.touch(stage.group(leader, LOW))
    stage.put(low, 1, LOW)
    stage.until(lambda: stage.leaders(HIGH))
    assert broken.damaged
    stage.put(low, 2, LOW)
    assert stage.cluster.reported
    stage.cluster.reported.clear()


class Broken:
    """A core whose `ready` fails."""

    def __init__(self, core: Any, ready: Callable[[], Any]) -> None:
        self._core = core
        self.ready = ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self._core, name)


def test_a_damaged_leader_answers_no_reads() -> None:
    stage = Stage()
    stage.put("a", 1)
    leader = stage.leader()
    leader.node.driver.disable(stage.group(leader), "its checksum is another")
    strong = stage.ask(leader, stage.read("a"))
    eventual = stage.read("a")
    eventual.consistent = False
    other = stage.ask(leader, eventual)
    stage.run(0.5)
    assert isinstance(strong[0], ApiError)
    assert isinstance(other[0], ApiError)


def test_a_replica_that_was_destroyed_does_not_come_back_with_half_of_what_it_had() -> None:
    stage = Stage()
    stage.put("a", 1)
    stage.run(1.0)
    stage.flush()
    stage.put("a", 2)
    stage.run(1.0)
    gone = next(machine for machine in stage.machines.values() if machine is not stage.leader())
    gone.node.close_replica(PARENT)
    stage.run(0.5)
    stage.crash(gone)  # the engine forgets that it was destroyed, the log does not
    stage.start()
    group = stage.group(gone)
    assert group.damaged


def test_destroying_one_child_leaves_the_expiry_entries_of_another() -> None:
    stage = Stage()
    stage.split()
    stage.run(3.0)
    stage.record_split()
    machine = stage.machines[1]
    entry = keyspace.space_prefix(PARENT, keyspace.EXPIRY) + (1).to_bytes(8, "big") + MIDDLE.to_bytes(8, "big")
    machine.node.engine.write([(entry, b"")])
    machine.node.engine.flush()
    stage.crash(machine)
    # Meanwhile the lower child has been given another replica on the same node.
    moved: Any = dict(next(p for p in stage.cluster.placements if p["id"] == LOW))
    moved["replicas"] = [{"id": n, "node": n, "generation": 1} for n in (2, 3)]
    moved["replicas"].append({"id": 4, "node": 1, "generation": 1})
    parent = next(p for p in stage.cluster.placements if p["id"] == PARENT)
    high = next(p for p in stage.cluster.placements if p["id"] == HIGH)
    stage.cluster.placements[:] = [moved, high, parent]
    stage.start()
    assert machine.node.engine.get(entry) == b""


def test_the_memory_of_a_closed_replica_is_given_back() -> None:
    stage = Stage()
    stage.put("a", 1)
    stage.run(1.0)
    machine = stage.machines[2]
    assert machine.node.groups.budget.used_bytes
    machine.node.close_replica(PARENT)
    assert machine.node.groups.budget.used_bytes == 0


def test_an_index_change_is_not_sent_by_a_leader_that_was_replaced() -> None:
    stage = Stage()
    stage.put("a", 1)
    old = stage.leader()
    node = old.node
    sent: list[Any] = []
    node.transport = Recorder(sent)
    shipper = node.shipper(node.replicas[PARENT])
    old.pause()
    stage.run(6.0)
    shipper._queue.append((b"Qkey", []))
    shipper._busy = True
    shipper._drain_targets = lambda batch: {7: [(b"k", None, 1)]}  # type: ignore[attr-defined]
    shipper._drain()
    assert sent == []


class Recorder:
    """A transport that only remembers."""

    def __init__(self, sent: list[Any]) -> None:
        self.sent = sent

    def send(self, message: Any, done: Any) -> None:
        self.sent.append(message)


def test_a_replica_of_a_parent_that_needs_a_snapshot_lets_its_children_begin() -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.put(low, 1)
    leader = stage.leader()
    late = next(machine for machine in stage.machines.values() if machine is not leader)
    late.kill()
    stage.put(low, 2)
    stage.split()
    stage.run(1.0)
    stage.put(low, 3, LOW)
    stage.record_split()
    for partition in (PARENT, LOW, HIGH):
        for machine in stage.machines.values():
            if machine.up:
                group = stage.group(machine, partition)
                group.storage.install(group.applied_index, group.applied_term)
    late.node.catalogue.placement = lambda partition: None  # type: ignore[method-assign]
    late.start()
    placed = {placement["id"]: placement for placement in stage.cluster.placements}
    late.node.catalogue.placement = placed.get  # type: ignore[method-assign]
    stage.until(lambda: LOW in late.node.replicas and HIGH in late.node.replicas)
    leader = stage.leader(LOW)
    stage.until(lambda: stage.group(late, LOW).applied_index == stage.group(leader, LOW).applied_index)
    key = late.node.replicas[LOW].items + stage.messages.read(low).key
    assert value_of(late.node.engine.get(key)) == 3
    assert stage.damaged() == {}


def test_a_split_waits_for_a_change_of_membership() -> None:
    stage = Stage()
    leader = stage.leader()
    leader.node.send(ChangeMembers(PARENT, [4], [], []), lambda answer: None)
    answers = stage.ask(leader, SplitPartition(PARENT, MIDDLE, (LOW, HIGH)))
    stage.run(1.0)
    assert [type(answer) for answer in answers] == [Overloaded]
    assert stage.group(leader).split is None
    stage.put("a", 1)


def test_a_vote_is_kept_for_a_replica_that_is_not_opened_yet() -> None:
    stage = Stage()
    machine = stage.machines[1]
    machine.log.append([hard_state(55, 7, 2)])
    machine.disk.durable = machine.disk.end
    stage.crash(machine)
    stage.start()
    assert 55 in machine.node.groups.recovered
    for number in range(30):
        stage.put("a", number)
    stage.run(1.0)
    machine.node.driver.prepare_checkpoint()
    floor = machine.node.driver.log_floor()
    machine.node.engine.flush()
    machine.log.remove_before(floor)
    assert any(record.group == 55 for record in machine.disk.records)
