"""Cores with one rule of Raft taken out each, to show that the checks notice it."""

from __future__ import annotations

from typing import Any

from hashrange_node.raft import HardState, Message, RaftCore
from hashrange_node.raft.handover import Handover
from hashrange_node.raft.leader import Leader
from hashrange_node.raft.log import LogView
from hashrange_node.raft.progress import Progress, Tracker


class ForgetsVote(RaftCore):
    """The vote is not made durable."""

    __slots__ = ()

    def hard_state_to_save(self) -> HardState:
        return HardState(self.term, 0)


class _CountsOldTerms(Leader):
    __slots__ = ()

    def may_commit(self, index: int) -> bool:
        return True


class CountsOldTerms(RaftCore):
    """Entries of earlier terms are committed by counting replicas."""

    __slots__ = ()
    leader_class = _CountsOldTerms


class _EveryoneVotes(Tracker):
    __slots__ = ()

    def voters_of(self, half: frozenset[int]) -> list[Progress]:
        return list(self.members.values()) if half else []


class _CountsLearners(Leader):
    __slots__ = ()
    tracker_class = _EveryoneVotes


class CountsLearners(RaftCore):
    """Learners' acknowledgements count."""

    __slots__ = ()
    leader_class = _CountsLearners


class _CountsNewHalf(Leader):
    __slots__ = ()

    def on_configuration(self) -> None:
        super().on_configuration()
        self.tracker.outgoing = []
        self._commit()


class CountsNewHalf(RaftCore):
    """In a joint configuration a majority of the new voters is enough."""

    __slots__ = ()
    leader_class = _CountsNewHalf


class _CountsUndurable(Leader):
    __slots__ = ()

    def flush(self) -> None:
        self.own.match = self.core.log.last_index
        self._commit()
        super().flush()


class CountsUndurable(RaftCore):
    """The leader counts itself before its own disk is done."""

    __slots__ = ()
    leader_class = _CountsUndurable


class SendsEarly(RaftCore):
    """Promises are sent before they are durable."""

    __slots__ = ()

    def send_after_persist(self, message: Message) -> None:
        self.send(message)


class _Altered(RaftCore):
    """Another log view in the place of the right one."""

    __slots__ = ()
    log_class: type[LogView]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.log.__class__ = self.log_class


class _VotesForAll(LogView):
    __slots__ = ()

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        return True


class VotesForAll(_Altered):
    """Voters do not look at the candidate's log."""

    __slots__ = ()
    log_class = _VotesForAll


class _StandsWithOldVoters(LogView):
    __slots__ = ()

    def committed_configs_wait(self) -> bool:
        return False


class StandsWithOldVoters(_Altered):
    """Candidates do not wait for changes of membership that they know to be committed."""

    __slots__ = ()
    log_class = _StandsWithOldVoters


class _KeepsWrites(LogView):
    __slots__ = ()

    def _truncate(self, index: int) -> None:
        lasts = [write.last_index for write in self.writes]
        super()._truncate(index)
        for write, last in zip(self.writes, lasts, strict=True):
            write.last_index = last


class KeepsWrites(_Altered):
    """Writes under way count for entries that were replaced meanwhile."""

    __slots__ = ()
    log_class = _KeepsWrites


class NotBound(RaftCore):
    """Voters help anyone to lead, whatever they answered the leader, and do not tell. (One alone is not enough.)"""

    __slots__ = ()

    def bound_to_leader(self) -> bool:
        return self.is_leader

    def promise_left(self) -> int:
        return 0


class ForgetsPromises(RaftCore):
    """A replica that starts takes itself to be free, and says so."""

    __slots__ = ()

    def _promised_nothing(self) -> bool:
        return True


class TellsNoPromises(RaftCore):
    """Voters do not tell for how long the lease before may run."""

    __slots__ = ()

    def promise_left(self) -> int:
        return 0


class _NoOrders(Handover):
    __slots__ = ()

    def ordered(self, round_number: int) -> None:
        pass


class _KeepsLease(Leader):
    __slots__ = ()

    def __init__(self, core: RaftCore, lease_ticks: int) -> None:
        super().__init__(core, lease_ticks)
        self.handover = _NoOrders()


class KeepsLease(RaftCore):
    """A leader uses its lease although it ordered another to stand."""

    __slots__ = ()
    leader_class = _KeepsLease


class _LeadsAtOnce(Leader):
    __slots__ = ()

    def renew_lease(self) -> int:
        self.term_start = 0
        return super().renew_lease()


class ReadsTooEarly(RaftCore):
    """A new leader uses its lease before an entry of its own is applied."""

    __slots__ = ()
    leader_class = _LeadsAtOnce
