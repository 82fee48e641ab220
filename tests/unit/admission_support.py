"""Routers, the vendor and a network that loses messages, in virtual time.

Vendor, clients and buckets are the real ones; the routers around them only admit and count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import floor
from random import Random
from typing import Any

from hashrange_node.meta.vendor import Vendor, VendorSettings
from hashrange_router.capacity.client import CapacityClient

from hashrange.errors import unavailable
from hashrange.model.token_bucket import TokenBucket
from hashrange.wire.capacity import Answer, CapacityNeed, CapacityReport
from tests.unit.table_support import create

TABLE = "tbl"


class Loop:
    """A clock and its timers."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def time(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        heappush(self._timers, (self.now + delay_s, next(self._order), callback))

    def run(self, until: float) -> None:
        while self._timers and self._timers[0][0] <= until:
            self.now, _, callback = heappop(self._timers)
            callback()
        self.now = until


@dataclass
class Router:
    """A router that writes: `wanted` half units a second, in requests of `size`."""

    name: str
    wanted: Callable[[float], float]
    size: int = 2
    bucket: TokenBucket = field(default_factory=lambda: TokenBucket(0.0, 0.0, 0.0, 0.0))
    used: int = 0
    refused: int = 0
    admitted: list[tuple[float, int]] = field(default_factory=list)
    dry: Callable[[], None] = lambda: None
    touched: bool = False
    backlog: float = 0.0

    def step(self, now: float, step_s: float) -> None:
        self.backlog += self.wanted(now) * step_s / self.size
        while self.backlog >= 1:
            self.backlog -= 1
            self.request(now)

    def request(self, now: float) -> None:
        self.touched = True
        if self.bucket.admits(now):
            self.bucket.charge(self.size, now)
            self.used += self.size
            self.admitted.append((now, self.size))
        else:
            self.refused += self.size
            self.dry()

    # The part of the admission that the client sees.

    def needs(self, now: float) -> list[CapacityNeed]:
        if not self.touched:
            return []
        self.touched = False
        self.bucket.settle(now)
        need = CapacityNeed(TABLE, "", 0, self.used, 0, floor(self.bucket.balance), 0, self.refused)
        self.used = self.refused = 0
        return [need]

    def admitted_between(self, begin: float, end: float) -> int:
        return sum(amount for at, amount in self.admitted if begin <= at < end)


class Site:
    """A vendor and its routers. `lose` tells of every message, either way, whether it gets lost."""

    def __init__(
        self,
        units: int,
        demands: dict[str, Callable[[float], float]],
        *,
        seed: int = 0,
        settings: VendorSettings | None = None,
        lose: Callable[[float], bool] = lambda now: False,
        delay_s: float = 0.005,
        **members: Any,
    ) -> None:
        self.loop = Loop()
        self.rng = Random(seed)
        self.lose = lose
        self.delay_s = delay_s
        self.messages = 0
        self.settings = settings or VendorSettings()
        throughput = {"ReadCapacityUnits": units, "WriteCapacityUnits": units}
        self.document = create(
            **(members or {"BillingMode": "PROVISIONED", "ProvisionedThroughput": throughput})
        )
        self.vendor: Vendor | None = None
        self.restart_vendor()
        self.routers = [Router(name, wanted) for name, wanted in demands.items()]
        for router in self.routers:
            self._start(router)

    def _start(self, router: Router) -> None:
        def apply(answer: Answer) -> None:
            for grant in answer["grants"]:
                until = self.loop.now + answer["valid_ms"] / 1000
                router.bucket.grant(grant["write"], grant["write_rate"], until, self.loop.now)

        client = CapacityClient(
            router.name,
            needs=lambda: router.needs(self.loop.now),
            grant=apply,
            send=self._send,
            now=self.loop.time,
            call_later=self.loop.call_later,
        )
        router.dry = client.dry
        self.loop.call_later(self.rng.random(), client.start)
        self._drive(router, 0.01)

    def _drive(self, router: Router, step_s: float) -> None:
        def step() -> None:
            router.step(self.loop.now, step_s)
            self.loop.call_later(step_s, step)

        self.loop.call_later(self.rng.random() * step_s, step)

    def restart_vendor(self) -> None:
        self.vendor = Vendor(self.settings, self.loop.now)
        self.vendor.follow(TABLE, self.document, self.loop.now)

    def _send(self, message: CapacityReport, done: Callable[[Any], None]) -> None:
        self.messages += 1

        def arrive() -> None:
            if self.vendor is None:
                done(unavailable("no leader"))
                return
            answer = self.vendor.report(message, self.loop.now)
            if not self.lose(self.loop.now):
                self.loop.call_later(self.delay_s, lambda: done(answer))
            else:
                self.loop.call_later(1.0, lambda: done(unavailable("no answer")))

        if self.lose(self.loop.now):
            self.loop.call_later(1.0, lambda: done(unavailable("no answer")))
        else:
            self.loop.call_later(self.delay_s, arrive)

    def admitted(self, begin: float, end: float) -> int:
        return sum(router.admitted_between(begin, end) for router in self.routers)
