"""What can be set about a replica, in ticks and bytes; checked as a whole when it is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MIB = 1 << 20


class Rng(Protocol):
    """The source of chance for election timeouts; `random.Random` is one."""

    def randrange(self, stop: int, /) -> int:
        """A number in [0, stop)."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and times of one group; the same at all its replicas (leases depend on it).

    election_ticks: a follower that hears nothing for this long, and up to as much again by chance, stands for
        election; a voter that heard its leader more recently refuses; a leader without answers from a
        quorum within it steps down.
    heartbeat_ticks: between heartbeats. A tenth of election_ticks is usual.
    lease_ticks: for how long an answer to a leader binds the voter; 0 for no lease at all. With at most
        election_ticks - 2 an elected leader never has to wait for an old lease; more makes leases outlast
        short gaps and fail-over slower.
    drift_ticks: by how much the clocks of two replicas may drift apart during lease_ticks.
    append_bytes_max: of entries in one message; a single larger entry goes alone.
    inflight_messages_max, inflight_bytes_max: sent to one follower and not acknowledged.
    uncommitted_bytes_max: of proposals at a leader; beyond it proposals are refused. One is always let in.
    apply_bytes_max: of entries handed out for application in one Ready.
    reads_max: reads by quorum waiting at a leader; beyond it they are refused.
    """

    election_ticks: int = 10
    heartbeat_ticks: int = 1
    lease_ticks: int = 8
    drift_ticks: int = 1
    append_bytes_max: int = MIB
    inflight_messages_max: int = 256
    inflight_bytes_max: int = 16 * MIB
    uncommitted_bytes_max: int = 64 * MIB
    apply_bytes_max: int = 16 * MIB
    reads_max: int = 10_000

    def __post_init__(self) -> None:
        if self.heartbeat_ticks < 1:
            raise ValueError("heartbeat_ticks must be at least 1")
        if self.election_ticks <= self.heartbeat_ticks:
            raise ValueError("election_ticks must be more than heartbeat_ticks")
        if self.drift_ticks < 0:
            raise ValueError("drift_ticks must not be negative")
        if self.lease_ticks and self.lease_ticks <= self.drift_ticks + self.heartbeat_ticks:
            raise ValueError("lease_ticks must be 0 or more than drift_ticks + heartbeat_ticks")
        for name in ("append_bytes_max", "inflight_messages_max", "apply_bytes_max", "reads_max"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.inflight_bytes_max < self.append_bytes_max:
            raise ValueError("inflight_bytes_max must be at least append_bytes_max")
        if self.uncommitted_bytes_max < 1:
            raise ValueError("uncommitted_bytes_max must be at least 1")
