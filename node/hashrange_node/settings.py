"""What can be set about replication on a node; the same on all nodes of a cluster (leases depend on it)."""

from __future__ import annotations

from dataclasses import dataclass, field

from hashrange_node.raft.settings import Settings


def default_raft() -> Settings:
    """Raft's limits for a tick of 100 ms: fail-over within 2 to 4 seconds, leases of 1.4 s."""
    return Settings(
        election_ticks=18,
        heartbeat_ticks=3,
        lease_ticks=15,
        drift_ticks=1,
        append_bytes_max=512 << 10,
        inflight_bytes_max=4 << 20,
        uncommitted_bytes_max=16 << 20,
        apply_bytes_max=1 << 20,
    )


@dataclass(frozen=True, slots=True)
class ReplicationSettings:
    """Times and limits of the groups of a node.

    tick_ms: length of a Raft tick. quiet_ticks: a group without work for so long goes idle. park_s: for how long a
    message waits for a leader that is about to serve. slow_sync_s: a sync that takes longer makes the node hand
    its leaderships over; stuck_sync_s: one that takes longer ends the process. retention_bytes: log kept for
    followers that are behind; log_memory_bytes: what of it is kept in memory, over all groups.
    snapshot_bytes_per_s: of the state sent to replicas that need it, per node. stream_retention_s: for how long the
    records of a stream are kept; stream_rollover_s: age at which an open shard is closed and another continues it.
    tombstone_retention_s: for how long the deletions of a global table are remembered at least.
    """

    raft: Settings = field(default_factory=default_raft)
    tick_ms: int = 100
    quiet_ticks: int = 50
    park_s: float = 3.0
    slow_sync_s: float = 1.0
    stuck_sync_s: float = 10.0
    retention_bytes: int = 256 << 20
    log_memory_bytes: int = 64 << 20
    snapshot_bytes_per_s: int = 32 << 20
    scrub_interval_s: float = 600.0
    stream_retention_s: float = 86_400.0
    stream_rollover_s: float = 14_400.0
    tombstone_retention_s: float = 604_800.0


@dataclass(slots=True)
class NodeIdentity:
    """Which node this is. `generation` counts its data directories; `standalone` is the embedded server."""

    id: int = 1
    generation: int = 1
    az: str = "local"
    standalone: bool = True
