"""Who of a cache cluster is alive, which node is its primary, and when this node is to take that over.

Time is counted in ticks of the owner's timer, not read from a clock: a process that stood still for a while has
heard nobody meanwhile, which says nothing about the others, and is one tick for it.

A node is in the cluster while it has a document. It is alive while it is heard; it is dead when it is silent on an
open connection for `SILENT_TICKS`, or `DOWN_TICKS` after its last connection has ended. The primary stands in a
document of the control plane. When it has gone, the living node with the lowest number takes over at once; each
other one waits `STEP_TICKS` longer than the one before it, in case that one cannot. Nobody takes over from a primary
that some living node says it hears: then only a connection is broken, and to fight over the part would help nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from hashrange.model.dax import NodeDocument, PrimaryDocument

TICK_S: Final = 0.25
SUSPECT_TICKS: Final = 5
SILENT_TICKS: Final = 8
DOWN_TICKS: Final = 3
JOIN_TICKS: Final = 12
"""How long a node that has a document may take until there is a connection."""
STEP_TICKS: Final = 3
DEPOSED_TICKS: Final = 20
"""A primary that was replaced while it was alive leaves its successor in peace for so long."""


class _Peer:
    """Another node, as far as it is seen. `connections`: how many there are with it, dialled by either side."""

    __slots__ = ("alive", "connections", "ever", "hears", "hears_age", "idle", "number", "process")

    def __init__(self, number: int, process: str) -> None:
        self.number = number
        self.process = process
        self.connections = 0
        self.ever = False
        self.idle = 0
        self.alive = True
        self.hears: frozenset[str] = frozenset()
        self.hears_age = 0


class Membership:
    """The view of one node; it is told what happens, and asked after each tick."""

    def __init__(self, node_id: str, number: int) -> None:
        self._id = node_id
        self._number = number
        self._peers: dict[str, _Peer] = {}
        self._connections: dict[str, int] = {}
        self._registered = False
        self._vacant = 0
        self._deposed = 0
        self.primary: str | None = None
        """The primary by the document, alive or not."""
        self.term = 0

    # ---- what the documents say

    def nodes(self, documents: Mapping[str, NodeDocument]) -> list[str]:
        """Take over who is in the cluster, by node id; returns the others that went, or began anew, since."""
        self._registered = self._id in documents
        gone: list[str] = []
        for node_id, peer in list(self._peers.items()):
            document = documents.get(node_id)
            if document is None or document["Process"] != peer.process:
                del self._peers[node_id]
                gone.append(node_id)
        for node_id, document in documents.items():
            if node_id != self._id and node_id not in self._peers:
                peer = self._peers[node_id] = _Peer(document["Number"], document["Process"])
                peer.connections = self._connections.get(node_id, 0)
                peer.ever = peer.connections > 0
        return gone

    def elected(self, document: PrimaryDocument | None) -> None:
        """Take over who the primary is."""
        before = self.primary
        self.primary = document["NodeId"] if document is not None else None
        self.term = document["Term"] if document is not None else self.term
        if self.primary != before:
            self._vacant = 0
            if before == self._id and self.primary is not None:
                self._deposed = DEPOSED_TICKS

    # ---- what the connections say

    def opened(self, node_id: str) -> None:
        """A connection with a node is up."""
        self._connections[node_id] = self._connections.get(node_id, 0) + 1
        peer = self._peers.get(node_id)
        if peer is not None:
            peer.connections += 1
            peer.ever = True
            peer.idle = 0
            peer.alive = True

    def closed(self, node_id: str) -> None:
        """A connection that was up has ended."""
        left = self._connections[node_id] - 1
        if left:
            self._connections[node_id] = left
        else:
            del self._connections[node_id]
        peer = self._peers.get(node_id)
        if peer is not None:
            peer.connections = left
            if not left:
                peer.idle = 0

    def heard(self, node_id: str, hears: Iterable[str] | None = None) -> None:
        """A node has said something; `hears` are the nodes that are alive as it sees them."""
        peer = self._peers.get(node_id)
        if peer is None:
            return
        peer.idle = 0
        peer.alive = True
        if hears is not None:
            peer.hears = frozenset(hears)
            peer.hears_age = 0

    # ---- what follows

    def tick(self) -> list[str]:
        """`TICK_S` have passed. Returns the nodes that are dead from now on."""
        died: list[str] = []
        for node_id, peer in self._peers.items():
            peer.idle += 1
            peer.hears_age += 1
            patience = SILENT_TICKS if peer.connections else DOWN_TICKS if peer.ever else JOIN_TICKS
            if peer.alive and peer.idle >= patience:
                peer.alive = False
                died.append(node_id)
        self._deposed = max(0, self._deposed - 1)
        primary = self.primary
        vacant = primary is None or (primary != self._id and not self.is_alive(primary))
        self._vacant = self._vacant + 1 if vacant else 0
        return died

    def is_alive(self, node_id: str) -> bool:
        """Whether a node is in the cluster and not dead, as far as this one can see."""
        if node_id == self._id:
            return self._registered
        peer = self._peers.get(node_id)
        return peer is not None and peer.alive

    def is_suspect(self, node_id: str) -> bool:
        """Whether a node has not been heard for longer than it should take."""
        peer = self._peers.get(node_id)
        return peer is None or not peer.alive or peer.idle >= SUSPECT_TICKS

    def living(self) -> list[str]:
        """The nodes that are alive, by number; this one among them once it has its document."""
        found = [(peer.number, node_id) for node_id, peer in self._peers.items() if peer.alive]
        if self._registered:
            found.append((self._number, self._id))
        return [node_id for _, node_id in sorted(found)]

    def others(self) -> list[str]:
        """The other nodes that have a document."""
        return list(self._peers)

    def is_joined(self) -> bool:
        """Whether there are connections with all that are alive, in both directions."""
        return self._registered and all(p.connections >= 2 for p in self._peers.values() if p.alive)

    def takes_over(self) -> bool:
        """Whether this node is to make itself the primary now."""
        if not self._registered or not self._vacant or self._deposed:
            return False
        peers = [peer for peer in self._peers.values() if peer.alive]
        rank = sum(peer.number < self._number for peer in peers)
        if self._vacant <= rank * STEP_TICKS:
            return False
        primary = self.primary
        return primary is None or not any(
            primary in peer.hears and peer.hears_age < SILENT_TICKS for peer in peers
        )

    def heir(self) -> str | None:
        """Who is to be the primary when this node stops: the living one with the lowest number."""
        return next((node_id for node_id in self.living() if node_id != self._id), None)
