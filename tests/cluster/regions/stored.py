"""The versions of a table's items in the data directories of a region that was stopped.

Every key that ever was is in a region either as an item or as a tombstone; whichever of the two is greater is its
version. The replica of each partition that has applied most is read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import orjson
from hashrange_node.storage import keyspace
from hashrange_node.storage.rocks import RocksEngine

from hashrange.model import record as records

PLACEMENT_PREFIX = b"Cp"
ROUTE = 8
"""Bytes of a relative key before the key itself: its hash."""


class Version(NamedTuple):
    """What a region has of a key: version, and the item's JSON, None of a tombstone."""

    stamp: int
    region: int
    item: bytes | None

    @property
    def order(self) -> tuple[int, int]:
        """What decides which of two wins."""
        return self.stamp, self.region

    @property
    def value(self) -> str | None:
        """The item's member `v`."""
        if self.item is None:
            return None
        value: str | None = orjson.loads(self.item).get("v", {}).get("S")
        return value


def versions(data_directories: dict[int, Path], table: str) -> dict[bytes, Version]:
    """Relative key to version; nothing may run on the directories."""
    engines = {node: RocksEngine(_rocks(path)) for node, path in sorted(data_directories.items())}
    try:
        found: dict[bytes, Version] = {}
        for placement in _placements(engines, table):
            candidates = [
                (applied, engine)
                for engine in engines.values()
                if (applied := _applied(engine, placement["id"])) is not None
            ]
            if candidates:
                _, engine = max(candidates, key=lambda each: each[0])
                _read(engine, placement, found)
        return found
    finally:
        for engine in engines.values():
            engine.close()


def _rocks(path: Path) -> Path:
    return path / "rocks"


def _placements(engines: dict[int, RocksEngine], table: str) -> list[dict[str, Any]]:
    newest: dict[int, dict[str, Any]] = {}
    for engine in engines.values():
        for _, value in engine.scan(PLACEMENT_PREFIX, PLACEMENT_PREFIX + b"\xff" * 9):
            placement = orjson.loads(value)
            known = newest.get(placement["id"])
            if known is None or placement["conf"] > known["conf"]:
                newest[placement["id"]] = placement
    if not newest:
        return _of_embedded(engines, table)
    return [
        each
        for each in newest.values()
        if not each.get("successors") and each["table"] == table and not each["index"]
    ]


def _of_embedded(engines: dict[int, RocksEngine], table: str) -> list[dict[str, Any]]:
    """An embedded server places nothing: what the catalogue has of a table is on its only node."""
    for engine in engines.values():
        document = engine.get(b"Ct" + table.encode())
        if document is not None:
            return [{**each, "store": each["id"]} for each in orjson.loads(document)["Partitions"]]
    return []


def _applied(engine: RocksEngine, partition: int) -> int | None:
    state = engine.get(keyspace.group_state(partition))
    return None if state is None else int(msgpack.unpackb(state, strict_map_key=False)[0])


def _read(engine: RocksEngine, placement: dict[str, Any], found: dict[bytes, Version]) -> None:
    low, high = placement["lo"].to_bytes(8, "big"), placement["hi"].to_bytes(8, "big")
    for space in (keyspace.TOMBSTONES, keyspace.ITEMS):
        prefix = keyspace.space_prefix(placement["store"], space)
        for full_key, record in engine.scan(prefix + low, prefix + high + b"\xff" * 2_100):
            key = full_key[len(prefix) :]
            stamp, region = records.item_version(record)
            item = records.item_json(record) if space == keyspace.ITEMS else None
            known = found.get(key)
            if known is None or (stamp, region) > known.order or item is not None:
                found[key] = Version(stamp, region, item)
