"""What the control plane asks of the leader of a partition: other members, another leader, a split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, unavailable, validation
from hashrange.wire.cluster import CONTROL, ChangeMembers, SplitHint, SplitPartition, TransferLeader
from hashrange.wire.faults import Overloaded
from hashrange.wire.messages import Done
from hashrange_node.raft.confchange import Change, ChangeKind, ConfChange, Transition
from hashrange_node.raft.refusal import Refusal
from hashrange_node.replica.group import Group
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.split import halving_hash, split_effects
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.node import Node

DRAIN_POLL_S = 0.02
DRAIN_POLLS = 150


class Membership:
    """Handles those messages for one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        node.handle(ChangeMembers, self._change)
        node.handle(TransferLeader, self._transfer)
        node.handle(SplitPartition, self._split)
        node.handle(SplitHint, self._hint)

    def _led(self, partition: int) -> Group:
        group = self._node.driver.groups.get(partition)
        if group is None:
            self._node.replica(partition)  # raises with what is known
            raise AssertionError("a replica without a group")
        if not group.serving:
            raise group.not_leader()
        return group

    def _answer(self, group: Group, refusal: Any, done: Done) -> None:
        self._node.driver.wake_reads(group)
        if not isinstance(refusal, Refusal):
            done(None)
        elif refusal is Refusal.NOT_LEADER:
            done(group.not_leader())
        else:
            done(Overloaded(f"partition {group.id}: {refusal.value}"))

    def _change(self, message: ChangeMembers, done: Done) -> None:
        group = self._led(message.partition)
        current = group.core.configuration
        if current.joint:
            raise Overloaded(f"partition {group.id}: a change of membership is under way")
        changes: list[Change] = []
        if message.voters:
            wanted = frozenset(message.voters)
            changes += [Change(ChangeKind.ADD_VOTER, each) for each in sorted(wanted - current.voters)]
            # A voter becomes a learner first: it still hears of what decides that it goes.
            changes += [Change(ChangeKind.ADD_LEARNER, each) for each in sorted(current.voters - wanted)]
        changes += [
            Change(ChangeKind.ADD_LEARNER, each) for each in message.learners if each not in current.members
        ]
        changes += [Change(ChangeKind.REMOVE, each) for each in message.remove if each in current.learners]
        if not changes:
            done(None)
            return
        refusal = group.core.propose_change(ConfChange(tuple(changes), Transition.SIMPLE_IF_POSSIBLE))
        self._answer(group, refusal, done)

    def _transfer(self, message: TransferLeader, done: Done) -> None:
        group = self._led(message.partition)
        self._answer(group, group.core.transfer(message.replica), done)

    # ---- splits

    def _hint(self, message: SplitHint, done: Done) -> None:
        group = self._led(message.partition)
        done(self._halving(group))

    def _halving(self, group: Group) -> int | None:
        place, engine = group.place, self._node.engine

        def size(lo: int, hi: int) -> int:
            return engine.approximate_size(*keyspace.hashes_of(place.store, keyspace.ITEMS, lo, hi))

        return halving_hash(size, place.lo, place.hi)

    def _split(self, message: SplitPartition, done: Done) -> None:
        group = self._led(message.partition)
        if group.id == CONTROL:
            raise validation("The control plane's own partition is not split")
        if group.split is not None:
            done(None)
            return
        replica = self._node.replicas[group.id]
        at = message.at if message.at is not None else self._halving(group)
        if at is None or not group.place.lo < at <= group.place.hi:
            raise validation(f"Partition {group.id} cannot be split there")
        configuration = group.core.configuration
        if configuration.joint or configuration.learners:
            raise Overloaded(f"partition {group.id}: a change of membership is under way")
        if replica.splitting:
            raise Overloaded(f"partition {group.id} is being split already")
        replica.splitting = True
        self._drain(replica, at, message.children, done, DRAIN_POLLS)

    def _drain(self, replica: Replica, at: int, children: list[int], done: Done, left: int) -> None:
        """No more writes are taken: wait for those under way, and until their index changes are delivered.

        A change that the parent still had to deliver could arrive behind a later one of a child.
        """
        group = replica.group
        shipper = self._node.shippers.get(replica.id)
        if not group.serving or group.dropped:
            replica.splitting = False
            done(group.not_leader())
        elif group.pending or (shipper is not None and shipper.backlog):
            if left:
                again = lambda: self._drain(replica, at, children, done, left - 1)  # noqa: E731
                self._node.scheduler.call_later(DRAIN_POLL_S, again)
            else:
                replica.splitting = False
                done(unavailable(f"Partition {group.id} has index changes to deliver; split it later"))
        else:

            def proposed(answer: Any) -> None:
                replica.splitting = False
                done(answer if isinstance(answer, ApiError) else None)

            group.propose(split_effects(group, at, children, self._share(group, at)), proposed)

    def _share(self, group: Group, at: int) -> float:
        """The part of the partition's bytes that lies below a hash."""
        place, engine = group.place, self._node.engine
        below = engine.approximate_size(*keyspace.hashes_of(place.store, keyspace.ITEMS, place.lo, at - 1))
        total = engine.approximate_size(*keyspace.hashes_of(place.store, keyspace.ITEMS, place.lo, place.hi))
        return below / total if total > 0 else 0.5
