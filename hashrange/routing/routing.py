"""The parts of routing, joined: what a router has one of, and a node that sends to other nodes.

routing = Routing(peers, az="az1", seeds={1: "10.0.1.5:8101"}, now=loop.time, call_later=loop.call_later, rng=rng)
peers.listen(routing.on_up, routing.on_down)
routing.start()                                   # follows the catalogue from now on
routing.update(node, update)                      # for every CatalogueUpdate that a node casts
routing.settled.send(message, done)               # what users ask: answers wait until the own view shows them
routing.transport.send(message, done)             # what programs ask
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from hashrange.routing.feed import CatalogueFeed
from hashrange.routing.map import PlacementMap
from hashrange.routing.retry import RetryPolicy
from hashrange.routing.settling import SettlingTransport
from hashrange.routing.transport import Peers, RoutedTransport
from hashrange.routing.view import ClusterView
from hashrange.wire.cluster import CatalogueUpdate, NodeRecord, Placement


class Routing:
    """View, map, transport and feed of one program. `turn` lets programs of a kind begin at different nodes."""

    def __init__(
        self,
        peers: Peers,
        *,
        az: str,
        seeds: Mapping[int, str],
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        rng: Random,
        own_node: int = 0,
        turn: int = 0,
        policy: RetryPolicy | None = None,
    ) -> None:
        self._az = az
        self._seeds = seeds
        self._turn = turn
        self._own_node = own_node
        self.view = ClusterView()
        self.places = PlacementMap(az, own_node, seeds)
        self.feed = CatalogueFeed(peers, self.view, self.candidates, now=now, call_later=call_later, rng=rng)
        self.transport = RoutedTransport(
            self.places,
            peers,
            now=now,
            call_later=call_later,
            rng=rng,
            policy=policy,
            exists=self.view.mentions,
            doubt=self.feed.doubt,
        )
        self.view.on_node.append(self._on_node)
        self.view.on_placement.append(self._on_placement)
        self.settled = SettlingTransport(self.transport, self.view, call_later)

    def start(self) -> None:
        """Follow the catalogue at some node."""
        self.feed.start()

    def stop(self) -> None:
        """Follow it no more; messages are still sent."""
        self.feed.stop()

    def update(self, node: int, message: CatalogueUpdate) -> None:
        """A node has cast an update."""
        self.feed.update(node, message)

    def on_up(self, node: int, process: int, restarted: bool) -> None:
        """A connection to a node is up."""
        self.transport.node_up(node)
        self.feed.node_up(node)

    def on_down(self, node: int) -> None:
        """The connection to a node has ended."""
        self.transport.node_down(node)
        self.feed.node_down(node)

    def address_of(self, node: int) -> str | None:
        """HOST:PORT of a node, by the catalogue, or by the seeds while it is not there."""
        record = self.view.nodes.get(node)
        return record["address"] if record is not None else self._seeds.get(node)

    def candidates(self) -> list[int]:
        """The other nodes, whose catalogue may be followed: those of the own zone first."""
        nodes = {
            node: record
            for node, record in self.view.nodes.items()
            if record["state"] != "removed" and node != self._own_node
        }
        near = [node for node, record in nodes.items() if record["az"] == self._az]
        far = [node for node in nodes if node not in near]
        found: list[int] = []
        for group in (near, far):
            turn = self._turn % len(group) if group else 0
            found += group[turn:] + group[:turn]
        return found + [node for node in self._seeds if node not in nodes and node != self._own_node]

    def _on_node(self, node: int, record: NodeRecord | None) -> None:
        self.places.place_node(node, record)

    def _on_placement(self, partition: int, placement: Placement | None) -> None:
        if placement is None:
            self.places.remove(partition)
        else:
            self.places.put(placement)
        self.transport.placed(partition)
