"""Composes what runs functions: the Lambda API of every program, and the pool of those that have one.

    RouterFunctions(host)                               # a router: the API; Invoke goes to pools elsewhere
    triggers = Triggers(host, settings, name, address)  # the embedded server, and `hashrange triggers`
    await triggers.prepare(); await triggers.start() ... await triggers.stop(10)

    records of streams ──▶ Mappings ─┐
    Invoke (Event) ──▶ EventRunner ──┼──▶ Pool ──▶ workers
    Invoke ──▶ Lambda API ───────────┘

Imported only by what runs functions: a server without them must not load any of it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

from hashrange_router.functions.directory import Directory
from hashrange_router.functions.packages import TablePackages
from hashrange_router.functions.service import lambda_service
from hashrange_router.local import InProcessClient
from hashrange_router.streams.reader import StreamReader
from hashrange_router.triggers.contracts import FUNCTION, MAPPING, Invoker, TriggerMetrics
from hashrange_router.triggers.destinations import Deliveries
from hashrange_router.triggers.events.queue import DurableEventQueue
from hashrange_router.triggers.events.runner import EventRunner
from hashrange_router.triggers.events.store import EventStore
from hashrange_router.triggers.forwarding import Forwarder
from hashrange_router.triggers.mapping.manager import Mappings
from hashrange_router.triggers.pool import Pool
from hashrange_router.triggers.registry import PoolList, Registry
from hashrange_router.triggers.settings import PoolSettings

from hashrange.cli import trigger_metrics
from hashrange.cli.trigger_host import Host
from hashrange.cli.trigger_pages import LATEST, PAGE_ENTRIES, FunctionPages, Page, PagesOfPools, PagesService
from hashrange.runtime.startup import StartupError

EVENTS_GRACE_S = 2.0
IDLE_POLL_S = 0.05
AT_WORK = ("workers_busy", "invocations_waiting")


class _Base:
    """What every program with the Lambda API has: its client, and its view of functions."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.client = InProcessClient(host.entries, host.context, host.transport)
        self.directory = Directory(host.context, random.Random().random)
        self.packages = TablePackages(self.client, now=host.context.now)
        self.store = EventStore(self.client, host.clock)
        self.events = DurableEventQueue(self.store)

    def _serve(self, invoker: Invoker, pages: FunctionPages) -> None:
        """Serve the Lambda API and the pages."""
        host = self.host
        host.dispatcher.serve_rest(
            lambda_service(
                host.context,
                self.client,
                directory=self.directory,
                packages=self.packages,
                invoker=invoker,
                events=self.events,
            )
        )
        self.pages = PagesService(pages, self._name_of)
        host.dispatcher.serve_rest(self.pages)

    def _name_of(self, name_or_arn: str) -> str:
        return self.directory.resolve(name_or_arn).name


class RouterFunctions(_Base):
    """The Lambda API of a router: it invokes functions at the pools that are alive."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.pools = PoolList(self.client, host.clock)
        credentials = host.credentials
        self.forwarder = Forwarder(self.pools, credentials.access_key, credentials.secret)
        self._serve(self.forwarder, PagesOfPools(self.pools.refresh, credentials, host.context.site.region))

    async def stop(self) -> None:
        """Let nobody wait any longer, and let go of connections to pools."""
        self.pages.stop()
        await self.forwarder.stop()


class Triggers(_Base):
    """A pool, and what calls it. `address` is HOST:PORT where other programs reach this one."""

    def __init__(self, host: Host, settings: PoolSettings, name: str, address: str) -> None:
        super().__init__(host)
        clock, context = host.clock, host.context
        # Another one at each start: rows that an earlier run of this program has left must seem another's.
        self.id = f"{name}-{secrets.token_hex(4)}"
        self.metrics = TriggerMetrics()
        self.pool = Pool(self.directory, self.packages, settings=settings, metrics=self.metrics, clock=clock)
        self.registry = Registry(self.client, self.id, address, clock)
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
        )
        self.mappings.load(context.controls)
        host.subscribe_controls(self.mappings.follow)
        host.subscribe_controls(self._forget)
        self._serve(self.pool, self)
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
