"""How the cache nodes of an embedded server reach its tables: a listener on this machine that looks like a cluster.

    door = EmbeddedDoor(node)
    port = await door.start()          # cache nodes are started with `seeds = ["1/127.0.0.1:PORT"]` and `door.pass_key`
    await door.stop()

To a cache node this is a cluster with one storage node: it follows the catalogue and sends messages, as it would
anywhere else. Only who knows the pass key is let in: whoever else reached this port would need no signature.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import Any

from hashrange_node.meta import records
from hashrange_node.meta.catalogue import Catalogue
from hashrange_node.meta.documents import ranges_in
from hashrange_node.meta.feed import CatalogueFeed
from hashrange_node.meta.placement import standalone_placement
from hashrange_node.node import Node

from hashrange.errors import ApiError
from hashrange.runtime.cluster_config import format_address
from hashrange.runtime.rpc import Identity, Peer, RpcServer
from hashrange.wire.cluster import CatalogueUpdate, ClusterStatus, WatchCatalogue
from hashrange.wire.codec import Codec
from hashrange.wire.messages import Done

NODE_ID = 1
HOST = "127.0.0.1"
ZONE = "az1"


class PlacedCatalogue:
    """The catalogue of an embedded server as a cluster's: with placements, and the node that all of them are on.

    What `CatalogueFeed` needs of a catalogue.
    """

    def __init__(self, catalogue: Catalogue, cluster: str) -> None:
        self._catalogue = catalogue
        self._cluster = cluster
        self._parts: dict[str, set[int]] = {}
        self.address = ""
        for name, document in catalogue.documents.items():
            self._parts[name] = {part["id"] for _, part in ranges_in(document)}

    @property
    def clustered(self) -> bool:
        """Always."""
        return True

    @property
    def index(self) -> int:
        """How far it is; at least 1, as 0 means to know nothing."""
        return max(1, self._catalogue.index)

    def as_update(self) -> CatalogueUpdate:
        """Everything there is."""
        entries: records.Entries = [
            (records.CLUSTER, records.dump({"cluster": self._cluster, "created": 0.0, "members": []})),
            (records.node_key(NODE_ID), records.dump(self._node())),
        ]
        for name, document in self._catalogue.documents.items():
            for index, part in ranges_in(document):
                entries.append(_placed(name, index, part))
        update = self._catalogue.as_update()
        return CatalogueUpdate(self.index, True, entries + update.entries)

    def subscribe_entries(self, subscriber: Callable[[int, int, records.Entries], None]) -> None:
        """Be given every change: (index before, index after, entries), placements before tables."""

        def changed(before: int, index: int, entries: records.Entries) -> None:
            placed: records.Entries = []
            for key, value in entries:
                if key[:2] == records.TABLE:
                    placed += self._moved(records.name_of(key), value)
            subscriber(max(1, before), max(1, index), placed + entries)

        self._catalogue.subscribe_entries(changed)

    def _moved(self, name: str, value: bytes | None) -> records.Entries:
        document = records.parse(value) if value is not None else None
        ranges = list(ranges_in(document)) if document is not None else []
        parts = {part["id"] for _, part in ranges}
        gone = self._parts.pop(name, set()) - parts
        if parts:
            self._parts[name] = parts
        entries: records.Entries = [_placed(name, index, part) for index, part in ranges]
        return [*((records.placement_key(id_), None) for id_ in gone), *entries]

    def _node(self) -> dict[str, Any]:
        return {
            "id": NODE_ID,
            "az": ZONE,
            "address": self.address,
            "admin": "",
            "incarnation": "",
            "generation": 1,
            "state": "up",
        }


class EmbeddedDoor:
    """The listener of one embedded server."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.pass_key = secrets.token_hex(32)
        cluster = secrets.token_hex(16)
        self._catalogue = PlacedCatalogue(node.catalogue, cluster)
        self._feed = CatalogueFeed(self._catalogue, node.scheduler.call_soon)
        identity = Identity("node", NODE_ID, cluster, "", secrets.randbits(63), ZONE)
        self._server = RpcServer(identity, Codec(), self)
        self.port = 0

    async def start(self) -> int:
        """Listen; returns the port. OSError if there is none to be had."""
        self.port = await self._server.start(HOST, 0)
        self._catalogue.address = format_address(HOST, self.port)
        return self.port

    @property
    def seed(self) -> str:
        """What a cache node is given as its seed."""
        return f"{NODE_ID}/{self._catalogue.address}"

    async def stop(self) -> None:
        """End all connections."""
        await self._server.stop()

    def request(self, peer: Peer, message: Any, done: Done) -> None:
        """Answer a message (`Handler`)."""
        if not hmac.compare_digest(peer.identity.incarnation.encode(), self.pass_key.encode()):
            done(ApiError("AccessDeniedException", "this server has not started you", status=403))
        elif message.__class__ is WatchCatalogue:
            self._feed.watch(peer, message, done)
        elif message.__class__ is ClusterStatus:
            done({"partitions": [{"id": id_} for id_ in sorted(self._node.catalogue.partitions())]})
        else:
            self._node.send(message, done)

    def cast(self, peer: Peer, message: Any) -> None:
        """Cache nodes tell nothing (`Handler`)."""


def _placed(name: str, index: str | None, part: dict[str, Any]) -> tuple[bytes, bytes | None]:
    placement = standalone_placement(part["id"], name, index, part["lo"], part["hi"])
    return records.placement_key(part["id"]), records.dump(placement)
