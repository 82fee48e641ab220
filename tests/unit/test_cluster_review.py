"""Corners of several nodes that were thought through one by one: splits, crashes, full disks, hand-overs.

The nodes are those of the simulation (`tests/sim`), with their disks; each situation is set up by hand.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hashrange_node.log.format import ENTRY, HARD_STATE, hard_state, truncate
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.index_queue import IndexShipper
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import EngineBusy, EngineFull
from hashrange_router.api.tables_create import plan_create

from hashrange.errors import ApiError
from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange.wire.cluster import ChangeMembers, SplitPartition
from hashrange.wire.faults import LeadershipLost, NotLeader, Overloaded
from hashrange.wire.messages import WriteEntries, WriteResult
from tests.sim.workload import value_of
from tests.unit.stage_support import HIGH, LOW, MIDDLE, PARENT, Stage


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


@pytest.mark.parametrize("call", ["ready", "tick", "step"])
def test_a_group_whose_work_fails_does_not_stop_the_others(call: str) -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.split()
    stage.until(lambda: stage.leaders(LOW) and stage.leaders(HIGH))
    leader = stage.leader(LOW)
    broken = stage.group(leader, HIGH)
    broken.core = Broken(broken.core, call)
    driver = leader.node.driver
    driver.wake(broken)
    driver.touch(stage.group(leader, LOW))
    stage.put(low, 1, LOW)
    stage.until(lambda: broken.damaged)
    stage.until(lambda: stage.leaders(HIGH))
    stage.put(low, 2, LOW)
    assert stage.cluster.reported
    stage.cluster.reported.clear()


class Broken:
    """A core of which one method fails."""

    def __init__(self, core: Any, call: str) -> None:
        self._core = core
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            raise AssertionError("impossible")
        return getattr(self._core, name)


def test_an_installation_that_failed_does_not_stop_checkpoints() -> None:
    stage = Stage()
    machine = stage.machines[1]
    group = stage.group(machine)
    group.installing = True
    with pytest.raises(EngineBusy):
        machine.node.driver.prepare_checkpoint()
    machine.node.driver.disable(group, "a snapshot could not be installed")
    machine.node.driver.prepare_checkpoint()


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
    entry = (
        keyspace.space_prefix(PARENT, keyspace.EXPIRY) + (1).to_bytes(8, "big") + MIDDLE.to_bytes(8, "big")
    )
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
    sent: list[Any] = []
    shipper = IndexShipper(
        old.node.replicas[PARENT],
        Recorder(sent),
        lambda delay_s, call: call(),  # at once, as if the process had stood still in between
        0.0,
    )
    shipper.replica.schema = INDEXED
    changes = [["byText", None, b"k" * 9, b"r" * 30, 1]]
    old.pause()
    stage.run(6.0)
    shipper.enqueue([(b"Qkey", changes)])
    assert sent == []
    leader = stage.leader()
    shipper = IndexShipper(leader.node.replicas[PARENT], Recorder(sent), lambda delay_s, call: call(), 0.0)
    shipper.replica.schema = INDEXED
    shipper.enqueue([(b"Qkey", changes)])
    stage.run(0.5)
    assert len(sent) == 1


INDEXED = TableSchema.from_document(
    plan_create(
        {
            "TableName": "Registers",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "text", "AttributeType": "S"},
            ],
            "GlobalSecondaryIndexes": [
                {
                    "IndexName": "byText",
                    "KeySchema": [{"AttributeName": "text", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            "BillingMode": "PAY_PER_REQUEST",
        },
        now=1.0,
        table_id="registers",
        region="us-east-1",
        account="0" * 12,
        next_partition_ids=iter(range(1, 9)).__next__,
    )
)


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


def test_an_entry_that_cannot_be_applied_stops_its_group_alone() -> None:
    stage = Stage()
    low = stage.keys(LOW, 1)[0]
    stage.split()
    stage.until(lambda: stage.leaders(LOW) and stage.leaders(HIGH))
    leader = stage.leader(HIGH)
    broken = stage.group(leader, HIGH)
    before = broken.applied_index
    broken.core.propose(b"\xc1 is no payload", 10)
    leader.node.driver.touch(broken)
    stage.until(lambda: broken.damaged)
    assert broken.applied_index == before
    stage.put(low, 1, LOW)
    stage.cluster.reported.clear()


def test_a_batch_that_waits_for_the_engine_brings_nothing_of_a_closed_replica_back() -> None:
    stage = Stage()
    low, high = stage.keys(LOW, 1)[0], stage.keys(HIGH, 1)[0]
    stage.split()
    leading = (stage.leader(LOW), stage.leader(HIGH))
    machine = next(machine for machine in stage.machines.values() if machine not in leading)
    engine, write = machine.node.engine, machine.node.engine.write

    def busy(mutations: Any, delete_ranges: Any = ()) -> None:
        raise EngineBusy("later")

    engine.write = busy  # type: ignore[method-assign]
    stage.run(1.0)
    for partition, key in ((LOW, low), (HIGH, high)):
        leader = stage.leader(partition)
        leader.node.send(stage.write(key, 7, partition), lambda answer: None)
    stage.run(0.1)
    stuck = machine.node.driver.applier._stuck
    assert stuck is not None
    closed = next(group for group in stuck.groups if group.id != PARENT)
    kept = [group for group in machine.node.driver.groups.values() if group.id in (LOW, HIGH)]
    kept.remove(closed)
    machine.node.close_replica(closed.id)
    engine.write = write  # type: ignore[method-assign]
    stage.run(2.0)
    assert machine.node.driver.applier._stuck is None
    assert engine.get(keyspace.group_state(closed.id)) is None
    items = keyspace.hashes_of(PARENT, keyspace.ITEMS, closed.place.lo, closed.place.hi)
    assert list(engine.scan(*items)) == []
    assert list(engine.scan(*keyspace.hashes_of(PARENT, keyspace.ITEMS, kept[0].place.lo, kept[0].place.hi)))


def test_a_replica_that_goes_while_the_disk_is_full_is_erased_when_there_is_room() -> None:
    stage = Stage()
    stage.put("a", 1)
    stage.run(1.0)
    machine = stage.machines[1]
    machine.disk.full = True
    machine.node.close_replica(PARENT)
    assert machine.node.engine.get(keyspace.group_state(PARENT)) is not None
    machine.disk.full = False
    stage.run(3.0)
    assert machine.node.engine.get(keyspace.group_state(PARENT)) is None
    assert list(machine.node.engine.scan(b"P", b"Q")) == []


def test_a_group_of_one_knows_after_a_crash_which_requests_it_has_carried_out() -> None:
    stage = Stage(members=(1,))
    stage.flush()
    machine = stage.machines[1]
    add = stage.messages.add("a", 1)
    add.request_id = (5, 1)
    answers = stage.ask(machine, add)
    stage.until(lambda: answers)
    stage.crash(machine)
    stage.start()
    again = stage.messages.add("a", 1)
    again.request_id = (5, 1)
    stage.leader()
    answers = stage.ask(machine, again)
    stage.until(lambda: answers)
    assert isinstance(answers[0], WriteResult)
    assert stage.value("a") == 1


def test_a_group_of_one_that_was_given_up_does_not_lead_again() -> None:
    stage = Stage(members=(1,))
    stage.put("a", 1)
    stage.flush()
    machine = stage.machines[1]
    machine.node.close_replica(PARENT)
    stage.run(0.5)
    stage.crash(machine)
    stage.start()
    stage.run(3.0)
    assert stage.group(machine).damaged
    assert not stage.group(machine).serving


def test_a_group_of_one_that_had_other_members_replays_no_entry_that_was_replaced() -> None:
    stage = Stage(members=(1,))
    stage.put("a", 1)
    stage.flush()
    machine = stage.machines[1]
    index = stage.group(machine).applied_index + 1
    cursor = keyspace.fill_cursor(PARENT, "x")
    void, good = (Effects([(cursor, value)], [], None).encode() for value in (b"void", b"good"))
    machine.log.append(
        [
            (PARENT, index, 1, void, ENTRY),
            hard_state(PARENT, 2, 1),
            truncate(PARENT, index, 2),
            (PARENT, index, 2, good, ENTRY),
        ]
    )
    machine.disk.durable = machine.disk.end
    stage.crash(machine)
    stage.start()
    stage.leader()
    assert machine.node.engine.get(cursor) == b"good"


def test_a_delivery_of_index_entries_that_was_held_up_brings_nothing_back() -> None:
    """A deleted entry leaves no stamp: only the number of the delivery tells that an older one comes too late."""
    stage = Stage()
    leader = stage.leader()

    def told(message: Any) -> Any:
        answers = stage.ask(leader, message)
        stage.run(1.0)
        return answers[0]

    key = stage.read("a").key
    record = records.pack(b'{"pk":{"S":"a"}}', 3, 5, 1)
    put = WriteEntries(PARENT, 1, [(key, record, 5)], (77, 3, 10))
    assert told(put) is None
    assert told(WriteEntries(PARENT, 1, [(key, None, 9)], (77, 3, 11))) is None
    assert told(put) is None, "it was made, so the sender may go on"
    assert told(stage.read("a")) is None
    older_term = WriteEntries(PARENT, 1, [(key, record, 5)], (77, 2, 99))
    assert told(older_term) is None
    assert told(stage.read("a")) is None
    assert told(WriteEntries(PARENT, 1, [(key, record, 12)], (77, 4, 1))) is None
    assert told(stage.read("a")) == record
