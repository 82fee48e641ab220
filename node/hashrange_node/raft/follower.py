"""The follower: takes what the leader sends, answers it, and hears for itself whether there is a leader.

Learners and replicas that are not members (yet, or any more) are followers too; they never stand for election.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .messages import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    TimeoutNow,
)
from .ready import RoleName
from .role import Role

if TYPE_CHECKING:
    from .core import RaftCore


class Follower(Role):
    """A replica that follows a leader, or waits for one."""

    __slots__ = ("_order",)

    name: ClassVar[RoleName] = RoleName.FOLLOWER

    def __init__(self, core: RaftCore) -> None:
        super().__init__(core)
        self._order: TimeoutNow | None = None

    def _hear(self, message: Message, round_number: int) -> None:
        """The leader of this term is alive: no election, and no vote for others for a while."""
        core = self.core
        if core.leader != message.sender:
            core.follow(message.sender)
        core.election_elapsed = 0
        core.calls_since_heard = 0
        if round_number > core.leader_round:
            core.leader_round = round_number

    def on_append(self, message: Append) -> None:
        """Take entries that continue the log, or say where it could agree with the leader's."""
        self._hear(message, message.round)
        core = self.core
        log = core.log
        prev_index = message.prev_index
        reply = AppendReply(core.id, message.sender, core.term, prev_index, message.round)
        if prev_index < log.commit:
            # Old news: what is committed is in agreement with every leader.
            reply.index = log.commit
            core.send_after_persist(reply)
            return
        if not core.configuration.members and not log.last_index:
            # The first configuration of a group is not in its log: without it entries mean nothing here.
            reply.rejected = reply.needs_snapshot = True
            core.send_with_durable_term(reply)
            return
        if log.accept(prev_index, message.prev_term, message.entries):
            last_new = prev_index + len(message.entries)
            commit = message.commit
            if commit > log.commit:
                log.commit_to(commit if commit < last_new else last_new)
            reply.index = last_new
            core.send_after_persist(reply)
            return
        reply.rejected = True
        reply.hint_index, reply.hint_term = log.conflict_hint(prev_index, message.prev_term)
        core.send_with_durable_term(reply)

    def on_heartbeat(self, message: Heartbeat) -> None:
        """Learn what is committed; confirm that the sender leads; go idle when it does and we have all."""
        self._hear(message, message.round)
        core = self.core
        log = core.log
        if message.commit > log.commit:
            log.commit_to(message.commit)
        if not message.round:
            return
        idle = message.quiesce and log.commit == message.commit == log.last_index == log.applied
        reply = HeartbeatReply(core.id, message.sender, core.term, message.round, idle)
        core.send_with_durable_term(reply)
        if idle:
            core.go_idle()

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        """Replace the log by a snapshot that is ahead of it."""
        self._hear(message, message.round)
        core = self.core
        log = core.log
        snapshot = message.snapshot
        if snapshot.index > log.commit:
            if log.term(snapshot.index) == snapshot.term:
                log.commit_to(snapshot.index)  # everything it has is in our log already
            elif log.handed_out != log.applied:
                return  # it must not overtake what is being applied; the leader will find that it is still needed
            else:
                log.restore(snapshot)
                core.set_configuration(snapshot.configuration)
        core.send_after_persist(AppendReply(core.id, message.sender, core.term, log.commit, message.round))

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """Stand for election at once, unless the order is older than what the leader said since."""
        core = self.core
        if core.leader == message.sender and message.round > core.leader_round:
            if core.log.committed_configs_wait():
                self._order = message
            else:
                core.campaign(transfer=True)

    def on_applied(self) -> None:
        """Follow an order that had to wait for a change of membership."""
        if self._order is not None:
            order, self._order = self._order, None
            self.on_timeout_now(order)
