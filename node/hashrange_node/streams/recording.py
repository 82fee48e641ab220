"""Recording changes: the leader adds the stream record of a change to the effects of the write that makes it.

Record and change are in one log entry, so that there is never one without the other: on followers, after a fail-over
and after a crash. What changes nothing leaves no record, and a write that comes again is answered from the window of
requests before it gets here.
"""

from __future__ import annotations

from hashrange.model import record as records
from hashrange.model.stream_record import INSERT, MODIFY, REMOVE, images_of, pack
from hashrange.model.stream_sequence import SEQUENCE_BYTES, sequence_of
from hashrange.wire.streams import Shard
from hashrange_node.replica.effects import Effects
from hashrange_node.streams.shards import records_prefix

HEADER = records.HEADER_SIZE


class Recording:
    """What an open shard needs to record changes; `shard` None: it has to be opened first."""

    __slots__ = ("_base", "_new", "_old", "_prefix", "shard")

    def __init__(self, store: int, shard: Shard | None) -> None:
        self.shard = shard
        self._prefix, self._base = b"", 0
        self._old = self._new = False
        if shard is not None:
            self._prefix = records_prefix(store, shard.lo)
            self._base = sequence_of(shard.partition, 0)
            self._old, self._new = images_of(shard.view_type)

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
        old_image: bytes | None = None
        new_image: bytes | None = None
        size = 0
        if record is None:
            if current is None:
                return number
            event, stamp = REMOVE, effects.deleted
        else:
            new_image = record[HEADER:]
            event, stamp = INSERT, records.stamp(record)
        if current is not None:
            old_image = current[HEADER:]
            if record is not None:
                if old_image == new_image:
                    return number
                event = MODIFY
            if self._old:
                size = records.size(current)
            else:
                old_image = None
        if self._new:
            if record is not None:
                size += records.size(record)
        else:
            new_image = None
        value = pack(event, key, old_image, new_image, size, stamp, expired and record is None)
        sequence = self._base | index << 16 | number
        mutations.append((self._prefix + sequence.to_bytes(SEQUENCE_BYTES, "big"), value))
        effects.recorded = True
        return number + 1
