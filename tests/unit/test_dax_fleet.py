"""The supervisor of cache nodes: what it decides, and its loop over documents and processes in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

import pytest

from hashrange.cli.dax import fleet as fleets
from hashrange.cli.dax.fleet import Fleet, Key, Running, View, Wanted, plan
from hashrange.errors import unavailable
from hashrange.model.dax import ClusterDocument, NodeDocument

TIMEOUT_S = 10.0


def cluster(name: str, *numbers: int, **changes: Any) -> ClusterDocument:
    nodes = [
        {
            "NodeId": f"{name}-{number}",
            "Number": number,
            "AvailabilityZone": "az1",
            "Slot": number,
            "Created": 0.0,
            "Reboots": 0,
        }
        for number in numbers
    ]
    document: Any = {
        "ClusterName": name,
        "Slot": 0,
        "Managed": True,
        "Deleting": False,
        "Created": 0.0,
        "Encryption": "NONE",
        "ParameterGroup": "default.dax1.0",
        "NextNumber": 9,
        "Nodes": nodes,
        "Told": {},
    }
    return document | changes


def node(name: str, process: str) -> NodeDocument:
    found: Any = {"NodeId": name, "Number": 1, "Process": process, "Reboots": 0}
    return found


def wanted(name: str, number: int, reboots: int = 0) -> Wanted:
    return Wanted(name, f"{name}-{number}", number, "az1", number, reboots)


def running(*nodes: Wanted) -> dict[Key, Running]:
    return {each.key: Running(each, f"p-{each.node_id}") for each in nodes}


def test_what_is_wanted_and_does_not_run_is_started() -> None:
    found = plan(View(1, [cluster("dax", 1, 2)], []), running(wanted("dax", 1)), ())
    assert found.start == [wanted("dax", 2)]
    assert found.end == []


def test_a_node_that_pauses_or_is_held_is_not_started() -> None:
    assert plan(View(1, [cluster("dax", 1)], []), {}, {("dax", "dax-1")}).start == []


def test_what_is_not_wanted_any_more_is_ended() -> None:
    there = running(wanted("dax", 1), wanted("dax", 2), wanted("other", 1))
    assert plan(View(1, [cluster("dax", 1)], []), there, ()).end == [("dax", "dax-2"), ("other", "other-1")]


def test_a_reboot_ends_the_process_and_then_starts_another() -> None:
    document = cluster("dax", 1)
    document["Nodes"][0]["Reboots"] = 1
    first = plan(View(1, [document], []), running(wanted("dax", 1)), ())
    assert (first.end, first.start) == ([("dax", "dax-1")], [])
    assert plan(View(1, [document], []), {}, ()).start == [wanted("dax", 1, reboots=1)]


def test_a_cluster_without_a_supervisor_is_let_alone() -> None:
    view = View(1, [cluster("own", 1, Managed=False)], [("own", node("own-1", "elsewhere"))])
    assert plan(view, {}, ()) == ([], [], [], [], [])


def test_documents_of_processes_that_are_gone_go() -> None:
    nodes = [("dax", node("dax-1", "p-dax-1")), ("dax", node("dax-2", "from before"))]
    found = plan(View(1, [cluster("dax", 1, 2)], nodes), running(wanted("dax", 1)), ())
    assert found.gone == [("dax", "dax-2", "from before")]


def test_a_cluster_on_its_way_out_is_forgotten_with_its_last_node() -> None:
    leaving = cluster("dax", 1, Deleting=True)
    nodes = [("dax", node("dax-1", "p-dax-1"))]
    still = plan(View(1, [leaving], nodes), running(wanted("dax", 1)), ())
    assert (still.end, still.forget) == ([("dax", "dax-1")], [])
    assert plan(View(1, [leaving], []), running(wanted("dax", 1)), ()).forget == []
    assert plan(View(1, [leaving], []), {}, ()).forget == ["dax"]


def test_a_cluster_is_settled_when_nodes_have_come_or_it_is_complete() -> None:
    nodes = [("dax", node("dax-1", "p-dax-1"))]
    there = running(wanted("dax", 1))
    for told, expected in (
        ({}, ["dax"]),
        ({"Announced": ["dax-1"]}, ["dax"]),
        ({"Announced": ["dax-1"], "Settled": True}, []),
        ({"Announced": ["dax-1", "dax-2"], "Settled": True}, ["dax"]),
    ):
        assert plan(View(1, [cluster("dax", 1, Told=told)], nodes), there, ()).settle == expected


class World:
    """Documents and processes in memory."""

    def __init__(self) -> None:
        self.view: View | None = View(1, [], [])
        self.processes: dict[Key, Running] = {}
        self.stopped: set[Key] = set()
        self.done: list[tuple[str, ...]] = []
        self.starts = 0
        self.broken = False

    async def look(self) -> View | None:
        return self.view

    async def gone(self, cluster: str, node_id: str, process: str) -> None:
        if self.broken:
            raise unavailable("nobody")
        self.done.append(("gone", cluster, node_id, process))

    async def forget(self, cluster: str) -> None:
        self.done.append(("forget", cluster))

    async def settle(self, cluster: str) -> None:
        pass

    def running(self) -> Mapping[Key, Running]:
        return self.processes

    def held(self) -> Collection[Key]:
        return self.stopped

    def keep(self, wanted: Collection[Key]) -> None:
        self.stopped &= set(wanted)

    async def begin(self, node: Wanted) -> None:
        self.starts += 1
        if self.broken:
            raise OSError("no memory")
        self.processes[node.key] = Running(node, f"start-{self.starts}")

    async def end(self, key: Key) -> None:
        self.done.append(("end", *key))
        self.processes.pop(key)

    def set(self, at: int, *clusters: ClusterDocument) -> None:
        self.view = View(at, clusters, [])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - the fleet tells nobody
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "LOOK_S", 0.001)
    monkeypatch.setattr(fleets, "PAUSE_MIN_S", 0.001)


def with_fleet(work: Callable[[World, Fleet], Any]) -> World:
    world = World()

    async def main() -> None:
        fleet = Fleet(world, world, lambda sentence: None)
        fleet.start()
        try:
            await work(world, fleet)
        finally:
            await fleet.stop()

    asyncio.run(main())
    return world


def test_nodes_come_go_and_reboot_with_the_documents() -> None:
    async def work(world: World, fleet: Fleet) -> None:
        world.set(2, cluster("dax", 1, 2))
        await until(lambda: len(world.processes) == 2)
        world.set(3, cluster("dax", 1))
        await until(lambda: len(world.processes) == 1)
        rebooted = cluster("dax", 1)
        rebooted["Nodes"][0]["Reboots"] = 1
        world.set(4, rebooted)
        await until(lambda: world.starts == 3)
        world.set(5, cluster("dax", 1, Deleting=True))
        await until(lambda: ("forget", "dax") in world.done)
        assert world.processes == {}

    with_fleet(work)


def test_a_node_that_died_is_started_again_and_its_document_goes() -> None:
    async def work(world: World, fleet: Fleet) -> None:
        world.set(2, cluster("dax", 1))
        await until(lambda: len(world.processes) == 1)
        died = world.processes.pop(("dax", "dax-1")).process
        world.view = View(3, [cluster("dax", 1)], [("dax", node("dax-1", died))])
        fleet.died(("dax", "dax-1"), "killed")
        await until(lambda: world.starts == 2 and ("gone", "dax", "dax-1", died) in world.done)

    with_fleet(work)


def test_a_view_that_is_older_or_that_nobody_gives_ends_nothing() -> None:
    async def work(world: World, fleet: Fleet) -> None:
        world.set(7, cluster("dax", 1))
        await until(lambda: len(world.processes) == 1)
        for view in (View(6, [], []), None):
            world.view = view
            fleet.wake()
            await asyncio.sleep(0.02)
            assert len(world.processes) == 1

    with_fleet(work)


def test_a_node_stopped_by_hand_stays_down() -> None:
    async def work(world: World, fleet: Fleet) -> None:
        world.stopped.add(("dax", "dax-1"))
        world.set(2, cluster("dax", 1, 2))
        await until(lambda: len(world.processes) == 1)
        await asyncio.sleep(0.02)
        assert list(world.processes) == [("dax", "dax-2")]
        world.stopped.clear()
        await until(lambda: len(world.processes) == 2)

    with_fleet(work)


def test_a_node_of_the_same_name_as_one_that_was_wanted_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "PAUSE_MIN_S", TIMEOUT_S)

    async def work(world: World, fleet: Fleet) -> None:
        world.stopped.add(("dax", "dax-1"))
        world.set(2, cluster("dax", 1, 2))
        await until(lambda: len(world.processes) == 1)
        world.processes.clear()
        fleet.died(("dax", "dax-2"), "killed")
        world.set(3)
        await until(lambda: not world.stopped)
        world.set(4, cluster("dax", 1, 2))
        await until(lambda: len(world.processes) == 2)

    with_fleet(work)


def test_what_cannot_be_started_or_noted_is_tried_again() -> None:
    async def work(world: World, fleet: Fleet) -> None:
        world.broken = True
        world.view = View(2, [cluster("dax", 1)], [("dax", node("dax-1", "from before"))])
        await until(lambda: world.starts >= 2)
        world.broken = False
        await until(lambda: len(world.processes) == 1)
        await until(lambda: ("gone", "dax", "dax-1", "from before") in world.done)

    with_fleet(work)


def test_a_fleet_that_is_woken_while_it_is_stopped_stops() -> None:
    async def main() -> None:
        for turns in range(20):
            fleet = Fleet(World(), World(), lambda sentence: None)
            fleet.start()
            for _ in range(turns):
                await asyncio.sleep(0)
            fleet.wake()
            async with asyncio.timeout(TIMEOUT_S):
                await fleet.stop()

    asyncio.run(main())


def test_pauses_grow_while_a_node_lives_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets, "PAUSE_MIN_S", 1.0)
    said: list[str] = []

    async def main() -> None:
        fleet = Fleet(World(), World(), said.append)
        for _ in range(7):
            fleet.died(("dax", "dax-1"), "exit code 1")

    asyncio.run(main())
    assert [sentence.split()[-2] for sentence in said] == ["1", "2", "4", "8", "16", "30", "30"]
