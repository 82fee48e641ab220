"""A trigger pool of a cluster: it follows the catalogue as a router does, and runs functions.

It serves what a router serves, on a port of its own: routers send invocations there, and functions may use it as
their endpoint. Once it knows the catalogue it takes shards and events, and says that it is ready. When it stops it
hands them to the other pools first, then answers what is under way.
"""

from __future__ import annotations

import asyncio

from hashrange_router.api.dispatch import OperationEntry

from hashrange import __version__
from hashrange.cli.router_server import RouterServer
from hashrange.cli.screen import endpoint_url
from hashrange.cli.trigger_settings import pool_settings
from hashrange.cli.triggers import Triggers
from hashrange.runtime.clock import Clock, SystemClock
from hashrange.runtime.cluster_config import TriggersConfig, format_address
from hashrange.runtime.telemetry import Telemetry


class TriggersServer(RouterServer):
    """A running pool. Made by `start_triggers`."""

    role = "triggers"

    def __init__(self, config: TriggersConfig, clock: Clock, telemetry: Telemetry) -> None:
        super().__init__(config, clock, telemetry)
        self._pool_config = config
        self._starting: asyncio.Task[None] | None = None
        self.triggers: Triggers | None = None

    async def _serve_functions(self, operations: dict[bytes, OperationEntry]) -> None:
        config = self._pool_config
        address = config.advertise or format_address(config.host, self.http.port)
        endpoint = endpoint_url(config.host, self.http.port)
        settings = pool_settings(config, config.work_dir, endpoint, config.hide)
        self.triggers = Triggers(self._host(operations), settings, f"triggers-{config.id}", address)
        self.top.add(self.triggers.top_part)
        await self.triggers.prepare()

    def _begin(self) -> None:
        self._starting = self._loop.create_task(self._take_part())

    async def _take_part(self) -> None:
        if self.triggers is not None:
            await self.triggers.start()
        super()._begin()

    async def _before_stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self.triggers is not None:
            await self.triggers.stop(self.config.shutdown_grace_s)


async def start_triggers(config: TriggersConfig, clock: Clock | None = None) -> TriggersServer:
    """Start a pool; raises OSError when a port cannot be had, StartupError when functions cannot run here."""
    server = TriggersServer(config, clock or SystemClock(), Telemetry(__version__))
    try:
        await server.listen()
    except BaseException:
        server.peers.stop()
        raise
    return server
