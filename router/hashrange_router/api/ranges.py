"""Pages of Query and Scan: start keys, the key a page ends with, and the reply.

A page ends at 1 MB of item data before filtering or at `Limit` evaluated entries. A start key names an entry
by its attributes, and need not exist: reading goes on behind the place where it would be.
"""

from __future__ import annotations

from typing import Any

import orjson

from hashrange.errors import ApiError, validation
from hashrange.model.key import KeyCodec
from hashrange.model.key_rules import check_key
from hashrange.model.table import IndexSchema, TableSchema
from hashrange.model.table_units import CapacityTally, read_units_half
from hashrange.model.value import Item, ValueRules
from hashrange.wire.messages import RangeResult
from hashrange_router.api.call import Call
from hashrange_router.api.context import Admission

PAGE_BYTES = 1 << 20
"""Item data of one page of Query or Scan (DynamoDB Developer Guide, Constraints)."""

INVALID_START = "The provided starting key is invalid"


class Source:
    """What a read goes over: the table itself, or one of its indexes."""

    __slots__ = ("budget", "codec", "index", "name", "names", "partitions", "space", "table")

    def __init__(self, table: TableSchema, index: IndexSchema | None) -> None:
        self.table = table
        self.index = index
        self.codec: KeyCodec = table.codec if index is None else index.codec
        self.partitions = table.partitions if index is None else index.partitions
        self.space = 0
        self.budget = index.name if index is not None and index.kind == "GSI" else None
        """The global index whose capacity is used, or None for the table's."""
        names = table.key_names
        if index is not None:
            names = tuple(dict.fromkeys((*index.key_names, *table.key_names)))
            if index.kind == "LSI":
                self.space = 1 + [local.name for local in table.lsis].index(index.name)
        self.names = names

    def last_key(self, entry: bytes) -> Item:
        """The LastEvaluatedKey that names an entry."""
        item: Item = orjson.loads(entry)
        return {name: item[name] for name in self.names}


def open_source(table: TableSchema, request: dict[str, Any]) -> Source:
    """The source a request names; ValidationException for an index that is missing or not ready."""
    name = request.get("IndexName")
    if name is None:
        return Source(table, None)
    index = table.index(name)
    if index.kind == "GSI":
        if not index.readable:
            raise validation(f"Cannot read from backfilling global secondary index: {name}")
        if request.get("ConsistentRead") is True:
            raise validation("Consistent reads are not supported on global secondary indexes")
    return Source(table, index)


def check_start(source: Source, start: Item, rules: ValueRules, detail: bool) -> bytes:
    """The encoded place of an ExclusiveStartKey; `detail` adds Query's half sentence to the error."""
    for value in start.values():
        rules.normalise_value(value)
    try:
        if set(start) != set(source.names):
            raise validation("")
        check_key(source.table.codec, {name: start[name] for name in source.table.key_names})
        encoded = source.codec.encode(start) if source.index is None else source.codec.encode_entry(start)
    except ApiError:
        encoded = None
    if encoded is None:
        suffix = ": The provided key element does not match the schema" if detail else ""
        raise validation(INVALID_START + suffix)
    return encoded


def count_units(call: Call, source: Source, results: list[RangeResult], consistent: bool) -> CapacityTally:
    """What a page consumed: the sum over all evaluated entries, rounded once; fetched items each alone."""
    tally = CapacityTally(source.table.name)
    half = read_units_half(sum(result.size_bytes for result in results), consistent)
    if source.index is None:
        tally.add_table(half)
    else:
        tally.add_index(source.index.kind, source.index.name, half)
        for result in results:
            for size in result.fetched_sizes:
                tally.add_table(read_units_half(size, consistent))
    call.read_units_half = tally.total_half
    return tally


def charge_page(
    admission: Admission, source: Source, results: list[RangeResult], consistent: bool, charged: int = 0
) -> int:
    """Charge what is read of a page so far, less what was `charged` for it before; returns the sum of both.

    A page is rounded once. What a local index fetches is the table's, rounded item by item.
    """
    half = read_units_half(sum(result.size_bytes for result in results), consistent)
    for result in results:
        for size in result.fetched_sizes:
            half += read_units_half(size, consistent)
    if half != charged:
        admission.charge_read(source.table, source.budget, half - charged)
    return half


def page_reply(
    call: Call,
    request: dict[str, Any],
    source: Source,
    results: list[RangeResult],
    last: bytes | None,
    consistent: bool,
) -> bytes:
    """The body of a Query or Scan."""
    mode = request.get("ReturnConsumedCapacity")
    parts = []
    count = scanned = 0
    if request.get("Select") != "COUNT":
        items = results[0].items if len(results) == 1 else [item for r in results for item in r.items]
        parts.append(b'"Items":[' + b",".join(items) + b"]")
    for result in results:
        count += result.count
        scanned += result.scanned
    parts.append(b'"Count":%d,"ScannedCount":%d' % (count, scanned))
    call.returned_items = count
    if last is not None:
        parts.append(b'"LastEvaluatedKey":' + orjson.dumps(source.last_key(last)))
    tally = count_units(call, source, results, consistent)
    if mode is not None and mode != "NONE":
        parts.append(b'"ConsumedCapacity":' + orjson.dumps(tally.render(mode)))
    return b"{" + b",".join(parts) + b"}"
