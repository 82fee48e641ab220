"""Whole clusters in the simulation: seeds that must pass, and single situations."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_node.meta.placement import with_replica

from hashrange.errors import ApiError
from hashrange.wire.cluster import CONTROL, ClusterCommand
from tests.sim.whole import WholeSimulation, simulation, whole_plan

SEEDS = 40
GROUPS = 8


@pytest.mark.parametrize("start", range(0, SEEDS, SEEDS // GROUPS))
def test_no_fault_breaks_a_promise_of_a_whole_cluster(start: int) -> None:
    for seed in range(start, start + SEEDS // GROUPS):
        try:
            simulation(seed).run()
        except Exception as error:
            error.add_note(f"again: python -m tests.sim --plan whole --seed {seed} --trace")
            raise


class Quiet(WholeSimulation):
    """A cluster that has begun, without clients and faults."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed, whole_plan(seed))
        self._begin()

    def pass_time(self, seconds: float) -> None:
        self.world.run(self.world.now + seconds)

    def command(self, verb: str, **arguments: Any) -> None:
        router = next(iter(self.cluster.routers.values()))
        answers: list[Any] = []
        router.transport.send(ClusterCommand(verb, arguments), answers.append)
        self._until(lambda: answers, 10.0, "the command is answered")


def test_a_placement_replayed_before_the_generation_is_known_ends_no_membership() -> None:
    quiet = Quiet()
    control = quiet.cluster.control()
    assert control is not None
    member = next(each for each in (1, 2, 3) if each != control.id)
    node = quiet.cluster.machines[member].node
    node.identity.generation = 0  # as between the replay of the log and the look at the node's own record
    placement = node.catalogue.placements[CONTROL]
    quiet.cluster.machines[member].plane.controller.local.placed(CONTROL, placement, placement)
    assert node.catalogue.member
    assert node.groups.control.core.configuration.voters == {1, 2, 3}


def test_nodes_that_follow_one_another_notice_that_both_are_behind() -> None:
    quiet = Quiet()
    four, five = (quiet.cluster.machines[number] for number in (4, 5))
    four.plane.follower.source, five.plane.follower.source = 5, 4
    quiet.command("drain", node=2)
    quiet.pass_time(8.0)
    for machine in (four, five):
        assert machine.node.catalogue.nodes[2]["state"] == "draining"


def test_a_node_that_lost_its_disk_gets_its_replicas_again() -> None:
    quiet = Quiet()
    machine = quiet.cluster.machines[3]
    machine.wipe()
    quiet.pass_time(1.0)
    machine.start()
    quiet._until(quiet._settled, 60.0, "every replica is there again")
    assert machine.node.identity.generation == 2


def test_a_partition_with_a_replica_on_its_way_is_not_split() -> None:
    quiet = Quiet()
    control = quiet.cluster.control()
    assert control is not None
    quiet._until(quiet._settled, 30.0, "the table is there")
    catalogue, plane = control.node.catalogue, control.plane.control
    [placement] = [each for each in catalogue.placements.values() if each["id"] != CONTROL]
    free = next(
        n for n in catalogue.nodes.values() if n["id"] not in {r["node"] for r in placement["replicas"]}
    )
    answers: list[Any] = []
    plane.changes.place(with_replica(placement, free, placement["replicas"][0]["id"]), answers.append)
    plane.begin_split(placement["id"], 1 << 63, "a test", answers.append)
    quiet.pass_time(3.0)
    assert [isinstance(answer, ApiError) for answer in answers] == [True, False]
    quiet._until(quiet._settled, 60.0, "the replica has moved")
    assert all("split" not in each and "successors" not in each for each in catalogue.placements.values())


def test_a_node_that_left_group_0_starts_with_the_catalogue_that_it_had() -> None:
    quiet = Quiet()
    quiet._until(quiet._settled, 30.0, "the table is there")
    control = quiet.cluster.control()
    assert control is not None
    gone = quiet.cluster.machines[next(each for each in (1, 2, 3) if each != control.id)]
    quiet.command("drain", node=gone.id)
    quiet._until(lambda: not gone.node.catalogue.member and quiet._settled(), 60.0, "it has left")
    index = gone.node.catalogue.index
    gone.node.engine.flush()
    gone.kill(power=True)
    gone.start()
    assert not gone.node.catalogue.member
    assert gone.node.catalogue.index == index
