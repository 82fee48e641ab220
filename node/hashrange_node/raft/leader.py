"""The leader: appends proposals, replicates them, decides what is committed, and keeps proving that it leads.

Nothing is sent while a message or a proposal is handled: `flush` sends everything at the end of the batch, so
that all proposals of one turn of the event loop, and the commit index they lead to, share messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from . import confchange
from .confchange import LEAVE_JOINT, ConfChange, InvalidChange
from .handover import Handover
from .lease import FOREVER, ROUND_BITS, calls_to_wait, first_round, lease_end
from .messages import (
    CONFIG,
    NO_REPLICA,
    NOOP,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    TimeoutNow,
)
from .progress import PROBE, REPLICATE, SNAPSHOT, Progress, Tracker
from .quorum import has_quorum
from .reads import PendingReads
from .ready import ReadState, RoleName
from .refusal import Refusal
from .replication import send_available, send_probe
from .role import Role

if TYPE_CHECKING:
    from .core import RaftCore


class Leader(Role):
    """A replica that was elected.

    term_start: index of this leader's first entry; until that is appended (see `wait_calls`) the index it
        will have. Only entries from there on are committed by counting replicas: an older entry on a majority
        can still be replaced (the Raft paper, figure 8), and is committed with the first one of this term.
    wait_calls: calls of `tick` until the leases of earlier leaders are over. Nothing is appended before: a
        write that were committed now could be missed by a read that an earlier leader still answers.
    round: the round that messages sent now belong to (lease.py).
    """

    __slots__ = (
        "dirty",
        "handover",
        "heartbeat_elapsed",
        "last_index_seen",
        "own",
        "quiesce_round",
        "reads",
        "round",
        "term_start",
        "tracker",
        "uncommitted_bytes",
        "wait_calls",
    )

    name: ClassVar[RoleName] = RoleName.LEADER
    tracker_class: ClassVar[type[Tracker]] = Tracker

    def __init__(self, core: RaftCore, lease_ticks: int) -> None:
        super().__init__(core)
        log = core.log
        self.own = Progress(core.id, log.last_index + 1)
        self.own.match = log.durable
        self.own.state = REPLICATE
        self.own.active = True
        self.tracker = self.tracker_class(self.own)
        self.tracker.configure(core.configuration, log.last_index + 1)
        self.reads = PendingReads()
        self.handover = Handover()
        self.round = first_round(core.now)
        self.term_start = log.last_index + 1
        self.wait_calls = calls_to_wait(lease_ticks)
        self.heartbeat_elapsed = 0
        self.last_index_seen = 0
        self.quiesce_round = 0
        self.uncommitted_bytes = 0
        self.dirty = True

    def begin(self) -> None:
        """Make ourselves known: by the first entry of the term, or by heartbeats while that has to wait."""
        if self.wait_calls:
            self._send_heartbeats()
        else:
            self._append(NOOP, None, 0)

    # ---- time

    def tick(self) -> None:
        """Heartbeats, and the question whether a quorum still answers."""
        core = self.core
        settings = core.settings
        core.calls_since_heard += 1
        self.round = max(self.round, first_round(core.now))
        core.election_elapsed += 1
        if core.election_elapsed >= settings.election_ticks:
            core.election_elapsed = 0
            if not self.tracker.quorum_active():
                core.become_follower(core.term, NO_REPLICA)
                return
        if self.wait_calls:
            self.wait_calls -= 1
            if not self.wait_calls:
                self._append(NOOP, None, 0)
        self.handover.tick(settings.election_ticks)
        self.heartbeat_elapsed += 1
        if self.heartbeat_elapsed >= settings.heartbeat_ticks:
            self._send_heartbeats()
            self._find_stalled()
            self._order_election()

    def _find_stalled(self) -> None:
        """Mark followers that acknowledged nothing in a whole interval between heartbeats."""
        for progress in self.tracker.followers:
            match = progress.match
            progress.stalled = match == progress.match_seen and match < self.last_index_seen
            progress.match_seen = match
        self.last_index_seen = self.core.log.last_index

    def _send_heartbeats(self) -> None:
        core = self.core
        self.heartbeat_elapsed = 0
        commit = core.log.commit
        quiesce = self.quiesce_round > 0
        for progress in self.tracker.followers:
            known = min(commit, progress.match)
            core.send(Heartbeat(core.id, progress.id, core.term, known, self.round, quiesce))

    # ---- proposals

    def propose(self, kind: int, payload: Any, size: int) -> int | Refusal:
        """Append an entry of our term; its index, unless it has to be refused."""
        if self.wait_calls:
            return Refusal.OLD_LEASE
        if self.handover.target:
            return Refusal.TRANSFERRING
        waiting = self.uncommitted_bytes
        if waiting and size and waiting + size > self.core.settings.uncommitted_bytes_max:
            return Refusal.OVERLOADED
        return self._append(kind, payload, size)

    def _append(self, kind: int, payload: Any, size: int) -> int:
        core = self.core
        log = core.log
        index = log.last_index + 1
        log.append(Entry(index, core.term, kind, payload, size))
        self.uncommitted_bytes += size
        self.quiesce_round = 0
        self.dirty = True
        return index

    def propose_change(self, change: ConfChange) -> int | Refusal:
        """Append a change of membership: one at a time, and only what the configuration allows."""
        log = self.core.log
        if log.last_config_index > log.applied:
            return Refusal.CHANGE_PENDING
        try:
            confchange.apply(self.core.configuration, change)
        except InvalidChange:
            return Refusal.CHANGE_INVALID
        return self.propose(CONFIG, change, 0)

    def on_handed_out(self, entries: Sequence[Entry]) -> None:
        """Entries are committed and on their way to the state machine: they make room for proposals."""
        if self.uncommitted_bytes:
            size = sum(entry.size for entry in entries)
            # Entries of leaders before were never counted.
            self.uncommitted_bytes = max(0, self.uncommitted_bytes - size)

    # ---- commitment

    def on_persisted(self) -> None:
        """Our own entries count when they are durable; the followers' votes may have come first."""
        durable = self.core.log.durable
        if durable > self.own.match:
            self.own.match = durable
            self._commit()

    def _commit(self) -> None:
        index = self.tracker.agreed_match()
        if index > self.core.log.commit and self.may_commit(index):
            self.core.log.commit_to(index)
            self.dirty = True

    def may_commit(self, index: int) -> bool:
        """Whether an entry that a quorum has is thereby committed: only if it is of our own term."""
        return index >= self.term_start

    def on_applied(self) -> None:
        """Leave a joint configuration that asks for it."""
        core = self.core
        if not core.configuration.leaves_itself or self.wait_calls:
            return
        if core.log.last_config_index <= core.log.applied:
            self._append(CONFIG, LEAVE_JOINT, 0)

    def on_configuration(self) -> None:
        """Count by the new configuration; a leader that is no voter in it steps down."""
        core = self.core
        if core.id not in core.configuration.all_voters:
            self._bequeath()
            core.become_follower(core.term, NO_REPLICA)
            return
        self.tracker.configure(core.configuration, core.log.last_index + 1)
        if self.handover.target not in core.configuration.voters:
            self.handover.end()
        self.quiesce_round = 0
        self.dirty = True
        self._commit()
        self._confirm_reads()

    # ---- answers

    def on_append_reply(self, message: AppendReply) -> None:
        """A follower is further than we knew, or does not agree with us where we thought."""
        progress = self.tracker.members.get(message.sender)
        if progress is None:
            return
        self._answered(progress, message.round)
        log = self.core.log
        self.dirty = True
        if message.rejected:
            self._rejected(progress, message)
            return
        index = message.index
        assert index <= log.last_index, f"replica {progress.id} has entry {index}, the leader has not"
        news = progress.acknowledge(index)
        if progress.state is PROBE:
            if index >= progress.match:
                progress.become_replicate()
        elif progress.state is SNAPSHOT and news and index + 1 >= log.first_index():
            progress.become_replicate()
        if news:
            if index > log.commit:
                self._commit()
            if self.handover.target == progress.id:
                self._order_election()

    def _rejected(self, progress: Progress, message: AppendReply) -> None:
        if message.needs_snapshot:
            if progress.state is not SNAPSHOT:
                progress.become_probe()
                progress.next = 0  # before the first entry: only a snapshot reaches there
            return
        hint_index = message.hint_index
        if message.hint_term:
            # Our entries of later terms cannot be in a log that has this term there.
            hint_index, _ = self.core.log.conflict_hint(hint_index, message.hint_term)
        progress.reject(message.index, hint_index)

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        """A follower takes us for the leader; if it has made no progress for a while, ask why."""
        progress = self.tracker.members.get(message.sender)
        if progress is None:
            return
        self._answered(progress, message.round)
        if progress.state is PROBE:
            progress.probe_sent = False
            self.dirty = True
        elif progress.stalled and progress.state is REPLICATE:
            # What was sent may be lost. An empty message is answered in any case, also if too much is under way.
            progress.stalled = False
            send_probe(self, progress)
        if self.quiesce_round:
            self._quiesce_answered(progress, message)

    def _answered(self, progress: Progress, round_number: int) -> None:
        progress.active = True
        if round_number > progress.acked_round:
            progress.acked_round = round_number
            if self.reads.asked:
                self._confirm_reads()
            if self.handover.order_under_way:
                self.handover.answered(progress.id, round_number)

    # ---- reads

    def read_index(self, context: Any) -> Refusal | None:
        """Queue a read; `flush` asks for all that queued at once."""
        if len(self.reads) >= self.core.settings.reads_max:
            return Refusal.OVERLOADED
        index = max(self.core.log.commit, self.term_start)
        if self._alone():
            self.core.reads.append(ReadState(index, context))
        else:
            self.reads.add(index, context)
            self.quiesce_round = 0
        return None

    def _alone(self) -> bool:
        return len(self.core.configuration.all_voters) == 1

    def _confirm_reads(self) -> None:
        self.own.acked_round = self.round
        self.core.reads += self.reads.confirm(self.tracker.agreed_round())

    def renew_lease(self) -> int:
        """The tick in which the lease ends, by the answers so far; 0 while we may not use one."""
        core = self.core
        if core.log.applied < self.term_start or self.handover.order_under_way:
            return 0
        if self._alone():
            return FOREVER
        settings = core.settings
        if not settings.lease_ticks:
            return 0
        self.own.acked_round = self.round
        return lease_end(self.tracker.agreed_round(), settings.lease_ticks, settings.drift_ticks)

    # ---- handing over

    def transfer(self, target: int) -> Refusal | None:
        """Bring `target` up to date, then tell it to stand for election."""
        core = self.core
        if target == core.id:
            return None
        if target not in core.configuration.voters:
            return Refusal.NOT_VOTER
        if self.wait_calls:
            return Refusal.OLD_LEASE
        if self.tracker.members[target] not in self._alive():
            return Refusal.SILENT
        if self.handover.target and self.handover.target != target:
            return Refusal.TRANSFERRING
        if not self.handover.target:
            self.handover.begin(target)
            self.quiesce_round = 0
            self.dirty = True
            self._order_election()
        return None

    def _order_election(self) -> None:
        """Tell the target, if there is one that has everything; again with every heartbeat, orders get lost."""
        core = self.core
        progress = self.tracker.members.get(self.handover.target)
        if progress is not None and progress.match == core.log.last_index:
            self.round += 1
            self.handover.ordered(self.round)
            core.lease_until = 0
            core.send(TimeoutNow(core.id, progress.id, core.term, self.round))

    def _bequeath(self) -> None:
        """Before we leave: tell a voter that has everything to stand for election, nobody has to miss us then."""
        core = self.core
        for replica in sorted(core.configuration.voters):
            progress = self.tracker.members.get(replica)
            if progress is not None and progress.match == core.log.last_index:
                core.send(TimeoutNow(core.id, replica, core.term, self.round + 1))
                return

    # ---- idle groups

    def quiesce(self) -> Refusal | None:
        """Ask all followers that are alive to go idle, if there is nothing left to do for any of them."""
        core = self.core
        log = core.log
        done = log.last_index == log.commit == log.applied and not core.configuration.joint
        if not done or self.wait_calls or self.reads or self.handover.target:
            return Refusal.BUSY
        alive = self._alive()
        if any(progress.match != log.last_index for progress in alive):
            return Refusal.BUSY
        incoming, outgoing = core.configuration.voters, core.configuration.outgoing
        if not has_quorum(incoming, outgoing, [core.id, *(progress.id for progress in alive)]):
            return Refusal.BUSY
        for progress in self.tracker.followers:
            progress.quiesced = False
        self.round += 1
        self.quiesce_round = self.round
        if alive:
            self._send_heartbeats()
        else:
            core.go_idle()
        return None

    def _alive(self) -> list[Progress]:
        """Followers that answered within the last election timeout: the others wake us when they are back."""
        core = self.core
        oldest = core.now - core.settings.election_ticks
        return [
            progress for progress in self.tracker.followers if progress.acked_round >> ROUND_BITS >= oldest
        ]

    def _quiesce_answered(self, progress: Progress, message: HeartbeatReply) -> None:
        if message.quiesced:
            progress.quiesced = True
            if all(follower.quiesced for follower in self._alive()):
                self.core.go_idle()
        elif message.round >= self.quiesce_round:
            self.quiesce_round = 0  # it has something to do: stay awake, the next heartbeat wakes the others

    def woken(self) -> None:
        """Wake the followers too, and give them time to answer."""
        self.quiesce_round = 0
        self._send_heartbeats()

    # ---- sending

    def flush(self) -> None:
        """Begin a round for new reads, and send what may be sent to each follower."""
        if self.reads.unasked:
            self.round += 1
            self.reads.ask(self.round)
            self._send_heartbeats()
        if self.dirty:
            self.dirty = False
            for progress in self.tracker.followers:
                send_available(self, progress)
