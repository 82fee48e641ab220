"""Sends each message to the node that can answer it, and follows what the nodes say until somebody has.

A message that goes right the first time costs two dictionary look-ups and one small object: no task, no future,
no timer. Whatever goes wrong is a `Recovery`'s (recovery.py). One timer for all calls, which runs while there are
any, hedges eventual reads that are late and gives up on nodes that have fallen silent.

Everything runs on the event loop's thread. Clock, timers and chance are arguments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from hashrange.routing.map import PlacementMap
from hashrange.routing.recovery import Call, Recovery, begin
from hashrange.routing.retry import RetryPolicy, patience_of
from hashrange.wire.faults import Unreachable
from hashrange.wire.messages import Done, ReadItem, ReadRange, WriteItem

SWEEP_S = 0.025
SWEEPS_PER_CHECK = 10
OVERTIME_S = 0.5
HEDGES_MAX = 100.0


class Peers(Protocol):
    """What routing needs of the connections to nodes."""

    def request(self, node: int, message: Any, done: Done, timeout_s: float = 10.0) -> None:
        """Send; `done` is called exactly once, with the answer or an ApiError."""

    def silent_s(self, node: int) -> float:
        """Seconds since anything was heard of a node; infinite if never."""

    def is_up(self, node: int) -> bool:
        """Whether there is a connection to a node."""


class Counts:
    """What the transport counts since the start."""

    __slots__ = ("abandoned", "failed", "hedged", "rerouted", "retried")

    def __init__(self) -> None:
        self.retried = 0
        """Attempts beyond the first."""
        self.hedged = 0
        """Eventual reads sent to a second replica because the first was late."""
        self.abandoned = 0
        """Attempts given up because their node had fallen silent."""
        self.rerouted = 0
        """Messages sent to what a split put in the place of their partition."""
        self.failed = 0
        """Messages answered with 500 or 503 because nobody answered in time."""


class RoutedTransport:
    """The `Transport` of a router, and of a node for what lies elsewhere.

    `now()` gives monotonic seconds, `call_later(delay_s, callback)` sets a timer. `exists(partition)` tells whether
    the catalogue still has any use for a partition; `doubt()` is called when the map looks out of date.
    """

    def __init__(
        self,
        places: PlacementMap,
        peers: Peers,
        *,
        now: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
        rng: Random,
        policy: RetryPolicy | None = None,
        exists: Callable[[int], bool] = lambda partition: True,
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        self.places = places
        self.peers = peers
        self.now = now
        self.call_later = call_later
        self.rng = rng
        self.policy = policy or RetryPolicy()
        self.exists = exists
        self.doubt = doubt
        self.counts = Counts()
        self.waiting: dict[int, dict[Recovery, None]] = {}
        """Calls that pause, by partition: they go on at once when its leader or its placement becomes known."""
        self._routes = places.routes
        self._request = peers.request
        self._timeout_s = self.policy.deadline_s
        self._session = rng.getrandbits(63)
        self._sequence = 0
        self._young: deque[Call] = deque()
        self._slow: list[Call] = []
        self._suspects: set[int] = set()
        """Nodes that have fallen silent though their connections are still there: not preferred meanwhile."""
        self._sweeping = False
        self._sweeps = 0
        self._hedges = HEDGES_MAX

    # The way of most messages.

    def send(self, message: Any, done: Done) -> None:
        """Send a message to where it belongs; `done` is called exactly once, with the answer or an ApiError."""
        kind = message.__class__
        node = None
        if kind is ReadItem or kind is ReadRange:
            route = self._routes.get(message.partition)
            if route is not None:
                node = route.leader if message.consistent else route.first
        elif kind is WriteItem:
            if message.request_id is None:
                self._sequence += 1
                message.request_id = (self._session, self._sequence)
            route = self._routes.get(message.partition)
            if route is not None:
                node = route.leader
        else:
            self._send_other(message, done)
            return
        call = Call(self, message, done, node, self.now())
        self._young.append(call)
        if not self._sweeping:
            self._sweeping = True
            self.call_later(SWEEP_S, self._sweep)
        if node is None:
            begin(call, message.partition)
        else:
            self._request(node, message, call.answered, self._timeout_s)

    def _send_other(self, message: Any, done: Done) -> None:
        """Send what goes to a leader and is no write of an item."""
        call = Call(self, message, done, None, self.now())
        self._young.append(call)
        if not self._sweeping:
            self._sweeping = True
            self.call_later(SWEEP_S, self._sweep)
        partition = call.partition()
        route = self._routes.get(partition)
        node = route.leader if route is not None else None
        if node is None:
            begin(call, partition)
        else:
            call.node = node
            self._request(node, message, call.answered, self._timeout_s * patience_of(message))

    # What changes elsewhere.

    def placed(self, partition: int) -> None:
        """A placement has changed or gone: whoever waits for it tries again."""
        self.wake(partition)

    def node_up(self, node: int) -> None:
        """A connection to a node is there."""
        self._suspects.discard(node)
        self.places.node_up(node)

    def node_down(self, node: int) -> None:
        """The connection to a node is lost; what was under way on it is answered by the peers."""
        self.places.node_down(node)

    def wake(self, partition: int) -> None:
        """Let everything that pauses for a partition go on now."""
        for recovery in list(self.waiting.pop(partition, ())):
            recovery.resume()

    # The one timer.

    def _sweep(self) -> None:
        now = self.now()
        limit = now - self.policy.hedge_s
        young = self._young
        self._sweeps += 1
        while young and young[0].started <= limit:
            call = young.popleft()
            if self._hedges < HEDGES_MAX:
                self._hedges += self.policy.hedged_share
            if call.done is not None:
                self._slow.append(call)
                if call.recovery is None and call.node is not None and self._is_silent(call.node):
                    self._abandon(call, call.node)
                else:
                    self._hedge(call)
        if self._sweeps % SWEEPS_PER_CHECK == 0:
            self._check_slow(now)
        if young or self._slow:
            self.call_later(SWEEP_S, self._sweep)
        else:
            self._sweeping = False

    def _hedge(self, call: Call) -> None:
        """Ask a second replica for an eventual read that is late."""
        message = call.message
        if (
            call.recovery is None
            and (message.__class__ is ReadItem or message.__class__ is ReadRange)
            and not message.consistent
            and self._hedges >= 1.0
        ):
            self._hedges -= 1.0
            self.counts.hedged += 1
            Recovery(call, call.partition(), call.node).hedge()

    def _is_silent(self, node: int) -> bool:
        return self.peers.silent_s(node) > self.policy.silence_s

    def _check_slow(self, now: float) -> None:
        """Give up on nodes that have fallen silent, and on calls whose time is over."""
        for node in [each for each in self._suspects if not self._is_silent(each)]:
            self._suspects.discard(node)
            if self.peers.is_up(node):
                self.places.node_up(node)
        for call in self._slow:
            recovery = call.recovery
            if call.done is None or (recovery is not None and recovery.pausing):
                continue
            overdue = now >= call.deadline() + OVERTIME_S
            if call.node is None:
                if overdue and recovery is not None:
                    recovery.give_up()
            elif overdue or self._is_silent(call.node):
                self._abandon(call, call.node)
        self._slow = [call for call in self._slow if call.done is not None]

    def _abandon(self, call: Call, node: int) -> None:
        """Wait for a node no longer; its answer is still taken if it comes first."""
        self.counts.abandoned += 1
        if self._is_silent(node):
            self._suspects.add(node)
            self.places.node_down(node)
        recovery = call.recovery or Recovery(call, call.partition(), node)
        recovery.failed(node, Unreachable(node, True))
