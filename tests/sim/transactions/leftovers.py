"""What transactions leave behind: locks in the engines, rows in the ledger, entries of indexes."""

from __future__ import annotations

from typing import Any

import orjson
from hashrange_node.storage import keyspace

from hashrange.model import record as records
from hashrange.model.ledger import LEDGER_TABLE, committed_in
from tests.sim.whole import WholeCluster


def _leaders(cluster: WholeCluster) -> list[tuple[Any, Any]]:
    """Node and group of the leader of every partition that has one."""
    found = []
    for placement in cluster.partitions():
        for machine in cluster.machines.values():
            if machine.up:
                group = machine.node.driver.groups.get(placement["id"])
                if group is not None and group.serving:
                    found.append((machine.node, group))
    return found


def locks(cluster: WholeCluster) -> list[str]:
    """Locks at the leaders of all partitions."""
    found = []
    for node, group in _leaders(cluster):
        place = group.place
        for key, value in node.engine.scan(
            *keyspace.hashes_of(place.store, keyspace.LOCKS, place.lo, place.hi)
        ):
            found.append(f"lock in partition {group.id}: {key[18:]!r} {value!r}")
    return found


def committed(cluster: WholeCluster) -> list[dict[str, Any]]:
    """Rows of the ledger that say of a transaction that it was committed and is not finished."""
    found = []
    for node, group in _leaders(cluster):
        replica = node.replicas.get(group.id)
        if replica is None or replica.schema.name != LEDGER_TABLE:
            continue
        for row in _stored(node, group, keyspace.ITEMS):
            if row["id"]["S"].startswith("x#") and committed_in(row) and "participants" in row:
                found.append(row)
    return found


def index_differs(cluster: WholeCluster) -> list[str]:
    """Items of indexed tables that an index does not have, or has otherwise, and entries that no item has."""
    items: dict[str, dict[str, Any]] = {}
    entries: dict[str, dict[str, Any]] = {}
    for node, group in _leaders(cluster):
        replica = node.replicas.get(group.id)
        if replica is None or not (replica.schema.gsis or replica.schema.lsis):
            continue
        found = items if replica.index_name is None else entries
        for item in _stored(node, group, keyspace.ITEMS):
            if "v" in item:
                found[item["pk"]["S"]] = item
        if replica.schema.lsis:
            entries.update((entry["pk"]["S"], entry) for entry in _stored(node, group, 1))
    names = [name for name in sorted({*items, *entries}) if items.get(name) != entries.get(name)]
    return [f"{name}: item {items.get(name)}, in the index {entries.get(name)}" for name in names]


def _stored(node: Any, group: Any, space: int) -> list[dict[str, Any]]:
    """The items or entries in a space of a partition."""
    place = group.place
    bounds = keyspace.hashes_of(place.store, space, place.lo, place.hi)
    return [orjson.loads(records.item_json(value)) for _, value in node.engine.scan(*bounds)]
