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
    """Answer a `ReadRange`. `table_codec` is needed when a local index fetches whole items.

    A read that reaches its limit says so even if nothing follows: the service gives a LastEvaluatedKey then,
    and the next page is empty.
    """
    prefix = keyspace.space_prefix(request.partition, request.space)
    result = RangeResult()
    entries: list[bytes] = []
    append, size_of = entries.append, records.size
    limit = request.limit if request.limit is not None else -1
    max_bytes = request.max_bytes
    total = scanned = 0
    stopped = False
    for _, entry in engine.scan(prefix + request.low, prefix + request.high, request.reverse):
        size = size_of(entry)
        if total + size > max_bytes and scanned:
            stopped = True
            break
        total += size
        scanned += 1
        append(entry)
        if scanned == limit:
            stopped = True
            break
    if stopped:
        result.last = entries[-1][HEADER:]
    result.scanned = scanned
    result.size_bytes = total
    _keep(engine, request, table_codec, entries, result)
    return result


def _keep(
    engine: Engine,
    request: ReadRange,
    table_codec: KeyCodec | None,
    entries: list[bytes],
    result: RangeResult,
) -> None:
    """Filter and project; most reads do neither, and their entries are the answer as they are."""
    matches = request.filter.matches if request.filter is not None else None
    projection = request.projection
    if matches is None and request.count_only:
        result.count = len(entries)
        return
    if matches is None and projection is None and not request.fetch:
        result.items = [entry[HEADER:] for entry in entries]
        result.count = len(entries)
        return
    for entry in entries:
        stored = entry
        item: Item = orjson.loads(entry[HEADER:])
        if request.fetch:
            assert table_codec is not None
            key = keyspace.space_prefix(request.partition, keyspace.ITEMS) + table_codec.encode(item)
            base = engine.get(key)
            if base is not None:
                result.fetched_sizes.append(records.size(base))
                stored = base
                item = orjson.loads(base[HEADER:])
        if matches is not None and not matches(item):
            continue
        result.count += 1
        if not request.count_only:
            result.items.append(stored[HEADER:] if projection is None else dump(projection.apply(item)))
