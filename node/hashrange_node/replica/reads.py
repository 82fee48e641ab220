"""Reading a run of items: paging, filter and projection, close to the data.

Entries are consumed within one call, so the engine's view is stable. An item is decoded only when a filter
or a projection needs it; otherwise its stored bytes are the answer.
"""

from __future__ import annotations

import orjson

from hashrange.model import record as records
from hashrange.model.key import KeyCodec
from hashrange.model.value import Item, dump
from hashrange.wire.messages import RangeResult, ReadRange
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine

HEADER = records.HEADER_SIZE


def read_range(engine: Engine, request: ReadRange, table_codec: KeyCodec | None) -> RangeResult:
    """Answer a `ReadRange`. `table_codec` is needed when a local index fetches whole items."""
    prefix = keyspace.space_prefix(request.partition, request.space)
    result = RangeResult()
    limit = request.limit
    max_bytes = request.max_bytes
    keep = _keeper(engine, request, table_codec, result)
    record: bytes | None = None
    total = 0
    scanned = 0
    for _, entry in engine.scan(prefix + request.low, prefix + request.high, request.reverse):
        size = records.size(entry)
        if scanned == limit or (total + size > max_bytes and scanned):
            assert record is not None
            result.last = record[HEADER:]
            break
        total += size
        scanned += 1
        record = entry
        keep(entry)
    else:
        if scanned == limit and record is not None:
            result.last = record[HEADER:]
    result.scanned = scanned
    result.size_bytes = total
    if request.count_only and request.filter is None:
        result.count = scanned
    return result


def _keeper(engine: Engine, request: ReadRange, table_codec: KeyCodec | None, result: RangeResult):  # type: ignore[no-untyped-def]
    """The function applied to each entry, chosen once: most reads neither filter nor project."""
    items = result.items
    matches = request.filter.matches if request.filter is not None else None
    projection = request.projection
    count_only = request.count_only
    if matches is None and count_only:
        return lambda entry: None
    if matches is None and projection is None and not request.fetch:

        def keep_bytes(entry: bytes) -> None:
            items.append(entry[HEADER:])
            result.count += 1

        return keep_bytes

    def keep(entry: bytes) -> None:
        item: Item = orjson.loads(entry[HEADER:])
        stored = entry
        if request.fetch:
            assert table_codec is not None
            key = keyspace.space_prefix(request.partition, keyspace.ITEMS) + table_codec.encode(item)
            base = engine.get(key)
            if base is not None:
                result.fetched_sizes.append(records.size(base))
                stored = base
                item = orjson.loads(base[HEADER:])
        if matches is not None and not matches(item):
            return
        result.count += 1
        if not count_only:
            items.append(stored[HEADER:] if projection is None else dump(projection.apply(item)))

    return keep
