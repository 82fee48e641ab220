"""A random life of a group: messages lost, doubled and reordered, links cut, processes stopped and crashed.

Everything follows from the seed. Each replica has a clock of its own (rate and offset differ), a disk whose writes
become durable late and in order, and a state machine that applies late and forgets what is not flushed. The
checker watches all the time; `heal_and_converge` then shows that the group still works.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from hashrange_node.raft import (
    Change,
    ChangeKind,
    ConfChange,
    InstallSnapshot,
    Message,
    RaftCore,
    Refusal,
    Settings,
    Transition,
)

from tests.unit.raft_checker import Checker, check
from tests.unit.raft_support import Cluster, Host


@dataclass(frozen=True)
class Faults:
    """How bad life is: probabilities for a message, and events in a hundred ticks."""

    lost: float = 0.02
    doubled: float = 0.05
    cuts: float = 3.0
    mends: float = 6.0
    crashes: float = 2.0
    restarts: float = 10.0
    stalls: float = 2.0
    changes: float = 5.0
    transfers: float = 2.0
    idle: float = 2.0
    compactions: float = 5.0


class Simulation:
    """One group of up to `size` replicas of which `voters` begin as members."""

    def __init__(
        self,
        seed: int,
        *,
        size: int = 3,
        voters: int = 3,
        faults: Faults | None = None,
        settings: Settings | None = None,
        core_class: type[RaftCore] = RaftCore,
    ) -> None:
        self.random = random.Random(seed)
        self.faults = faults or Faults()
        self.checker = Checker()
        self.cluster = Cluster(
            range(1, voters + 1),
            extra=range(voters + 1, size + 1),
            settings=settings
            or Settings(
                append_bytes_max=40, inflight_messages_max=4, inflight_bytes_max=100, apply_bytes_max=60
            ),
            core_class=core_class,
            watcher=self.checker,
            rng=lambda replica: random.Random(seed * 100 + replica),
        )
        self.checker.cluster = self.cluster
        self.hosts = list(self.cluster.hosts.values())
        self.time = 1000.0
        self.rates = {host.id: self.random.uniform(0.97, 1.03) for host in self.hosts}
        self.offsets = {host.id: self.random.uniform(0, 50) for host in self.hosts}
        self.stalled: dict[int, float] = {}
        self.asked: dict[object, int] = {}
        self.proposed = 0
        for host in self.hosts:
            host.holds_writes = host.holds_apply = True
            host.core.now = self.now(host)

    def now(self, host: Host) -> int:
        """The tick that a replica's clock shows."""
        return int(self.time * self.rates[host.id] + self.offsets[host.id])

    # ---- what can happen

    def run(self, ticks: float, busy: int = 5) -> None:
        """Let things happen for so many ticks; `busy` actions of the ordinary kind in a quarter of a tick."""
        faults = self.faults
        ordinary = [self._deliver, self._work, self._propose, self._read]
        events = [
            (self._cut, faults.cuts),
            (self._mend, faults.mends),
            (self._crash, faults.crashes),
            (self._restart, faults.restarts),
            (self._stall, faults.stalls),
            (self._transfer, faults.transfers),
            (self._change, faults.changes),
            (self._idle, faults.idle),
            (self._compact, faults.compactions),
        ]
        end = self.time + ticks
        while self.time < end:
            before = self.time
            self._pass_time()
            for event, rate in events:
                if self.random.random() < rate / 100 * (self.time - before):
                    event()
            for action in self.random.choices(ordinary, [10, 8, 1, 0.3], k=busy):
                action()
                self._observe()
            if self.random.random() < 0.1:
                self.checker.look()
        self.checker.look()

    def _observe(self) -> None:
        for host in self.hosts:
            self.checker.look_at_commit(host)
            self.checker.strong_read(host, self.now(host))
            for index, context in host.reads:
                self.checker.confirmed_read(host, index, self.asked[context])
            host.reads.clear()

    def _running(self) -> list[Host]:
        return [host for host in self.hosts if host.up and self.stalled.get(host.id, 0) <= self.time]

    def _any(self) -> Host | None:
        running = self._running()
        return self.random.choice(running) if running else None

    def _leader(self) -> Host | None:
        leaders = [host for host in self._running() if host.core.is_leader]
        return self.random.choice(leaders) if leaders else None

    def _deliver(self) -> None:
        network = self.cluster.network
        for _ in range(min(len(network), self.random.randrange(1, 6))):
            # Mostly the oldest ones: some order is left, so that things get done.
            position = int(len(network) * self.random.random() ** 3)
            message = network.pop(position)
            if self.random.random() < self.faults.doubled:
                network.append(message)
            self._arrive(message)

    def _arrive(self, message: Message) -> None:
        host = self.cluster.hosts[message.to]
        lost = self.random.random() < self.faults.lost or (message.sender, message.to) in self.cluster.cuts
        if host.up and not lost and self.stalled.get(host.id, 0) > self.time:
            self.cluster.network.append(message)  # it waits in the socket
            return
        if host.up and not lost:
            host.step(message)
        if isinstance(message, InstallSnapshot):
            sender = self.cluster.hosts[message.sender]
            if sender.up:
                sender.core.report_snapshot(message.to, arrived=host.up and not lost)

    def _pass_time(self) -> None:
        self.time += self.random.uniform(0.05, 0.5)
        for host in self._running():
            host.core.tick(self.now(host))
        self._watch_idle()

    def _watch_idle(self) -> None:
        """What the driver does for idle groups: it knows which nodes are silent."""
        for host in self._running():
            core = host.core
            if core.quiesced and not core.is_leader:
                leader = self.cluster.hosts.get(core.leader)
                silent = leader is None or not leader.up or (leader.id, host.id) in self.cluster.cuts
                if silent or not leader.core.is_leader or self.random.random() < 0.01:
                    core.wake()

    def _work(self) -> None:
        host = self._any()
        if host is None:
            return
        host.turn()
        if self.random.random() < 0.7:
            host.persist(self.random.randrange(1, 4))
        if self.random.random() < 0.7:
            host.apply()
        if self.random.random() < 0.2:
            host.flush()
        host.turn()

    def _propose(self) -> None:
        host = self._leader()
        if host is not None:
            for _ in range(self.random.randrange(1, 4)):
                self.proposed += 1
                host.core.propose(f"p{self.proposed}", self.random.randrange(1, 30))

    def _read(self) -> None:
        host = self._leader()
        if host is not None:
            context = object()
            self.asked[context] = self.checker.acknowledged
            host.core.read_index(context)

    def _cut(self) -> None:
        replicas = [host.id for host in self.hosts]
        kind = self.random.randrange(4)
        leader = self._leader()
        target = leader.id if leader else self.random.choice(replicas)
        if kind == 0:
            self.random.shuffle(replicas)
            middle = self.random.randrange(1, len(replicas))
            self.cluster.partition(replicas[:middle], replicas[middle:])
        elif kind == 1:
            self.cluster.cuts.add((target, self.random.choice(replicas)))
        elif kind == 2:
            other = self.random.choice(replicas)
            self.cluster.cuts |= {(target, other), (other, target)}
        else:
            self.cluster.cut(target)

    def _mend(self) -> None:
        self.cluster.heal()

    def _crash(self) -> None:
        host = self._any()
        if host is not None:
            writes = self.random.randrange(len(host.writes) + 1)
            host.crash(writes, self.random.randrange(1, len(host.flushes) + 1))
            # Nothing that was sent to a process reaches the one that takes its place.
            self.cluster.drop(lambda message: message.to == host.id)

    def _restart(self) -> None:
        down = [host for host in self.hosts if not host.up]
        if down:
            host = self.random.choice(down)
            host.restart(self.now(host))
            self._wake_all()

    def _wake_all(self) -> None:
        for host in self.hosts:
            if host.up:
                host.core.wake()

    def _stall(self) -> None:
        host = self._any()
        if host is not None:
            self.stalled[host.id] = self.time + self.random.uniform(1, 25)

    def _transfer(self) -> None:
        host = self._leader()
        if host is not None:
            host.core.transfer(self.random.choice(self.hosts).id)

    def _change(self) -> None:
        host = self._leader()
        if host is None:
            return
        if host.core.configuration.joint:
            host.core.propose_change(ConfChange())
            return
        replicas = self.random.sample([each.id for each in self.hosts], self.random.randrange(1, 3))
        changes = tuple(Change(self.random.choice(list(ChangeKind)), replica) for replica in replicas)
        host.core.propose_change(ConfChange(changes, self.random.choice(list(Transition))))

    def _idle(self) -> None:
        host = self._leader()
        if host is not None:
            host.core.quiesce()

    def _compact(self) -> None:
        host = self._any()
        if host is not None and host.applied <= host.storage.last_index():
            host.compact(self.random.randrange(host.storage.first_index() - 1, host.applied + 1))

    # ---- afterwards

    def heal_and_converge(self, ticks_max: int = 400) -> None:
        """No faults any more: the group elects a leader, takes a proposal and brings everyone up to date."""
        self.cluster.heal()
        self.cluster.loses = "none"
        self.stalled.clear()
        for host in self.hosts:
            if not host.up:
                host.restart(self.now(host))
            host.holds_writes = host.holds_apply = False
            host.persist()
            host.apply()
            host.core.wake()
        for tick in range(ticks_max):
            self.time += 1.1
            for host in self.hosts:
                host.core.tick(self.now(host))
            self._settle()
            self._observe()
            if tick % 20 == 0:
                self.checker.look()
                for host in self.hosts:  # a snapshot for replicas that begin with nothing, the log stays
                    host.compact(host.storage.first_index() - 1)
            if tick >= 40 and self._converged():
                return
        raise AssertionError(
            "no progress after healing: " + str([host.core.statistics() for host in self.hosts])
        )

    def _settle(self) -> None:
        for _ in range(1000):
            busy = self.cluster.turn()
            messages = self.cluster.network[:]
            self.cluster.network.clear()
            for message in messages:
                self.cluster.hosts[message.to].step(message)
                if isinstance(message, InstallSnapshot):
                    self.cluster.hosts[message.sender].core.report_snapshot(message.to, arrived=True)
            if not busy and not messages:
                return
        raise AssertionError("messages without end")

    def _converged(self) -> bool:
        leaders = [host for host in self.hosts if host.core.is_leader]
        leader = max(leaders, key=lambda host: host.core.term, default=None)
        if leader is None:
            return False
        core = leader.core
        if core.configuration.joint and not core.configuration.leaves_itself:
            core.propose_change(ConfChange())
        if isinstance(core.propose("last", 1), Refusal):
            return False
        self._settle()
        members = [self.cluster.hosts[replica] for replica in sorted(core.configuration.members)]
        if core.configuration.joint or any(host.applied != core.log.last_index for host in members):
            return False
        for host in members:
            check(
                [e.payload for e in host.machine] == [e.payload for e in leader.machine],
                "state machine safety",
                f"{host.id} and {leader.id} have different states",
            )
        return not core.settings.lease_ticks or core.lease_valid(self.now(leader))
