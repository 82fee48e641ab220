"""What a leader knows of its followers, and how much it may send to each.

A follower is in one of three states:

    PROBE      the leader does not know where the logs agree: one message at a time, until it is answered
    REPLICATE  it does: entries are sent as they come, before earlier ones are acknowledged, within the
               limits on what may be in flight
    SNAPSHOT   what it needs is compacted away: nothing is sent until the snapshot has arrived or failed

          rejected, unreachable               needs what is gone
    REPLICATE ──────────────────▶ PROBE ──────────────────────────▶ SNAPSHOT
        ▲                          │ ▲                                 │  │
        └──────── accepted ────────┘ └────── sent, or failed ──────────┘  │
        ▲                              accepted                           │
        └─────────────────────────────────────────────────────────────────┘
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from .confchange import Configuration
from .quorum import agreed_jointly, has_quorum
from .settings import Settings


class ProgressState(Enum):
    """How the leader sends to a follower."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


PROBE = ProgressState.PROBE
REPLICATE = ProgressState.REPLICATE
SNAPSHOT = ProgressState.SNAPSHOT


class Progress:
    """One member of the group as its leader sees it.

    match: highest index known to be durable there and equal to the leader's log.
    next: index of the next entry to send; in REPLICATE it runs ahead of match.
    probe_sent: in PROBE, a message is unanswered.
    match_seen, stalled: `match` when the last heartbeat was sent, and whether it had not moved since the one
        before although there was something to acknowledge.
    commit_sent: highest commit index it has been told of, unless messages were lost.
    acked_round: latest round it answered (see lease.py).
    active: it answered since the last check of the quorum.
    quiesced: it said that it has gone idle.
    """

    __slots__ = (
        "acked_round",
        "active",
        "commit_sent",
        "id",
        "inflight",
        "inflight_bytes",
        "match",
        "match_seen",
        "next",
        "probe_sent",
        "quiesced",
        "snapshot_index",
        "stalled",
        "state",
    )

    def __init__(self, replica: int, next_index: int) -> None:
        self.id = replica
        self.match = 0
        self.match_seen = 0
        self.stalled = False
        self.next = next_index
        self.state = PROBE
        self.probe_sent = False
        self.inflight: deque[tuple[int, int]] = deque()
        self.inflight_bytes = 0
        self.snapshot_index = 0
        self.commit_sent = 0
        self.acked_round = 0
        self.active = False
        self.quiesced = False

    def __repr__(self) -> str:
        flags = "".join(f" {name}" for name in ("probe_sent", "quiesced") if getattr(self, name))
        flags += "" if self.active else " inactive"
        pending = f" snapshot={self.snapshot_index}" if self.state is SNAPSHOT else ""
        inflight = f" inflight={len(self.inflight)}" if self.inflight else ""
        return f"{self.id}: {self.state.value} match={self.match} next={self.next}{inflight}{pending}{flags}"

    def paused(self, settings: Settings) -> bool:
        """Whether entries must not be sent now."""
        if self.state is REPLICATE:
            return (
                len(self.inflight) >= settings.inflight_messages_max
                or self.inflight_bytes >= settings.inflight_bytes_max
            )
        return self.probe_sent or self.state is SNAPSHOT

    def sent(self, last_index: int, size: int) -> None:
        """Entries up to `last_index`, `size` bytes of them, are on their way."""
        if self.state is REPLICATE:
            self.next = last_index + 1
            self.inflight.append((last_index, size))
            self.inflight_bytes += size
        else:
            self.probe_sent = True

    def acknowledge(self, index: int) -> bool:
        """It has everything up to `index`; says whether that was news."""
        inflight = self.inflight
        while inflight and inflight[0][0] <= index:
            self.inflight_bytes -= inflight.popleft()[1]
        if self.next <= index:
            self.next = index + 1
        if index <= self.match:
            return False
        self.match = index
        return True

    def reject(self, index: int, hint_index: int) -> bool:
        """It does not have our entry at `index` and can agree at `hint_index` at the latest.

        False when that is an answer to something old, which must not take us back.
        """
        if self.state is REPLICATE:
            if index <= self.match:
                return False
            self.become_probe()
            self.next = max(self.match + 1, min(index, hint_index + 1))
            return True
        if self.state is SNAPSHOT or self.next - 1 != index:
            return False
        self.next = max(self.match + 1, min(index, hint_index + 1))
        self.probe_sent = False
        return True

    def _become(self, state: ProgressState) -> None:
        self.state = state
        self.probe_sent = False
        self.snapshot_index = 0
        self.inflight.clear()
        self.inflight_bytes = 0

    def become_probe(self) -> None:
        """Find out where the logs agree; after a snapshot, not before its index."""
        after = max(self.match, self.snapshot_index)
        self._become(PROBE)
        self.commit_sent = 0
        self.next = after + 1

    def become_replicate(self) -> None:
        """The logs agree up to `match`."""
        self._become(REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """A snapshot of `index` is on its way."""
        self._become(SNAPSHOT)
        self.snapshot_index = index


class Tracker:
    """The members of a group: who counts for decisions, and how far each is.

    `members` has everyone including the leader itself, `followers` everyone else; `incoming` and `outgoing`
    are the voters of the two halves of the configuration.
    """

    __slots__ = ("followers", "incoming", "members", "outgoing", "own")

    def __init__(self, own: Progress) -> None:
        self.own = own
        self.members: dict[int, Progress] = {own.id: own}
        self.followers: list[Progress] = []
        self.incoming: list[Progress] = []
        self.outgoing: list[Progress] = []

    def configure(self, configuration: Configuration, next_index: int) -> None:
        """Follow a configuration: known members keep their state, new ones are probed from `next_index`."""
        known = self.members
        self.members = {}
        for replica in sorted(configuration.members):
            progress = known.get(replica)
            if progress is None:
                progress = Progress(replica, next_index)
                # Not to lose the quorum at the next check, before it could answer at all.
                progress.active = True
            self.members[replica] = progress
        self.followers = [progress for progress in self.members.values() if progress is not self.own]
        self.incoming = self.voters_of(configuration.voters)
        self.outgoing = self.voters_of(configuration.outgoing)

    def voters_of(self, half: frozenset[int]) -> list[Progress]:
        """Those who count in one half of the configuration."""
        return [self.members[replica] for replica in sorted(half)]

    def agreed_match(self) -> int:
        """The highest index that a quorum has durable."""
        return agreed_jointly(
            [voter.match for voter in self.incoming], [voter.match for voter in self.outgoing]
        )

    def agreed_round(self) -> int:
        """The latest round that a quorum has answered."""
        return agreed_jointly(
            [voter.acked_round for voter in self.incoming], [voter.acked_round for voter in self.outgoing]
        )

    def quorum_active(self) -> bool:
        """Whether a quorum, the leader counted, answered since the last check; begins the next check."""
        present = [progress.id for progress in self.members.values() if progress.active]
        active = has_quorum(
            [voter.id for voter in self.incoming], [voter.id for voter in self.outgoing], present
        )
        for progress in self.followers:
            progress.active = False
        return active
