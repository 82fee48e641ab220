"""What the roles have in common: the events they can meet, and what happens when a role does not care.

A role object lives as long as the role: what only a leader knows is gone when it leads no more. The core sorts
out terms first, so a role sees messages of the present term only (and pre-votes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .messages import (
    Append,
    AppendReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    TimeoutNow,
    VoteReply,
)
from .ready import RoleName
from .refusal import Refusal

if TYPE_CHECKING:
    from .confchange import ConfChange
    from .core import RaftCore


class Role:
    """The behaviour of a replica in one role; the base refuses requests and ignores messages."""

    __slots__ = ("core",)

    name: ClassVar[RoleName]

    def __init__(self, core: RaftCore) -> None:
        self.core = core

    # ---- time and requests of the driver

    def tick(self) -> None:
        """One tick has passed."""
        core = self.core
        core.calls_since_heard += 1
        core.election_elapsed += 1
        if core.election_elapsed >= core.election_timeout:
            core.campaign()

    def propose(self, kind: int, payload: Any, size: int) -> int | Refusal:
        """Append an entry; only leaders can."""
        return Refusal.NOT_LEADER

    def propose_change(self, change: ConfChange) -> int | Refusal:
        """Append a change of membership; only leaders can."""
        return Refusal.NOT_LEADER

    def read_index(self, context: Any) -> Refusal | None:
        """Confirm by quorum that this replica still leads; only leaders can."""
        return Refusal.NOT_LEADER

    def renew_lease(self) -> int:
        """The tick in which the lease ends; 0 for no lease."""
        return 0

    def transfer(self, target: int) -> Refusal | None:
        """Hand leadership over; only leaders can."""
        return Refusal.NOT_LEADER

    def quiesce(self) -> Refusal | None:
        """Go idle; only leaders can begin that."""
        return Refusal.NOT_LEADER

    def woken(self) -> None:
        """The group was idle and is not any more."""

    # ---- what happens in the core

    def flush(self) -> None:
        """Put messages that have been waiting for the end of the batch into the core's lists."""

    def on_persisted(self) -> None:
        """More of the log, or the hard state, is durable."""

    def on_handed_out(self, entries: Sequence[Entry]) -> None:
        """Entries are on their way to the state machine."""

    def on_applied(self) -> None:
        """More entries are applied."""

    def on_configuration(self) -> None:
        """The membership has changed."""

    # ---- messages of the present term

    def on_append(self, message: Append) -> None:
        """A leader of this term sent entries."""

    def on_heartbeat(self, message: Heartbeat) -> None:
        """A leader of this term says that it leads."""

    def on_install_snapshot(self, message: InstallSnapshot) -> None:
        """A leader of this term sent a snapshot."""

    def on_append_reply(self, message: AppendReply) -> None:
        """A follower answered entries, or a snapshot."""

    def on_heartbeat_reply(self, message: HeartbeatReply) -> None:
        """A follower answered a heartbeat."""

    def on_vote_reply(self, message: VoteReply) -> None:
        """A voter answered."""

    def on_timeout_now(self, message: TimeoutNow) -> None:
        """A leader of this term wants this replica to lead."""
