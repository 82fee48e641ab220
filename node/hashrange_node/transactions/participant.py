"""The node's part in transactions: answers what a coordinator sends to the leader of a partition.

The answers are decided by `evaluate` on top of everything that is under way. What says that something was done goes
out when that is durable, and so does a verdict that rests on what is not durable yet. Every message may come twice,
late, and in any order:

    TransactWrite    the marker that the first one left answers for it
    TransactPrepare  finds its own locks; once these are gone, the stamps left behind refuse it (`admissible`)
    TransactFinish   finds no locks, and has nothing to do
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, validation
from hashrange.model import record as records
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.messages import Done, WriteItem
from hashrange.wire.transactions import (
    AHEAD,
    DONE,
    ITEMS_BYTES_MAX,
    MARKER_KEEP_S,
    MAX_AHEAD_MS,
    MISMATCH,
    REPEATED,
    TOO_LARGE,
    TransactFinish,
    TransactOutcome,
    TransactPrepare,
    TransactRead,
    TransactVersions,
    TransactWrite,
)
from hashrange_node.replica.effects import Effects
from hashrange_node.storage import keyspace
from hashrange_node.transactions import evaluate
from hashrange_node.transactions.locks import Counts, decode_marker, encode_marker

if TYPE_CHECKING:
    from hashrange_node.node import Node
    from hashrange_node.replica.group import Group
    from hashrange_node.replica.replica import Replica
    from hashrange_node.streams.recording import Recording

STAMPS_PER_S = 1000 << LOGICAL_BITS


class Participant:
    """Takes part in transactions for all partitions that a node leads. `counts` says how often."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.counts = Counts()
        node.handle(TransactWrite, self._write)
        node.handle(TransactPrepare, self._prepare)
        node.handle(TransactFinish, self._finish)
        node.handle(TransactRead, self._read)

    @property
    def locks_held(self) -> int:
        """Items that are locked in partitions led here."""
        return sum(len(replica.locked) for replica in self._node.replicas.values())

    # ---- what changes something

    def _write(self, message: TransactWrite, done: Done) -> None:
        replica = self._node.leader(message, done)
        if replica is None:
            return
        _admit(replica)
        group, actions = replica.group, message.actions
        marker_key = keyspace.marker_key(replica.place.store, actions[0].key, message.txid)
        marker = replica.newest(marker_key)
        if marker is not None and self._valid(marker):
            digest, results = decode_marker(marker)
            verdict = REPEATED if digest == message.digest else MISMATCH
            outcome = TransactOutcome(verdict, list(results) if verdict == REPEATED else [])
            _answer(replica, outcome, marker_key in group.overlay, done)
            return
        situation = _situation(replica, [action.key for action in actions], replica.recorder())
        stamp = evaluate.local_stamp(replica.stamps(), situation)
        effects, outcome = evaluate.commit(actions, situation, stamp)
        if outcome.verdict != DONE:
            self._count_conflicts(outcome)
            _answer(replica, outcome, _under_way(replica, actions), done)
            return
        effects.result = outcome
        if replica.budget is not None:
            replica.budget.charge_results(outcome.results)
        written, index = self._node.stamps.wall, situation.raft_index
        stored = encode_marker(message.digest, outcome.results, written, index)  # type: ignore[arg-type]
        effects.mutations.append((marker_key, stored))
        if group.propose(effects, done):
            self.counts.local += 1
            self._warm(group, situation.keys)
            group.writes_taken += len(actions)

    def _prepare(self, message: TransactPrepare, done: Done) -> None:
        replica = self._node.leader(message, done)
        if replica is None:
            return
        _admit(replica)
        group, actions, stamp = replica.group, message.actions, message.stamp
        now = self._node.stamps.now
        if stamp > now + (MAX_AHEAD_MS << LOGICAL_BITS):
            done(TransactOutcome(AHEAD, [], now))
            return
        if message.marker and self._answered_by_marker(replica, message, done):
            return
        situation = _situation(replica, [action.key for action in actions])
        locks, outcome = evaluate.prepare(message.txid, stamp, actions, situation)
        if outcome.verdict != DONE or not locks:
            self._count_conflicts(outcome)
            _answer(replica, outcome, _under_way(replica, actions), done)
            return
        # From here on whatever is written here comes behind the transaction.
        self._node.stamps.observe(stamp)
        if replica.budget is not None:
            replica.budget.charge_results(outcome.results)
        effects = evaluate.lock_effects(locks, replica.place, situation.raft_index)
        effects.result = outcome
        if group.propose(effects, done):
            self.counts.prepared += 1
            self._warm(group, situation.keys)
            group.writes_taken += len(actions)
            for lock in locks:
                replica.locks.add(lock)

    def _answered_by_marker(self, replica: Replica, message: TransactPrepare, done: Done) -> bool:
        """Whether the same request was committed here in one entry, before a split made it one of several parts."""
        for key in {action.key[:8] for action in message.actions}:
            marker_key = keyspace.marker_key(replica.place.store, key, message.marker)
            marker = replica.newest(marker_key)
            if marker is not None and self._valid(marker):
                outcome = TransactOutcome(REPEATED, list(decode_marker(marker)[1]))
                _answer(replica, outcome, marker_key in replica.group.overlay, done)
                return True
        return False

    def _finish(self, message: TransactFinish, done: Done) -> None:
        replica = self._node.leader(message, done)
        if replica is None:
            return
        group = replica.group
        held = replica.locks.of(message.txid)
        locks = [lock for lock in held if not lock.finishing]
        if not locks:
            _answer(replica, None, bool(held), done)
            return
        group.driver.admit(group)
        while locks:
            situation = _situation(replica, [lock.key for lock in locks], replica.recorder())
            effects = evaluate.finish(locks, message.commit, situation)
            ended = effects.released or []
            locks = locks[len(ended) :]
            if locks:
                refusal: list[Any] = []  # the last answer counts, but for a refusal on the way
                if not group.propose(effects, refusal.append):
                    done(refusal[0])
                    return
            elif not group.propose(effects, done):
                return
            for lock in ended:
                lock.finishing = True
        if message.commit:
            self.counts.committed += 1
        else:
            self.counts.cancelled += 1

    def _warm(self, group: Group, keys: Sequence[bytes]) -> None:
        """Let a sample of the transactions tell where the heat is."""
        if group.heat.due:
            group.heat.due -= 1
        else:
            group.heat.several(keys, self._node.monotonic())

    def _valid(self, marker: bytes) -> bool:
        """Whether a marker still stands for its transaction.

        Its age is that of the wall clock: the hybrid clock follows any clock of the cluster that is ahead, and with it
        all transactions of the last minutes could be carried out again.
        """
        return records.stamp(marker) + MARKER_KEEP_S * STAMPS_PER_S >= self._node.stamps.wall

    def _count_conflicts(self, outcome: TransactOutcome) -> None:
        for each in outcome.results:
            if isinstance(each, ApiError) and each.type_name == "TransactionConflictException":
                self.counts.conflicts += 1

    # ---- what reads

    def _read(self, message: TransactRead, done: Done) -> None:
        node = self._node
        replica = node.leader(message, done)
        if replica is None:
            return
        group = replica.group
        group.reads_served += len(message.keys)
        self._warm(group, message.keys)
        if replica.budget is not None:
            done = replica.budget.reading_several(replica.schema, done)
        if node.strong.leased(group):
            versions = _versions(replica, message.keys)
            if node.strong.leased(group):
                done(versions)
                return

        def confirmed() -> Any:
            # It may have been split while the read waited.
            return _versions(node.replica(message.partition), message.keys)

        node.strong.confirm(group, confirmed, done, node.refusing(message))


def _versions(replica: Replica, keys: list[bytes]) -> TransactVersions:
    """The items as they are applied. One that is locked stays so until the end of its transaction is applied too."""
    stored = replica.engine.get_many([replica.items + key for key in keys])
    if sum(records.size(record) for record in stored if record is not None) > ITEMS_BYTES_MAX:
        raise validation(TOO_LARGE)
    held = replica.locked
    return TransactVersions(replica.id, replica.group.deletes, stored, [key in held for key in keys])


def _admit(replica: Replica) -> None:
    """Raise ServiceUnavailable where a write would be refused. The end of a transaction never is for these reasons."""
    replica.group.driver.admit(replica.group)
    if replica.congested or replica.splitting or replica.closed:
        raise replica.busy()
    if replica.budget is not None:
        replica.budget.admit_write(replica.schema)


def _situation(replica: Replica, keys: list[bytes], recording: Recording | None = None) -> evaluate.Situation:
    """What the items with these keys are like, under way or applied."""
    group, items = replica.group, replica.items
    full_keys = [items + key for key in keys]
    find = replica.newest if group.overlay else replica.engine.get
    if replica.locked:
        locks = [replica.locks.barring(key) for key in keys]
    else:
        locks = [None] * len(keys)
    return evaluate.Situation(
        replica.schema,
        replica.place,
        keys,
        [find(key) for key in full_keys],
        locks,
        group.watermark,
        group.last_index + 1,
        recording,
    )


def _under_way(replica: Replica, actions: list[WriteItem]) -> bool:
    """Whether a verdict on these items rests on what is not applied yet: their records, or their locks."""
    overlay = replica.group.overlay
    if not overlay:
        return False
    locks = keyspace.space_prefix(replica.place.store, keyspace.LOCKS)
    return any(replica.items + each.key in overlay or locks + each.key in overlay for each in actions)


def _answer(replica: Replica, answer: Any, under_way: bool, done: Done) -> None:
    """Answer without a change; behind what is under way, if the answer rests on it."""
    if under_way:
        replica.group.propose(Effects([], [], answer), done)
    else:
        replica.answer_led(answer, done)
