"""What the core hands to its driver, and in which order the driver has to deal with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .messages import NO_REPLICA, Entry, HardState, Message, Snapshot


class RoleName(Enum):
    """What a replica is at the moment."""

    FOLLOWER = "follower"  # learners are followers too
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Leadership:
    """Who leads, as this replica knows it. `leader` is NO_REPLICA when it does not know.

    When a replica stops being LEADER, the outcome of its proposals that are not applied is unknown, and its
    pending reads get no answer any more: the driver fails both.
    """

    role: RoleName = RoleName.FOLLOWER
    term: int = 0
    leader: int = NO_REPLICA


@dataclass(slots=True)
class ReadState:
    """A read by quorum is confirmed: it may be answered once everything up to `index` is applied."""

    index: int
    context: Any


@dataclass(slots=True)
class Ready:
    """Work for the driver. The order of the fields is the order of the work.

    The driver may begin on the next Ready before the writes of this one are durable, as long as writes become
    durable in the order they were handed out, and a crash loses a suffix of them, never a middle.

    number: 0 when nothing has to be persisted. Otherwise the driver calls `RaftCore.persisted(number)` once
        this Ready's and all earlier Readys' `hard_state`, `snapshot`, `truncate_from` and `entries` are
        durable. (It can be set although those four are empty: then the call waits for the earlier ones only.)
    messages: to be sent at once, whether anything is durable or not. Any may be lost, doubled or overtaken.
    hard_state: to be made durable, before the entries of this Ready. None when it has not changed.
    snapshot: to be installed, replacing the state machine and the whole log; None when there is none. Entries
        of this Ready come after it. Handed out only when everything handed out before it was applied.
    truncate_from: index from which on all entries handed out earlier are void, or None. The log must record
        that before the entries that take their place.
    entries: to be appended to the log. Shared with other replicas in the same process: not changed by anyone.
        Storage must be able to give them back no later than `persisted(number)` is called.
    messages_after_persist: to be sent once `persisted(number)` could be called, and never otherwise: they
        promise what is in this Ready. Empty when `number` is 0.
    committed: to be applied to the state machine, in order; all of them are durable here. Of each CONFIG
        entry the driver calls `RaftCore.apply_config`, and stores its result with the entry's effects. Then
        it calls `RaftCore.applied`. The state machine needs no sync of its own as long as the log is kept.
    reads: reads by quorum that have been confirmed.
    leadership: set when role, term or leader have changed.
    """

    number: int = 0
    messages: Sequence[Message] = ()
    hard_state: HardState | None = None
    snapshot: Snapshot | None = None
    truncate_from: int | None = None
    entries: Sequence[Entry] = ()
    messages_after_persist: Sequence[Message] = ()
    committed: Sequence[Entry] = ()
    reads: Sequence[ReadState] = ()
    leadership: Leadership | None = None
