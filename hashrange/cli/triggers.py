"""Composes what runs functions: the embedded server's, and those of `hashrange triggers`.

    triggers = Triggers(host, settings, name, address)
    await triggers.prepare(); await triggers.start() ... await triggers.stop(10)

    records of streams ──▶ Mappings ─┐
    Invoke (Event) ──▶ EventRunner ──┼──▶ Pool ──▶ workers
    Invoke ──▶ Lambda API ───────────┘

Imported only by what runs functions: a server without them must not load any of it. A router, which only passes
invocations on, has `router_functions.py`.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from hashrange_router.streams.reader import StreamReader
from hashrange_router.triggers.contracts import FUNCTION, MAPPING, TriggerMetrics
from hashrange_router.triggers.destinations import Deliveries
from hashrange_router.triggers.events.runner import EventRunner
from hashrange_router.triggers.mapping.manager import Mappings
from hashrange_router.triggers.pool import Pool
from hashrange_router.triggers.registry import Registry
from hashrange_router.triggers.settings import PoolSettings

from hashrange.cli import trigger_metrics
from hashrange.cli.router_functions import FunctionsBase
from hashrange.cli.trigger_host import Host
from hashrange.cli.trigger_pages import LATEST, PAGE_ENTRIES, Page
from hashrange.runtime.startup import StartupError

EVENTS_GRACE_S = 2.0
IDLE_POLL_S = 0.05
AT_WORK = ("workers_busy", "invocations_waiting")


class Triggers(FunctionsBase):
    """A pool, and what calls it. `address` is HOST:PORT where other programs reach this one.

    `alone`: there can be no other pool, and nothing runs any more for those that there were: what they had is free.
    """

    def __init__(
        self, host: Host, settings: PoolSettings, name: str, address: str, alone: bool = False
    ) -> None:
        super().__init__(host)
        clock, context = host.clock, host.context
        # Another one at each start: rows that an earlier run of this program has left must seem another's.
        self.id = f"{name}-{secrets.token_hex(4)}"
        self.metrics = TriggerMetrics()
        self.pool = Pool(self.directory, self.packages, settings=settings, metrics=self.metrics, clock=clock)
        self.registry = Registry(self.client, self.id, address, clock, alone)
        self.registry.subscribe(lambda: self.pool.share(len(self.registry.alive)))
        self.destinations = Deliveries(self.client, self.directory, self.events)
        self.runner = EventRunner(
            self.store,
            self.pool,
            self.directory,
            self.destinations,
            pool_id=self.id,
            clock=clock,
            metrics=self.metrics,
            alone=alone,
        )
        self.events.attach(self.runner)
        self.mappings = Mappings(
            StreamReader(context, self.client),
            self.client,
            self.directory,
            self.pool,
            self.destinations,
            self.registry,
            self.metrics,
            pool_id=self.id,
            site=context.site,
            clock=clock,
            new_id=context.new_id,
            warm=self.pool.warm,
            alone=alone,
        )
        self.mappings.load(context.controls)
        host.subscribe_controls(self.mappings.follow)
        host.subscribe_controls(self._forget)
        self.serve(self.pool, self)
        self._register_metrics()

    def _register_metrics(self) -> None:
        host = self.host
        trigger_metrics.register_trigger_metrics(
            host.telemetry,
            self.metrics,
            host.context.controls,
            self.pool.statistics,
            self.runner.statistics,
            lambda: len(self.registry.alive),
        )

    def _forget(self, kind: str, name: str, before: Any, after: Any) -> None:
        if after is None and kind in (FUNCTION, MAPPING):
            trigger_metrics.forget(self.metrics, kind, name)

    def top_part(self) -> Page:
        """What `hashrange top` shows of functions here."""
        return trigger_metrics.functions_part(self.metrics, self.host.context.controls)

    async def prepare(self) -> None:
        """Have the pool ready. StartupError when it cannot work here."""
        try:
            await self.pool.start()
        except OSError as error:
            raise StartupError(f"functions cannot run here: {error}") from error

    async def start(self) -> None:
        """Begin to take shards and events: what there is of tables and functions is known."""
        await self.registry.start()
        self.pool.share(len(self.registry.alive))
        await self.runner.start()
        await self.mappings.start()

    async def stop(self, grace_s: float) -> None:
        """Hand shards and events back, give invocations `grace_s` in all to end, then end the workers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        self.pages.stop()
        await asyncio.gather(
            self.mappings.stop(), self.runner.stop(min(grace_s, EVENTS_GRACE_S)), self.registry.stop()
        )
        while any(map(self.pool.statistics().get, AT_WORK)):
            if loop.time() > deadline:
                break
            await asyncio.sleep(IDLE_POLL_S)
        await self.pool.stop()
        await self.destinations.close()

    # The pages of this pool (`FunctionPages`).

    async def figures(self) -> Page:
        """What this pool counts."""
        return trigger_metrics.figures(self.metrics)

    async def logs(self, name: str, after: str, wait_s: float) -> Page:
        """The log of a function here. A position is that of one run of the program: another run's begins anew."""
        run, _, number = after.partition(":")
        cursor = int(number) if run == self.id and number.isdigit() else 0
        logs = self.pool.logs
        if after == LATEST:
            _, cursor = logs.read(name, _END, 1)
        entries, cursor = logs.read(name, cursor, PAGE_ENTRIES)
        if not entries and wait_s > 0 and await logs.wait(name, cursor, wait_s):
            entries, cursor = logs.read(name, cursor, PAGE_ENTRIES)
        told = [{"time_ms": each.time_ms, "stream": each.stream, "text": each.text} for each in entries]
        return {"entries": told, "next": f"{self.id}:{cursor}"}


_END = 1 << 62
"""A position behind every entry of a log."""
