"""The schedule of faults: what goes wrong, when, for how long; everything follows from the seed.

A run uses some of the kinds, not all ("swarm testing"): rare combinations come up that way, and a kind that drowns
everything else is sometimes away. `Faults.stop` undoes whatever is still broken.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.sim.cluster import Cluster, Machine

KINDS = (
    "crash",
    "power",
    "crash_voter",
    "pause",
    "gray",
    "stall",
    "isolate",
    "one_way",
    "ring",
    "reset",
    "slow_link",
    "slow_disk",
    "sync_error",
    "disk_full",
    "clock_jump",
    "transfer",
    "weather",
    "router_cut",
)


class Faults:
    """Breaks a cluster, at random moments, until it is stopped."""

    def __init__(
        self, cluster: Cluster, rng: random.Random, *, kinds: tuple[str, ...] = (), interval_s: float = 1.0
    ) -> None:
        self.cluster = cluster
        self.kinds = kinds or tuple(rng.sample(KINDS, rng.randint(2, 6)))
        self.counts: dict[str, int] = {}
        self.stopped = False
        self._rng = rng
        self._interval_s = interval_s
        self._actions: dict[str, Callable[[], None]] = {kind: getattr(self, "_" + kind) for kind in KINDS}

    def start(self) -> None:
        """Begin."""
        self._next()

    def stop(self) -> None:
        """Repair everything, and break nothing any more."""
        self.stopped = True
        cluster = self.cluster
        cluster.trace("all is repaired")
        cluster.watchers.clear()
        cluster.network.weather.lost = cluster.network.weather.overtaken = 0.0
        for machine in cluster.machines.values():
            machine.disk.slow_s = 0.0
            machine.disk.full = machine.disk.fails_syncs = False
            if not machine.up:
                machine.start()
            if machine.process is not None:
                machine.process.readings_left = -1
            machine.resume()
        cluster.network.heal()

    def _next(self) -> None:
        self.cluster.world.after(self._rng.expovariate(1 / self._interval_s), self._happen)

    def _happen(self) -> None:
        if self.stopped:
            return
        kind = self._rng.choice(self.kinds)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self._actions[kind]()
        self._next()

    def _later(self, low: float, high: float, undo: Callable[[], None]) -> float:
        """Undo something after a while, unless all is repaired by then."""
        delay = self._rng.uniform(low, high)

        def unless_stopped() -> None:
            if not self.stopped:
                undo()

        self.cluster.world.after(delay, unless_stopped)
        return delay

    def _machine(self) -> Machine:
        """A machine: half of the time one that leads something."""
        machines = [m for m in self.cluster.machines.values() if m.up]
        leading = [m for m in machines if any(g.core.is_leader for g in m.node.driver.groups.values())]
        if leading and self._rng.random() < 0.6:
            return self._rng.choice(leading)
        return self._rng.choice(machines or list(self.cluster.machines.values()))

    def _ids(self) -> list[int]:
        return list(self.cluster.machines)

    def _router(self) -> int:
        return self._rng.choice(list(self.cluster.routers))

    # ---- processes

    def _crash(self) -> None:
        self._kill(power=False)

    def _power(self) -> None:
        self._kill(power=True)

    def _kill(self, power: bool) -> None:
        victims = [self._machine()]
        chance = self._rng.random()
        if chance < 0.25:
            victims = list(self.cluster.machines.values())
        elif chance < 0.4:
            victims = self._rng.sample(victims + list(self.cluster.machines.values()), 2)
        for machine in victims:
            if machine.up:
                machine.kill(power)
                delay = self._later(0.1, 4.0, lambda machine=machine: self._restart(machine))  # type: ignore[misc]
                self.cluster.trace(f"node {machine.id} is killed for {delay:.2f} s{' (power)' * power}")

    def _restart(self, machine: Machine) -> None:
        if not machine.up:
            self.cluster.trace(f"node {machine.id} starts")
            machine.start()

    def _crash_voter(self) -> None:
        """Crash the next machine that votes for another, about when it does, and start it again at once."""
        watchers = self.cluster.watchers
        terms = {
            (machine.id, group.id): group.core.term
            for machine in self.cluster.machines.values()
            if machine.up
            for group in machine.node.driver.groups.values()
        }

        def watch(machine: Machine) -> None:
            for group in machine.node.driver.groups.values():
                core = group.core
                if core.term > terms.get((machine.id, group.id), 0) and core.vote not in (0, core.id):
                    watchers.remove(watch)
                    self.cluster.world.after(self._rng.uniform(0, 0.02), lambda: self._strike(machine))
                    return

        watchers.append(watch)

    def _strike(self, machine: Machine) -> None:
        if machine.up and not self.stopped:
            self.cluster.trace(f"node {machine.id} crashes when it votes")
            machine.kill()
            self._later(0.001, 0.05, lambda: self._restart(machine))

    def _pause(self) -> None:
        machine = self._machine()
        if machine.up and not machine.paused:
            machine.pause()
            delay = self._later(0.1, 6.0, machine.resume)
            self.cluster.trace(f"node {machine.id} is paused for {delay:.2f} s")

    def _gray(self) -> None:
        """Stop a machine that only routers can reach: when it goes on, nobody tells it what has happened."""
        machine = self._machine()
        if not machine.up or machine.paused:
            return
        ways = [way for n in self._ids() if n != machine.id for way in ((n, machine.id), (machine.id, n))]
        self._cut(ways, "gray")
        machine.pause()
        self._later(1.5, 3.0, machine.resume)

    def _stall(self) -> None:
        self._machine().stall(self._rng.randrange(1, 60), self._rng.uniform(0.5, 5.0))

    # ---- network

    def _cut(self, ways: list[tuple[int, int]], what: str) -> None:
        for sender, to in ways:
            self.cluster.network.cut(sender, to)
        delay = self._later(0.3, 6.0, self.cluster.network.heal)
        self.cluster.trace(f"{what} for {delay:.2f} s: " + ", ".join(f"{a}-/->{b}" for a, b in ways))

    def _isolate(self) -> None:
        number = self._machine().id
        others = [other for other in self._ids() if other != number]
        ways = [way for other in others for way in ((number, other), (other, number))]
        if self._rng.random() < 0.3:
            router = self._router()
            ways += [(number, router), (router, number)]
        self._cut(ways, "isolated")

    def _one_way(self) -> None:
        number = self._machine().id
        other = self._rng.choice([*(n for n in self._ids() if n != number), self._router()])
        self._cut([(number, other) if self._rng.random() < 0.5 else (other, number)], "one way")

    def _ring(self) -> None:
        ids = self._ids()
        self._rng.shuffle(ids)
        self._cut([(ids[0], ids[1]), (ids[1], ids[0])], "no link")

    def _router_cut(self) -> None:
        number, router = self._machine().id, self._router()
        self._cut([(number, router), (router, number)], "router")

    def _reset(self) -> None:
        number = self._machine().id
        other = self._rng.choice([*(n for n in self._ids() if n != number), self._router()])
        self.cluster.trace(f"reset {number}-{other}")
        self.cluster.network.reset(number, other)

    def _slow_link(self) -> None:
        number = self._machine().id
        other = self._rng.choice([*(n for n in self._ids() if n != number), self._router()])
        way = self.cluster.network.direction(
            *((number, other) if self._rng.random() < 0.5 else (other, number))
        )
        way.slow_s = self._rng.choice((0.02, 0.2, 1.0))
        self.cluster.trace(f"slow link {number}-{other}: {way.slow_s} s")

        def undo() -> None:
            way.slow_s = 0.0

        self._later(0.5, 5.0, undo)

    def _weather(self) -> None:
        weather = self.cluster.network.weather
        weather.lost = self._rng.choice((0.0, 0.05, 0.3))
        weather.overtaken = self._rng.choice((0.0, 0.1, 0.5))
        self.cluster.trace(f"casts: {weather.lost} lost, {weather.overtaken} overtaken")

    # ---- disks and clocks

    def _slow_disk(self) -> None:
        disks = [self._machine().disk]
        if self._rng.random() < 0.3:
            disks = [machine.disk for machine in self.cluster.machines.values()]
        for disk in disks:
            disk.slow_s = self._rng.choice((0.02, 0.3, 2.0))
        self.cluster.trace(f"slow disks: {[disk.slow_s for disk in disks]} s")

        def undo() -> None:
            for disk in disks:
                disk.slow_s = 0.0

        self._later(0.5, 4.0, undo)

    def _sync_error(self) -> None:
        machine = self._machine()
        machine.disk.fails_syncs = True
        self._later(1.0, 5.0, lambda: self._restart(machine))

    def _disk_full(self) -> None:
        disk = self._machine().disk
        disk.full = True
        self.cluster.trace("disk full")

        def undo() -> None:
            disk.full = False

        self._later(0.5, 4.0, undo)

    def _clock_jump(self) -> None:
        machine = self._machine()
        machine.wall.offset_ms += self._rng.choice((-30_000, -1_000, -50, 50, 1_000, 30_000))
        self.cluster.trace(f"wall clock of node {machine.id}: {machine.wall.offset_ms} ms off")

    # ---- the cluster's own

    def _transfer(self) -> None:
        machine = self._machine()
        if machine.up and not machine.paused:
            for group in machine.node.driver.groups.values():
                if group.core.is_leader:
                    to = self._rng.choice(sorted(group.core.configuration.all_voters))
                    self.cluster.trace(f"transfer of group {group.id} from node {machine.id} to replica {to}")
                    group.core.transfer(to)
                    machine.node.driver.touch(group)
