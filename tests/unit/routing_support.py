"""A cluster of fakes for routing: nodes that hold partitions, split, lose leaders, fall silent, on a manual clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from hashrange.routing.map import HASH_MAX, PlacementMap
from hashrange.routing.retry import RetryPolicy
from hashrange.routing.transport import RoutedTransport
from hashrange.wire import messages as wire
from hashrange.wire.cluster import CONTROL, Placement
from hashrange.wire.faults import NotLeader, StaleRoute, Unreachable
from hashrange.wire.transactions import (
    DONE,
    TransactFinish,
    TransactOutcome,
    TransactPrepare,
    TransactRead,
    TransactVersions,
    TransactWrite,
    hashes_of,
)


class Time:
    """A clock with timers that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def monotonic(self) -> float:
        return self.now

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._timers, (self.now + delay_s, self._number, callback))

    def advance(self, seconds: float) -> None:
        """Let time pass, running every timer when it is due."""
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, callback = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            callback()
        self.now = end

    @property
    def timers(self) -> int:
        return len(self._timers)


def placement(partition: int, nodes: list[int], lo: int = 0, hi: int = HASH_MAX, **more: Any) -> Placement:
    return {
        "id": partition,
        "store": partition,
        "table": "T",
        "index": None,
        "lo": lo,
        "hi": hi,
        "origin": "create",
        "initial": list(range(1, len(nodes) + 1)),
        "replicas": [{"id": i, "node": n, "generation": 1} for i, n in enumerate(nodes, start=1)],
        "conf": 1,
        "next_replica": len(nodes) + 1,
        **more,  # type: ignore[typeddict-item]
    }


class FakePeers:
    """Nodes that answer as real ones do. What a test wants otherwise, it sets."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.placements: dict[int, Placement] = {}
        self.leaders: dict[int, int | None] = {}
        self.dropped: set[int] = set()
        self.down: set[int] = set()
        self.silent: set[int] = set()
        """Nodes of which nothing is heard."""
        self.late: set[int] = set()
        """Nodes that are heard, but do not answer."""
        self.sent: list[tuple[int, Any]] = []
        self.held: list[tuple[int, Any, wire.Done]] = []
        self.records: dict[bytes, bytes] = {}
        self.applied: list[tuple[int, int]] = []
        self.before_answer: Callable[[], None] = lambda: None
        self.override: Callable[[int, Any], Any] = lambda node, message: None
        """An answer to give instead; None leaves it to the model."""

    def request(self, node: int, message: Any, done: wire.Done, timeout_s: float = 10.0) -> None:
        self.sent.append((node, message))
        if node in self.down:
            done(Unreachable(node, False))
        elif node in self.silent or node in self.late:
            self.held.append((node, message, done))
            self.time.call_later(timeout_s, lambda: done(Unreachable(node, True)))
        else:
            done(self.answer(node, message))

    def silent_s(self, node: int) -> float:
        return 10.0 if node in self.silent else 0.0

    def is_up(self, node: int) -> bool:
        return node not in self.down

    def split(self, partition: int, at: int, children: tuple[int, int]) -> None:
        parent = self.placements[partition]
        nodes = [place["node"] for place in parent["replicas"]]
        for child, lo, hi in ((children[0], parent["lo"], at - 1), (children[1], at, parent["hi"])):
            self.placements[child] = placement(child, nodes, lo, hi, parent=partition, origin="split")
            self.leaders[child] = self.leaders[partition]
        self.placements[partition] = {**parent, "successors": list(children), "conf": parent["conf"] + 1}

    def answer(self, node: int, message: Any) -> Any:
        self.before_answer()
        given = self.override(node, message)
        if given is not None:
            return given
        partition = getattr(message, "partition", CONTROL)
        place = self.placements.get(partition)
        if place is None or partition in self.dropped or all(r["node"] != node for r in place["replicas"]):
            return StaleRoute(partition, [])
        if "successors" in place:
            return StaleRoute(partition, [dict(self.placements[c]) for c in place["successors"]])
        leader = self.leaders.get(partition)
        if leader != node and getattr(message, "consistent", True):
            return NotLeader(partition, leader)
        return self.carry_out(place, message)

    def carry_out(self, place: Placement, message: Any) -> Any:
        if isinstance(message, wire.ReadRange):
            return self.read_range(place, message)
        if isinstance(message, wire.ReadItem):
            check_hash(place, message.key)
            return b"record of " + message.key
        if isinstance(message, wire.WriteItem):
            check_hash(place, message.key)
            assert message.request_id is not None
            self.applied.append(message.request_id)
            return wire.WriteResult(0, 10)
        if isinstance(message, wire.WriteEntries):
            for key, _, _ in message.entries:
                check_hash(place, key)
            self.applied.extend((place["id"], len(key)) for key, _, _ in message.entries)
            return None
        if isinstance(message, TransactWrite | TransactPrepare | TransactFinish | TransactRead):
            return self.transact(place, message)
        return b"done"

    def transact(self, place: Placement, message: Any) -> Any:
        hashes = hashes_of(message)
        assert all(place["lo"] <= each <= place["hi"] for each in hashes), "sent to one that does not own all"
        if isinstance(message, TransactFinish):
            return None
        if isinstance(message, TransactRead):
            return TransactVersions(place["id"], 0, [None] * len(hashes), [False] * len(hashes))
        return TransactOutcome(DONE, [wire.WriteResult(0, 10) for _ in hashes])

    def read_range(self, place: Placement, message: wire.ReadRange) -> wire.RangeResult:
        """The records of a range that this partition holds, up to a limit or a number of bytes."""
        result = wire.RangeResult()
        keys = [
            key
            for key in sorted(self.records)
            if message.low <= key < message.high and place["lo"] <= hash_at(key) <= place["hi"]
        ]
        for key in keys:
            result.items.append(self.records[key])
            result.count += 1
            result.scanned += 1
            result.size_bytes += len(self.records[key])
            if result.scanned == message.limit or result.size_bytes >= message.max_bytes:
                result.last = self.records[key]
                break
        return result


def hash_at(key: bytes) -> int:
    return int.from_bytes(key[:8], "big")


def check_hash(place: Placement, key: bytes) -> None:
    assert place["lo"] <= hash_at(key) <= place["hi"], "sent to a partition that does not own the key"


class Routing:
    """A transport on fakes: partition 7 on nodes 1 to 3, led by 2; the control plane on the same, led by 3."""

    def __init__(self, policy: RetryPolicy | None = None, known: bool = True) -> None:
        self.time = Time()
        self.peers = FakePeers(self.time)
        self.places = PlacementMap("az1", seeds=(1, 2, 3))
        self.doubts = 0
        self.gone: set[int] = set()
        self.transport = RoutedTransport(
            self.places,
            self.peers,
            now=self.time.monotonic,
            call_later=self.time.call_later,
            rng=Random(1),
            policy=policy,
            exists=lambda partition: partition not in self.gone,
            doubt=self._doubt,
        )
        for node in (1, 2, 3):
            record: Any = {"id": node, "az": f"az{node}", "address": "", "admin": "", "incarnation": ""}
            self.places.place_node(node, {**record, "generation": 1, "state": "up"})
        for partition, leader in ((CONTROL, 3), (7, 2)):
            self.peers.placements[partition] = placement(partition, [1, 2, 3])
            self.peers.leaders[partition] = leader
        if known:
            self.places.put(self.peers.placements[7])

    def _doubt(self) -> None:
        self.doubts += 1

    def send(self, message: Any) -> list[Any]:
        """Send; the list holds the answer once there is one."""
        answers: list[Any] = []
        self.transport.send(message, answers.append)
        return answers

    def nodes(self) -> list[int]:
        """Where messages went since the last time it was asked."""
        found = [node for node, _ in self.peers.sent]
        self.peers.sent.clear()
        return found


def key_of(hash_value: int, rest: bytes = b"k") -> bytes:
    return hash_value.to_bytes(8, "big") + rest


def read(hash_value: int = 5, consistent: bool = True, partition: int = 7) -> wire.ReadItem:
    return wire.ReadItem(partition, 0, key_of(hash_value), consistent)


def write(hash_value: int = 5, partition: int = 7) -> wire.WriteItem:
    return wire.WriteItem(partition, 0, wire.PUT, key_of(hash_value))
