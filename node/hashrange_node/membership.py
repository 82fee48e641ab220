"""What the control plane asks of the leader of a partition: other members, another leader, a split."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashrange.errors import ApiError, unavailable, validation
from hashrange.wire.cluster import CONTROL, ChangeMembers, SplitHint, SplitPartition, TransferLeader
from hashrange.wire.faults import Overloaded
from hashrange.wire.messages import Done
from hashrange_node.raft.confchange import Change, ChangeKind, ConfChange, Transition
from hashrange_node.raft.refusal import Refusal
from hashrange_node.replica.effects import Effects
from hashrange_node.replica.group import Group
from hashrange_node.replica.halving import Sampling
from hashrange_node.replica.replica import Replica
from hashrange_node.replica.split import split_effects

if TYPE_CHECKING:
    from hashrange_node.node import Node

DRAIN_POLL_S = 0.02
DRAIN_POLLS = 150
SAMPLES_PER_TICK = 8


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
            self._node.groups.doubt_leader(group)
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
        self._sample(group, lambda sampling: done(sampling.halving_hash()))

    def _sample(self, group: Group, done: Callable[[Sampling], None]) -> None:
        """See where the data lie, a few samples a tick."""
        sampling = Sampling(self._node.engine, group.place)

        def step() -> None:
            for _ in range(SAMPLES_PER_TICK):
                if sampling.step():
                    done(sampling)
                    return
            self._node.scheduler.call_soon(step)

        step()

    def _split(self, message: SplitPartition, done: Done) -> None:
        group = self._led(message.partition)
        if group.id == CONTROL:
            raise validation("The control plane's own partition is not split")
        if group.split is not None:
            done(None)
            return
        replica = self._node.replicas[group.id]
        if message.at is not None and not group.place.lo < message.at <= group.place.hi:
            raise validation(f"Partition {group.id} cannot be split there")
        if _members_change(group):
            raise Overloaded(f"partition {group.id}: a change of membership is under way")
        if replica.splitting:
            raise Overloaded(f"partition {group.id} is being split already")
        replica.splitting = True

        def sampled(sampling: Sampling) -> None:
            at = message.at if message.at is not None else sampling.halving_hash()
            if at is None:
                replica.splitting = False
                done(validation(f"Partition {group.id} cannot be split: nearly all of it is under one key"))
            else:
                share = sampling.share_below(at)
                self._drain(
                    replica, lambda: split_effects(group, at, message.children, share), done, DRAIN_POLLS
                )

        self._sample(group, sampled)

    def _drain(self, replica: Replica, split: Callable[[], Effects], done: Done, left: int) -> None:
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
                again = lambda: self._drain(replica, split, done, left - 1)  # noqa: E731
                self._node.scheduler.call_later(DRAIN_POLL_S, again)
            else:
                replica.splitting = False
                done(unavailable(f"Partition {group.id} has index changes to deliver; split it later"))
        elif _members_change(group):
            replica.splitting = False
            done(Overloaded(f"partition {group.id}: a change of membership is under way"))
        else:

            def proposed(answer: Any) -> None:
                replica.splitting = False
                done(answer if isinstance(answer, ApiError) else None)

            effects = split()
            self._node.streams.split(replica, effects)
            group.propose(effects, proposed)


def _members_change(group: Group) -> bool:
    """Whether the members are not what they will be when the next entry is applied: a split names them."""
    configuration, log = group.core.configuration, group.core.log
    return bool(configuration.joint or configuration.learners) or log.last_config_index > log.applied
