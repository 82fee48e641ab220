"""Real nodes with their control planes in one process: time, network and disks are the test's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hashrange_node.log.memory import MemoryLog
from hashrange_node.meta.plane import ControlPlane
from hashrange_node.meta.reconcile import ReconcileSettings
from hashrange_node.node import Node
from hashrange_node.raft_codec import RaftMessages
from hashrange_node.replica.staging import MemoryStaging
from hashrange_node.settings import NodeIdentity, ReplicationSettings
from hashrange_node.snapshots import Snapshots
from hashrange_node.storage.memory import MemoryEngine
from hashrange_router.api.tables_create import plan_create

from hashrange.errors import ApiError
from hashrange.routing.map import PlacementMap
from hashrange.routing.transport import RoutedTransport
from hashrange.runtime.clock import ManualClock, StampClock
from hashrange.wire.cluster import RaftBatch, RegisterNode
from hashrange.wire.codec import Codec
from hashrange.wire.faults import Unreachable, fault_from
from hashrange.wire.messages import ChangeTable, WhenSettled

DELAY_S = 0.002
CODEC = Codec(RaftMessages())
SETTINGS = ReconcileSettings(grace_s=20.0)


def _run_now(work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
    work()
    done(None)


class World:
    """Virtual time, and the network between nodes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.numbers = 0
        self.nodes: dict[int, TestNode] = {}
        self.cut: set[frozenset[int]] = set()

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.numbers += 1
        self.events.append((self.now + max(delay_s, 0.0), self.numbers, callback))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.events:
            self.events.sort(key=lambda event: event[:2])
            at, _, callback = self.events[0]
            if at > end:
                break
            del self.events[0]
            self.now = max(self.now, at)
            callback()
        self.now = end

    def until(self, condition: Callable[[], Any], seconds: float = 60.0) -> None:
        end = self.now + seconds
        while not condition():
            assert self.now < end, "it did not happen in time"
            self.run(0.05)

    def reaches(self, a: int, b: int) -> bool:
        return b in self.nodes and self.nodes[b].up and frozenset((a, b)) not in self.cut


class Scheduler:
    """One node's timers: none fires once the node is stopped."""

    def __init__(self, world: World, owner: TestNode, life: int) -> None:
        self._world, self._owner, self._life = world, owner, life

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.call_later(0.0, callback)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        def fire() -> None:
            if self._owner.up and self._owner.life == self._life:
                callback()

        self._world.later(delay_s, fire)


class Connection:
    """What a node casts updates on."""

    def __init__(self, world: World, source: int, target: int) -> None:
        self._world, self._source, self._target = world, source, target
        self.life = world.nodes[target].life if target in world.nodes else 0

    @property
    def closed(self) -> bool:
        target = self._world.nodes.get(self._target)
        return target is None or not target.up or target.life != self.life

    def cast(self, message: Any) -> None:
        target = self._world.nodes[self._target]
        data = CODEC.encode_cast(message)

        def arrive() -> None:
            if not self.closed and self._world.reaches(self._source, self._target):
                target.plane.cast(self._source, CODEC.decode_cast(data))

        self._world.later(DELAY_S, arrive)


class Peers:
    """One node's way to the others."""

    def __init__(self, world: World, own: int) -> None:
        self._world, self._own = world, own

    def request(self, node: int, message: Any, done: Callable[[Any], None], timeout_s: float = 10.0) -> None:
        world = self._world
        life = world.nodes[self._own].life
        given = False

        def answer(result: Any) -> None:
            nonlocal given
            own = world.nodes[self._own]
            if not given and own.up and own.life == life:
                given = True
                done(result)

        data = CODEC.encode_request(message)

        def answered(result: Any) -> None:
            reply = CODEC.decode_reply(CODEC.encode_reply(message, result))
            if isinstance(reply, ApiError):
                reply = fault_from(reply)
            world.later(DELAY_S, lambda: answer(reply))

        def arrive() -> None:
            if world.reaches(self._own, node):
                world.nodes[node].receive(self._own, CODEC.decode_request(data), answered)
            else:
                answer(Unreachable(node, False))

        world.later(DELAY_S, arrive)
        world.later(timeout_s, lambda: answer(Unreachable(node, True)))

    def cast(self, node: int, message: Any) -> None:
        world = self._world
        data = CODEC.encode_cast(message)

        def arrive() -> None:
            if world.reaches(self._own, node):
                received = CODEC.decode_cast(data)
                if received.__class__ is RaftBatch:
                    world.nodes[node].node.on_raft(received)
                else:
                    world.nodes[node].plane.cast(self._own, received)

        world.later(DELAY_S, arrive)

    def silent_s(self, node: int) -> float:
        return 0.0 if self._world.reaches(self._own, node) else 60.0

    def is_up(self, node: int) -> bool:
        return self._world.reaches(self._own, node)


class TestNode:
    """One machine: its disk, and the node that runs on it."""

    __test__ = False

    def __init__(self, world: World, id_: int, az: str, members: list[int], seeds: list[int]) -> None:
        self.world, self.id, self.az = world, id_, az
        self.members, self.seeds = members, seeds
        self.replication = ReplicationSettings()
        self.up = False
        self.life = 0
        self.wipes = 0
        self.refusals: list[str] = []
        self.errors: list[tuple[str, BaseException]] = []
        self.clusters: list[str] = []
        self.engine = MemoryEngine()
        self.staging = MemoryStaging()
        self.node: Node
        self.plane: ControlPlane
        world.nodes[id_] = self

    @property
    def incarnation(self) -> str:
        return f"{self.id:04x}{self.wipes:04x}"

    def wipe(self) -> None:
        self.stop()
        self.wipes += 1
        self.engine = MemoryEngine()
        self.staging = MemoryStaging()

    def stop(self) -> None:
        self.up = False

    def start(self) -> None:
        world = self.world
        self.up = True
        self.life += 1
        scheduler = Scheduler(world, self, self.life)
        peers = Peers(world, self.id)
        rng = random.Random(self.id * 1000 + self.life)
        self.node = Node(
            MemoryLog(),
            self.engine,
            scheduler,
            StampClock(ManualClock()),
            monotonic=lambda: world.now,
            rng=rng,
            fatal=self._fatal,
            on_error=lambda what, error: self.errors.append((what, error)),
            identity=NodeIdentity(id=self.id, az=self.az, standalone=False),
            settings=self.replication,
            peers=peers,
        )
        self.snapshots = Snapshots(self.node, self.staging, _run_now, lambda: world.now)
        places = PlacementMap(self.az, self.id, seeds=[s for s in self.seeds if s != self.id])
        transport = RoutedTransport(
            places, peers, now=lambda: world.now, call_later=scheduler.call_later, rng=rng
        )
        self.node.transport = transport
        self.plane = ControlPlane(
            self.node,
            lambda: RegisterNode(self.id, self.az, f"h:{self.id}", f"a:{self.id}", self.incarnation, ""),
            members=self.members,
            seeds=self.seeds,
            peers=peers,  # type: ignore[arg-type]
            now=lambda: world.now,
            wall_s=lambda: 1_000.0 + world.now,
            rng=rng,
            usage=lambda: (1 << 30, 1.0),
            joined=self.clusters.append,
            refused=self.refusals.append,
            settings=SETTINGS,
        )
        self.plane.view.on_placement.append(
            lambda id_, placement: places.put(placement) if placement is not None else places.remove(id_)
        )
        self.plane.view.on_node.append(places.place_node)
        self.snapshots.resume()
        self.node.recover()
        self.plane.start()

    def _fatal(self, message: str) -> None:
        raise AssertionError(message)

    def receive(self, source: int, message: Any, done: Callable[[Any], None]) -> None:
        if not self.plane.request(Connection(self.world, self.id, source), message, done):  # type: ignore[arg-type]
            self.node.send(message, done)


class TestCluster:
    """Several of them."""

    __test__ = False

    def __init__(self, azs: str = "abc") -> None:
        self.world = World()
        ids = list(range(1, len(azs) + 1))
        for id_, az in zip(ids, azs, strict=True):
            TestNode(self.world, id_, az, ids, ids)
        self.nodes = self.world.nodes

    def begin(self) -> None:
        for node in self.nodes.values():
            node.start()
        self.world.until(lambda: all(n.plane.ready for n in self.nodes.values()))

    def join(self, az: str) -> TestNode:
        id_ = max(self.nodes) + 1
        node = TestNode(self.world, id_, az, [], [1, 2, 3])
        node.start()
        return node

    @property
    def control(self) -> TestNode:
        return next(n for n in self.nodes.values() if n.up and n.plane.control.leading)

    def led(self) -> bool:
        return any(n.up and n.plane.control.leading for n in self.nodes.values())

    def ask(self, message: Any, via: int | None = None, seconds: float = 20.0) -> Any:
        node = self.nodes[via] if via is not None else next(n for n in self.nodes.values() if n.up)
        answers: list[Any] = []
        node.node.transport.send(message, answers.append)
        self.world.until(lambda: answers, seconds)
        return answers[0]

    def create(self, name: str = "Things", **extra: Any) -> Any:
        request = {
            "TableName": name,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
            **extra,
        }
        first = self.control.node.catalogue.next_partition_id
        ids: list[int] = []

        def next_id() -> int:
            ids.append(first + len(ids))
            return ids[-1]

        document = plan_create(
            request,
            now=1.0,
            table_id="id-" + name,
            region="us-east-1",
            account="0" * 12,
            next_partition_ids=next_id,
        )
        answer = self.ask(ChangeTable(name, None, document, ids))
        assert not isinstance(answer, ApiError), answer
        return self.ask(WhenSettled(name))

    def errors(self) -> list[Any]:
        return [error for node in self.nodes.values() for error in node.errors]
