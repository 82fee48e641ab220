"""One message on its way, and what is done when its first attempt does not succeed.

A `Call` is all there is while things go right. A `Recovery` is made when the first attempt fails, is late, or
there is nobody to send it to: it follows leaders and splits, tries the other replicas, pauses between rounds and
answers when time is up. Only the failure of the latest attempt counts; an answer is taken from any.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any, cast

from hashrange.errors import ApiError, resource_not_found
from hashrange.routing.retry import (
    RULES,
    all_hashes_of,
    final_error,
    hash_of,
    is_fault,
    lies_within,
    may_repeat,
    outcome_unknown,
    patience_of,
)
from hashrange.wire.cluster import CONTROL, Placement
from hashrange.wire.faults import LeadershipLost, NotLeader, StaleRoute, Unreachable
from hashrange.wire.messages import Done, ReadItem, ReadRange, WriteEntries
from hashrange.wire.transactions import TransactFinish

if TYPE_CHECKING:
    from hashrange.routing.map import Route
    from hashrange.routing.transport import RoutedTransport


class Call:
    """One message on its way. `done` is None once it has been answered; `node` is where it was last sent."""

    __slots__ = ("done", "message", "node", "recovery", "started", "transport")

    def __init__(
        self, transport: RoutedTransport, message: Any, done: Done, node: int | None, started: float
    ) -> None:
        self.transport = transport
        self.message = message
        self.done: Done | None = done
        self.node = node
        self.started = started
        self.recovery: Recovery | None = None

    def answered(self, answer: Any) -> None:
        """The first attempt is answered."""
        done = self.done
        if done is None:
            return
        if isinstance(answer, ApiError) and is_fault(answer):
            if self.recovery is None:
                assert self.node is not None
                Recovery(self, self.partition(), self.node).failed(self.node, answer)
            return
        self.done = self.message = self.recovery = None  # no cycle may stay behind
        done(answer)

    def finish(self, answer: Any) -> None:
        """Answer, unless that has been done."""
        done = self.done
        if done is not None:
            self.done = self.message = self.recovery = None
            done(answer)

    def partition(self) -> int:
        """The partition that the message is for."""
        message = self.message
        return CONTROL if RULES[message.__class__].control else int(message.partition)

    def deadline(self) -> float:
        """When the sender is answered at the latest, in monotonic seconds."""
        return self.started + self.transport.policy.deadline_s * patience_of(self.message)


def begin(call: Call, partition: int) -> None:
    """Send a message to a partition whose leader, or replicas, are not known."""
    Recovery(call, partition, None).advance()


class _Attempt:
    """One further attempt of a call."""

    __slots__ = ("_node", "_recovery")

    def __init__(self, recovery: Recovery, node: int) -> None:
        self._recovery = recovery
        self._node = node

    def answered(self, answer: Any) -> None:
        self._recovery.answered(self, self._node, answer)


class Recovery:
    """The attempts of one call beyond the simple case. `partition` is the one it goes to now."""

    __slots__ = (
        "_attempt",
        "_last",
        "_leaderless",
        "_rounds",
        "_token",
        "_tried",
        "_unknown",
        "call",
        "partition",
        "rule",
    )

    def __init__(self, call: Call, partition: int, tried: int | None) -> None:
        self.call = call
        call.recovery = self
        self.partition = partition
        self.rule = RULES[call.message.__class__]
        self._tried: set[int] = set() if tried is None else {tried}
        self._rounds = 0
        self._last: ApiError | None = None
        self._leaderless: NotLeader | None = None
        self._unknown = False
        self._attempt: _Attempt | None = None
        self._token: object | None = None

    @property
    def pausing(self) -> bool:
        """Whether it waits for the next round."""
        return self._token is not None

    def answered(self, attempt: _Attempt, node: int, answer: Any) -> None:
        """An attempt has ended."""
        call = self.call
        if call.done is None:
            return
        if not isinstance(answer, ApiError) or not is_fault(answer):
            transport, partition = call.transport, self.partition
            if attempt is self._attempt and not self._any_replica():
                transport.places.lead(partition, node)
            call.finish(answer)
            if partition in transport.waiting:
                transport.wake(partition)
        elif attempt is self._attempt:
            self.failed(node, answer)

    def failed(self, node: int, fault: ApiError) -> None:
        """The latest attempt has failed: learn from it, then go on or answer."""
        self._last = fault
        if self.rule.changes and outcome_unknown(fault):
            self._unknown = True
        if not may_repeat(self.rule, fault):
            self.give_up()
            return
        places = self.call.transport.places
        if isinstance(fault, NotLeader):
            places.doubt_leader(self.partition, node)
            self._leaderless = fault
            if fault.leader is not None and fault.leader not in self._tried:
                places.lead(self.partition, fault.leader)
        elif isinstance(fault, StaleRoute):
            places.doubt_leader(self.partition, node)
            places.close(self.partition, cast(list[Placement], fault.successors))
        elif not isinstance(fault, LeadershipLost | Unreachable):  # it takes nothing for now
            if not self._any_replica():
                self._tried.clear()
                self._pause()
                return
        else:
            places.doubt_leader(self.partition, node)
            if not self.call.transport.peers.is_up(node):
                places.node_down(node)  # until there is a connection again
        self.advance()

    def hedge(self) -> None:
        """Send to another replica as well; the first one's answer is still welcome."""
        route = self.call.transport.places.routes.get(self.partition)
        node = self._untried(route) if route is not None and not route.successors else None
        if node is None:
            self.call.recovery = None
        else:
            self._send(node)

    def advance(self) -> None:
        """Send to the next node that may know, or pause, or answer."""
        call = self.call
        transport = call.transport
        if transport.now() >= call.deadline():
            self.give_up()
            return
        route = transport.places.routes.get(self.partition)
        if route is None or route.successors:
            if call.message.__class__ in _SCATTERED and self._scatter():
                return
            route = self._reroute()
            if call.done is None:
                return
        node = self._untried(route) if route is not None else None
        if node is not None:
            self._send(node)
        elif route is None and not transport.exists(self.partition):
            call.finish(resource_not_found())
        else:
            if route is None or isinstance(self._last, StaleRoute):
                transport.doubt()
            self._pause()

    def give_up(self) -> None:
        """Answer that nobody could be reached in time."""
        transport = self.call.transport
        transport.counts.failed += 1
        self._forget_pause()
        fault = self._last
        if self._leaderless is not None and isinstance(fault, Unreachable):
            fault = self._leaderless  # says more than that one of the others is down
        self.call.finish(final_error(transport.places.describe(self.partition), fault, self._unknown))

    def resume(self) -> None:
        """Go on after a pause, which may have been cut short."""
        if self._token is not None and self.call.done is not None:
            self._forget_pause()
            self._tried.clear()
            self.advance()

    def _any_replica(self) -> bool:
        message = self.call.message
        return message.__class__ in (ReadItem, ReadRange) and not message.consistent

    def _untried(self, route: Route) -> int | None:
        """Whom to ask next in this round: the leader if it is known, else the replicas in turn."""
        tried = self._tried
        if not self._any_replica() and route.leader is not None and route.leader not in tried:
            return route.leader
        for node in route.near:
            if node not in tried:
                return node
        return None

    def _send(self, node: int) -> None:
        call = self.call
        transport = call.transport
        if self._last is not None:
            transport.counts.retried += 1
        self._tried.add(node)
        call.node = node
        attempt = self._attempt = _Attempt(self, node)
        left_s = max(call.deadline() - transport.now(), 0.001)
        transport.peers.request(node, call.message, attempt.answered, left_s)

    def _pause(self) -> None:
        """Wait for the next round; woken earlier when something becomes known of the partition."""
        call = self.call
        transport = call.transport
        self._rounds += 1
        pause_s = transport.policy.pause_s(self._rounds, transport.rng.random())
        left_s = max(call.deadline() - transport.now(), 0.0)
        token = self._token = object()
        self._attempt = None
        transport.waiting.setdefault(self.partition, {})[self] = None

        def over() -> None:
            if self._token is token:
                self.resume()

        transport.call_later(min(pause_s, left_s), over)

    def _forget_pause(self) -> None:
        self._token = None
        waiting = self.call.transport.waiting
        calls = waiting.get(self.partition)
        if calls is not None:
            calls.pop(self, None)
            if not calls:
                del waiting[self.partition]

    # Splits.

    def _reroute(self) -> Route | None:
        """The route of what became of the partition; None while unknown. May answer the call."""
        call = self.call
        message = call.message
        places = call.transport.places
        if message.__class__ in _SCATTERED:  # not all heirs are known: its nodes tell
            return places.routes.get(self.partition)
        hashes = all_hashes_of(message)
        if hashes is not None:
            heir = self._common_heir(hashes)
            if call.done is None:
                return None
        elif message.__class__ is ReadRange:
            heir = places.heir(self.partition, int.from_bytes(message.low[:8], "big"))
            if heir is not None and heir.partition != self.partition and not lies_within(message, heir.hi):
                # Only the sender knows how to go on: it reads partition by partition, from where it is.
                call.finish(StaleRoute(self.partition, []))
                return None
        else:
            hash_value = hash_of(message)
            if hash_value is None:
                if places.routes.get(self.partition) is not None:
                    call.finish(StaleRoute(self.partition, []))
                return None
            heir = places.heir(self.partition, hash_value)
        if heir is not None and heir.partition != self.partition:
            call.transport.counts.rerouted += 1
            call.message = copy(message)  # the attempt before may still hold the old one
            call.message.partition = self.partition = heir.partition
            self._tried.clear()
        return heir

    def _common_heir(self, hashes: list[int]) -> Route | None:
        """The one partition that owns all hashes now; None while it is not known.

        If they lie apart, StaleRoute is answered: only the sender knows how to divide what it asks for.
        """
        places = self.call.transport.places
        found: dict[int, Route] = {}
        for hash_value in hashes:
            heir = places.heir(self.partition, hash_value)
            if heir is None or heir.partition == self.partition:
                return heir
            found[heir.partition] = heir
        if len(found) == 1:
            return next(iter(found.values()))
        self.call.finish(StaleRoute(self.partition, []))
        return None

    def _scatter(self) -> bool:
        """Send the parts of a message to the partitions that own them now; False while one of these is not known."""
        call = self.call
        transport = call.transport
        parts: dict[int, list[Any]] = {}
        for hash_value, part in _parts_of(call.message):
            heir = transport.places.heir(self.partition, hash_value)
            if heir is None or heir.partition == self.partition:
                return False
            parts.setdefault(heir.partition, []).append(part)
        transport.counts.rerouted += 1
        self._attempt = call.node = None  # nothing that still comes for the whole counts
        finish = _when_all(len(parts), call.finish)
        for partition, some in parts.items():
            transport.send(_with_parts(call.message, partition, some), finish)
        return True


_SCATTERED = frozenset((WriteEntries, TransactFinish))
"""Messages that may be divided by items, since nothing that is answered belongs to the whole."""


def _parts_of(message: Any) -> list[tuple[int, Any]]:
    """The parts of a message that can be divided, with the hash that each is about."""
    if message.__class__ is TransactFinish:
        return [(hash_value, hash_value) for hash_value in message.hashes]
    return [(int.from_bytes(entry[0][:8], "big"), entry) for entry in message.entries]


def _with_parts(message: Any, partition: int, parts: list[Any]) -> Any:
    """Some parts of a message as one to another partition."""
    if message.__class__ is TransactFinish:
        return TransactFinish(partition, message.epoch, message.txid, message.commit, parts)
    return WriteEntries(partition, message.epoch, parts, message.fence)


def _when_all(count: int, finish: Done) -> Callable[[Any], None]:
    """A `done` for several messages that answers None when all have succeeded, or the first failure."""
    failures: list[ApiError] = []
    left = count

    def one(answer: Any) -> None:
        nonlocal left
        left -= 1
        if isinstance(answer, ApiError):
            failures.append(answer)
        if left == 0:
            finish(failures[0] if failures else None)

    return one
