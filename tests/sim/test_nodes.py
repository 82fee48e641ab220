"""Single situations of several nodes, set up by hand on the simulation's machines."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.raft import Heartbeat, HeartbeatReply, Ready, Snapshot
from hashrange_node.storage import keyspace

from hashrange.errors import ApiError
from hashrange.wire.cluster import SplitPartition
from hashrange.wire.faults import NotLeader
from hashrange.wire.messages import WriteResult
from tests.sim.cluster import Cluster, Machine, Options
from tests.sim.events import World
from tests.sim.workload import Messages, table_document, value_of


class Stage:
    """A cluster with one partition, and a client that may ask single machines."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        options = Options(scrub_interval_s=600.0, stream_rollover_s=1e6)
        self.cluster = Cluster(self.world, options, table_document(1))
        self.cluster.start()
        self.messages = Messages(self.cluster.schema)
        self.run(8.0)

    def run(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)

    def group(self, machine: Machine) -> Any:
        return machine.node.driver.groups[1]

    def leader(self) -> Machine:
        [leader] = [m for m in self.cluster.machines.values() if not m.paused and self.group(m).serving]
        return leader

    def ask(self, machine: Machine, message: Any) -> list[Any]:
        """Hand a message to a node now; the list gets the answer."""
        answers: list[Any] = []
        machine.node.send(message, answers.append)
        return answers

    def put(self, value: int) -> None:
        answers = self.ask(self.leader(), self.messages.put("r0", value))
        self.run(1.0)
        assert isinstance(answers[0], WriteResult)


def test_a_leader_that_was_replaced_gives_no_verdict_on_a_condition() -> None:
    stage = Stage()
    stage.put(1)
    old = stage.leader()
    old.pause()
    stage.run(6.0)
    stage.put(2)
    # It does not know yet: 1 is what it has, and the condition asks for 2.
    answers = stage.ask(old, stage.messages.put("r0", 3, expected=2, conditional=True))
    assert answers == []
    old.resume()
    stage.run(3.0)
    assert isinstance(answers[0], NotLeader)


def test_a_leader_that_was_replaced_answers_no_read() -> None:
    stage = Stage()
    stage.put(1)
    old = stage.leader()
    old.pause()
    stage.run(6.0)
    stage.put(2)
    answers = stage.ask(old, stage.messages.read("r0"))
    assert answers == []
    old.resume()
    stage.run(3.0)
    assert isinstance(answers[0], NotLeader)


def test_a_condition_that_fails_under_the_lease_is_answered_at_once() -> None:
    stage = Stage()
    stage.put(1)
    answers = stage.ask(stage.leader(), stage.messages.put("r0", 3, expected=2, conditional=True))
    assert isinstance(answers[0], ApiError)
    assert answers[0].type_name == "ConditionalCheckFailedException"


def test_a_read_that_is_confirmed_when_leadership_is_lost_is_answered_once() -> None:
    stage = Stage()
    stage.put(1)
    leader = stage.leader()
    group = stage.group(leader)
    answers: list[Any] = []
    leader.node.strong.confirm(group, lambda: "read", answers.append)
    leader.node.driver.run()
    core = group.core
    followers = [each for each in (1, 2, 3) if each != core.id]
    for follower in followers:
        leader.node.driver.step(group, HeartbeatReply(follower, core.id, core.term, core.role.round))
    leader.node.driver.step(group, Heartbeat(followers[0], core.id, core.term + 1, 0, 0))
    stage.run(3.0)
    assert len(answers) == 1


def test_a_write_survives_a_power_failure_everywhere() -> None:
    stage = Stage()
    stage.put(7)
    for machine in stage.cluster.machines.values():
        machine.kill(power=True)
    for machine in stage.cluster.machines.values():
        machine.start()
    stage.run(8.0)
    answers = stage.ask(stage.leader(), stage.messages.read("r0"))
    stage.run(1.0)
    assert value_of(answers[0]) == 7


def test_an_idle_leader_that_finds_its_disk_full_leaves_no_group_behind() -> None:
    stage = Stage()
    stage.put(1)
    stage.run(12.0)
    old = stage.leader()
    assert stage.group(old).core.quiesced
    old.disk.full = True
    old.node.driver.void(99)  # any append finds out
    stage.run(1.0)
    assert not stage.group(old).serving
    old.disk.full = False
    stage.run(12.0)
    assert stage.leader()


def test_followers_of_an_idle_leader_that_is_damaged_elect_another_when_they_are_asked() -> None:
    stage = Stage()
    stage.put(1)
    stage.run(12.0)
    old = stage.leader()
    assert stage.group(old).core.quiesced
    old.node.driver.disable(stage.group(old), "its data cannot be read")
    stage.run(2.0)
    others = [machine for machine in stage.cluster.machines.values() if machine is not old]
    for machine in others:
        stage.ask(machine, stage.messages.read("r0"))
    stage.run(8.0)
    assert stage.leader() in others


@pytest.mark.parametrize("crash", [False, True])
def test_the_state_of_a_partition_that_was_split_leaves_the_items_to_its_children(crash: bool) -> None:
    stage = Stage()
    stage.put(7)
    leader = stage.leader()
    stage.ask(leader, SplitPartition(1, 1 << 63, [2, 3]))
    stage.run(4.0)
    machine = next(each for each in stage.cluster.machines.values() if each is not leader)
    parent = stage.group(machine)
    assert parent.split is not None
    items = keyspace.space_prefix(1, keyspace.ITEMS)
    before = list(machine.node.engine.scan(items, items + b"\xff"))
    assert before
    staging = machine.disk.staging
    stream = staging.begin("parent")
    stream.add([(keyspace.group_state(1), parent.state_for(parent.replica_id))], lambda error: None)
    stream.finish(lambda staged: None)
    snapshot = Snapshot(
        parent.applied_index, parent.applied_term, parent.configuration, staging.open("parent")
    )
    machine.snapshots.install(parent, Ready(1, snapshot=snapshot), lambda: None)
    if crash:
        installer = machine.snapshots.installer
        stage.world.run(stage.world.now + 1.0, stop=lambda: bool(installer.interrupted()))
        assert installer.interrupted()
        machine.node.engine.flush()
        machine.kill(power=True)
        machine.start()
    stage.run(3.0)
    assert list(machine.node.engine.scan(items, items + b"\xff")) == before
