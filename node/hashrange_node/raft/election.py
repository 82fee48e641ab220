"""Elections: how a replica stands for one, and how it votes in those of others.

A replica that misses its leader first asks whether it would win (a pre-vote), without changing anything: a
replica that is cut off cannot disturb the others with ever higher terms. The same question is the confirmation
that the fault is the leader's: a single answer "I hear a leader" makes it give up and wait anew, so a broken
link between two replicas leads to no election. If the leader is cut off from the majority it steps down by
itself, and those answers end.

A vote is a promise: request and answer leave only when the term and vote they speak of are durable. The request
has to wait too: sent early and followed by a crash, it could collect votes for a log that is lost meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from .messages import (
    NO_REPLICA,
    Append,
    Heartbeat,
    InstallSnapshot,
    Message,
    VoteReply,
    VoteRequest,
)
from .quorum import VoteResult, joint_vote_result
from .ready import RoleName
from .role import Role

if TYPE_CHECKING:
    from .core import RaftCore


class _Standing(Role):
    """What both kinds of candidates do: collect votes, and yield to a leader of the same term."""

    __slots__ = ("votes",)

    def __init__(self, core: RaftCore) -> None:
        super().__init__(core)
        self.votes: dict[int, bool] = {}

    def _ask(self, term: int, *, pre: bool, transfer: bool) -> None:
        core = self.core
        log = core.log
        for voter in sorted(core.configuration.all_voters):
            if voter != core.id:
                request = VoteRequest(
                    core.id,
                    voter,
                    term,
                    last_index=log.last_index,
                    last_term=log.last_term,
                    commit=log.commit,
                    commit_term=log.term(log.commit),
                    pre=pre,
                    transfer=transfer,
                )
                if pre:
                    core.send(request)
                else:
                    core.send_after_persist(request)

    def _count(self, voter: int, granted: bool) -> VoteResult:
        self.votes.setdefault(voter, granted)
        configuration = self.core.configuration
        return joint_vote_result(configuration.voters, configuration.outgoing, self.votes)

    def _yield_to(self, message: Message) -> Role:
        core = self.core
        core.become_follower(core.term, message.sender)
        return core.role

    def on_append(self, message: Append) -> None:
        """Another won."""
        self._yield_to(message).on_append(message)

    def on_heartbeat(self, message: Heartbeat) -> None:
        """Another won."""
        self._yield_to(message).on_heartbeat(message)

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        """Another won."""
        self._yield_to(message).on_install_snapshot(message)


class PreCandidate(_Standing):
    """A replica that asks whether it would be elected."""

    __slots__ = ()

    name: ClassVar[RoleName] = RoleName.PRE_CANDIDATE

    def begin(self) -> None:
        """Ask everyone who votes."""
        core = self.core
        if self._count(core.id, True) is VoteResult.WON:
            core.become_candidate()
        else:
            self._ask(core.term + 1, pre=True, transfer=False)

    def on_vote_reply(self, message: VoteReply) -> None:
        """Stand when a majority would vote for us; give up when anyone hears a leader."""
        core = self.core
        if not message.pre:
            return
        if message.healthy:
            core.become_follower(core.term, NO_REPLICA)
            return
        result = self._count(message.sender, message.granted)
        if result is VoteResult.WON:
            core.become_candidate()
        elif result is VoteResult.LOST:
            core.become_follower(core.term, NO_REPLICA)


class Candidate(_Standing):
    """A replica that stands for election. Its own vote counts when it is durable, like any other."""

    __slots__ = ("for_transfer", "lease_ticks")

    name: ClassVar[RoleName] = RoleName.CANDIDATE

    def __init__(self, core: RaftCore, transfer: bool) -> None:
        super().__init__(core)
        self.for_transfer = transfer
        self.lease_ticks = 0 if transfer else core.promise_left()

    def begin(self) -> None:
        """Ask everyone else who votes; our own vote is being written."""
        self._ask(self.core.term, pre=False, transfer=self.for_transfer)

    def on_persisted(self) -> None:
        """Count our own vote."""
        core = self.core
        durable = core.log.durable_hard_state
        if durable.term == core.term and durable.vote == core.id:
            self._record(core.id, True)

    def on_vote_reply(self, message: VoteReply) -> None:
        """Lead when a majority voted for us, and remember what the voters have promised to the leader before."""
        if message.pre:
            return
        if message.granted and message.lease_ticks > self.lease_ticks:
            self.lease_ticks = message.lease_ticks
        self._record(message.sender, message.granted)

    def _record(self, voter: int, granted: bool) -> None:
        core = self.core
        result = self._count(voter, granted)
        if result is VoteResult.WON:
            core.become_leader(self.lease_ticks)
        elif result is VoteResult.LOST:
            core.become_follower(core.term, NO_REPLICA)


def on_vote_request(core: RaftCore, request: VoteRequest) -> None:
    """Vote, or say how one would vote, in a term of any age.

    A replica that is bound to a leader refuses and keeps its term, unless that leader itself wants the
    election. A real request of a later term is not even answered then: its sender is past our leader's term,
    and the leader learns of that when it sends to it.
    """
    learn_commit(core, request)
    if request.term > core.term:
        if not request.transfer and core.bound_to_leader():
            if request.pre:
                _refuse(core, request)
            return
        if not request.pre:
            core.become_follower(request.term, NO_REPLICA)
    elif request.term < core.term:
        _refuse(core, request)
        return
    _answer(core, request)


def _answer(core: RaftCore, request: VoteRequest) -> None:
    """Every replica that is asked answers, voter or not by its own configuration: the candidate's may be
    newer, and the candidate counts only those who are voters in it.
    """
    free = (
        core.vote == request.sender
        or (core.vote == NO_REPLICA and core.leader == NO_REPLICA)
        or (request.pre and request.term > core.term)
    )
    if not free or not core.log.is_up_to_date(request.last_index, request.last_term):
        _refuse(core, request)
        return
    reply = _reply(core, request, granted=True)
    if request.pre:
        reply.term = request.term
        core.send(reply)
        return
    if not request.transfer:
        reply.lease_ticks = core.promise_left()
    core.cast_vote(request.sender)
    core.send_after_persist(reply)


def _refuse(core: RaftCore, request: VoteRequest) -> None:
    reply = _reply(core, request, granted=False)
    reply.healthy = core.leader != NO_REPLICA and core.bound_to_leader()
    core.send(reply)


def _reply(core: RaftCore, request: VoteRequest, granted: bool) -> VoteReply:
    commit = core.log.commit
    return VoteReply(core.id, request.sender, core.term, granted, commit, core.log.term(commit), request.pre)


def learn_commit(core: RaftCore, message: VoteRequest | VoteReply) -> None:
    """Learn what is committed from anyone who takes part in an election.

    Without this an election could hang for ever: a change of membership is committed, one replica knows it and is no
    voter any more, and the one that remains needs the other's vote because it does not know.
    """
    log = core.log
    if not core.is_leader and message.commit > log.commit and log.term(message.commit) == message.commit_term:
        log.commit_to(message.commit)
