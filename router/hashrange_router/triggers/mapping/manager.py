"""The event source mappings of one pool: it follows the control documents, and has a runner for each mapping.

    mappings = Mappings(reader, client, directory, invoker, destinations, registry, metrics,
                        pool_id="pool-1", site=context.site, clock=SystemClock(), new_id=context.new_id)
    mappings.load(context.controls)              # the documents there are already
    subscribe(mappings.follow)                   # as the feed of the catalogue has subscribers: OnControlDocument
    await mappings.start() ... await mappings.stop()

It has no state of its own: where each shard is lies in rows of the system table (`leases`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from hashrange.runtime.clock import Clock
from hashrange.runtime.logging import get_logger
from hashrange.wire.documents import ControlDocument, ControlDocuments
from hashrange_router.api.tables_plan import Site
from hashrange_router.streams.reader import StreamReader
from hashrange_router.triggers.contracts import (
    MAPPING,
    Destinations,
    FunctionDirectory,
    FunctionVersion,
    Invoker,
    LocalClient,
    TriggerMetrics,
)
from hashrange_router.triggers.mapping.leases import Leases
from hashrange_router.triggers.mapping.lineage import fair_share, surplus
from hashrange_router.triggers.mapping.mapping_runner import AGAIN_S, MappingRunner
from hashrange_router.triggers.mapping.services import Services


class Pools(Protocol):
    """The pools that are alive (`hashrange_router.triggers.registry.Registry`)."""

    @property
    def alive(self) -> list[tuple[str, str]]:
        """Id and address of each, this one included."""
        ...


STOP_S = 5.0
"""How long calls may take to end when the pool stops."""


class Mappings:
    """See the module. `pool_id` is this pool's in `registry`; `warm`: see `Services`, `alone`: see `Leases`."""

    def __init__(
        self,
        reader: StreamReader,
        client: LocalClient,
        directory: FunctionDirectory,
        invoker: Invoker,
        destinations: Destinations,
        registry: Pools,
        metrics: TriggerMetrics,
        *,
        pool_id: str,
        site: Site,
        clock: Clock,
        new_id: Callable[[], str],
        warm: Callable[[FunctionVersion], Awaitable[None]] | None = None,
        alone: bool = False,
    ) -> None:
        self._services = Services(
            reader,
            client,
            directory,
            invoker,
            destinations,
            metrics,
            Leases(client, pool_id, clock, alone),
            site,
            clock,
            new_id,
            warm,
        )
        self._pool_id = pool_id
        self._registry = registry
        self._documents: dict[str, ControlDocument] = {}
        self._runners: dict[str, tuple[MappingRunner, asyncio.Task[None]]] = {}
        self._started = False
        self._restarts: set[asyncio.Task[None]] = set()
        self._log = get_logger("triggers")

    def load(self, controls: ControlDocuments) -> None:
        """Take over the mappings that are there already."""
        for name, document in controls.of(MAPPING).items():
            self.follow(MAPPING, name, None, document)

    def follow(
        self, kind: str, name: str, before: ControlDocument | None, after: ControlDocument | None
    ) -> None:
        """Take over a change of the catalogue (`OnControlDocument`); those of other kinds are not looked at."""
        if kind != MAPPING:
            return
        if after is None:
            self._documents.pop(name, None)
        else:
            self._documents[name] = after
        if not self._started:
            return
        running = self._runners.get(name)
        if running is not None:
            running[0].change(after)
        elif after is not None:
            self._begin(name, after)

    async def start(self) -> None:
        """Begin to take shards."""
        self._started = True
        for name, document in self._documents.items():
            self._begin(name, document)

    async def stop(self) -> None:
        """Begin no more calls, let those under way end for a short time, give the shards back."""
        self._started = False
        runners = list(self._runners.values())
        for _, task in runners:
            task.cancel()
        await asyncio.gather(*(task for _, task in runners), return_exceptions=True)
        await asyncio.gather(*(runner.close(STOP_S) for runner, _ in runners), *self._restarts)
        self._runners.clear()

    def wants_more(self) -> bool:
        """Whether this pool has less than its share (`Share`)."""
        runners = [runner for runner, _ in self._runners.values()]
        total = sum(runner.ready for runner in runners)
        return sum(runner.running for runner in runners) < fair_share(total, len(self._registry.alive))

    def surplus(self) -> int:
        """How many shards this pool is to give back (`Share`)."""
        held: dict[str, int] = {self._pool_id: 0}
        for runner, _ in self._runners.values():
            held[self._pool_id] += runner.running - runner.leaving
            for pool, count in runner.held.items():
                held[pool] = held.get(pool, 0) + count
        return surplus(held, self._pool_id, [pool for pool, _ in self._registry.alive])

    def _begin(self, name: str, document: ControlDocument) -> None:
        runner = MappingRunner(name, self._services, self)
        runner.change(document)
        task = asyncio.get_running_loop().create_task(runner.run())
        self._runners[name] = (runner, task)
        task.add_done_callback(lambda ended: self._ended(name, ended))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        """A mapping is gone; or its runner has failed, and is begun anew."""
        if not self._started or task.cancelled():
            return
        failure = task.exception()
        runner, _ = self._runners.pop(name)
        document = self._documents.get(name)
        if failure is not None:
            self._log.error("looking after a mapping failed", mapping=name, exc_info=failure)
            again = asyncio.get_running_loop().create_task(self._again(name, runner))
            self._restarts.add(again)
            again.add_done_callback(self._restarts.discard)
        elif document is not None:
            self._begin(name, document)

    async def _again(self, name: str, failed: MappingRunner) -> None:
        await failed.close(STOP_S)
        await asyncio.sleep(AGAIN_S)
        document = self._documents.get(name)
        if self._started and document is not None and name not in self._runners:
            self._begin(name, document)
