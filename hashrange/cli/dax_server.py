"""A cache node: `hashrange dax`. It follows the catalogue as a router does, and answers from memory what it can.

Doors: the DAX protocol on `dax_port`, and the ordinary API with the same cache on `port`. Once the node knows the
catalogue, with all attribute lists, it opens the first, joins the other nodes of its cluster and writes its document;
then it is ready. When it stops it leaves in the other order, and answers what is under way.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from pathlib import Path

from hashrange_dax.cache.store import CacheStore
from hashrange_dax.coherence.peers import PeerCoherence
from hashrange_dax.door import WireDoor
from hashrange_dax.forms import Forms
from hashrange_dax.registry import AttributeRegistry, first_number
from hashrange_dax.tier import Tier
from hashrange_router.api.dispatch import Dispatcher, OperationEntry
from hashrange_router.api.operations import entries
from hashrange_router.pages import Pages

from hashrange import __version__
from hashrange.cli.admin import MorePages
from hashrange.cli.dax.backend import RouterBackend
from hashrange.cli.dax.http_door import CachedDispatcher
from hashrange.cli.dax.metrics import register_dax_metrics
from hashrange.cli.dax.node_pages import NodePages
from hashrange.cli.dax.registration import Registration
from hashrange.cli.dax.tls import authority_of, context_of, server_context
from hashrange.cli.dax.wire import Endpoints, wire_limits
from hashrange.cli.router_server import RouterServer
from hashrange.cli.storage import fatal
from hashrange.errors import ApiError
from hashrange.model import dax
from hashrange.model.dax import ClusterDocument, NodeDocument, ttls_of
from hashrange.runtime.clock import Clock, SystemClock
from hashrange.runtime.cluster_config import DaxConfig, format_address
from hashrange.runtime.logging import AccessLog
from hashrange.runtime.startup import StartupError
from hashrange.runtime.telemetry import Telemetry

AGAIN_S = 1.0
JOIN_S = 2.0
TLS_ON = "TLS"
TLS_OFF = "NONE"


class DaxServer(RouterServer):
    """A running cache node. Made by `start_dax`."""

    role = "dax"

    def __init__(self, config: DaxConfig, clock: Clock, telemetry: Telemetry) -> None:
        self._dax = config
        super().__init__(config, clock, telemetry)
        # What a server that has started this node knows it by.
        self.identity.incarnation = config.pass_key
        self.store = CacheStore(config.memory_mb << 20)
        self.tier: Tier
        self.coherence: PeerCoherence | None = None
        self.lists: AttributeRegistry | None = None
        self.wire: WireDoor | None = None
        self._registration: Registration | None = None
        self._starting: asyncio.Task[None] | None = None
        self._process = config.process or secrets.token_hex(8)
        for kind in (dax.CLUSTER, dax.PARAMETERS):
            self.context.controls.watch(kind, lambda name: self._follow_ttls())

    # ---- the HTTP door

    def _operations(self) -> dict[bytes, OperationEntry]:
        plain = entries(self.context)
        self.backend = RouterBackend(
            plain, self.context, self.routing.settled, self.telemetry, self.meter.note
        )
        self.tier = Tier(self.backend, None, self.store, self.clock)
        register_dax_metrics(self.telemetry, self)
        return plain

    async def _serve_functions(self, operations: dict[bytes, OperationEntry]) -> None:
        """A cache node serves tables alone."""

    def _follow_ttls(self) -> None:
        self.store.set_ttls(*ttls_of(self.context.controls, self._dax.cluster))

    def _dispatcher_for(self, operations: dict[bytes, OperationEntry], pages: Pages) -> Dispatcher:
        self.cached = CachedDispatcher(
            operations,
            self.tier,
            self.context,
            self.routing.settled,
            self.telemetry,
            AccessLog(self.config.access_log),
            self._not_yet,
            pages,
        )
        self.view.on_document.append(self.cached.follow)
        return self.cached

    def _admin_pages(self) -> MorePages:
        return NodePages(self)

    # ---- joining

    def _begin(self) -> None:
        if self._starting is None:
            self._starting = self._loop.create_task(self._take_part())

    async def _take_part(self) -> None:
        """Join the cluster, however long the control plane is away."""
        while True:
            try:
                await self._join()
                break
            except ApiError as error:
                self.log.warning("the cache cluster cannot be joined yet", reason=str(error))
                await self._leave()
                await asyncio.sleep(AGAIN_S)
            except (StartupError, OSError, ssl.SSLError) as error:
                fatal(f"cache node {self._dax.node_id} cannot take part: {_words(error)}", 1)
                return
        super()._begin()

    async def _join(self) -> None:
        config, context, transport = self._dax, self.context, self.routing.settled
        document = self._document()
        self._registration = Registration(context, transport, config.cluster, document, self._replaced)
        cluster = await self._registration.join(TLS_ON if config.tls else TLS_OFF)
        self._follow_ttls()
        self.lists = AttributeRegistry(
            context.controls,
            transport.send,
            self._loop.call_later,
            config.attribute_lists_max,
            first=first_number(self.view.cluster),
        )
        self.coherence = coherence = PeerCoherence(
            cluster=config.cluster,
            node_id=config.node_id,
            number=config.id,
            process=self._process,
            controls=context.controls,
            send=transport.send,
            backend=self.backend,
        )
        coherence.tier = self.tier
        self.tier.coherence = coherence
        peer_port = await coherence.start(config.host, config.peer_port)
        document["Peer"] = format_address(config.reached_by, peer_port)
        endpoints = Endpoints(coherence.living, lambda: coherence.statistics().term)
        await endpoints.learn(config.reached_by)
        forms = Forms(self.lists, self.store)
        self.cached.json_of = forms.json_of
        self.wire = WireDoor(
            self.tier,
            self.backend,
            self.lists,
            endpoints,
            config.secrets(),
            config.region,
            self.clock,
            self.tier.metrics,
            wire_limits(config),
            forms,
            config.strict_region,
        )
        context_ssl = await self._ssl(cluster)
        # Whoever is not heard yet could not tell what is cached here and true no more: clients wait, and none that
        # has read of this node is refused.
        self.wire.hold()
        document["Port"] = await self.wire.listen(config.host, config.dax_port, context_ssl)
        await self._registration.enter()
        await coherence.joined(JOIN_S)
        self.wire.go()

    def _document(self) -> NodeDocument:
        config = self._dax
        return {
            "NodeId": config.node_id,
            "Number": config.id,
            "AvailabilityZone": config.az,
            "Host": config.reached_by,
            "Port": config.dax_port,
            "HttpPort": self.http.port,
            "Peer": "",
            "Admin": format_address(config.admin_host, self.admin.port),
            "Process": self._process,
            "Started": self.clock.wall_ms() / 1000,
            "Reboots": config.reboots,
        }

    async def _ssl(self, cluster: ClusterDocument) -> ssl.SSLContext | None:
        config = self._dax
        if cluster["Encryption"] != TLS_ON:
            return None
        if config.tls_certificate is not None:
            return context_of(Path(config.tls_certificate), config.tls_key)
        now_s = self.clock.wall_ms() / 1000
        authority = await authority_of(self.context.controls, self.routing.settled, now_s)
        hosts = [config.reached_by, config.host, "localhost", "127.0.0.1", "::1", socket.gethostname()]
        return server_context(authority, [host for host in hosts if host not in ("0.0.0.0", "::")], now_s)

    def _replaced(self, reason: str) -> None:
        fatal(f"cache node {self._dax.node_id} ends: {reason}", 1)

    # ---- leaving

    async def stop(self) -> None:
        """Answer what is under way, hand over to the other nodes, leave the cluster."""
        self.draining = True
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        grace_s = self.config.shutdown_grace_s
        await asyncio.gather(self._close_wire(grace_s), self.http.drain(grace_s))
        await self._leave()
        await super().stop()

    async def _close_wire(self, grace_s: float) -> None:
        if self.wire is not None:
            await self.wire.drain(grace_s)
            self.wire = None

    async def _leave(self) -> None:
        """Give up everything that `_join` has begun."""
        await self._close_wire(0.0)
        if self.coherence is not None:
            await self.coherence.stop()
            self.coherence = None
        if self._registration is not None:
            await self._registration.leave()
            self._registration = None


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"its certificate or key cannot be used ({error}); correct tls_certificate and tls_key"
    if isinstance(error, OSError):
        return f"a port cannot be had ({error.strerror}); correct dax_port or peer_port"
    return str(error)


async def start_dax(config: DaxConfig, clock: Clock | None = None) -> DaxServer:
    """Start a cache node; raises OSError when a port cannot be had."""
    server = DaxServer(config, clock or SystemClock(), Telemetry(__version__))
    try:
        await server.listen()
    except BaseException:
        server.peers.stop()
        raise
    return server
