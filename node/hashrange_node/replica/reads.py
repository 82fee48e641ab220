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
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace
from hashrange_node.storage.engine import Engine

HEADER = records.HEADER_SIZE


SLICE_ENTRIES = 2_000
"""Entries read before the event loop gets a turn: a few milliseconds, with a filter some ten."""


class RangeRead:
    """One `ReadRange` under way. `step` reads a slice of it; most reads are done after the first.

    The entry that brings a page to `max_bytes` is its last, as observed of the real service; what a local
    index fetches counts, so that a page of small entries does not gather many large items. A read that reaches
    its limit says so even if nothing follows: the service gives a LastEvaluatedKey then, and the next page is
    empty. Between slices writes may happen: a page is no snapshot, as it is none in the service.
    """

    __slots__ = ("_engine", "_fetch", "_high", "_left", "_low", "_max_bytes", "_request", "_store", "result")

    def __init__(
        self, engine: Engine, request: ReadRange, table_codec: KeyCodec | None, place: Place
    ) -> None:
        prefix = keyspace.space_prefix(place.store, request.space)
        self._engine = engine
        self._request = request
        # Never beyond the partition: what lies next to it in the store is another's.
        low, high = keyspace.hashes_of(place.store, request.space, place.lo, place.hi)
        self._low = max(prefix + request.low, low)
        self._high = min(prefix + request.high, high)
        self._store = place.store
        self._left = request.limit if request.limit is not None else -1
        self._max_bytes = request.max_bytes
        self._fetch = table_codec if request.fetch else None
        self.result = RangeResult()

    def step(self, entries_max: int = SLICE_ENTRIES) -> bool:
        """Read up to so many entries more; True when `result` is complete."""
        request, result = self._request, self.result
        entries: list[bytes] = []
        append, size_of = entries.append, records.size
        fetch = _Fetch(self._engine, self._store, self._fetch) if self._fetch is not None else None
        left, max_bytes = self._left, self._max_bytes
        stop = entries_max if left < 0 or left > entries_max else left
        total = 0
        done = True
        for key, entry in self._engine.scan(self._low, self._high, request.reverse):
            total += size_of(entry)
            append(entry)
            if fetch is not None:
                max_bytes -= fetch.add(entry)
            if total >= max_bytes or len(entries) == stop:
                done = total >= max_bytes or stop == left
                if done:
                    result.last = entry[HEADER:]
                elif request.reverse:
                    self._high = key
                else:
                    self._low = key + b"\x00"
                break
        result.scanned += len(entries)
        result.size_bytes += total
        if left > 0:
            self._left = left - len(entries)
        self._max_bytes = max_bytes - total
        if fetch is not None:
            entries = fetch.records
            result.fetched_sizes += fetch.sizes
        _keep(request, entries, result)
        return done


class _Fetch:
    """The whole items behind entries of a local index, for reads of attributes that it does not hold."""

    __slots__ = ("_codec", "_engine", "_prefix", "records", "sizes")

    def __init__(self, engine: Engine, store: int, table_codec: KeyCodec) -> None:
        self._engine = engine
        self._codec = table_codec
        self._prefix = keyspace.space_prefix(store, keyspace.ITEMS)
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
        result.count += len(entries)
        return
    if matches is None and projection is None:
        result.items += [entry[HEADER:] for entry in entries]
        result.count += len(entries)
        return
    for entry in entries:
        item: Item = orjson.loads(entry[HEADER:])
        if matches is not None and not matches(item):
            continue
        result.count += 1
        if not request.count_only:
            result.items.append(entry[HEADER:] if projection is None else dump(projection.apply(item)))
