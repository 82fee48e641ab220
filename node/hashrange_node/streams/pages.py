"""Reading records of one shard from the engine: pages, and where to begin. What is read is applied, so committed."""

from __future__ import annotations

from itertools import islice

from hashrange.errors import ApiError
from hashrange.model.stream_record import stamp_of
from hashrange.model.stream_sequence import NUMBER_MAX, index_of, sequence_bytes, sequence_of
from hashrange.runtime.clock import LOGICAL_BITS
from hashrange.wire.streams import RecordPage, Shard
from hashrange_node.storage.engine import Engine
from hashrange_node.streams.shards import records_prefix, sequence_in

TRIMMED = "The operation attempted to read past the oldest sequence number in the shard"


def trimmed_data() -> ApiError:
    """TrimmedDataAccessException: records behind the position are gone."""
    return ApiError("TrimmedDataAccessException", TRIMMED)


def last_of(shard: Shard) -> int:
    """The highest number that a record of the shard can have."""
    return shard.end if shard.end is not None else sequence_of(shard.partition + 1, 0) - 1


def read_page(engine: Engine, store: int, shard: Shard, after: int, limit: int, max_bytes: int) -> RecordPage:
    """Records of a shard behind `after`, at least one if there is one; TrimmedDataAccessException."""
    if after and after < shard.trimmed:
        raise trimmed_data()
    prefix = records_prefix(store, shard.lo)
    first = max(after, shard.start, shard.trimmed) + 1
    last = last_of(shard)
    found: list[tuple[int, bytes]] = []
    if first > last:
        return RecordPage(found, after, not shard.open)
    size = 0
    limit = max(limit, 1)
    prefix_size = len(prefix)
    from_bytes = int.from_bytes
    scan = engine.scan(prefix + sequence_bytes(first), prefix + sequence_bytes(last + 1))
    for key, value in islice(scan, limit):
        size += len(value)
        if size > max_bytes and found:
            return RecordPage(found, found[-1][0], False)
        found.append((from_bytes(key[prefix_size:], "big"), value))
    full = len(found) >= limit
    return RecordPage(found, found[-1][0] if found else after, not shard.open and not full)


def behind_all(shard: Shard, applied_index: int) -> int:
    """The position behind everything that the shard has, when entries up to an index are applied."""
    if shard.end is not None:
        return shard.end
    return max(shard.start, sequence_of(shard.partition, applied_index, NUMBER_MAX))


def before_time(engine: Engine, store: int, shard: Shard, at_ms: int, applied_index: int) -> int:
    """The position before the first record of a time (milliseconds since 1970) or later.

    It is looked for by halving: the stamps of a shard grow but for those of transactions, which may be a little older
    than what was written before them.
    """
    prefix = records_prefix(store, shard.lo)
    stop = prefix + sequence_bytes(min(behind_all(shard, applied_index), last_of(shard)) + 1)
    at_stamp = at_ms << LOGICAL_BITS
    low = index_of(max(shard.start, shard.trimmed))
    high = index_of(behind_all(shard, applied_index)) + 1
    found: int | None = None
    while low < high:
        middle = (low + high) // 2
        start = max(sequence_of(shard.partition, middle), shard.start + 1)
        entry = next(engine.scan(prefix + sequence_bytes(start), stop), None)
        if entry is None or stamp_of(entry[1]) >= at_stamp:
            high = middle
            if entry is not None:
                found = sequence_in(entry[0])
        else:
            low = index_of(sequence_in(entry[0])) + 1
    return behind_all(shard, applied_index) if found is None else found - 1
