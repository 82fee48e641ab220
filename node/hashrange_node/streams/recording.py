"""Recording changes: the leader adds the stream record of a change to the effects of the write that makes it.

Record and change are in one log entry, so that there is never one without the other: on followers, after a fail-over
and after a crash. What changes nothing leaves no record, and a write that comes again is answered from the window of
requests before it gets here.
"""

from __future__ import annotations

from struct import Struct

from hashrange.model import record as records
from hashrange.model.stream_record import (
    EVENTS,
    INSERT,
    MODIFY,
    REMOVE,
    VERSION,
    WITH_NEW,
    WITH_OLD,
    images_of,
    pack,
    pack_header,
)
from hashrange.model.stream_sequence import SEQUENCE_BYTES, sequence_of
from hashrange.wire.streams import Shard
from hashrange_node.replica.effects import Effects
from hashrange_node.streams.shards import records_prefix

HEADER = records.HEADER_SIZE
_MODIFY = EVENTS.index(MODIFY) | WITH_OLD | WITH_NEW
_size_and_stamp = Struct("<4xIQ").unpack_from


class Recording:
    """What an open shard needs to record changes; `shard` None: it has to be opened first."""

    __slots__ = ("_base", "_both", "_new", "_old", "_prefix", "shard")

    def __init__(self, store: int, shard: Shard | None) -> None:
        self.shard = shard
        self._prefix, self._base = b"", 0
        self._old = self._new = self._both = False
        if shard is not None:
            self._prefix = records_prefix(store, shard.lo)
            self._base = sequence_of(shard.partition, 0)
            self._old, self._new = images_of(shard.view_type)
            self._both = self._old and self._new

    def add(
        self,
        effects: Effects,
        full_key: bytes,
        key: bytes,
        current: bytes | None,
        index: int,
        number: int = 0,
        expired: bool = False,
    ) -> int:
        """Add the record of what `effects` do to the item with this key, whose record was `current`.

        `index` is that of the entry, `number` that of the record in it; the number for the next one is returned.
        The change of the item is the first of the effects' mutations, as evaluation makes them. `expired`: a
        deletion of it is that of time to live.
        """
        mutations = effects.mutations
        if not mutations:
            return number
        changed, record = mutations[0]
        if changed != full_key:
            return number
        if current is None or record is None or not self._both:
            value = self._packed(key, current, record, effects.deleted, expired)
            if value is None:
                return number
        else:  # the commonest case, in one go
            old, new = current[HEADER:], record[HEADER:]
            if old == new:
                return number
            size, stamp = _size_and_stamp(record)
            size += _size_and_stamp(current)[0]
            value = b"".join((pack_header(VERSION, _MODIFY, len(key), size, stamp, len(old)), key, old, new))
        sequence = self._base | index << 16 | number
        mutations.append((self._prefix + sequence.to_bytes(SEQUENCE_BYTES, "big"), value))
        effects.recorded = True
        return number + 1

    def _packed(
        self, key: bytes, current: bytes | None, record: bytes | None, deleted: int, expired: bool
    ) -> bytes | None:
        """The record of any change, None for what is none. `deleted` is the stamp of a deletion."""
        if record is None:
            if current is None:
                return None
            old = current[HEADER:] if self._old else None
            return pack(REMOVE, key, old, None, records.size(current) if self._old else 0, deleted, expired)
        size, stamp = _size_and_stamp(record)
        new = record[HEADER:]
        if current is None:
            return pack(INSERT, key, None, new if self._new else None, size if self._new else 0, stamp, False)
        old = current[HEADER:]
        if old == new:
            return None
        size = size if self._new else 0
        if self._old:
            size += records.size(current)
        return pack(MODIFY, key, old if self._old else None, new if self._new else None, size, stamp, False)
