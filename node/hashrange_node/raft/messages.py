"""What replicas of a group say to one another, and what a log holds.

Values, not behaviour: nobody changes a message or an entry after building it, and replicas in one process may
share them. `sender` and `to` are replica ids, `term` is the sender's term unless a class says otherwise. The
group a message belongs to is the carrier's business. Entries carry their payload as an opaque object; `size`
is what it counts against limits in bytes.

A `round` numbers what a leader sent (see lease.py): answers repeat it, so that the leader knows which of its
questions an answer is later than. Round 0 asks for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .confchange import Configuration

NO_REPLICA = 0

# What an entry is. The numbers are part of the stored form.
DATA = 0  # a proposal
NOOP = 1  # the first entry of a term: a leader counts replicas only for entries of its own term
CONFIG = 2  # a change of membership; payload: ConfChange, or its encoded form once it has been stored


@dataclass(slots=True)
class Entry:
    """One place of the log."""

    index: int
    term: int
    kind: int
    payload: Any
    size: int


@dataclass(frozen=True, slots=True)
class HardState:
    """What a replica must never forget: its term, and whom it voted for in it (NO_REPLICA: nobody)."""

    term: int = 0
    vote: int = NO_REPLICA


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after all entries up to `index`, the last of them of `term`.

    `configuration` is the membership at that entry. `data` is the carrier's handle on the state itself.
    """

    index: int
    term: int
    configuration: Configuration
    data: Any = None


@dataclass(slots=True)
class Message:
    """What all messages have."""

    sender: int
    to: int
    term: int


@dataclass(slots=True)
class Append(Message):
    """Leader to follower: entries that follow the one at `prev_index`, which is of `prev_term`.

    Without entries it asks whether the logs agree up to there. `commit` is the leader's commit index.
    """

    prev_index: int
    prev_term: int
    entries: list[Entry]
    commit: int
    round: int


@dataclass(slots=True)
class AppendReply(Message):
    """Follower to leader: everything up to `index` equals the leader's log and is durable.

    `rejected`: the entry at `index` is not what the leader thinks; the follower's log can agree with the
    leader's at `hint_index` (of `hint_term`) at the latest. `needs_snapshot`: the follower has no state at
    all to append to. With a term higher than the receiver's it only says that the receiver leads no longer.
    """

    index: int
    round: int
    rejected: bool = False
    hint_index: int = 0
    hint_term: int = 0
    needs_snapshot: bool = False


@dataclass(slots=True)
class Heartbeat(Message):
    """Leader to follower: I lead; entries up to `commit` (which you have) are committed.

    `quiesce`: I am about to go idle; do so too if you have everything.
    """

    commit: int
    round: int
    quiesce: bool = False


@dataclass(slots=True)
class HeartbeatReply(Message):
    """Follower to leader: I heard `round` and take you for the leader. `quiesced`: and I am idle now."""

    round: int
    quiesced: bool = False


@dataclass(slots=True)
class VoteRequest(Message):
    """Candidate to voter: my log ends with (`last_index`, `last_term`); vote for me in `term`.

    `pre`: would you, if I stood in `term`? (The sender's own term is one less.) `transfer`: the leader of the
    term before asked me to; it serves no reads from its lease any more. Everything up to `commit`, which is of
    `commit_term`, is committed.
    """

    last_index: int
    last_term: int
    commit: int
    commit_term: int
    pre: bool = False
    transfer: bool = False


@dataclass(slots=True)
class VoteReply(Message):
    """Voter to candidate. A granted `pre` vote carries the term asked for, everything else the voter's.

    `healthy` with a refusal: I hear a leader, so the fault is yours. `lease_ticks` with a vote: for how many
    ticks the leader before may still serve reads on the strength of my answers to it. `commit`, `commit_term` as
    in the request.
    """

    granted: bool
    commit: int
    commit_term: int
    pre: bool = False
    healthy: bool = False
    lease_ticks: int = 0


@dataclass(slots=True)
class InstallSnapshot(Message):
    """Leader to follower: what you miss is gone from my log; take this state.

    The carrier may send the data of the snapshot by another way and deliver this message when it is there; it
    is ignored while entries that were handed out are not applied yet. The carrier at the leader reports the
    outcome with `RaftCore.report_snapshot`.
    """

    snapshot: Snapshot
    round: int


@dataclass(slots=True)
class TimeoutNow(Message):
    """Leader to the voter that is to lead next: stand for election at once."""

    round: int
