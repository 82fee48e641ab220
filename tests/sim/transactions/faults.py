"""What hurts coordinators, besides everything that hurts whole clusters."""

from __future__ import annotations

import random
from typing import Any

from tests.sim.transactions import steps
from tests.sim.transactions.router import ApiRouter, TransactCluster
from tests.sim.whole import WholeFaults

KINDS = ("coordinator", "router_kill", "router_pause", "late", "router_clock", "skew")

SKEW_MS = 400


class TransactFaults(WholeFaults):
    """Faults of a run with transactions."""

    cluster: TransactCluster

    def __init__(self, cluster: TransactCluster, rng: random.Random, **options: Any) -> None:
        super().__init__(cluster, rng, **options)
        self._actions |= {kind: getattr(self, "_" + kind) for kind in KINDS}

    def start(self) -> None:
        """Begin; routers that die come back."""
        self.cluster.router_died = self._router_died
        super().start()

    def stop(self) -> None:
        """Repair everything; clocks are right again, all routers run."""
        super().stop()
        self.cluster.ghost.share = 0.0
        for number, router in list(self.cluster.routers.items()):
            router.trap = None
            router.wall.offset_ms = 0
            router.resume()
            self.cluster.restart_router(number)
        for machine in self.cluster.machines.values():
            machine.wall.offset_ms = 0

    def _api_router(self) -> ApiRouter:
        return self.cluster.routers[self._router()]

    def _router_died(self, router: ApiRouter) -> None:
        router.kill()
        self._later(0.1, 8.0, lambda: self.cluster.restart_router(router.id))

    def _coordinator(self) -> None:
        """A router dies at some step of some transaction, soon."""
        router = self._api_router()
        router.trap = steps.trap(self._rng)

    def _router_kill(self) -> None:
        router = self._api_router()
        if router.alive:
            self.cluster.trace(f"router {router.id} is killed")
            self._router_died(router)

    def _router_pause(self) -> None:
        router = self._api_router()
        if router.alive and not router.process.paused:
            router.pause()
            delay = self._later(0.1, 12.0, router.resume)
            self.cluster.trace(f"router {router.id} is paused for {delay:.2f} s")

    def _late(self) -> None:
        """Part of the prepares, decisions and finishes arrive again later."""
        ghost = self.cluster.ghost
        ghost.share = self._rng.choice((0.0, 0.1, 0.4, 1.0))
        ghost.soon = self._rng.choice((0.0, 0.5))
        self.cluster.trace(f"late duplicates: {ghost.share}, {ghost.soon} of them at once")

    def _router_clock(self) -> None:
        """The clock of a router is far off for a while."""
        router = self._api_router()
        before = router.wall.offset_ms
        router.wall.offset_ms = self._rng.choice((-5_000, 5_000, -1_000, 1_000))
        self.cluster.trace(f"wall clock of router {router.id}: {router.wall.offset_ms} ms off")

        def undo() -> None:
            router.wall.offset_ms = before

        self._later(1.0, 6.0, undo)

    def _skew(self) -> None:
        """All clocks are a little off."""
        for machine in self.cluster.machines.values():
            machine.wall.offset_ms = self._rng.randint(-SKEW_MS, SKEW_MS)
        for router in self.cluster.routers.values():
            router.wall.offset_ms = self._rng.randint(-SKEW_MS, SKEW_MS)
