"""The embedded server: router and one node in one process and one event loop.

This is the composition root: it alone knows how the parts fit. The router's transport is the node itself, so
a read is answered within the tick it arrived in; the groups have one voter, so a write is committed when the
node's own log is durable.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from hashrange_node.checkpoint import Checkpointer
from hashrange_node.log.errors import LogError
from hashrange_node.meta.controller import Controller
from hashrange_node.node import Node
from hashrange_node.replica.expiry import ExpirySweeper
from hashrange_node.settings import ReplicationSettings
from hashrange_node.storage.engine import EngineError
from hashrange_node.transactions.upkeep import Upkeep
from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import Dispatcher
from hashrange_router.api.operations import entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.auth.gate import authenticator
from hashrange_router.dax.service import dax_service
from hashrange_router.dax.setting import DaxSite
from hashrange_router.http.server import HttpServer, serve
from hashrange_router.pages import Pages
from hashrange_router.scaling.service import scaling_service

from hashrange import __version__
from hashrange.cli.capacity import compose_admission, compose_ceilings, compose_reports, compose_vending
from hashrange.cli.capacity_metrics import register_capacity_metrics
from hashrange.cli.dax.pages import DaxPages
from hashrange.cli.front import http_limits, register_front_metrics
from hashrange.cli.process_metrics import register_process_metrics
from hashrange.cli.regions.compose import RegionPages, RegionsFront, compose_links, compose_shipper
from hashrange.cli.regions.metrics import register_link_metrics, register_region_metrics
from hashrange.cli.scaling import compose_scaler
from hashrange.cli.screen import endpoint_url
from hashrange.cli.storage import LoopScheduler, Storage, fatal
from hashrange.cli.storage_metrics import register_storage_metrics
from hashrange.cli.top.node_page import node_part
from hashrange.cli.top.page import TopPage, front_part, router_part
from hashrange.cli.transaction_metrics import register_transaction_metrics
from hashrange.runtime.clock import Clock, StampClock, SystemClock
from hashrange.runtime.config import ServeConfig
from hashrange.runtime.logging import AccessLog, get_logger
from hashrange.runtime.startup import StartupError
from hashrange.runtime.telemetry import CONTENT_TYPE, Telemetry
from hashrange.wire.transactions import TXID_BYTES

if TYPE_CHECKING:
    from hashrange.cli.console import RunningConsole
    from hashrange.cli.embedded_dax import EmbeddedCache
    from hashrange.cli.embedded_triggers import EmbeddedTriggers

ACCOUNT = "000000000000"
TRANSIENT_DELAY_S = 1.0
CHECKPOINT_SEGMENTS = 3


class EmbeddedServer:
    """A running embedded server. Made by `start_embedded`."""

    def __init__(self, config: ServeConfig, clock: Clock, telemetry: Telemetry) -> None:
        self.config = config
        self.clock = clock
        self.telemetry = telemetry
        self.log = get_logger("server")
        self.ready = False
        loop = asyncio.get_running_loop()
        self.scheduler = LoopScheduler(loop)
        self.storage = Storage(config, loop, telemetry)
        self.node = Node(
            self.storage.log,
            self.storage.engine,
            self.scheduler,
            StampClock(clock),
            monotonic=clock.monotonic,
            rng=random.Random(),
            index_lag_s=config.index_lag_ms / 1000,
            fatal=fatal,
            on_error=self._report,
            settings=ReplicationSettings(
                stream_retention_s=config.stream_retention_s,
                stream_rollover_s=config.stream_rollover_s,
                tombstone_retention_s=config.tombstone_retention_s,
            ),
        )
        self.node.ceilings = compose_ceilings(config, clock.monotonic)
        self.controller = Controller(
            self.node,
            lambda: clock.wall_ms() / 1000,
            TRANSIENT_DELAY_S if config.delay_transient_statuses else 0.0,
        )
        self.vending = compose_vending(
            self.node,
            config.capacity_multiplier,
            config.on_demand_window_s,
            clock.monotonic,
            get_logger("capacity").info,
        )
        self.links = compose_links(config, clock)
        self.shipper = compose_shipper(self.node, self.links, config)
        self.region_pages = RegionPages(self.links, self.shipper)
        self.scaler = compose_scaler(self.node, self.vending, clock, config.scaling_speed)
        self.upkeep = self._upkeep()
        self.sweeper = ExpirySweeper(
            lambda: list(self.node.replicas.values()),
            clock.wall_ms,
            self.scheduler.call_later,
            config.ttl_interval_ms / 1000,
            self._report,
            self.upkeep.ledger.keeps,
        )
        self.checkpointer = Checkpointer(
            self.storage.log,
            self.storage.engine,
            self.node.driver,
            run_off_loop=self.scheduler.run_off_loop,
            call_later=self.scheduler.call_later,
            trigger_bytes=CHECKPOINT_SEGMENTS * (config.segment_mb << 20),
            on_error=self._report,
        )
        self.context: RouterContext
        self.dispatcher: Dispatcher
        self.http: HttpServer
        self.functions: EmbeddedTriggers | None = None
        self.cache: EmbeddedCache | None = None
        self.console: RunningConsole | None = None

    def _upkeep(self) -> Upkeep:
        return Upkeep(
            self.node,
            wall_ms=self.clock.wall_ms,
            monotonic=self.clock.monotonic,
            call_later=self.scheduler.call_later,
            report=self._report,
        )

    @property
    def address(self) -> str:
        """The address listened on."""
        return self.config.host

    @property
    def port(self) -> int:
        """The port listened on."""
        return self.http.port

    def _report(self, what: str, error: BaseException) -> None:
        self.log.error(what, exc_info=error)

    def _forget_metrics(self, name: str, before: Any, after: Any) -> None:
        if after is None:
            # Behind the answer to the DeleteTable, which would bring the series back.
            self.scheduler.call_soon(lambda: self.telemetry.forget_table(name))
            self.scheduler.call_soon(lambda: self.meter.forget(name))

    def recover(self) -> None:
        """Bring back the state of the last run, and carry on what it left unfinished."""
        applied = self.node.recover()
        if applied:
            self.log.info("replayed the log", entries=applied)
        self.controller.start()
        self.shipper.start()
        self.vending.start()
        self.scaler.start()
        self.sweeper.start()
        self.upkeep.start()
        self.checkpointer.start()

    def _compose_context(self) -> None:
        """What operations know: of the site, and of the catalogue, which is followed from now on."""
        config = self.config
        self.context = RouterContext(
            Site(config.region, ACCOUNT, Quotas(), f"{config.host}:{config.port}"),
            config.validation_wording,
            lambda: self.clock.wall_ms() / 1000,
            lambda: str(uuid.uuid4()),
        )
        catalogue = self.node.catalogue
        self.meter = compose_admission(
            self.context, config, self.clock.monotonic, random.Random().random, alone=True
        )
        self.capacity = compose_reports(
            self.meter,
            "embedded",
            self.node.send,
            self.clock.monotonic,
            self.scheduler.call_later,
            alone=True,
        )
        self.context.stamps = self.node.stamps
        self.context.new_txid = partial(os.urandom, TXID_BYTES)
        self.context.next_partition_id = lambda: catalogue.next_partition_id
        for name, document in catalogue.documents.items():
            self.context.follow(name, None, document)
            self.meter.follow(name, None, document)
        catalogue.subscribe(self.context.follow)
        catalogue.subscribe(self.meter.follow)
        for kind, name, control in catalogue.controls.all():
            self.context.controls.put(kind, name, control)
        catalogue.subscribe_controls(self.context.controls.follow)
        catalogue.subscribe(self._forget_metrics)

    async def listen(self) -> None:
        """Build the router in front of the node and accept requests."""
        config = self.config
        self._compose_context()
        operations = entries(self.context)
        # Without keys where only those who sign may see data: anybody may ask for this page.
        self.top = self._top_page(config.show_hot_keys and not config.credentials)
        site = self._dax_site()
        catalogue = self.node.catalogue
        self.dax_pages = DaxPages(self.context, self.node, self.clock, lambda: catalogue.index, site)
        self.dispatcher = Dispatcher(
            operations,
            self.node,
            self.telemetry,
            AccessLog(config.access_log),
            authenticator(config.secrets(), config.region, config.strict_region, self.clock),
            Pages(
                f"{config.host}:{config.port}",
                lambda: self.ready,
                self.telemetry.render,
                CONTENT_TYPE,
                self.top.render,
                lambda request, path: (
                    self.region_pages.admin(request, path) or self.dax_pages.public(request, path)
                ),
            ),
        )
        self.dispatcher.serve(scaling_service(self.context))
        self.dispatcher.serve(dax_service(self.context, site))
        self._serve_regions()
        self.dispatcher.note = self.meter.note
        register_capacity_metrics(self.telemetry, self.meter)
        register_front_metrics(self.telemetry, lambda: self.dispatcher, lambda: self.http)
        register_transaction_metrics(self.telemetry, self.context.transactions)
        register_storage_metrics(self)
        register_process_metrics(self.telemetry, lambda: "" if self.ready else "not serving", self.clock)
        alone = False
        if config.triggers:
            # Imported only where functions run: it would double the modules of every other server.
            from hashrange.cli.embedded_triggers import is_alone, start_functions

            alone = await is_alone(config)
        self.http = await serve(self.dispatcher, config.host, config.port, limits=http_limits(config))
        self.capacity.start()
        if config.triggers:
            # In the tick in which the port was opened: no request finds a server without the Lambda API.
            self.functions = await start_functions(self, operations, alone)
        if site is not None:
            from hashrange.cli.embedded_dax import start_cache

            self.cache = await start_cache(self, site)
        if config.console:
            self.console = await self._start_console()
        self.ready = True

    async def _start_console(self) -> RunningConsole:
        """Serve the console; who has to sign in may see keys."""
        from hashrange.cli.console import ConsoleParts, start_console
        from hashrange.cli.console_sources import EmbeddedSource, Gatherer

        config = self.config
        endpoint = endpoint_url(config.host, self.port)
        return await start_console(
            ConsoleParts(
                config, self.dispatcher, config.secrets(), config.region, endpoint, "embedded", self.clock
            ),
            EmbeddedSource(
                Gatherer(self.context, self.dax_pages, self.clock),
                endpoint,
                self._top_page(config.show_hot_keys).render,
                self.telemetry.render,
            ),
        )

    def _serve_regions(self) -> None:
        """Answer other regions, and agree with them on global tables."""
        self.regions = RegionsFront(
            self.context,
            self.node,
            self.config,
            self.links,
            lambda: "" if self.ready else "the server is starting",
        )
        self.dispatcher.serve_rest(self.regions.receiver)
        self.regions.start(self.node, self.node.catalogue.subscribe, self.scheduler.call_later, self.clock)
        register_link_metrics(self.telemetry, self.links)
        register_region_metrics(self.telemetry, self.node, self.shipper)

    def _dax_site(self) -> DaxSite | None:
        """Where supervised cache nodes run; None where nobody starts any. Raises StartupError without free ports."""
        if not self.config.dax:
            return None
        from hashrange.cli.embedded_dax import base_port, dax_host

        return DaxSite(dax_host(self.config), base_port(self.config))

    def _top_page(self, show_hot_keys: bool) -> TopPage:
        """What `hashrange top` and the console show."""
        page = TopPage("embedded", 1, "local", lambda: "" if self.ready else "stopping", self.clock.monotonic)
        page.add(router_part(self.telemetry, self.context, self.meter))
        page.add(front_part(lambda: self.http.statistics(), lambda: self.dispatcher.in_flight))
        directory = self.storage.directory
        page.add(
            node_part(
                self.node,
                self.telemetry,
                directory.path if directory is not None else None,
                show_hot_keys,
            )
        )
        return page

    async def stop(self) -> None:
        """Answer what is under way, make everything durable, let go of the data directory."""
        self.ready = False
        if self.console is not None:
            await self.console.stop()
        if self.cache is not None:
            await self.cache.stop()
        if self.functions is not None:
            await self.functions.stop(self.config.shutdown_grace_s)
        await self.http.drain(self.config.shutdown_grace_s)
        self.regions.stop()
        self.shipper.stop()
        await self.links.close()
        self.scaler.stop()
        self.capacity.stop()
        self.vending.stop()
        self.controller.stop()
        self.node.stop()
        self.sweeper.stopped = self.upkeep.stopped = True
        self.checkpointer.stopped = True
        loop = asyncio.get_running_loop()
        settled = asyncio.Event()
        self.node.driver.when_idle(settled.set)
        try:
            await asyncio.wait_for(settled.wait(), self.config.shutdown_grace_s)
        except TimeoutError:
            self.log.warning("writes are still waiting for the disk; their clients were not answered")
        try:
            await loop.run_in_executor(self.scheduler.executor, self.storage.engine.flush)
            self.storage.close()
        except EngineError as error:
            self.log.warning(
                "the engine could not be flushed; the next start replays the log", reason=str(error)
            )
            self._close_unflushed()
        self.node.driver.closed = True

    def _close_unflushed(self) -> None:
        try:
            self.storage.close()
        except EngineError:
            pass  # reported already: what it still had to write is in the log


async def start_embedded(config: ServeConfig, clock: Clock | None = None) -> EmbeddedServer:
    """Start an embedded server; raises StartupError or OSError with what the user can do about it."""
    server = EmbeddedServer(config, clock or SystemClock(), Telemetry(__version__))
    try:
        server.recover()
        await server.listen()
    except (LogError, EngineError) as error:
        server.storage.release()
        raise StartupError(str(error)) from error
    except BaseException:
        server.storage.close()
        raise
    return server
