"""Whole clusters: nodes with their control plane, routers that follow the catalogue, a table that is created.

Nothing is given to the nodes but their own names and the first members, as with `hashrange node`. While clients work
and things break, partitions are split and moved, nodes are drained, and one may lose its disk.
"""

from __future__ import annotations

import random
from typing import Any

from hashrange_node.meta.plane import ControlPlane
from hashrange_node.meta.reconcile import ReconcileSettings

from hashrange.errors import ApiError
from hashrange.model.table import TableSchema
from hashrange.routing.map import PlacementMap
from hashrange.routing.routing import Routing
from hashrange.routing.transport import RoutedTransport
from hashrange.wire.cluster import (
    CatalogueUpdate,
    ClusterCommand,
    Placement,
    RaftBatch,
    RegisterNode,
)
from hashrange.wire.messages import ChangeTable, WhenSettled
from tests.sim.cluster import Cluster, Machine, Options, RouterMachine
from tests.sim.disk import Disk
from tests.sim.events import Process
from tests.sim.faults import Faults
from tests.sim.run import Plan, Simulation
from tests.sim.workload import TABLE, table_document

MEMBERS = [1, 2, 3]
RECONCILE = ReconcileSettings(grace_s=8.0)
CONTROL_S = 60.0
KINDS = ("split", "move", "drain", "balance", "wipe")


class WholeMachine(Machine):
    """A machine whose node takes part in the control plane. `wipe` gives it an empty disk."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(cluster, number)
        self.wipes = 0
        self.plane: ControlPlane

    @property
    def incarnation(self) -> str:
        return f"{self.id:024x}{self.wipes:08x}"

    def wipe(self) -> None:
        """The disk is lost."""
        self.kill()
        self.wipes += 1
        self.disk = Disk(self.cluster.world)

    def _open(self, process: Process) -> None:
        node, peers = self.node, self.peers
        rng = random.Random(self.cluster.world.random.getrandbits(32))
        self.plane = ControlPlane(
            node,
            self._presence,
            members=MEMBERS,
            seeds=MEMBERS,
            peers=peers,
            now=process.monotonic,
            wall_s=lambda: process.wall_ms() / 1000,
            rng=rng,
            usage=lambda: (1 << 30, 1.0),
            joined=lambda cluster: None,
            refused=lambda reason: self._fatal(f"may not take part: {reason}"),
            note=self._note,
            settings=RECONCILE,
        )
        places = PlacementMap(self.az, self.id, seeds=MEMBERS)
        routes = RoutedTransport(
            places,
            peers,
            now=process.monotonic,
            call_later=process.call_later,
            rng=rng,
            exists=self.plane.view.mentions,
            doubt=self.plane.follower.doubt,
        )
        node.transport = routes

        def on_placement(partition: int, placement: Placement | None) -> None:
            if placement is None:
                places.remove(partition)
            else:
                places.put(placement)
            routes.placed(partition)

        def on_up(number: int, process_id: int, restarted: bool) -> None:
            routes.node_up(number)
            self.plane.peer_up(number)
            if restarted:
                node.groups.wake_shared_with(number)
            else:
                node.groups.wake_behind(number)

        def on_down(number: int) -> None:
            routes.node_down(number)
            self.plane.peer_down(number)

        self.plane.view.on_node.append(places.place_node)
        self.plane.view.on_placement.append(on_placement)
        peers.listen(on_up, on_down)
        node.recover(pause=lambda seconds: None)
        self.plane.start()

    def _presence(self) -> RegisterNode:
        return RegisterNode(self.id, self.az, f"h:{self.id}", f"a:{self.id}", self.incarnation, "")

    def _note(self, event: str, **details: Any) -> None:
        self.cluster.trace(f"node {self.id}, control: {event} {details}")

    def request(self, peer: Any, message: Any, done: Any) -> None:
        if not self.plane.request(peer, message, done):
            self.node.send(message, done)

    def cast(self, peer: Any, message: Any) -> None:
        if message.__class__ is RaftBatch:
            self.node.on_raft(message)
        else:
            self.plane.cast(peer.identity.id, message)


class WholeRouter(RouterMachine):
    """A router that learns everything from the catalogue."""

    def _compose(self) -> None:
        process = self.process
        self.routing = Routing(
            self.peers,
            az="abc"[self.id % 3],
            seeds={number: f"h:{number}" for number in MEMBERS},
            now=process.monotonic,
            call_later=process.call_later,
            rng=random.Random(self.cluster.world.random.getrandbits(32)),
            turn=self.id,
        )
        self.transport = self.routing.transport
        self.peers.listen(self.routing.on_up, self.routing.on_down)
        self.routing.view.on_document.append(self._on_document)
        self.routing.start()

    def _on_document(self, name: str, before: Any, after: Any) -> None:
        if after is not None:
            self.messages.schema = TableSchema.from_document(after)

    def cast(self, peer: Any, message: Any) -> None:
        if isinstance(message, CatalogueUpdate):
            self.routing.update(peer.identity.id, message)

    def send(self, message: Any, done: Any) -> None:
        self.routing.settled.send(message, done)


class WholeCluster(Cluster):
    """Machines whose placements are in the catalogue."""

    machine_class = WholeMachine
    router_class = WholeRouter
    machines: dict[int, WholeMachine]  # type: ignore[assignment]
    routers: dict[int, WholeRouter]  # type: ignore[assignment]

    def control(self) -> WholeMachine | None:
        """The machine that leads the control plane."""
        leading = [m for m in self.machines.values() if m.up and not m.paused and m.plane.control.leading]
        return leading[0] if len(leading) == 1 else None

    def partitions(self) -> list[Placement]:
        control = self.control()
        if control is None:
            return []
        return [p for p in control.node.catalogue.placements.values() if "successors" not in p]


class WholeFaults(Faults):
    """Faults, and what operators do at the same time."""

    cluster: WholeCluster

    def __init__(self, cluster: WholeCluster, rng: random.Random, **options: Any) -> None:
        super().__init__(cluster, rng, **options)
        self.wiped = False
        self._actions |= {kind: getattr(self, "_" + kind) for kind in KINDS}

    def command(self, verb: str, **arguments: Any) -> list[Any]:
        """Ask the control plane for something, through a router; the list gets the answer."""
        self.cluster.trace(f"command: {verb} {arguments}")
        answers: list[Any] = []

        def done(answer: Any) -> None:
            self.cluster.trace(f"{verb} {arguments} is answered: {answer}")
            answers.append(answer)

        running = [router for router in self.cluster.routers.values() if router.process.alive]
        if not running:
            return answers
        router = self._rng.choice(running)
        router.process.call_soon(lambda: router.transport.send(ClusterCommand(verb, arguments), done))
        return answers

    def _placement(self) -> Placement | None:
        placements = self.cluster.partitions()
        return self._rng.choice(placements) if placements else None

    def _split(self) -> None:
        placement = self._placement()
        if placement is not None and placement["id"]:
            lo, hi = placement["lo"], placement["hi"]
            at = {} if self._rng.random() < 0.3 else {"at": (lo + hi + 1) // 2}
            self.command("split", partition=placement["id"], **at)

    def _move(self) -> None:
        placement = self._placement()
        if placement is not None:
            source = self._rng.choice([replica["node"] for replica in placement["replicas"]])
            target = self._rng.choice(self._ids())
            self.command("move", **{"partition": placement["id"], "from": source, "to": target})

    def _drain(self) -> None:
        number = self._rng.choice(self._ids())
        self.command("drain", node=number)
        self._later(3.0, 10.0, lambda: self.command("undrain", node=number))

    def _balance(self) -> None:
        self.command("balance")

    def _wipe(self) -> None:
        """Once in a run: more could lose a majority, which is a loss of data and not of a promise."""
        control = self.cluster.control()
        if self.wiped or control is None or not all(m.up for m in self.cluster.machines.values()):
            return
        self.wiped = True
        machine = self.cluster.machines[self._rng.choice(self._ids())]
        machine.wipe()
        delay = self._later(0.1, 12.0, lambda: self._restart(machine))
        self.cluster.trace(f"node {machine.id} loses its disk, and is away for {delay:.2f} s")


class WholeSimulation(Simulation):
    """The life of a whole cluster."""

    cluster: WholeCluster
    faults: WholeFaults

    def _make(self) -> None:
        self.cluster = WholeCluster(self.world, self.plan.options, table_document(1))
        kinds = self.plan.kinds
        self.faults = WholeFaults(self.cluster, self.rng, kinds=kinds, interval_s=self.plan.fault_interval_s)
        if not kinds:
            self.faults.kinds += tuple(self.rng.sample(KINDS, self.rng.randint(1, 3)))

    def _begin(self) -> None:
        self.cluster.start()
        routers = self.cluster.routers.values()
        machines = self.cluster.machines.values()
        self._until(lambda: all(m.plane.ready for m in machines), CONTROL_S, "every node takes part")
        self._until(
            lambda: all(r.routing.view.received for r in routers), CONTROL_S, "routers know the catalogue"
        )
        self._create()
        known = lambda: all(TABLE in r.routing.view.documents for r in routers)  # noqa: E731
        self._until(known, CONTROL_S, "the routers know the table")

    def _create(self) -> None:
        router = next(iter(self.cluster.routers.values()))
        answers: list[Any] = []
        first = router.routing.view.next_partition_id
        document = table_document(first)
        ids = [part["id"] for part in document["Partitions"]]
        router.send(ChangeTable(TABLE, None, document, ids), answers.append)
        self._until(lambda: answers, CONTROL_S, "the table is created")
        assert not isinstance(answers[0], ApiError), answers[0]
        router.send(WhenSettled(TABLE), answers.append)
        self._until(lambda: len(answers) == 2, CONTROL_S, "the table is ready")
        assert not isinstance(answers[1], ApiError), answers[1]

    def _elected(self) -> bool:
        return bool(self.cluster.partitions()) and super()._elected()

    def _repair(self) -> None:
        """Besides what is broken: nodes that were drained take replicas again."""
        super()._repair()
        for number in self.cluster.machines:
            answers: list[Any] = []
            while not answers or isinstance(answers[0], ApiError):
                answers = self.faults.command("undrain", node=number)
                self._until(lambda: answers, CONTROL_S, "a command is answered")  # noqa: B023

    def _settled(self) -> bool:
        partitions = self.cluster.partitions()
        if not partitions:
            return False
        for placement in partitions:
            leader = self._serving(placement["id"])
            if leader is None or "split" in placement or len(placement["replicas"]) != 3:
                return False
            configuration = leader.core.configuration
            if configuration.joint or configuration.learners:
                return False
            if configuration.voters != {replica["id"] for replica in placement["replicas"]}:
                return False
        return super()._settled()


def whole_plan(seed: int) -> Plan:
    """Five nodes in three zones."""
    options = Options(nodes=5)
    if seed % 3 == 1:
        options = Options(nodes=5, checkpoint_bytes=1_500, retention_bytes=500)
    return Plan(registers=6, counters=2, options=options, settle_s=120.0)


def simulation(seed: int) -> WholeSimulation:
    """The run of a seed."""
    return WholeSimulation(seed, whole_plan(seed))
