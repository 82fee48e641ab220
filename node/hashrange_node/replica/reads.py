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

    The entry that brings a page to `max_bytes` is its last, as observed of the real service; what a local
    index fetches counts, so that a page of small entries does not gather many large items. A read that reaches
    its limit says so even if nothing follows: the service gives a LastEvaluatedKey then, and the next page is
    empty.
    """
    prefix = keyspace.space_prefix(request.partition, request.space)
    result = RangeResult()
    entries: list[bytes] = []
    append, size_of = entries.append, records.size
    limit = request.limit if request.limit is not None else -1
    max_bytes = request.max_bytes
    fetch = _Fetch(engine, request, table_codec) if request.fetch and table_codec is not None else None
    total = scanned = 0
    for _, entry in engine.scan(prefix + request.low, prefix + request.high, request.reverse):
        total += size_of(entry)
        scanned += 1
        append(entry)
        if fetch is not None:
            max_bytes -= fetch.add(entry)
        if scanned == limit or total >= max_bytes:
            result.last = entry[HEADER:]
            break
    result.scanned = scanned
    result.size_bytes = total
    if fetch is not None:
        entries = fetch.records
        result.fetched_sizes = fetch.sizes
    _keep(request, entries, result)
    return result


class _Fetch:
    """The whole items behind entries of a local index, for reads of attributes that it does not hold."""

    __slots__ = ("_codec", "_engine", "_prefix", "records", "sizes")

    def __init__(self, engine: Engine, request: ReadRange, table_codec: KeyCodec) -> None:
        self._engine = engine
        self._codec = table_codec
        self._prefix = keyspace.space_prefix(request.partition, keyspace.ITEMS)
        self.records: list[bytes] = []
        """The item of each entry, or the entry itself should its item be missing."""
        self.sizes: list[int] = []

    def add(self, entry: bytes) -> int:
        """Fetch the item of the next entry and return its size in bytes."""
        base = self._engine.get(self._prefix + self._codec.encode(orjson.loads(entry[HEADER:])))
        if base is None:
            self.records.append(entry)
            return 0
        size = records.size(base)
        self.records.append(base)
        self.sizes.append(size)
        return size


def _keep(request: ReadRange, entries: list[bytes], result: RangeResult) -> None:
    """Filter and project; most reads do neither, and their entries are the answer as they are."""
    matches = request.filter.matches if request.filter is not None else None
    projection = request.projection
    if matches is None and request.count_only:
        result.count = len(entries)
        return
    if matches is None and projection is None:
        result.items = [entry[HEADER:] for entry in entries]
        result.count = len(entries)
        return
    for entry in entries:
        item: Item = orjson.loads(entry[HEADER:])
        if matches is not None and not matches(item):
            continue
        result.count += 1
        if not request.count_only:
            result.items.append(entry[HEADER:] if projection is None else dump(projection.apply(item)))
