"""What a transaction that was carried out answers, and what it is charged.

A transaction costs twice as much on the table as single writes and reads do, and once on indexes; a check of a
condition costs what a write of the item would; a repeated request costs reading the items. Source: DynamoDB
Developer Guide, capacity management for transactions.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import orjson

from hashrange.errors import ApiError
from hashrange.model.table_units import CapacityTally, item_collection_metrics, write_units_half
from hashrange.wire.messages import CollectionSize
from hashrange.wire.transactions import CHECK
from hashrange_router.api.call import Call, Each
from hashrange_router.api.context import ANY_EPOCH, RouterContext
from hashrange_router.transactions.actions import Action
from hashrange_router.transactions.coordinator import Outcome

Direction = Literal["READ", "WRITE"]


def charge_outcome(
    context: RouterContext, call: Call, actions: list[Action], outcome: Outcome
) -> list[CapacityTally]:
    """Count what a transaction has consumed, by table."""
    if outcome.replayed:
        return _charge_replay(context, call, actions, outcome.units)
    admission = context.admission
    tallies: dict[str, CapacityTally] = {}
    for action, result in zip(actions, outcome.results, strict=True):
        table = action.table
        tally = tallies.get(table.name)
        if tally is None:
            tally = tallies[table.name] = CapacityTally(table.name, "WRITE")
        half = local = 2 * write_units_half(max(result.old_size, result.new_size))
        tally.add_table(half)
        if result.index_units is not None:
            for kind, name, index_half in result.index_units:
                tally.add_index(kind, name, index_half)
                if kind == "LSI":
                    local += index_half
        if admission is not None:
            admission.charge_write(table, local, result.index_units)
    return told(call, list(tallies.values()), "WRITE")


def _charge_replay(
    context: RouterContext, call: Call, actions: list[Action], units: dict[str, int]
) -> list[CapacityTally]:
    tables = {action.table.name: action.table for action in actions}
    tallies = []
    for name, half in units.items():
        tally = CapacityTally(name, "READ")
        tally.add_table(half)
        tallies.append(tally)
        if context.admission is not None and name in tables:
            context.admission.charge_read(tables[name], None, half)
    return told(call, tallies, "READ")


def told(call: Call, tallies: list[CapacityTally], direction: Direction) -> list[CapacityTally]:
    """Tell the call what it has consumed."""
    total = sum(tally.total_half for tally in tallies)
    if direction == "READ":
        call.read_units_half = total
    else:
        call.write_units_half = total
    return tallies


def consumed(mode: str | None, tallies: list[CapacityTally]) -> bytes:
    """`"ConsumedCapacity":[...]`, or nothing when not asked for."""
    if mode is None or mode == "NONE":
        return b""
    return b'"ConsumedCapacity":' + orjson.dumps([tally.render(mode) for tally in tallies])  # type: ignore[arg-type]


def collection_metrics(context: RouterContext, actions: list[Action]) -> Generator[Any, Any, bytes]:
    """`"ItemCollectionMetrics":{...}` of the tables that have local indexes, or nothing.

    A collection that nobody can measure now is left out: the transaction has been made all the same.
    """
    collections: dict[tuple[str, bytes], Action] = {}
    for action in actions:
        if action.table.lsis and action.write.kind != CHECK:
            hash_name = action.table.key_names[0]
            prefix = action.table.codec.partition_prefix([action.item[hash_name]])
            collections.setdefault((action.table.name, prefix), action)
    if not collections:
        return b""
    sizes = yield Each(
        CollectionSize(action.write.partition, ANY_EPOCH, prefix)
        for (_, prefix), action in collections.items()
    )
    metrics: dict[str, list[Any]] = {}
    for ((table, _), action), size in zip(collections.items(), sizes, strict=True):
        if not isinstance(size, ApiError):
            hash_name = action.table.key_names[0]
            metrics.setdefault(table, []).append(
                item_collection_metrics(hash_name, action.item[hash_name], size)
            )
    return b'"ItemCollectionMetrics":' + orjson.dumps(metrics) if metrics else b""
