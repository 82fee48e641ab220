"""The control plane's part on one node of a cluster, ready to be put into a program.

    plane = ControlPlane(node, presence, members=..., seeds=..., peers=..., ...)
    node.recover()
    plane.start()
    plane.request(peer, message, done)     # from the RPC server's handler; False: not for the control plane
    plane.cast(peer_node, message)         # likewise
    plane.peer_up(node), plane.peer_down(node)

`plane.view` is the cluster as routing wants it, on members of group 0 and elsewhere alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, cast

from hashrange.routing.feed import CatalogueFeed as FeedClient
from hashrange.routing.view import ClusterView
from hashrange.runtime.rpc.peers import Peer, Peers
from hashrange.wire.cluster import (
    CONTROL,
    Bootstrap,
    CatalogueUpdate,
    NodeRecord,
    RegisterNode,
    WatchCatalogue,
)
from hashrange.wire.messages import Done
from hashrange_node.meta.bootstrap import ClusterStart
from hashrange_node.meta.control import Control
from hashrange_node.meta.controller import Controller
from hashrange_node.meta.feed import CatalogueFeed
from hashrange_node.meta.placement import UP
from hashrange_node.meta.reconcile import ReconcileSettings
from hashrange_node.meta.reports import Reporter
from hashrange_node.node import Node


class _Copy:
    """The node's catalogue as the client of a feed sees it: what is followed is the copy on nodes outside group 0."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    @property
    def index(self) -> int:
        return self._controller.node.catalogue.index

    @property
    def received(self) -> bool:
        return self._controller.node.catalogue.clustered

    def apply(self, update: CatalogueUpdate) -> bool:
        return self._controller.local.follow(update)


class ControlPlane:
    """See the module.

    `presence()` is what this node registers with; its `cluster` is filled in here. `members` are the ids of the
    first members of the cluster, `seeds` nodes to ask for the way. `now` gives monotonic, `wall_s` epoch seconds;
    `usage()` gives (free bytes of the disk, CPU seconds). `joined(cluster)` is called when the cluster id becomes
    known, `refused(reason)` when this node must not take part. `note(event, **details)` writes to the log.
    """

    def __init__(
        self,
        node: Node,
        presence: Callable[[], RegisterNode],
        *,
        members: Sequence[int],
        seeds: Sequence[int],
        peers: Peers,
        now: Callable[[], float],
        wall_s: Callable[[], float],
        rng: Random,
        usage: Callable[[], tuple[int, float]],
        joined: Callable[[str], None],
        refused: Callable[[str], None],
        note: Callable[..., object] = lambda event, **details: None,
        settings: ReconcileSettings | None = None,
        transient_delay_s: float = 0.0,
    ) -> None:
        # No replica is opened before it is known which generation this data directory is.
        node.identity.generation = 0
        self.node = node
        self.view = ClusterView()
        self._presence = presence
        self._seeds = list(seeds)
        self._joined = joined
        self._joined_as = ""
        self._following = False
        self.controller = Controller(node, wall_s, transient_delay_s, presence().incarnation)
        self.control = Control(self.controller, now=now, settings=settings, note=note)
        self.feed = CatalogueFeed(node.catalogue, node.scheduler.call_soon)
        self.follower = FeedClient(
            peers,
            cast(ClusterView, _Copy(self.controller)),
            self._sources,
            now=now,
            call_later=node.scheduler.call_later,
            rng=rng,
        )
        self.bootstrap = ClusterStart(
            node,
            self._own_record,
            members,
            request=peers.request,
            new_id=lambda: f"{rng.getrandbits(64):016x}",
            wall_s=wall_s,
            note=note,
            decided=self._follow,
        )
        self.reporter = Reporter(
            node,
            self._presence_now,
            now=now,
            usage=usage,
            registered=self._registered,
            refused=refused,
            behind=self.follower.doubt,
        )
        node.catalogue.subscribe_entries(lambda before, index, entries: self._learn_cluster())

    def start(self) -> None:
        """Take part: after the node has recovered."""
        self.controller.start()
        self._learn_cluster()
        self.feed.listen(self._take)
        self.control.start()
        self.bootstrap.start()
        self.reporter.start()

    def stop(self) -> None:
        """Take part no more; what is under way is left to others."""
        self.reporter.stopped = self.bootstrap.stopped = self.control.stopped = True
        self.follower.stop()
        self.controller.stop()

    @property
    def ready(self) -> bool:
        """Whether this node belongs to a cluster and is accepted there."""
        return self.reporter.accepted

    # ---- messages

    def request(self, peer: Peer, message: Any, done: Done) -> bool:
        """Answer a request that is between nodes and needs the connection it came on; False: not one of those."""
        if message.__class__ is WatchCatalogue:
            self.feed.watch(peer, message, done)
        elif message.__class__ is Bootstrap:
            self.bootstrap.handle(message, done)
        else:
            return False
        return True

    def cast(self, node: int, message: Any) -> bool:
        """Take note of a one-way message; False: not for the control plane."""
        if message.__class__ is not CatalogueUpdate:
            return False
        self.follower.update(node, message)
        return True

    def peer_up(self, node: int) -> None:
        """A connection to a node is there (again)."""
        self.follower.node_up(node)

    def peer_down(self, node: int) -> None:
        """The connection to a node is lost."""
        self.follower.node_down(node)

    # ---- who is who

    def _follow(self) -> None:
        """It is clear how this node gets into the cluster: follow the catalogue from now on."""
        if not self._following:
            self._following = True
            self.follower.start()

    def _sources(self) -> list[int]:
        """Nodes whose catalogue may be followed: members of group 0 first.

        Members themselves follow too: one that was taken out of group 0 while it was away hears it only so.
        """
        own = self.node.identity.id
        control = self.node.catalogue.placements.get(CONTROL)
        found = [replica["node"] for replica in control["replicas"]] if control is not None else []
        return [node for node in dict.fromkeys([*found, *self._seeds]) if node != own]

    def _take(self, update: CatalogueUpdate) -> None:
        if self.node.catalogue.clustered:
            self.view.apply(update)

    def _presence_now(self) -> RegisterNode:
        presence = self._presence()
        presence.cluster = self._joined_as
        return presence

    def _own_record(self) -> NodeRecord:
        presence = self._presence()
        return {
            "id": presence.node,
            "az": presence.az,
            "address": presence.address,
            "admin": presence.admin,
            "incarnation": presence.incarnation,
            "generation": 1,
            "state": UP,
        }

    def _registered(self, record: NodeRecord) -> None:
        self.controller.local.identify(record)

    def _learn_cluster(self) -> None:
        record = self.node.catalogue.cluster
        if record is not None and record["cluster"] != self._joined_as:
            self._joined_as = record["cluster"]
            self._joined(record["cluster"])
