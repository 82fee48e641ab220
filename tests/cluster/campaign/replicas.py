"""Comparing the replicas of every partition in the data directories of a stopped cluster.

Independent of the cluster's own scrub: the engines are opened here and every key that replicas share is read.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import orjson
from hashrange_node.replica.ranges import PartitionRanges
from hashrange_node.storage import keyspace
from hashrange_node.storage.rocks import RocksEngine

PLACEMENT_PREFIX = b"Cp"


@dataclass
class Comparison:
    """`compared` counts replicas; `incomparable` are those that had not applied the same entries."""

    compared: int = 0
    incomparable: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Replica:
    node: int
    applied: int
    entries: int
    digest: str


def compare(data_directories: dict[int, Path]) -> Comparison:
    """Compare all replicas of all partitions; `data_directories` by node id. Nothing may run on them."""
    engines = {node: RocksEngine(path / "rocks") for node, path in sorted(data_directories.items())}
    comparison = Comparison()
    try:
        for partition, placement in _placements(engines).items():
            replicas = []
            for node in (place["node"] for place in placement["replicas"]):
                found = _replica(engines[node], node, placement) if node in engines else None
                if found is None:
                    comparison.incomparable.append(f"partition {partition} has no state on node {node}")
                else:
                    replicas.append(found)
            _judge(partition, replicas, comparison)
    finally:
        for engine in engines.values():
            engine.close()
    return comparison


def _placements(engines: dict[int, RocksEngine]) -> dict[int, dict[str, Any]]:
    """The newest placement that any node knows of each partition that still serves; the control plane's too."""
    newest: dict[int, dict[str, Any]] = {}
    for engine in engines.values():
        for _, value in engine.scan(PLACEMENT_PREFIX, PLACEMENT_PREFIX + b"\xff" * 9):
            placement = orjson.loads(value)
            known = newest.get(placement["id"])
            if known is None or placement["conf"] > known["conf"]:
                newest[placement["id"]] = placement
    return {key: value for key, value in newest.items() if not value.get("successors")}


def _replica(engine: RocksEngine, node: int, placement: dict[str, Any]) -> _Replica | None:
    state = engine.get(keyspace.group_state(placement["id"]))
    if state is None:
        return None
    applied = msgpack.unpackb(state, strict_map_key=False)[0]
    ranges = PartitionRanges(placement["id"], placement["store"], placement["lo"], placement["hi"])
    digest = hashlib.blake2b(digest_size=16)
    entries = 0
    for low, high in ranges.scrubbed:
        for key, value in engine.scan(low, high):
            if ranges.owns(key):
                entries += 1
                digest.update(len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value)
    return _Replica(node, applied, entries, digest.hexdigest())


def _judge(partition: int, replicas: list[_Replica], comparison: Comparison) -> None:
    """Replicas that are equal are equal; those that differ must have applied different entries, and be told of."""
    newest = max((each.applied for each in replicas), default=0)
    for first, second in itertools.combinations(replicas, 2):
        if first.digest == second.digest:
            continue
        told = f"node {first.node} and node {second.node} differ in partition {partition}"
        told += f" ({first.entries} and {second.entries} entries)"
        if first.applied == second.applied:
            comparison.different.append(f"{told} at the same index {first.applied}")
        elif newest in (first.applied, second.applied):
            told += f", which had applied {first.applied} and {second.applied}"
            comparison.incomparable.append(told)
    comparison.compared += len(replicas)
