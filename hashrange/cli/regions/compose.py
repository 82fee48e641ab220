"""The parts of global tables in a program: links, what receives at a router, what sends at a node, pages and faults.

links = compose_links(config, clock)
shipper = compose_shipper(node, links, config)            # node, embedded server
front = RegionsFront(context, transport, config, links, not_ready)      # router, embedded server
dispatcher.serve_rest(front.receiver)
front.start(settled, subscribe, call_later, clock)
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import orjson
from hashrange_node.node import Node
from hashrange_node.regions.shipper import RegionShipper
from hashrange_router.api.context import RouterContext
from hashrange_router.http.request import Request
from hashrange_router.regions.receiver import RegionReceiver
from hashrange_router.regions.reconcile import Reconciler

from hashrange.cli.regions.control import Follow, start_control
from hashrange.cli.regions.link import HttpLinks
from hashrange.runtime.clock import Clock
from hashrange.runtime.cluster_config import NodeConfig, RouterConfig
from hashrange.runtime.config import ServeConfig
from hashrange.runtime.logging import get_logger
from hashrange.wire.messages import Transport

JSON = b"application/json"
REGIONS_PATH = b"/regions"


def compose_links(config: ServeConfig | NodeConfig | RouterConfig, clock: Clock) -> HttpLinks:
    """The links that a configuration names; nothing is connected yet."""
    return HttpLinks(config.region, config.peers, config.peer_credentials, clock)


def compose_shipper(node: Node, links: HttpLinks, config: ServeConfig | NodeConfig) -> RegionShipper:
    """What sends the changes of a node's partitions; to be started."""
    log = get_logger("regions")
    return RegionShipper(
        node,
        links,
        config.region,
        random=Random().random,
        retention_s=config.tombstone_retention_s,
        note=log.info,
        warn=log.warning,
    )


class RegionsFront:
    """What a process with a router's parts has of global tables. Without peers it only answers."""

    def __init__(
        self,
        context: RouterContext,
        transport: Transport,
        config: ServeConfig | RouterConfig,
        links: HttpLinks,
        not_ready: Callable[[], str],
    ) -> None:
        self.receiver = RegionReceiver(context, transport, config.secrets(), not_ready)
        self._context = context
        self._links = links
        self._reconciler: Reconciler | None = None

    def start(
        self,
        settled: Transport,
        subscribe: Callable[[Follow], Any],
        call_later: Callable[[float, Callable[[], None]], Any],
        clock: Clock,
    ) -> None:
        """Agree with the other regions from now on, if there are any."""
        if self._links.regions:
            self._reconciler = start_control(
                self._context,
                settled,
                self._links,
                self.receiver,
                subscribe=subscribe,
                call_later=call_later,
                clock=clock,
            )

    def stop(self) -> None:
        """Begin nothing any more."""
        if self._reconciler is not None:
            self._reconciler.stop()


class RegionPages:
    """`GET /regions`: the links of a process, and where it sends changes what is pending of each table (`MorePages`).

    {"region": own name, "peers": {region: {"up", "error", "since_s", "requests", "failures", "endpoints"}},
     "links": [{"table", "source", "destination", "pending_keys", "oldest_pending_s", "unshippable_keys",
                "shipped_items", "latency_p50_s", "latency_p99_s", "error"}]}
    """

    def __init__(self, links: HttpLinks, shipper: RegionShipper | None) -> None:
        self._links = links
        self._shipper = shipper

    def document(self) -> dict[str, Any]:
        """The page."""
        found: dict[str, Any] = {"region": self._links.region, "peers": self._links.document(), "links": []}
        if self._shipper is not None:
            found["links"] = self._shipper.document()
        return found

    def admin(self, request: Request, path: bytes) -> bool:
        """Answer a GET; False if it is for another page."""
        if path != REGIONS_PATH:
            return False
        request.reply(200, orjson.dumps(self.document()), JSON)
        return True

    def command(self, request: Request, path: bytes, document: dict[str, Any]) -> bool:
        """There are no commands."""
        return False
