"""What the tests of Raft share: a driver with a simulated disk and state machine, and a network to cut.

`Host` is one replica with everything around it that survives, or does not survive, a crash. Its disk takes writes
in order and makes them durable when the test says so; a crash loses those that are not, and may take the state
machine back to an earlier flush. `Cluster` carries messages; nothing moves unless the test moves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from hashrange_node.raft import (
    CONFIG,
    Append,
    Configuration,
    Entry,
    HardState,
    InitialState,
    InstallSnapshot,
    MemoryStorage,
    Message,
    RaftCore,
    Ready,
    Rng,
    Settings,
    Snapshot,
)


class FixedRng:
    """Chance for tests that want none: always the same, or what was set."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def randrange(self, stop: int, /) -> int:
        return self.value % stop


class Watcher:
    """Told of everything a host does; the base looks away."""

    def worked(self, host: Host, work: Ready) -> None: ...

    def sent(self, host: Host, message: Message) -> None: ...

    def applied(self, host: Host, entry: Entry) -> None: ...

    def restarted(self, host: Host) -> None: ...


class Host:
    """One replica and its driver. `send` takes its messages."""

    def __init__(
        self,
        replica: int,
        configuration: Configuration,
        send: Callable[[Message], None],
        *,
        rng: Rng | None = None,
        settings: Settings | None = None,
        core_class: type[RaftCore] = RaftCore,
        watcher: Watcher | None = None,
        now: int = 0,
    ) -> None:
        self.id = replica
        self.rng = rng or FixedRng(replica)
        self.settings = settings or Settings()
        self.core_class = core_class
        self.watcher = watcher or Watcher()
        self.storage = MemoryStorage()
        self.hard_state = HardState()
        self.machine: list[Entry] = []
        self.flushes: list[tuple[int, Configuration, int]] = [(0, configuration, 0)]
        self.configuration = configuration
        self.applied = 0
        self.writes: deque[Ready] = deque()
        self.reads: list[tuple[int, Any]] = []
        self.holds_writes = False
        self.holds_apply = False
        self.to_apply: list[Entry] = []
        self.up = True
        self._send = send
        self.core = self._start(now)

    def _start(self, now: int) -> RaftCore:
        initial = InitialState(self.hard_state, self.applied, self.configuration)
        return self.core_class(self.id, self.storage, initial, self.rng, self.settings, now)

    # ---- the driver's turn

    def turn(self) -> bool:
        """Do what the core wants done, until there is nothing more; says whether there was anything."""
        busy = False
        while self.up and (work := self.core.ready()) is not None:
            busy = True
            self.watcher.worked(self, work)
            for message in work.messages:
                self._emit(message)
            assert work.number or not work.messages_after_persist
            if work.number:
                self.writes.append(work)
            self.to_apply += work.committed
            self.reads += [(read.index, read.context) for read in work.reads]
            if not self.holds_writes:
                self.persist()
            if not self.holds_apply:
                self.apply()
        return busy

    def _emit(self, message: Message) -> None:
        self.watcher.sent(self, message)
        self._send(message)

    def persist(self, count: int | None = None) -> None:
        """Make the oldest `count` writes durable and tell the core."""
        done = 0
        while self.writes and (count is None or done < count):
            done += 1
            work = self.writes.popleft()
            self._make_durable(work)
            for message in work.messages_after_persist:
                self._emit(message)
            self.core.persisted(work.number)

    def _make_durable(self, work: Ready) -> None:
        if work.hard_state is not None:
            self.hard_state = work.hard_state
        if work.snapshot is not None:
            self.storage.install(work.snapshot)
            self.machine = list(work.snapshot.data)
            self.applied = work.snapshot.index
            self.configuration = work.snapshot.configuration
            self.flushes = [(self.applied, self.configuration, len(self.machine))]
        if work.truncate_from is not None:
            self.storage.truncate(work.truncate_from)
        self.storage.append(work.entries)

    def apply(self) -> None:
        """Apply what was handed out."""
        entries, self.to_apply = self.to_apply, []
        for entry in entries:
            self.machine.append(entry)
            self.applied = entry.index
            if entry.kind == CONFIG:
                self.configuration = self.core.apply_config(entry)
            self.watcher.applied(self, entry)
            self.flushes.append((self.applied, self.configuration, len(self.machine)))
            self.core.applied(entry.index)

    def step(self, message: Message) -> None:
        """Take a message, unless the host is down; a snapshot only when nothing is being applied."""
        if self.up:
            if isinstance(message, InstallSnapshot) and not self.holds_apply:
                self.apply()
            self.core.step(message)

    # ---- what happens to a machine

    def flush(self) -> None:
        """The state machine is durable as it is."""
        self.flushes = self.flushes[-1:]

    def compact(self, index: int | None = None) -> None:
        """Flush, and drop the log up to `index` (what is applied)."""
        self.flush()
        snapshot = Snapshot(
            self.applied, self.storage.term(self.applied), self.configuration, list(self.machine)
        )
        self.storage.compact(self.applied if index is None else index, snapshot)

    def crash(self, keep_writes: int = 0, keep_flushes: int | None = None) -> None:
        """Lose all but the oldest `keep_writes` pending writes, and the newest states of the state machine."""
        self.up = False
        for work in list(self.writes)[:keep_writes]:
            self._make_durable(work)
        self.writes.clear()
        self.to_apply = []
        self.reads = []
        if keep_flushes is not None:
            self.flushes = self.flushes[: max(1, keep_flushes)]
        self.applied, self.configuration, length = self.flushes[-1]
        self.machine = self.machine[:length]

    def restart(self, now: int = 0) -> None:
        """Start again from what is durable."""
        self.core = self._start(now)
        self.up = True
        self.watcher.restarted(self)

    @property
    def payloads(self) -> list[Any]:
        """What the state machine has been given, without the entries that Raft makes for itself."""
        return [entry.payload for entry in self.machine if entry.kind == 0]


class Cluster:
    """Hosts and the messages between them, in the order sent."""

    def __init__(
        self,
        voters: Iterable[int],
        learners: Iterable[int] = (),
        *,
        settings: Settings | None = None,
        core_class: type[RaftCore] = RaftCore,
        watcher: Watcher | None = None,
        rng: Callable[[int], Rng] = FixedRng,
        extra: Iterable[int] = (),
    ) -> None:
        configuration = Configuration.of(voters, learners)
        self.network: list[Message] = []
        self.cuts: set[tuple[int, int]] = set()
        self.loses = "none"
        self.hosts: dict[int, Host] = {}
        self.now = 0
        for replica in [*sorted(configuration.members), *extra]:
            self.hosts[replica] = Host(
                replica,
                Configuration() if replica in set(extra) else configuration,
                self.network.append,
                rng=rng(replica),
                settings=settings,
                core_class=core_class,
                watcher=watcher,
            )

    def __getitem__(self, replica: int) -> Host:
        return self.hosts[replica]

    def core(self, replica: int) -> RaftCore:
        return self.hosts[replica].core

    def turn(self) -> bool:
        """A turn of every host."""
        return sum(host.turn() for host in self.hosts.values()) > 0

    def deliver(self, wanted: Callable[[Message], bool] = lambda _: True) -> int:
        """Deliver the messages that are on the network now and wanted; returns how many there were."""
        messages = [message for message in self.network if wanted(message)]
        self.network[:] = [message for message in self.network if not wanted(message)]
        for message in messages:
            lost = (message.sender, message.to) in self.cuts or type(message).__name__ == self.loses
            if not lost and message.to in self.hosts:
                self.hosts[message.to].step(message)
        return len(messages)

    def drop(self, wanted: Callable[[Message], bool] = lambda _: True) -> None:
        """Lose messages that are on the network."""
        self.network[:] = [message for message in self.network if not wanted(message)]

    def settle(self, rounds_max: int = 1000) -> None:
        """Until nothing moves any more without time passing."""
        for _ in range(rounds_max):
            busy = self.turn()
            if not self.deliver() and not busy:
                return
        raise AssertionError("the cluster does not come to rest")

    def tick(self, *replicas: int, count: int = 1, settle: bool = True) -> None:
        """Time passes for these replicas, or for all."""
        for _ in range(count):
            self.now += 1
            for replica in replicas or self.hosts:
                if self.hosts[replica].up:
                    self.hosts[replica].core.tick(self.now)
            if settle:
                self.settle()

    def cut(self, *replicas: int) -> None:
        """Separate these replicas from all others, and from one another."""
        for replica in replicas:
            for other in self.hosts:
                self.cuts |= {(replica, other), (other, replica)}

    def partition(self, *sides: Iterable[int]) -> None:
        """Only replicas of the same side hear one another."""
        side_of = {replica: number for number, side in enumerate(sides) for replica in side}
        self.cuts = {(a, b) for a in self.hosts for b in self.hosts if side_of[a] != side_of[b]}

    def heal(self) -> None:
        """All links work."""
        self.cuts.clear()

    def elect(self, replica: int) -> None:
        """Make a replica the leader, with the others' timers out of the way."""
        for host in self.hosts.values():
            host.core.calls_since_heard = 1000
        self.core(replica).campaign()
        self.settle()
        assert self.core(replica).is_leader

    def propose(self, replica: int, *payloads: str) -> list[int]:
        """Propose at a leader; the indices."""
        found = []
        for payload in payloads:
            index = self.core(replica).propose(payload, len(payload))
            assert isinstance(index, int), index
            found.append(index)
        return found

    def logs(self) -> dict[int, list[tuple[int, int]]]:
        """(index, term) of all entries each replica can see."""
        return {replica: [(e.index, e.term) for e in log_of(host)] for replica, host in self.hosts.items()}


def log_of(host: Host) -> list[Entry]:
    """All entries of a replica's log that are not compacted, durable or not."""
    log = host.core.log
    first = log.first_index()
    if first > log.last_index:
        return []
    entries = host.storage.entries(first, log.base_index + 1, 1 << 62) if first <= log.base_index else []
    return entries + log.tail


def is_to(replica: int) -> Callable[[Message], bool]:
    """Messages to a replica."""
    return lambda message: message.to == replica


def is_append(message: Message) -> bool:
    """Messages that carry entries."""
    return isinstance(message, Append) and bool(message.entries)
