"""How well the partitions of a node are replicated, and the disk and clock it needs for that, on its metrics page."""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf
from pathlib import Path

from hashrange_node.groups import AWAY_S
from hashrange_node.node import Node
from hashrange_node.raft.leader import Leader
from hashrange_node.raft.progress import SNAPSHOT
from hashrange_node.replica.group import Group

from hashrange.runtime.clock import wall_ms_of
from hashrange.runtime.telemetry import Telemetry


def register_replica_metrics(telemetry: Telemetry, node: Node) -> None:
    """Make them visible on /metrics; every replica is looked at once for each of them, at each scrape."""
    groups = node.driver.groups

    def count(wanted: Callable[[Group], bool]) -> Callable[[], float]:
        return lambda: sum(wanted(group) for group in groups.values())

    telemetry.gauge(
        "hashrange_partitions_leaderless",
        "Partitions with a replica on this node of which it knows no leader.",
        count(lambda group: group.leader_node is None and not group.damaged),
    )
    telemetry.gauge(
        "hashrange_partitions_under_replicated",
        "Partitions led by this node that lack a replica: away, or so far behind that it needs a snapshot.",
        count(lambda group: _lacking(node, group) == inf),
    )
    telemetry.gauge(
        "hashrange_partitions_damaged",
        "Replicas on this node that cannot go on because of damage.",
        count(lambda group: bool(group.damaged)),
    )
    telemetry.gauge(
        "hashrange_replication_lag_entries",
        "Entries that the replica furthest behind lacks, over the partitions led by this node.",
        lambda: max((lag for group in groups.values() if (lag := _lacking(node, group)) != inf), default=0.0),
    )
    telemetry.gauge(
        "hashrange_control_leading",
        "1 at the node that leads the control plane.",
        lambda: node.groups.control.serving,
    )
    telemetry.gauge(
        "hashrange_catalogue_index", "How far the catalogue is known.", lambda: node.catalogue.index
    )
    telemetry.gauge(
        "hashrange_stamp_ahead_seconds",
        "By how much the newest stamp seen is ahead of this node's clock.",
        lambda: max(0.0, (wall_ms_of(node.stamps.last) - wall_ms_of(node.stamps.wall)) / 1000),
    )


def register_disk_metrics(telemetry: Telemetry, directory: Path) -> None:
    """Make the room on the file system of a data directory visible on /metrics."""
    telemetry.gauge(
        "hashrange_disk_free_bytes",
        "Free bytes of the data directory's file system.",
        lambda: _free(directory),
    )
    telemetry.gauge(
        "hashrange_disk_size_bytes", "Size of the data directory's file system.", lambda: _size(directory)
    )


def _lacking(node: Node, group: Group) -> float:
    """Entries that the furthest voter of a group led here lacks; infinite when one is away or needs a snapshot."""
    leader, peers = group.core.role, node.peers
    if not group.serving or peers is None or not isinstance(leader, Leader):
        return 0.0
    newest, voters = group.core.log.last_index, group.core.configuration.voters
    most = 0.0
    for member in leader.tracker.followers:
        if member.id not in voters:
            continue
        place = group.nodes.get(member.id)
        if place is None or member.state is SNAPSHOT or peers.silent_s(place) > AWAY_S:
            return inf
        most = max(most, newest - member.match)
    return most


def _free(directory: Path) -> float:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _size(directory: Path) -> float:
    found = os.statvfs(directory)
    return found.f_blocks * found.f_frsize
