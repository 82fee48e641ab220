"""One replica of one Raft group, as a state machine without input and output.

The driver puts in what happens (`step` for messages, `tick` for time, `propose` and other requests, `persisted`
and `applied` for work that is done) and takes out, with `ready`, what is to be done. The same inputs in the same
order give the same outputs: clock, chance, network and disk are all the driver's. README.md follows a proposal
through; ready.py has the contract on order.

A driver's turn, for each group that something happened to:

    while (work := core.ready()) is not None:
        send(work.messages)
        position = log.append(hard state, snapshot, truncation and entries of work, in this order)
        when durable: send(work.messages_after_persist); core.persisted(work.number); turn again
        apply(work.committed); core.applied(index of the last one)

State lives in one place each: the log in LogView, what only a leader knows in Leader, and so on for the other
roles. This class holds what all roles share: term, vote, who leads, the configuration, timers, and outgoing work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from . import confchange
from .confchange import ConfChange, Configuration
from .election import Candidate, PreCandidate, learn_commit, on_vote_request
from .follower import Follower
from .leader import Leader
from .lease import NEVER_HEARD, promise_left
from .log import LogView
from .messages import (
    CONFIG,
    DATA,
    NO_REPLICA,
    Append,
    AppendReply,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Message,
    TimeoutNow,
    VoteReply,
    VoteRequest,
)
from .progress import PROBE, REPLICATE, SNAPSHOT
from .ready import Leadership, ReadState, Ready, RoleName
from .refusal import Refusal
from .role import Role
from .settings import Rng, Settings
from .storage import InitialState, Storage

_FROM_LEADER = (Append, Heartbeat, InstallSnapshot, TimeoutNow)


class RaftCore:
    """One replica. Not for use from several threads.

    `replica_id` is positive and never reused: a replica that lost what it promised comes back under a new one.
    Attributes are for reading; all changes go through the methods.
    """

    __slots__ = (
        "_after_persist",
        "_announced",
        "_changed",
        "_messages",
        "_number",
        "_rng",
        "_role",
        "_saved_hard_state",
        "calls_since_heard",
        "configuration",
        "election_elapsed",
        "election_timeout",
        "id",
        "leader",
        "leader_round",
        "lease_until",
        "log",
        "now",
        "quiesced",
        "reads",
        "settings",
        "term",
        "vote",
    )

    leader_class: ClassVar[type[Leader]] = Leader

    def __init__(
        self,
        replica_id: int,
        storage: Storage,
        initial: InitialState,
        rng: Rng,
        settings: Settings,
        now: int = 0,
    ) -> None:
        """A replica as a follower. `now` is the present tick of the driver's monotonic clock."""
        assert replica_id > NO_REPLICA
        self.id = replica_id
        self.settings = settings
        self.now = now
        self.term = initial.hard_state.term
        self.vote = initial.hard_state.vote
        self.leader = NO_REPLICA
        self.leader_round = 0
        self.configuration = initial.configuration
        self.log = LogView(storage, initial.applied, initial.hard_state)
        assert self.log.last_term <= self.term, "the log has entries of a term the hard state does not know"
        self.quiesced = False
        self.lease_until = 0
        self.reads: list[ReadState] = []
        self.calls_since_heard = NEVER_HEARD if initial.fresh or self._promised_nothing() else 0
        self._rng = rng
        self._number = 0
        self._saved_hard_state = initial.hard_state
        self._messages: list[Message] = []
        self._after_persist: list[Message] = []
        self._role: Role = Follower(self)
        self._announced = self.leadership()
        self._changed = False
        self.reset_election_timer()

    def _promised_nothing(self) -> bool:
        """Whether no leader can rely on an answer that this replica gave before it was started.

        A group of one replica that led already only ever answered itself: it appends nothing before the leases
        of earlier leaders are over, so an entry of its own term proves that there are none.
        """
        if self.term == 0:
            return True
        alone = self.configuration.all_voters == {self.id}
        return alone and self.vote == self.id and self.log.last_term == self.term

    # ---- what happens

    def step(self, message: Message) -> None:
        """A message has arrived. Any may come twice, late, or never; those for other groups may not."""
        kind = type(message)
        if self.quiesced and self._wakes(message):
            self.wake()
        if message.term != self.term and not self._of_this_term(message):
            return
        role = self._role
        if kind is AppendReply:
            role.on_append_reply(message)  # type: ignore[arg-type]
        elif kind is Append:
            role.on_append(message)  # type: ignore[arg-type]
        elif kind is Heartbeat:
            role.on_heartbeat(message)  # type: ignore[arg-type]
        elif kind is HeartbeatReply:
            role.on_heartbeat_reply(message)  # type: ignore[arg-type]
        elif kind is VoteReply:
            learn_commit(self, message)  # type: ignore[arg-type]
            role.on_vote_reply(message)  # type: ignore[arg-type]
        elif kind is VoteRequest:
            on_vote_request(self, message)  # type: ignore[arg-type]
        elif kind is InstallSnapshot:
            role.on_install_snapshot(message)  # type: ignore[arg-type]
        else:
            assert kind is TimeoutNow, f"{kind.__name__} is not a message between replicas"
            role.on_timeout_now(message)  # type: ignore[arg-type]

    def _of_this_term(self, message: Message) -> bool:
        """Follow a message of another term into it if it is later; answer or drop it otherwise."""
        if isinstance(message, VoteRequest):
            on_vote_request(self, message)
            return False
        from_leader = isinstance(message, _FROM_LEADER)
        if isinstance(message, VoteReply):
            learn_commit(self, message)
            if message.term > self.term and message.pre and message.granted:
                return True  # of the term asked for, which nobody is in yet
        if message.term > self.term:
            self.become_follower(message.term, message.sender if from_leader else NO_REPLICA)
            return True
        if from_leader and not isinstance(message, TimeoutNow):
            # Its sender leads no longer and does not know. It has to learn, or we could never follow it again.
            self.send(AppendReply(self.id, message.sender, self.term, 0, 0, rejected=True))
        return False

    def tick(self, now: int) -> None:
        """The monotonic clock is in tick `now`. At most once a tick; ticks that were missed are not made up."""
        if now <= self.now:
            return
        self.now = now
        if not self.quiesced:
            self._role.tick()

    def persisted(self, number: int) -> None:
        """What the Ready of this number and all before it wanted persisted is durable."""
        self.log.persisted(number)
        self._role.on_persisted()

    def apply_config(self, entry: Entry) -> Configuration:
        """Put a change of membership into effect; called for each CONFIG entry of `Ready.committed`, in order.

        Returns the configuration from now on, which the driver stores together with the entry's effects.
        """
        assert entry.kind == CONFIG
        waiting = self.log.unapplied_configs
        assert waiting and waiting[0] == entry.index, f"entry {entry.index} is not the next change to apply"
        waiting.popleft()
        change = entry.payload
        if not isinstance(change, ConfChange):
            change = ConfChange.decode(change)
        self.set_configuration(confchange.apply(self.configuration, change))
        return self.configuration

    def applied(self, index: int) -> None:
        """The state machine has the effects of all entries up to `index`."""
        self.log.applied_to(index)
        self._role.on_applied()

    def report_unreachable(self, replica: int) -> None:
        """Messages to a replica are lost: send less until it answers."""
        role = self._role
        if isinstance(role, Leader):
            progress = role.tracker.members.get(replica)
            if progress is not None and progress.state is REPLICATE:
                progress.become_probe()
                role.dirty = True

    def report_snapshot(self, replica: int, arrived: bool) -> None:
        """A snapshot sent to a replica has been handed to it, or could not be. Must be called in any case."""
        role = self._role
        if isinstance(role, Leader):
            progress = role.tracker.members.get(replica)
            if progress is not None and progress.state is SNAPSHOT:
                if not arrived:
                    progress.snapshot_index = 0
                progress.become_probe()
                # Not at once: until its answer, or the next heartbeat, there is nothing new to say.
                progress.probe_sent = True

    # ---- requests

    def propose(self, payload: Any, size: int) -> int | Refusal:
        """Replicate a payload of `size` bytes; the index it will have if this leader commits it.

        The index is taken: when another leader overwrites it, leadership was lost, and `Ready.leadership` says
        so before anything else is applied there.
        """
        if self.quiesced:
            self.wake()
        return self._role.propose(DATA, payload, size)

    def propose_change(self, change: ConfChange) -> int | Refusal:
        """Replicate a change of membership; it takes effect when it is applied."""
        if self.quiesced:
            self.wake()
        return self._role.propose_change(change)

    def read_index(self, context: Any) -> Refusal | None:
        """Confirm by quorum that we lead; `context` comes back in `Ready.reads`, unless leadership is lost."""
        if self.quiesced:
            self.wake()
        return self._role.read_index(context)

    def lease_valid(self, now: int) -> bool:
        """Whether this leader may answer strong reads from its applied state in tick `now`.

        `now` is computed from the monotonic clock for this call. To be asked before the read, and again, with
        a fresh `now`, after it. False is no refusal: `read_index` still works.
        """
        if now < self.lease_until:
            return True
        self.lease_until = self._role.renew_lease()
        return now < self.lease_until

    def transfer(self, target: int) -> Refusal | None:
        """Hand leadership to a voter. No proposals until that has happened or an election timeout is over."""
        if self.quiesced:
            self.wake()
        return self._role.transfer(target)

    def step_down(self) -> None:
        """Lead no longer, without a successor; for a replica that cannot do its work. Better is `transfer`."""
        if self.is_leader:
            self.become_follower(self.term, NO_REPLICA)

    def quiesce(self) -> Refusal | None:
        """Go idle, with all followers that are alive; `quiesced` tells when that has happened.

        An idle group needs no ticks and sends nothing. The driver watches over the nodes instead, and calls
        `wake` on a follower when the node of its leader is silent.
        """
        return None if self.quiesced else self._role.quiesce()

    def wake(self, silent_ticks: int = 0) -> None:
        """Be idle no longer. `silent_ticks`: for how long the node of the leader has certainly been silent."""
        if self.quiesced:
            self.quiesced = False
            if not self.is_leader:
                self.calls_since_heard = silent_ticks
            self.reset_election_timer()
            self.election_elapsed = min(silent_ticks, self.settings.election_ticks)
            self._role.woken()

    def campaign(self, transfer: bool = False) -> None:
        """Stand for election, if this replica may; `transfer` when the leader wants it. Timers call this too.

        A single voter leads as soon as its vote is durable. A replica with a change of membership that is
        committed and not applied waits: with the voters of before it could be elected beside another.
        """
        if self.is_leader:
            return
        self.wake()
        self.reset_election_timer()
        voter = self.id in self.configuration.all_voters
        if not voter or self.log.snapshot is not None or self.log.committed_configs_wait():
            return
        if transfer:
            self.become_candidate(transfer=True)
            return
        role = PreCandidate(self)
        self._take_role(role, NO_REPLICA)
        role.begin()

    # ---- work for the driver

    def ready(self) -> Ready | None:
        """What is to be done now, or None. What is returned is not returned again."""
        self._role.flush()
        log = self.log
        to_persist = log.saved != log.last_index or log.snapshot_unsaved
        committed: Sequence[Entry] = ()
        if log.handed_out < log.commit and log.handed_out < log.durable:
            committed = log.take_committed(self.settings.apply_bytes_max)
            self._role.on_handed_out(committed)
        elif not (to_persist or self._messages or self._after_persist or self._changed or self.reads):
            return None
        hard_state = leadership = None
        if self._changed:
            hard_state, leadership = self._take_changes()
        number = 0
        messages: Sequence[Message] = ()
        after_persist: Sequence[Message] = ()
        if self._messages:
            messages, self._messages = self._messages, []
        if self._after_persist:
            after_persist, self._after_persist = self._after_persist, []
        work = Ready(0, messages, hard_state, None, None, (), after_persist, committed, (), leadership)
        if to_persist or hard_state is not None or (after_persist and log.writes):
            self._number = work.number = number = self._number + 1
            work.snapshot, work.truncate_from = log.unsaved_snapshot(), log.truncated_from
            work.entries = log.take_unsaved()
            log.begin_write(number, self._saved_hard_state)
        elif after_persist:
            # Nothing to wait for: promises that are already kept may go at once.
            work.messages, work.messages_after_persist = [*messages, *after_persist], ()
        if self.reads:
            work.reads, self.reads = self.reads, []
        return work

    def ready_committed(self) -> Sequence[Entry]:
        """What is to be applied now, alone: everything else stays for the next `ready`.

        For a driver that gathers more proposals before it appends again, but applies at once.
        """
        log = self.log
        if log.handed_out >= log.commit or log.handed_out >= log.durable:
            return ()
        committed = log.take_committed(self.settings.apply_bytes_max)
        self._role.on_handed_out(committed)
        return committed

    def _take_changes(self) -> tuple[HardState | None, Leadership | None]:
        """Term, vote and leadership, where they differ from what was handed out last."""
        self._changed = False
        hard_state = self.hard_state_to_save()
        leadership = self.leadership()
        saved, announced = self._saved_hard_state, self._announced
        self._saved_hard_state, self._announced = hard_state, leadership
        return hard_state if hard_state != saved else None, leadership if leadership != announced else None

    def hard_state_to_save(self) -> HardState:
        """Term and vote as they are to be made durable."""
        return HardState(self.term, self.vote)

    # ---- what can be asked

    @property
    def is_leader(self) -> bool:
        """Whether this replica leads."""
        return self._role.name is RoleName.LEADER

    @property
    def role(self) -> Role:
        """The present role; what only a leader knows is there."""
        return self._role

    def leadership(self) -> Leadership:
        """Role, term, and who leads."""
        return Leadership(self._role.name, self.term, self.leader)

    def replicated_by_all(self) -> int:
        """As a leader: the highest index that every member which is not behind a snapshot has durable.

        Compacting the log only up to here keeps followers from needing a snapshot. 0 when not leading.
        """
        role = self._role
        if not isinstance(role, Leader):
            return 0
        return min(member.match for member in role.tracker.members.values() if member.state is not SNAPSHOT)

    def statistics(self) -> dict[str, Any]:
        """The state of this replica for people and metrics; `members` only at a leader."""
        log = self.log
        found: dict[str, Any] = {
            "role": self._role.name.value,
            "term": self.term,
            "leader": self.leader,
            "commit": log.commit,
            "applied": log.applied,
            "durable": log.durable,
            "last_index": log.last_index,
            "quiesced": self.quiesced,
            "voters": sorted(self.configuration.voters),
            "outgoing": sorted(self.configuration.outgoing),
            "learners": sorted(self.configuration.learners | self.configuration.learners_next),
        }
        role = self._role
        if isinstance(role, Leader):
            found["members"] = {
                member.id: {"state": member.state.value, "match": member.match, "active": member.active}
                for member in role.tracker.members.values()
            }
            found["behind"] = sum(member.state in (PROBE, SNAPSHOT) for member in role.tracker.followers)
            found["uncommitted_bytes"] = role.uncommitted_bytes
        return found

    # ---- for the roles

    def send(self, message: Message) -> None:
        """Put a message out that promises nothing about what is durable."""
        self._messages.append(message)

    def send_after_persist(self, message: Message) -> None:
        """Put a message out that waits until everything that has been changed so far is durable."""
        self._after_persist.append(message)

    def send_with_durable_term(self, message: Message) -> None:
        """Answer a leader: that binds us (lease.py), and is to be so even if we crash."""
        durable = self.log.durable_hard_state.term == self.term
        (self._messages if durable else self._after_persist).append(message)

    def bound_to_leader(self) -> bool:
        """Whether this replica heard a leader so recently, or leads, that it helps nobody else to lead."""
        return self.is_leader or self.calls_since_heard < self.settings.election_ticks

    def promise_left(self) -> int:
        """For how many ticks a leader may rely on answers we gave it."""
        return promise_left(self.calls_since_heard, self.settings.lease_ticks)

    def set_configuration(self, configuration: Configuration) -> None:
        """Take over a configuration that was applied or came with a snapshot."""
        self.configuration = configuration
        self.lease_until = 0
        self._role.on_configuration()

    def go_idle(self) -> None:
        """Stop the timers until something wakes us."""
        self.quiesced = True

    def _wakes(self, message: Message) -> bool:
        if isinstance(message, Heartbeat):
            return not message.quiesce or message.term != self.term
        # Late answers are no reason to get up, unless they are from another term.
        return message.term != self.term or not isinstance(message, AppendReply | HeartbeatReply)

    def reset_election_timer(self) -> None:
        """Begin a new election timeout of one to two times election_ticks."""
        ticks = self.settings.election_ticks
        self.election_elapsed = 0
        self.election_timeout = ticks + self._rng.randrange(ticks)

    # ---- changes of role: all of them, and nowhere else
    #
    #                 timeout              won                   durable, won
    #      follower ──────────▶ pre-candidate ─────▶ candidate ─────────────▶ leader
    #         │ ▲                    │                │   ▲                     │
    #         │ └────────────────────┴────────────────┴───│─────────────────────┘
    #         │      lost, healthy answer, later term, leader heard, no quorum  │
    #         └───────────────────────────────────────────┘
    #                ordered by the leader to lead

    def _take_role(self, role: Role, leader: int) -> None:
        self._role = role
        self.leader = leader
        self.lease_until = 0
        self.quiesced = False
        self._changed = True
        self.reset_election_timer()

    def follow(self, leader: int) -> None:
        """A follower without a leader has found one."""
        assert self.leader == NO_REPLICA, f"{leader} and {self.leader} both lead term {self.term}"
        self.leader = leader
        self._changed = True

    def cast_vote(self, candidate: int) -> None:
        """Vote in this term; it counts when it is durable."""
        assert self.vote in (NO_REPLICA, candidate)
        self.vote = candidate
        self.election_elapsed = 0
        self._changed = True

    def become_follower(self, term: int, leader: int) -> None:
        """Follow `leader`, or nobody yet."""
        assert term >= self.term
        if term != self.term:
            self.term = term
            self.vote = NO_REPLICA
            self.leader_round = 0
        self._take_role(Follower(self), leader)

    def become_candidate(self, transfer: bool = False) -> None:
        """Stand for election in the next term, with our own vote."""
        assert not self.is_leader, "a leader does not stand for election"
        self.term += 1
        self.vote = self.id
        self.leader_round = 0
        role = Candidate(self, transfer)
        self._take_role(role, NO_REPLICA)
        role.begin()

    def become_leader(self, lease_ticks: int) -> None:
        """Lead; earlier leaders may have leases for `lease_ticks` yet."""
        assert isinstance(self._role, Candidate), "only a candidate can become the leader"
        role = self.leader_class(self, lease_ticks)
        self._take_role(role, self.id)
        role.begin()
