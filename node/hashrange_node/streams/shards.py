"""Where the shards and records of a stream lie in the engine, and what becomes of shards: pure rules.

    P store(8) 67 lo(8) sequence(15)     a record: hashrange.model.stream_record
    P store(8) 68 lo(8) start(15)        a shard: header of a record (its stamp), JSON of a `ShardRow`

`lo` is the lowest hash of the partition that wrote them, so whoever owns that hash owns them: the lower child of a
split inherits all that its parent had closed, and nothing is moved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import orjson

from hashrange.model import record as records
from hashrange.model.stream_sequence import SEQUENCE_BYTES, sequence_bytes, sequence_of, shard_id
from hashrange.model.table import StreamSettings
from hashrange.wire.streams import Shard
from hashrange_node.replica.effects import Mutation
from hashrange_node.replica.place import Place
from hashrange_node.storage import keyspace


class ShardRow(NamedTuple):
    """A shard as it is stored. `generation` is that of the table's document that it was opened or closed by.

    A leader whose catalogue is behind changes nothing that a later document has decided.
    """

    shard: Shard
    generation: int


def records_prefix(store: int, lo: int) -> bytes:
    """What the keys of all records at a hash begin with; the sequence number follows."""
    return keyspace.space_prefix(store, keyspace.STREAM) + lo.to_bytes(8, "big")


def rows_range(store: int, lo: int) -> tuple[bytes, bytes]:
    """The keys of all shards at a hash."""
    return keyspace.hashes_of(store, keyspace.SHARDS, lo, lo)


def sequence_in(key: bytes) -> int:
    """The sequence number in the key of a record."""
    return int.from_bytes(key[-SEQUENCE_BYTES:], "big")


def row_mutation(store: int, row: ShardRow, stamp: int, index: int) -> Mutation:
    """What stores a shard: in the entry with this raft index."""
    body = orjson.dumps({**row.shard.to_document(), "generation": row.generation})
    return row_key(store, row.shard), records.pack(body, 0, stamp, index)


def row_key(store: int, shard: Shard) -> bytes:
    """The key of a shard."""
    prefix = keyspace.space_prefix(store, keyspace.SHARDS)
    return prefix + shard.lo.to_bytes(8, "big") + sequence_bytes(shard.start)


def decode_row(stored: bytes) -> ShardRow:
    """A stored shard; ValueError, KeyError or TypeError for bytes that are none."""
    document = orjson.loads(stored[records.HEADER_SIZE :])
    return ShardRow(Shard.from_document(document), document["generation"])


def opened(
    place: Place, stream: StreamSettings, generation: int, before: Shard | None, start: int, now_ms: int
) -> ShardRow:
    """A new shard of a partition. `before` is its latest: the parent, if it is of the same stream.

    The clock may have been set back: a shard is always younger than the one before it.
    """
    opened_ms = now_ms if before is None else max(now_ms, before.opened_ms + 1)
    parent = before.id if before is not None and before.label == stream.label else None
    shard = Shard(
        shard_id(place.id, opened_ms),
        stream.label,
        stream.view_type,
        place.id,
        place.lo,
        parent,
        start,
        opened_ms,
    )
    return ShardRow(shard, generation)


def closed(row: ShardRow, end: int, now_ms: int, generation: int | None = None) -> ShardRow:
    """The shard, closed; by the document of a `generation`, or for age or a split."""
    shard = replace(row.shard, end=end, closed_ms=max(now_ms, row.shard.opened_ms))
    return ShardRow(shard, row.generation if generation is None else generation)


def rolled_over(row: ShardRow, place: Place, index: int, now_ms: int) -> tuple[ShardRow, ShardRow]:
    """The shard closed by the entry with a raft index, and the one that continues it from there."""
    old = closed(row, sequence_of(place.id, index, 0), now_ms)
    stream = StreamSettings("", row.shard.label, row.shard.view_type)
    start = sequence_of(place.id, index, 1)
    return old, opened(place, stream, row.generation, row.shard, start, now_ms)


def split(
    row: ShardRow, place: Place, index: int, children: list[Place], base_index: int, now_ms: int
) -> list[ShardRow]:
    """The open shard closed by the entry that splits its partition, and the shards that the children begin with.

    The children's first entries come behind `base_index`.
    """
    old = closed(row, sequence_of(place.id, index, 0), now_ms)
    stream = StreamSettings("", row.shard.label, row.shard.view_type)
    return [
        old,
        *(
            opened(child, stream, row.generation, row.shard, sequence_of(child.id, base_index, 0), now_ms)
            for child in children
        ),
    ]
