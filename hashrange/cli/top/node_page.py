"""What a node tells `hashrange top`: its partitions, how they are used and by which keys, and its disk."""

from __future__ import annotations

import os
from heapq import nlargest
from pathlib import Path
from typing import Any

from hashrange_node.node import Node
from hashrange_node.replica.replica import Replica
from hashrange_node.storage import keyspace

from hashrange.cli.heat_metrics import requests_of
from hashrange.cli.top.page import Part
from hashrange.model.key_decode import decode_key
from hashrange.runtime.telemetry import Telemetry

PARTITIONS_MAX = 1_000
HOT_KEYS = 3


def node_part(node: Node, telemetry: Telemetry, directory: Path | None, show_hot_keys: bool) -> Part:
    """What a node knows: its partitions and its disk. `directory` is None for data in memory."""

    def part() -> dict[str, Any]:
        replicas = [each for each in node.replicas.values() if each.group.core is not None]
        shown = nlargest(PARTITIONS_MAX, replicas, key=requests_of)
        found: dict[str, Any] = {
            "partitions": [_partition(each, show_hot_keys) for each in shown],
            "partitions_left_out": len(replicas) - len(shown),
            "keys_shown": show_hot_keys,
        }
        if directory is not None:
            disk = os.statvfs(directory)
            found["process"] = {
                "disk_free_bytes": disk.f_bavail * disk.f_frsize,
                "disk_total_bytes": disk.f_blocks * disk.f_frsize,
            }
        syncs = telemetry.find_histogram("hashrange_log_fsync_seconds")
        if syncs is not None:
            found["sync_bounds"], found["syncs"] = syncs.bounds, syncs.counts
        return found

    return part


def _partition(replica: Replica, show_hot_keys: bool) -> dict[str, Any]:
    group, heat, place = replica.group, replica.group.heat, replica.place
    items, size_bytes = group.count(keyspace.ITEMS)
    return {
        "id": replica.id,
        "table": replica.schema.name,
        "index": replica.index_name,
        "hash_range": [place.lo, place.hi],
        "leads": group.serving and group.split is None,
        "reads": group.reads_served,
        "writes": group.writes_taken + heat.entries,
        "read_bytes": heat.read_bytes,
        "write_bytes": heat.write_bytes,
        "items": items,
        "size_bytes": size_bytes,
        "hot_keys": _hot_keys(replica) if show_hot_keys else [],
    }


def _hot_keys(replica: Replica) -> list[dict[str, Any]]:
    schema = replica.schema
    codec = schema.codec
    if replica.index_name is not None:
        index = next((each for each in schema.gsis if each.name == replica.index_name), None)
        if index is None:
            return []
        codec = index.codec
    return [
        {
            "key": decode_key(codec, hot.key, hash_only=not hot.whole),
            "whole": hot.whole,
            "share": round(hot.share, 3),
        }
        for hot in replica.group.heat.keys.top(HOT_KEYS)
    ]
