"""A cluster of simulated machines: nodes with disks, a router, and what can be done to them.

A `Machine` is what outlives its node: disk, wall clock, the rate of its oscillator. `start` runs a new node over
what the disk has. The node is the real one; only what it is given (log, engine, scheduler, clock, peers, chance) is
simulated.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hashrange_node.checkpoint import Checkpointer
from hashrange_node.node import Node
from hashrange_node.raft import Settings
from hashrange_node.replica.scrubber import Scrubber
from hashrange_node.settings import NodeIdentity, ReplicationSettings, default_raft
from hashrange_node.snapshots import Snapshots
from hashrange_node.storage.engine import EngineFull

from hashrange.model.table import TableSchema
from hashrange.routing.map import PlacementMap
from hashrange.routing.transport import RoutedTransport
from hashrange.runtime.clock import StampClock
from hashrange.runtime.rpc.identity import Identity
from hashrange.wire.cluster import Placement, RaftBatch, ScrubReport
from tests.sim.checkers import Checker
from tests.sim.disk import Disk, SimEngine, SimLog
from tests.sim.events import Killed, Process, WallClock, World
from tests.sim.network import Network, SimPeers, Weather
from tests.sim.workload import Messages

FIRST_ROUTER = 1001


class Options:
    """How a cluster is built."""

    def __init__(
        self,
        *,
        nodes: int = 3,
        routers: int = 2,
        drift: float = 0.02,
        checkpoint_bytes: int = 30_000,
        retention_bytes: int = 256 << 20,
        scrub_interval_s: float = 3.0,
        stream_retention_s: float = 86_400.0,
        stream_rollover_s: float = 6.0,
        raft: Settings | None = None,
        weather: Weather | None = None,
    ) -> None:
        self.nodes = nodes
        self.routers = routers
        self.drift = drift
        self.checkpoint_bytes = checkpoint_bytes
        self.settings = ReplicationSettings(
            raft=raft or default_raft(),
            retention_bytes=retention_bytes,
            log_memory_bytes=retention_bytes,
            scrub_interval_s=scrub_interval_s,
            stream_retention_s=stream_retention_s,
            stream_rollover_s=stream_rollover_s,
        )
        self.weather = weather or Weather()


class Machine:
    """One machine and the node that runs on it, if one does. Here the node has what placements say, nothing else."""

    az: str

    def __init__(self, cluster: Cluster, number: int) -> None:
        world = cluster.world
        self.cluster = cluster
        self.id = number
        self.az = "abc"[(number - 1) % 3]
        self.disk = Disk(world)
        self.wall = WallClock()
        self.rate = world.random.uniform(1 - cluster.options.drift, 1 + cluster.options.drift)
        self.process: Process | None = None
        self.node: Node
        self.log: SimLog
        self.peers: SimPeers
        self.seen: dict[tuple[int, int], int] = {}
        self.starts = 0
        self.installed = 0
        """Snapshots installed in lives before this one."""

    @property
    def up(self) -> bool:
        return self.process is not None

    @property
    def paused(self) -> bool:
        return self.process is not None and self.process.paused

    def start(self) -> None:
        """Run a new node over what the disk has."""
        cluster = self.cluster
        world = cluster.world
        process = self.process = Process(world, f"node {self.id}", self.rate, self.wall)
        self.starts += 1
        self.seen = {}
        identity = Identity("node", self.id, "", self.incarnation, world.random.getrandbits(63), self.az)
        self.peers = cluster.network.join(identity, process, self)
        self.log = SimLog(self.disk, process, self._fatal)
        self.log.observers.append(lambda entries: cluster.checker.appended(self.id, entries))
        self.node = Node(
            self.log,
            SimEngine(self.disk),
            process,
            StampClock(process),
            monotonic=process.monotonic,
            rng=random.Random(world.random.getrandbits(32)),
            fatal=self._fatal,
            on_error=self._report,
            identity=NodeIdentity(id=self.id, az=self.az, standalone=False),
            settings=cluster.options.settings,
            peers=self.peers,
        )
        process.owner = self
        self._look_after_data(process)
        try:
            self._open(process)
        except EngineFull:
            self.cluster.trace(f"node {self.id} cannot start on a full disk")
            self.kill()
            world.after(1.0, lambda: None if self.up else self.start())
            return
        self.checkpointer.start()
        self.scrubber.start()
        world.after_event(process)

    @property
    def incarnation(self) -> str:
        """The name of what is on the disk."""
        return f"{self.id:032x}"

    def _open(self, process: Process) -> None:
        """Let the node recover and take part."""
        node, cluster = self.node, self.cluster
        node.recover(pause=lambda seconds: None)
        for placement in cluster.placements:
            if placement["id"] not in node.replicas:
                node.open_replica(placement, cluster.schema, None)

    def _look_after_data(self, process: Process) -> None:
        """Snapshots, scrubs and checkpoints, as the node's program composes them."""
        node = self.node
        self.snapshots = Snapshots(node, self.disk.staging, self._run_off_loop, process.monotonic)
        self.snapshots.resume()
        self.scrubber = Scrubber(
            node.engine,
            process,
            self.peers,
            groups=lambda: list(node.driver.groups.values()),
            damaged=node.driver.disable,
            report=self._report,
            interval_s=node.settings.scrub_interval_s,
        )
        node.scrubbed = self.scrubber.applied
        node.handle(ScrubReport, self.scrubber.on_report)
        self.checkpointer = Checkpointer(
            self.log,
            node.engine,
            node.driver,
            run_off_loop=self._run_off_loop,
            call_later=process.call_later,
            trigger_bytes=self.cluster.options.checkpoint_bytes,
            on_error=self._report,
        )

    def _run_off_loop(self, work: Any, done: Any) -> None:
        """Work in a thread takes a while; what a flush covers is durable when it ends."""
        process = self.process
        assert process is not None

        def finish() -> None:
            try:
                work()
            except Exception as error:
                done(error)
            else:
                done(None)

        process.call_later(self.cluster.world.random.uniform(0.001, 0.2), finish)

    def kill(self, power: bool = False) -> None:
        """End the node's process, or cut the machine's power."""
        if self.process is not None:
            self.installed += self.snapshots.installer.installed
            self.process.kill()
            self.process = None
            self.disk.crash(power)
            self.cluster.network.gone(self.id)

    def pause(self) -> None:
        if self.process is not None and not self.process.paused:
            self.process.pause()
            self.cluster.network.stopped(self.id)

    def resume(self) -> None:
        if self.process is not None and self.process.paused:
            self.process.resume()
            self.cluster.network.resumed(self.id)

    def stall(self, readings: int, duration_s: float) -> None:
        """Stop the process in the middle of a callback, when it has read its clock so many times more."""
        process = self.process
        if process is None or process.paused or process.readings_left >= 0:
            return

        def stall() -> None:
            world = self.cluster.world
            self.cluster.trace(f"node {self.id} stalls for {duration_s:.2f} s")
            self.pause()
            world.run(world.now + duration_s)
            if process.alive:
                self.resume()

        process.stall = stall
        process.readings_left = readings

    def _fatal(self, reason: str) -> None:
        self.cluster.trace(f"node {self.id} ends: {reason}")
        self.cluster.fatals.append((self.id, reason))
        self.kill(power=True)
        raise Killed

    def _report(self, what: str, error: BaseException) -> None:
        if isinstance(error, EngineFull) or "disk is full" in str(error):
            return  # a disk that is full may say so
        self.cluster.trace(f"node {self.id} reports: {what}: {error!r}")
        self.cluster.reported.append((self.id, what, error))

    # ---- what arrives (network.Handler)

    def request(self, peer: Any, message: Any, done: Any) -> None:
        self.node.send(message, done)

    def cast(self, peer: Any, message: Any) -> None:
        if message.__class__ is RaftBatch:
            self.node.on_raft(message)

    def failed(self, error: Exception) -> None:
        self._report("a callback failed", error)

    def look(self) -> None:
        """Let the checker look at the node."""
        cluster, process = self.cluster, self.process
        assert process is not None
        readings, process.readings_left = (
            process.readings_left,
            -1,
        )  # the checker's looks at the clock do not count
        cluster.checker.look(self.id, self.node, self.seen)
        process.readings_left = readings
        for watcher in list(cluster.watchers):
            watcher(self)


class RouterMachine:
    """A router: placements and transport; the clients live in its process."""

    def __init__(self, cluster: Cluster, number: int, wall: WallClock | None = None) -> None:
        world = cluster.world
        self.cluster = cluster
        self.id = number
        self.wall = wall or WallClock()
        process = self.process = Process(world, f"router {number}", wall=self.wall)
        identity = Identity("router", number, "", "", world.random.getrandbits(63), "abc"[number % 3])
        self.peers = cluster.network.join(identity, process, self)
        self.messages = Messages(cluster.schema)
        self.transport: RoutedTransport
        self._compose()

    def _compose(self) -> None:
        cluster = self.cluster
        places = PlacementMap("a", seeds=list(cluster.machines))
        for placement in cluster.placements:
            places.put(placement)
        self.transport = RoutedTransport(
            places,
            self.peers,
            now=self.process.monotonic,
            call_later=self.process.call_later,
            rng=random.Random(cluster.world.random.getrandbits(32)),
        )
        self.peers.listen(
            lambda node, process_id, restarted: self.transport.node_up(node), self.transport.node_down
        )

    def request(self, peer: Any, message: Any, done: Any) -> None:
        raise AssertionError("nobody asks a router")

    def cast(self, peer: Any, message: Any) -> None:
        raise AssertionError("nobody tells a router anything")

    def failed(self, error: Exception) -> None:
        raise error

    def send(self, message: Any, done: Any) -> None:
        self.transport.send(message, done)


class Cluster:
    """Machines 1..n on one network, with every partition of one table on the first three."""

    machine_class: type[Machine] = Machine
    router_class: type[RouterMachine] = RouterMachine

    def __init__(self, world: World, options: Options, document: dict[str, Any]) -> None:
        self.world = world
        self.options = options
        self.schema = TableSchema.from_document(document)
        self.checker = Checker()
        self.fatals: list[tuple[int, str]] = []
        self.reported: list[tuple[int, str, BaseException]] = []
        self.tracing = False
        self.watchers: list[Callable[[Machine], None]] = []
        """Told of every event at a node."""
        self.network = Network(world, replace(options.weather))
        self.placements = [
            _placement(part.id, part.lo, part.hi, document["TableName"])
            for part in self.schema.partitions.all
        ]
        self.routers: dict[int, RouterMachine] = {}
        self.machines = {number: self.machine_class(self, number) for number in range(1, options.nodes + 1)}
        world.after_event = self._after_event
        self.network.on_raft = self.checker.sent

    def start(self) -> None:
        """Start all machines and the routers."""
        for machine in self.machines.values():
            machine.start()
        for number in range(FIRST_ROUTER, FIRST_ROUTER + self.options.routers):
            self.routers[number] = self.router_class(self, number)

    def partitions(self) -> list[Placement]:
        """Where every partition is that serves something."""
        return self.placements

    def trace(self, text: str) -> None:
        """Print what happens, if that is wanted."""
        if self.tracing:
            print(f"{self.world.now:10.4f}  {text}")

    def _after_event(self, process: Process) -> None:
        owner = process.owner
        if owner is not None:
            owner.look()


def _placement(partition: int, lo: int, hi: int, table: str) -> Placement:
    return {
        "id": partition,
        "store": partition,
        "table": table,
        "index": None,
        "lo": lo,
        "hi": hi,
        "origin": "create",
        "initial": [1, 2, 3],
        "replicas": [{"id": number, "node": number, "generation": 1} for number in (1, 2, 3)],
        "conf": 1,
        "next_replica": 4,
    }
