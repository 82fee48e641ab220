"""A router of a cluster: the HTTP front, the operations, and the way to the nodes.

It keeps no state. At its start it asks the nodes named as seeds for the catalogue, which it follows from then on;
until it has it, and has once reached the control plane's leader, /health/ready says no. After that it stays ready:
with what it knows it serves as long as the partitions' leaders do, whatever becomes of the control plane.
Several routers share a port with `reuse_port`: the kernel deals out connections.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from hashrange_router.api.context import RouterContext
from hashrange_router.api.dispatch import Dispatcher, OperationEntry
from hashrange_router.api.operations import entries
from hashrange_router.api.tables_plan import Site
from hashrange_router.api.tables_quotas import Quotas
from hashrange_router.auth.gate import authenticator
from hashrange_router.dax.service import dax_service
from hashrange_router.dax.setting import DaxSite
from hashrange_router.http.request import Request
from hashrange_router.http.server import HttpServer, serve
from hashrange_router.pages import Pages
from hashrange_router.scaling.service import scaling_service

from hashrange import __version__
from hashrange.cli.admin import AdminPort, Chained, Faults, MorePages
from hashrange.cli.capacity import compose_admission, compose_reports
from hashrange.cli.capacity_metrics import register_capacity_metrics
from hashrange.cli.dax.discovery import Discovery
from hashrange.cli.dax.pages import DaxPages
from hashrange.cli.front import http_limits, register_front_metrics
from hashrange.cli.process_metrics import register_process_metrics
from hashrange.cli.regions.compose import RegionPages, RegionsFront, compose_links
from hashrange.cli.regions.metrics import register_link_metrics
from hashrange.cli.router_functions import RouterFunctions
from hashrange.cli.router_metrics import register_routing_metrics
from hashrange.cli.screen import endpoint_url
from hashrange.cli.top.page import TopPage, front_part, router_part
from hashrange.cli.transaction_metrics import register_transaction_metrics
from hashrange.cli.trigger_host import Host
from hashrange.errors import ApiError, internal, unavailable
from hashrange.routing.retry import RetryPolicy
from hashrange.routing.routing import Routing
from hashrange.runtime.clock import Clock, StampClock, SystemClock
from hashrange.runtime.cluster_config import RouterConfig
from hashrange.runtime.logging import AccessLog, get_logger
from hashrange.runtime.rpc import Identity, Peer, RpcPeers
from hashrange.runtime.telemetry import CONTENT_TYPE, Telemetry
from hashrange.wire.cluster import CatalogueUpdate, ClusterStatus
from hashrange.wire.codec import Codec
from hashrange.wire.messages import Done
from hashrange.wire.transactions import TXID_BYTES

if TYPE_CHECKING:
    from hashrange.cli.console import RunningConsole

ACCOUNT = "000000000000"
PROBE_S = 0.2
ROUTER = "router"


class RouterServer:
    """A running router. Made by `start_router`."""

    role = ROUTER

    def __init__(self, config: RouterConfig, clock: Clock, telemetry: Telemetry) -> None:
        self.config = config
        self.clock = clock
        self.telemetry = telemetry
        self.log = get_logger(self.role)
        self.draining = False
        self.control_seen = self.complete = False
        """Whether the control plane's leader has ever answered."""
        loop = asyncio.get_running_loop()
        rng = Random()
        self._loop = loop
        self._seeds = {seed.id: seed.address for seed in config.seeds}
        self.identity = Identity("router", 0, "", "", rng.getrandbits(63), config.az)
        self.peers = RpcPeers(
            self.identity, lambda node: self.routing.address_of(node), Codec(), loop=loop, handler=self
        )
        self.routing = Routing(
            self.peers,
            az=config.az,
            seeds=self._seeds,
            now=loop.time,
            call_later=loop.call_later,
            rng=rng,
            turn=config.id,
            policy=RetryPolicy(deadline_s=config.request_deadline_s, hedge_s=config.hedge_ms / 1000),
        )
        self.view = self.routing.view
        self.context = RouterContext(
            Site(config.region, ACCOUNT, Quotas(), f"{config.host}:{config.port}"),
            config.validation_wording,
            lambda: clock.wall_ms() / 1000,
            lambda: str(uuid.uuid4()),
        )
        self.context.stamps = StampClock(clock)
        self.context.new_txid = partial(os.urandom, TXID_BYTES)
        self.context.next_partition_id = lambda: self.view.next_partition_id
        self.context.locate = self.routing.places.locate
        self.meter = compose_admission(self.context, config, clock.monotonic, rng.random, alone=False)
        self.capacity = compose_reports(
            self.meter,
            f"{config.id}/{rng.getrandbits(63):x}",
            self.routing.transport.send,
            clock.monotonic,
            loop.call_later,
            alone=False,
        )
        self._authenticate = authenticator(config.secrets(), config.region, config.strict_region, clock)
        self.dispatcher: Dispatcher
        self.http: HttpServer
        self.admin: AdminPort
        self._functions: RouterFunctions | None = None
        self._discovery: Discovery | None = None
        self._console: RunningConsole | None = None
        site = self._dax_site()
        self.dax_pages = DaxPages(
            self.context,
            self.routing.settled,
            clock,
            lambda: self.view.index,
            site,
        )
        self.links = compose_links(config, clock)
        self._regions = RegionsFront(
            self.context, self.routing.transport, config, self.links, lambda: self.not_ready()
        )
        self._connect()

    def _connect(self) -> None:
        """Let every part hear of what the others learn."""
        view = self.view
        view.on_document.append(self.context.follow)
        view.on_document.append(self.meter.follow)
        view.on_document.append(self._forget_metrics)
        view.on_control.append(self.context.controls.follow)
        view.on_change.append(self._on_change)
        self.peers.listen(self.routing.on_up, self.routing.on_down)

    # What the cluster tells.

    def request(self, peer: Peer, message: Any, done: Done) -> None:
        """Nobody has anything to ask of a router (`Handler`)."""
        done(internal("a router answers no messages"))

    def cast(self, peer: Peer, message: Any) -> None:
        """A node tells what has changed (`Handler`)."""
        if isinstance(message, CatalogueUpdate):
            self.routing.update(peer.identity.id, message)

    def _on_change(self) -> None:
        if self.view.cluster and not self.identity.cluster:
            self.identity.cluster = self.view.cluster

    def _forget_metrics(self, name: str, before: Any, after: Any) -> None:
        if after is None:
            # Behind the answer to the DeleteTable, which would bring the series back.
            self._loop.call_later(1.0, lambda: self.telemetry.forget_table(name))
            self._loop.call_later(1.0, lambda: self.meter.forget(name))

    # Readiness.

    def not_ready(self) -> str:
        """Why the router cannot serve; "" when it can."""
        if self.draining:
            return "stopping"
        if not self.view.received:
            return "no node has sent the catalogue yet"
        if not self.control_seen:
            return "the control plane has no leader that could be reached yet"
        if not self.complete:
            return "no node has sent the newest catalogue yet"
        return ""

    def _probe(self) -> None:
        """Ask the control plane's leader until it has answered, and everything that it names is known here.

        A node that was started anew may first send a catalogue of long ago: a router that took it for the truth
        would say of tables that they do not exist.
        """

        def done(answer: Any) -> None:
            if not isinstance(answer, ApiError):
                self.control_seen = True
                if all(each["id"] in self.view.placements for each in answer["partitions"]):
                    self._begin()
                    return
            self._loop.call_later(PROBE_S, self._probe)

        if self.draining:
            return
        if self.view.received:
            self.routing.transport.send(ClusterStatus(), done)
        else:
            self._loop.call_later(PROBE_S / 10, self._probe)

    def _begin(self) -> None:
        """The catalogue is known: serve."""
        self.complete = True
        if self.config.dax_base_port:
            self._discovery = Discovery(
                self.context.controls,
                self.config.host,
                self.config.dax_base_port,
                reuse_port=self.config.reuse_port,
            )
            self._discovery.start()
        self.dispatcher.authenticate_with(self._authenticate)
        self.log.info("ready", cluster=self.view.cluster, tables=len(self.view.documents))

    def _not_yet(self, request: Request, service: str = "dynamodb") -> None:
        """Until the catalogue is known, nothing can be said about any table."""
        raise unavailable(self.not_ready() or "the router is starting")

    # Life.

    async def listen(self) -> None:
        """Follow the catalogue and accept requests."""
        config = self.config
        operations = self._operations()
        self.dispatcher = self._dispatcher_for(
            operations,
            Pages(
                f"{config.host}:{config.port}",
                lambda: not self.not_ready(),
                self.telemetry.render,
                CONTENT_TYPE,
                more=self.dax_pages.public,
            ),
        )
        self.dispatcher.serve(scaling_service(self.context))
        self.dispatcher.serve(dax_service(self.context, self._dax_site()))
        self._serve_regions()
        self.dispatcher.note = self.meter.note
        register_capacity_metrics(self.telemetry, self.meter)
        register_front_metrics(self.telemetry, lambda: self.dispatcher, lambda: self.http)
        register_process_metrics(self.telemetry, self.not_ready, self.clock)
        register_transaction_metrics(self.telemetry, self.context.transactions)
        register_routing_metrics(self.telemetry, self.routing.transport, self.routing.feed)
        self.top = self._top_page()
        self.admin = AdminPort(
            self.not_ready,
            self.telemetry.render,
            self.routing.transport.send,
            Faults(self.peers.block, self.links.block) if config.fault_injection else None,
            self.top.render,
            self._admin_pages(),
        )
        await self.admin.listen(config.admin_host, config.admin_port)
        try:
            self.http = await serve(
                self.dispatcher,
                config.host,
                config.port,
                limits=http_limits(config),
                reuse_port=config.reuse_port,
            )
            await self._serve_functions(operations)
            if config.console and self.role == ROUTER:
                self._console = await self._start_console(config.console_sources)
        except BaseException:
            await self.admin.close()
            raise
        self.routing.start()
        self.capacity.start()
        self._probe()

    async def _start_console(self, sources: tuple[str, ...]) -> RunningConsole:
        """Serve the console of the whole cluster."""
        from hashrange.cli.console import ConsoleParts, start_console
        from hashrange.cli.console_sources import ClusterSource, Gatherer

        config = self.config
        endpoint = endpoint_url(config.host, self.port)
        gatherer = Gatherer(self.context, self.dax_pages, self.clock)
        send = self.routing.transport.send
        return await start_console(
            ConsoleParts(
                config, self.dispatcher, config.secrets(), config.region, endpoint, "cluster", self.clock
            ),
            ClusterSource(gatherer, endpoint, self.top.render, send, sources),
        )

    def _operations(self) -> dict[bytes, OperationEntry]:
        """What is answered on the port, by the target header."""
        return entries(self.context)

    def _dispatcher_for(self, operations: dict[bytes, OperationEntry], pages: Pages) -> Dispatcher:
        return Dispatcher(
            operations,
            self.routing.settled,
            self.telemetry,
            AccessLog(self.config.access_log),
            self._not_yet,
            pages,
        )

    def _serve_regions(self) -> None:
        """Answer other regions, and agree with them on global tables: what only a router does."""
        if self.role != RouterServer.role:
            return
        self.dispatcher.serve_rest(self._regions.receiver)
        self._regions.start(
            self.routing.settled, self.view.on_document.append, self._loop.call_later, self.clock
        )
        register_link_metrics(self.telemetry, self.links)

    def _admin_pages(self) -> MorePages:
        """Further pages of the admin port."""
        return Chained(RegionPages(self.links, None), self.dax_pages)

    def _dax_site(self) -> DaxSite | None:
        """Where supervised cache nodes run; None where nobody starts any."""
        config = self.config
        if not config.dax_base_port:
            return None
        return DaxSite(config.dax_host or config.host, config.dax_base_port, lambda: config.dax_zones)

    async def _serve_functions(self, operations: dict[bytes, OperationEntry]) -> None:
        """Serve the Lambda API too, for the pools that there may be. `operations` are the dispatcher's."""
        self._functions = RouterFunctions(self._host(operations))

    def _host(self, operations: dict[bytes, OperationEntry]) -> Host:
        return Host(
            self.context,
            operations,
            self.routing.settled,
            self.dispatcher,
            self.telemetry,
            self.clock,
            self.view.on_control.append,
            self.config.secrets(),
        )

    def _top_page(self) -> TopPage:
        """What `hashrange top` shows of this router."""
        page = TopPage(self.role, self.config.id, self.config.az, self.not_ready, self.clock.monotonic)
        page.add(router_part(self.telemetry, self.context, self.meter))
        page.add(front_part(lambda: self.http.statistics(), lambda: self.dispatcher.in_flight))
        return page

    async def _before_stop(self) -> None:
        """What is to be done while requests are still taken."""
        if self._functions is not None:
            await self._functions.stop()

    @property
    def port(self) -> int:
        """The port listened on."""
        return self.http.port

    async def stop(self) -> None:
        """Take no new requests, answer those under way, then leave the cluster."""
        self.draining = True
        await self._before_stop()
        if self._console is not None:
            await self._console.stop()
        if self._discovery is not None:
            await self._discovery.stop()
        await self.http.drain(self.config.shutdown_grace_s)
        self._regions.stop()
        await self.links.close()
        self.capacity.stop()
        self.routing.stop()
        await self.admin.close()
        self.peers.stop()


async def start_router(config: RouterConfig, clock: Clock | None = None) -> RouterServer:
    """Start a router; raises OSError when a port cannot be had."""
    server = RouterServer(config, clock or SystemClock(), Telemetry(__version__))
    try:
        await server.listen()
    except BaseException:
        server.peers.stop()
        raise
    return server
