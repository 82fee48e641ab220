"""One run: warm up, break things while clients work, repair, and see whether everything is as it must be.

    result = Simulation(seed=7).run()

Raises an AssertionError that says which rule was broken: `Unsafe` for safety, `Dead` when a healed cluster does not
work again. The same seed gives the same run.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from hashrange_node.raft import Settings

from tests.cluster.histories.history import History
from tests.cluster.histories.linear import check_history
from tests.sim.checkers import Unsafe, check, digest
from tests.sim.cluster import Cluster, Options
from tests.sim.events import World
from tests.sim.faults import Faults
from tests.sim.network import Weather
from tests.sim.streams import Consumer, check_stream
from tests.sim.workload import Clients, table_document

ELECTION_S = 10.0
SETTLE_S = 40.0
FINAL_CLIENT = -1


class Dead(AssertionError):
    """A cluster without faults does not work."""


@dataclass
class Plan:
    """What a run does, in seconds and counts; `clients` at each router."""

    chaos_s: float = 20.0
    clients: int = 2
    pause_s: float = 0.3
    registers: int = 3
    counters: int = 1
    fault_interval_s: float = 1.5
    kinds: tuple[str, ...] = ()
    settle_s: float = 40.0
    options: Options = field(default_factory=Options)

    @classmethod
    def of(cls, seed: int) -> Plan:
        """The ordinary plan for three seeds of five; contested elections or a short log for the others."""
        if seed % 5 == 4:
            return cls.contested()
        return cls.forgetful() if seed % 5 == 2 else cls()

    @classmethod
    def forgetful(cls) -> Plan:
        """The log keeps little: who was away needs a snapshot. Streams are kept for some seconds."""
        return cls(options=Options(checkpoint_bytes=1_500, retention_bytes=500, stream_retention_s=4.0))

    @classmethod
    def contested(cls) -> Plan:
        """Elections take about as long as timeouts."""
        raft = Settings(election_ticks=4, heartbeat_ticks=1, lease_ticks=3)
        return cls(options=Options(raft=raft, weather=Weather(delay_s=(0.005, 0.06))))


@dataclass
class Result:
    """What happened in a run that went well."""

    seed: int
    events: int
    operations: int
    unknown: int
    elections: int
    snapshots: int
    virtual_s: float
    faults: dict[str, int]


class Simulation:
    """The life of one cluster."""

    def __init__(self, seed: int, plan: Plan | None = None, tracing: bool = False) -> None:
        self.seed = seed
        self.plan = plan or Plan.of(seed)
        self.world = World(seed)
        self.rng = random.Random(seed ^ 0x5EED)
        self.cluster: Cluster
        self.faults: Faults
        self._make()
        self.cluster.tracing = tracing
        self.history = History(now=lambda: self.world.now)
        self.clients: list[Clients] = []
        self.consumer: Consumer | None = None

    def _make(self) -> None:
        self.cluster = Cluster(self.world, self.plan.options, table_document(1))
        self.faults = Faults(
            self.cluster, self.rng, kinds=self.plan.kinds, interval_s=self.plan.fault_interval_s
        )

    def run(self) -> Result:
        """Do it all."""
        self._begin()
        self._until(self._elected, ELECTION_S, "every group elects a leader at the start")
        self._start_clients()
        self.faults.start()
        self.world.run(self.world.now + self.plan.chaos_s)
        self._repair()
        for clients in self.clients:
            clients.stopped = True
        self._until(lambda: not self._open(), SETTLE_S, "every operation is answered")
        self._until(
            self._settled, self.plan.settle_s, "every group has a leader and all replicas have caught up"
        )
        self._read_everything()
        self._until(self._settled, self.plan.settle_s, "everything stays so")
        self._check_end()
        self._check_streams()
        unknown = sum(operation.outcome == "unknown" for operation in self.history.operations)
        return Result(
            self.seed,
            self.world.count,
            len(self.history.operations),
            unknown,
            self.cluster.checker.elections,
            sum(m.installed + m.snapshots.installer.installed for m in self.cluster.machines.values()),
            self.world.now,
            self.faults.counts,
        )

    def _begin(self) -> None:
        self.cluster.start()

    def _start_clients(self) -> None:
        plan = self.plan
        self.registers = [f"r{number}" for number in range(plan.registers)]
        self.counters = [f"c{number}" for number in range(plan.counters)]
        for number, router in enumerate(self.cluster.routers.values()):
            clients = Clients(
                router.process,
                router,
                router.messages,
                self.history,
                self.rng,
                registers=self.registers,
                counters=self.counters,
                pause_s=plan.pause_s,
                numbers=range(number * plan.clients, (number + 1) * plan.clients),
            )
            self.clients.append(clients)
            clients.start()
        if not self._trimming:
            self.consumer = Consumer(next(iter(self.cluster.routers.values())))
            self.consumer.start()

    def _repair(self) -> None:
        self.faults.stop()

    def _open(self) -> int:
        return sum(clients.open for clients in self.clients)

    def _until(self, holds: Any, within_s: float, what: str) -> None:
        """Run until something holds; `Dead` if it takes too long."""
        world = self.world
        end = world.now + within_s
        while not holds():
            if world.now >= end:
                raise Dead(f"after {within_s} s it still does not hold that {what}; {self._describe()}")
            world.run(min(end, world.now + 0.25))

    def _describe(self) -> str:
        lines = []
        for machine in self.cluster.machines.values():
            if machine.up:
                for group in machine.node.driver.groups.values():
                    core = group.core
                    role, log = core.leadership().role.value, core.log
                    lines.append(
                        f"node {machine.id} group {group.id} replica {core.id} {role} term {core.term} "
                        f"leader {core.leader} last {log.last_index} commit {log.commit} applied {log.applied} "
                        f"serving {group.serving} quiesced {core.quiesced}"
                    )
        lines += [f"placed: {placement}" for placement in self.cluster.partitions()]
        lines.append(f"open operations: {self._open()}")
        return "\n  ".join(["", *lines])

    def _serving(self, partition: int) -> Any:
        for machine in self.cluster.machines.values():
            if machine.up:
                group = machine.node.driver.groups.get(partition)
                if group is not None and group.serving:
                    return group
        return None

    def _elected(self) -> bool:
        return all(self._serving(placement["id"]) is not None for placement in self.cluster.partitions())

    def _settled(self) -> bool:
        for placement in self.cluster.partitions():
            leader = self._serving(placement["id"])
            if leader is None:
                return False
            last = leader.core.log.last_index
            for place in placement["replicas"]:
                machine = self.cluster.machines[place["node"]]
                group = machine.node.driver.groups.get(placement["id"])
                if group is None or group.core.log.applied != last:
                    return False
        return True

    def _read_everything(self) -> None:
        """The last word on every key."""
        for key in [*self.registers, *self.counters]:
            operation = self.clients[0].invoke(FINAL_CLIENT, key, "read")
            self._until(lambda: not self._open(), SETTLE_S, f"{key} is read")
            check(operation.outcome == "ok", "a healed cluster answers", operation.text())

    def _check_end(self) -> None:
        violations = check_history(self.history.operations)
        if violations:
            raise Unsafe("linearizability: " + "\n".join(violation.text() for violation in violations))
        if self.cluster.reported:
            number, what, error = self.cluster.reported[0]
            raise Unsafe(f"node {number} reported an error: {what}: {error!r}") from error
        for machine in self.cluster.machines.values():
            for group in machine.node.driver.groups.values():
                check(not group.damaged, "no replica is damaged", f"node {machine.id}: {group.damaged}")
        for placement in self.cluster.partitions():
            digests = set()
            for place in placement["replicas"]:
                node = self.cluster.machines[place["node"]].node
                digests.add(digest(node, node.driver.groups[placement["id"]], whole=True))
            check(len(digests) == 1, "equal states", f"partition {placement['id']} at the end")

    # ---- streams

    @property
    def _trimming(self) -> bool:
        """Whether records are dropped while the run goes on: nobody can be sure to read them all then."""
        return self.cluster.options.settings.stream_retention_s < self.plan.chaos_s

    def _check_streams(self) -> None:
        schema = next(iter(self.cluster.routers.values())).messages.schema
        partitions = [each for each in self.cluster.partitions() if each["table"] == schema.name]
        expected = check_stream(self.cluster, partitions, schema, self._trimming)
        consumer = self.consumer
        if consumer is not None:
            count = len(expected)
            self._until(lambda: consumer.has_all(count), SETTLE_S, f"{count} changes are read")
            consumer.check(expected)
