"""The leader's part in what other regions send: `ApplyReplicated` in, `ReplicatedOutcome` out.

Versions of items are judged on top of everything that is under way (`apply`), and what they do goes through the log in
one entry, more only if it would get too large. An outcome goes out when what it rests on is durable: a region that
hears APPLIED or OLDER forgets that the item is to be sent. Sent twice, late or in another order, nothing changes.

What may be sent again later is not an error of the message but the outcome RETRY: the partition is being split, its
indexes do not keep up, the table is going or is no global one here, or the sender has no replica of it as far as is
known here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange.errors import validation
from hashrange.model.regions import AHEAD_MAX_MS
from hashrange.runtime.clock import LOGICAL_BITS, wall_ms_of
from hashrange.wire.messages import Done
from hashrange.wire.regions import APPLIED, HELD, OLDER, RETRY, ApplyReplicated, Entry, ReplicatedOutcome
from hashrange_node.regions.apply import Landing, check_entries, land
from hashrange_node.regions.versions import is_tombstone, tombstone_key

if TYPE_CHECKING:
    from hashrange_node.node import Node
    from hashrange_node.replica.replica import Replica

SOURCES_MAX = 10_000


class Received:
    """Entries of one table from one region since the start of the node, by outcome."""

    __slots__ = ("applied", "held", "older", "retried")

    def __init__(self) -> None:
        self.applied = self.older = self.held = self.retried = 0

    def add(self, outcomes: bytes) -> None:
        """Count the outcomes of a message."""
        self.applied += outcomes.count(APPLIED)
        self.older += outcomes.count(OLDER)
        self.held += outcomes.count(HELD)
        self.retried += outcomes.count(RETRY)


class Receiving:
    """Takes what other regions send for all partitions that a node leads. `counts`: by (table, source region)."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.counts: dict[tuple[str, str], Received] = {}
        node.handle(ApplyReplicated, self._apply)

    def _apply(self, message: ApplyReplicated, done: Done) -> None:
        node = self._node
        replica = node.leader(message, done)
        if replica is None:
            return
        if replica.index_name is not None:
            raise validation("Another region sent items for a partition of a global index")
        check_entries(message.entries)
        replica.group.driver.admit(replica.group)
        done = self._counted(replica.schema.name, message.source, done)
        if self._unready(replica, message.source):
            now = node.stamps.wall
            replica.answer_led(ReplicatedOutcome(bytes((RETRY,)) * len(message.entries), now), done)
        else:
            self._land(replica, message.entries, done)

    @staticmethod
    def _unready(replica: Replica, source: str) -> bool:
        """Whether nothing of a region can be taken now."""
        if replica.congested or replica.splitting or replica.closed:
            return True
        return all(target.region != source for target in replica.schema.replicas)

    def _land(self, replica: Replica, entries: list[Entry], done: Done) -> None:
        """Propose what the entries do; one log entry after the other while they are too much for one."""
        stamps, group, budget = self._node.stamps, replica.group, replica.budget
        now = stamps.wall
        group.heat.delivering([_sample(*entry) for entry in entries], self._node.monotonic())
        find = _lookup(replica, entries)
        barring = replica.locks.barring
        outcomes = bytearray()
        while True:
            landing = Landing(
                replica.schema,
                replica.place,
                find,
                lambda key: barring(key) is not None,
                now + (AHEAD_MAX_MS << LOGICAL_BITS),
                wall_ms_of(now) // 1000,
                group.last_index + 1,
                replica.recorder(),
            )
            landed = land(entries[len(outcomes) :], landing)
            effects = landed.effects
            outcomes += landed.outcomes
            stamps.observe(landed.newest)
            if budget is not None:
                budget.charge_write(landed.units_half)
            if len(outcomes) == len(entries):
                break
            refusal: list[Any] = []  # the last answer counts, but for a refusal on the way
            if not group.propose(effects, refusal.append):
                done(refusal[0])
                return
            find = replica.newest
        effects.result = ReplicatedOutcome(bytes(outcomes), now)
        if effects.mutations or _under_way(replica, entries):
            group.propose(effects, done)
        else:
            replica.answer_led(effects.result, done)

    def _counted(self, table: str, source: str, done: Done) -> Done:
        received = self.counts.get((table, source))
        if received is None:
            if len(self.counts) >= SOURCES_MAX:
                self.counts.clear()  # names of tables that have long been deleted
            received = self.counts[table, source] = Received()

        def counted(answer: Any) -> None:
            if answer.__class__ is ReplicatedOutcome:
                received.add(answer.outcomes)
            done(answer)

        return counted


def _sample(key: bytes, record: bytes) -> tuple[bytes, bytes | None, int]:
    """An entry as one that is delivered to an index: that is how it is weighed."""
    return key, None if is_tombstone(record) else record, 0


def _lookup(replica: Replica, entries: list[Entry]) -> Callable[[bytes], bytes | None]:
    """How to find the newest record of an engine key; those of the entries are read together."""
    overlay, engine = replica.group.overlay, replica.engine
    keys = [replica.items + key for key, _ in entries]
    known = dict(zip(keys, engine.get_many(keys), strict=True))
    absent = [tombstone_key(key) for key, record in known.items() if record is None]
    if absent:
        known.update(zip(absent, engine.get_many(absent), strict=True))

    def find(full_key: bytes) -> bytes | None:
        held = overlay.get(full_key)
        if held is not None:
            return held[1]
        return known[full_key] if full_key in known else engine.get(full_key)

    return find


def _under_way(replica: Replica, entries: list[Entry]) -> bool:
    """Whether a verdict on these items rests on what is not applied yet."""
    overlay = replica.group.overlay
    if not overlay:
        return False
    keys = [replica.items + key for key, _ in entries]
    return any(key in overlay or tombstone_key(key) in overlay for key in keys)
