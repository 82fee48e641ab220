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
from collections.abc import Callable
from typing import Protocol

from hashrange.runtime.clock import Clock
from hashrange.wire.documents import ControlDocument, ControlDocuments
from hashrange_router.api.tables_plan import Site
from hashrange_router.streams.reader import StreamReader
from hashrange_router.triggers.contracts import (
    MAPPING,
    Destinations,
    FunctionDirectory,
    Invoker,
    LocalClient,
    TriggerMetrics,
)


class Pools(Protocol):
    """The pools that are alive (`hashrange_router.triggers.registry.Registry`)."""

    @property
    def alive(self) -> list[tuple[str, str]]:
        """Id and address of each, this one included."""
        ...


class Mappings:
    """See the module. `pool_id` must be another one each time that a pool starts, or the same rows seem its own."""

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
    ) -> None:
        self._documents: dict[str, ControlDocument] = {}
        self._wake = asyncio.Event()

    def load(self, controls: ControlDocuments) -> None:
        """Take over the mappings that are there already."""
        for name, document in controls.of(MAPPING).items():
            self.follow(MAPPING, name, None, document)

    def follow(
        self, kind: str, name: str, before: ControlDocument | None, after: ControlDocument | None
    ) -> None:
        """Take over a change of the catalogue (`OnControlDocument`); of other kinds than mappings it is not one."""
        if kind == MAPPING:
            if after is None:
                self._documents.pop(name, None)
            else:
                self._documents[name] = after
            self._wake.set()

    async def start(self) -> None:
        """Begin to take shards."""

    async def stop(self) -> None:
        """Let calls that are under way end for a short time, give the shards back."""
