"""The partition map: where each partition's replicas are, who leads it, and what a split put in its place.

A cache in two senses. Placements come from the catalogue (and, a little earlier, from nodes that answer
`StaleRoute`); one replaces another only by a higher `conf`. Leaders are hints, learnt from answers. A wrong entry
costs a round trip, never correctness: nodes serve a partition only if they hold it, and its hash range never
changes under the same id.
"""

from __future__ import annotations

from collections.abc import Iterable

from hashrange.model.table import Partition
from hashrange.wire.cluster import CONTROL, NodeRecord, Placement

HASH_MAX = (1 << 64) - 1


class Route:
    """One partition: its hashes (`lo` to `hi`, both included), the nodes of its replicas, and who to ask.

    `leader` is the node to send writes and strong reads to, `first` the one for eventual reads; None: look for one.
    Both are None once `successors` is not empty. `near` are all nodes, those to prefer for a read first.
    """

    __slots__ = (
        "conf",
        "first",
        "hi",
        "index",
        "leader",
        "lo",
        "near",
        "nodes",
        "partition",
        "successors",
        "table",
    )

    def __init__(self, partition: int, table: str, index: str | None, lo: int, hi: int) -> None:
        self.partition = partition
        self.table = table
        self.index = index
        self.lo = lo
        self.hi = hi
        self.conf = 0
        self.nodes: tuple[int, ...] = ()
        self.near: tuple[int, ...] = ()
        self.leader: int | None = None
        self.first: int | None = None
        self.successors: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What it is a partition of, for messages to people."""
        if self.partition == CONTROL:
            return "the control plane"
        return f"table {self.table}" if self.index is None else f"index {self.index} of table {self.table}"


class PlacementMap:
    """All partitions known. `az` is the zone of this program, `own_node` its node id (0 at a router)."""

    def __init__(self, az: str, own_node: int = 0, seeds: Iterable[int] = ()) -> None:
        """`seeds` are asked for the control plane's leader until the catalogue tells its members."""
        self._az = az
        self._own_node = own_node
        self._zones: dict[int, str] = {}
        self._down: set[int] = set()
        self._heirs: dict[int, tuple[int, ...]] = {}
        control = Route(CONTROL, "", None, 0, HASH_MAX)
        control.nodes = tuple(seeds)
        self.routes: dict[int, Route] = {CONTROL: control}
        self._prefer(control)

    # What the catalogue and the nodes tell.

    def put(self, placement: Placement) -> bool:
        """Take over a placement; False when it says nothing new."""
        partition = placement["id"]
        route = self.routes.get(partition)
        if route is not None and route.conf >= placement["conf"]:
            return False
        if route is None:
            route = Route(partition, placement["table"], placement["index"], placement["lo"], placement["hi"])
            self.routes[partition] = route
        parent = placement.get("parent")
        if parent is not None and partition not in self._heirs.get(parent, ()):
            self._heirs[parent] = (*self._heirs.get(parent, ()), partition)
        route.conf = placement["conf"]
        route.nodes = tuple(dict.fromkeys(place["node"] for place in placement["replicas"]))
        if route.leader not in route.nodes:
            route.leader = None
        if "successors" in placement:
            route.successors = tuple(placement["successors"])
        self._prefer(route)
        return True

    def remove(self, partition: int) -> None:
        """Forget a partition that the catalogue no longer places. Its heirs are still found."""
        if partition != CONTROL:
            self.routes.pop(partition, None)
        for parent in [each for each, children in self._heirs.items() if partition in children]:
            if not any(self._alive(child) for child in self._heirs[parent]):
                del self._heirs[parent]

    def _alive(self, partition: int) -> bool:
        """Whether a partition, or something that became of it, is still there."""
        return partition in self.routes or any(self._alive(each) for each in self._heirs.get(partition, ()))

    def close(self, partition: int, placements: Iterable[Placement]) -> None:
        """A node says that a split put these in the place of a partition."""
        children = list(placements)
        for child in children:
            self.put(child)
        if not children:
            return
        ids = tuple(child["id"] for child in children)
        self._heirs[partition] = ids
        route = self.routes.get(partition)
        if route is not None and not route.successors:
            route.successors = ids
            self._prefer(route)

    def place_node(self, node: int, record: NodeRecord | None) -> None:
        """Take over what the catalogue says of a node."""
        if record is None:
            self._zones.pop(node, None)
        elif self._zones.get(node) != record["az"]:
            self._zones[node] = record["az"]
            self._prefer_all(node)

    # What answers and connections tell.

    def lead(self, partition: int, node: int) -> None:
        """A node has answered as the leader of a partition, or another has named it."""
        route = self.routes.get(partition)
        if route is not None and not route.successors:
            route.leader = node

    def doubt_leader(self, partition: int, node: int) -> None:
        """A node has not answered as the leader should: the hint is dropped if it names that node."""
        route = self.routes.get(partition)
        if route is not None and route.leader == node:
            route.leader = None

    def node_down(self, node: int) -> None:
        """A connection is lost: prefer others, and expect none of its leaderships to last."""
        if node not in self._down:
            self._down.add(node)
            self._prefer_all(node)
            for route in self.routes.values():
                if route.leader == node:
                    route.leader = None

    def node_up(self, node: int) -> None:
        """A connection is there again."""
        if node in self._down:
            self._down.discard(node)
            self._prefer_all(node)

    # Questions.

    def heir(self, partition: int, hash_value: int) -> Route | None:
        """The partition that owns a hash which `partition` owns or owned; None while it is not known."""
        route = self.routes.get(partition)
        if route is not None and not route.lo <= hash_value <= route.hi:
            return None
        children = route.successors if route is not None else self._heirs.get(partition, ())
        if not children:
            return route
        for child in children:
            found = self.heir(child, hash_value)
            if found is not None:
                return found
        return route  # split, but nothing is known of its children yet: its nodes tell

    def locate(self, partition: Partition, position: bytes) -> Partition:
        """Where a read over `partition` goes on at a relative key: itself, or what a split made of it."""
        route = self.routes.get(partition.id)
        if route is not None and not route.successors:
            return partition
        heir = self.heir(partition.id, int.from_bytes(position[:8], "big"))
        if heir is None or heir.partition == partition.id:
            return partition
        return Partition(heir.partition, heir.lo, heir.hi)

    def describe(self, partition: int) -> str:
        """A partition by its number and name, for messages to people."""
        route = self.routes.get(partition)
        if route is None:
            return f"partition {partition}"
        return route.name if partition == CONTROL else f"partition {partition} of {route.name}"

    # Preferences.

    def _prefer_all(self, node: int) -> None:
        for route in self.routes.values():
            if node in route.nodes:
                self._prefer(route)

    def _prefer(self, route: Route) -> None:
        """Order the nodes for reads: up, own node, own zone; among equals spread by partition."""
        if route.successors:
            route.leader = route.first = None
        nodes = route.nodes
        turn = route.partition % len(nodes) if nodes else 0
        spread = nodes[turn:] + nodes[:turn]
        route.near = tuple(
            sorted(
                spread,
                key=lambda node: (
                    node in self._down,
                    node != self._own_node,
                    self._zones.get(node) != self._az,
                ),
            )
        )
        route.first = route.near[0] if route.near and not route.successors else None
