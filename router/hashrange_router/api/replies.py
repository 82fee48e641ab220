"""Bodies of replies, put together from stored bytes: items are spliced in, never decoded."""

from __future__ import annotations

from typing import Any

import orjson

from hashrange.errors import CONDITION_FAILED, ApiError
from hashrange.model.table_units import CapacityTally, consumed_table_only, consumed_total, write_units_half
from hashrange.wire.messages import WriteResult
from hashrange_router.api.call import Call

EMPTY = b"{}"


def consumed_json(mode: str | None, table: str, half_units: int) -> bytes:
    """`"ConsumedCapacity":{...}` of an operation that touched no index, or nothing when not asked for."""
    if mode is None or mode == "NONE":
        return b""
    build = consumed_total if mode == "TOTAL" else consumed_table_only
    return b'"ConsumedCapacity":' + orjson.dumps(build(table, half_units))


def tally_of(table: str, result: WriteResult) -> CapacityTally:
    """What one write consumed of the table and its indexes."""
    tally = CapacityTally(table)
    add_write(tally, result)
    return tally


def add_write(tally: CapacityTally, result: WriteResult) -> None:
    """Count one write: the larger of the old and the new item, and each touched index."""
    size = max(result.old_size, result.new_size)
    tally.add_table(write_units_half(size))
    if result.index_units is not None:
        for kind, name, half in result.index_units:
            tally.add_index(kind, name, half)


def charge_failed(call: Call, error: ApiError) -> int:
    """Count what a write consumed that failed: only a failed condition costs, by the size of the item there is.

    Returns the half units (DynamoDB Developer Guide, capacity unit consumption for write operations).
    """
    if error.type_name != CONDITION_FAILED:
        return 0
    call.write_units_half = half = write_units_half(error.item_size)
    return half


def write_reply(call: Call, mode: str | None, table: str, result: WriteResult, metrics: Any) -> bytes:
    """The body of PutItem, UpdateItem and DeleteItem, and the units for the metrics."""
    if result.index_units is None and (mode is None or mode == "NONE"):
        size = max(result.old_size, result.new_size)
        call.write_units_half = write_units_half(size)
        if result.attributes is None and metrics is None:
            return EMPTY
        consumed = b""
    else:
        tally = tally_of(table, result)
        call.write_units_half = tally.total_half
        rendered = tally.render(mode or "NONE")  # type: ignore[arg-type]
        consumed = b'"ConsumedCapacity":' + orjson.dumps(rendered) if rendered is not None else b""
    parts = []
    if result.attributes is not None:
        parts.append(b'"Attributes":' + result.attributes)
    if consumed:
        parts.append(consumed)
    if metrics is not None:
        parts.append(b'"ItemCollectionMetrics":' + orjson.dumps(metrics))
    return b"{" + b",".join(parts) + b"}"
