"""Versions of items in a global table: tombstones, marks of changed items, and which of two versions wins. Pure.

A write of a global table's item also writes, in the same log entry, the item's mark, and a deletion its tombstone:

    tombstone   space TOMBSTONES, key as the item's: a record's header alone. Its size field says when it was stored
                here, in seconds since 1970 (a deletion by time to live has the stamp of what it deletes, plus one).
    mark        space MARKS, key as the item's: stamp u64, bits u32, little-endian. The bits are those of the replicas
                that do not have the item's version (`ReplicaTarget.bit`), and perhaps FILLING.

An item that is there is greater than the tombstone at its key, which may stay behind: no write takes a stamp at or
below the group's watermark (`Group.watermark`) for an item that is absent, and what replaces an item is above it.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from hashrange.model import record as records
from hashrange.model.table import TableSchema
from hashrange_node.storage import keyspace

if TYPE_CHECKING:
    from hashrange_node.replica.effects import Effects

_mark = Struct("<QI")
pack_mark = _mark.pack
"""The value of a mark: stamp, bits."""
unpack_mark = _mark.unpack
"""Stamp and bits of a mark; `struct.error` for what is none."""

_TOMBSTONES: Final = bytes((keyspace.TOMBSTONES,))
_MARKS: Final = bytes((keyspace.MARKS,))
_SPACE_AT: Final = 9
_KEY_AT: Final = 10
_INDEX_AT: Final = 16
_stored_s = records.size


def tombstone_key(full_key: bytes) -> bytes:
    """Engine key of the tombstone of the item with this engine key."""
    return full_key[:_SPACE_AT] + _TOMBSTONES + full_key[_KEY_AT:]


def mark_key(full_key: bytes) -> bytes:
    """Engine key of the mark of the item with this engine key."""
    return full_key[:_SPACE_AT] + _MARKS + full_key[_KEY_AT:]


def wins(record: bytes, stored: bytes) -> bool:
    """Whether a version takes the place of a stored one; either may be a tombstone. The same answer everywhere."""
    return records.item_version(record) > records.item_version(stored)


def is_tombstone(record: bytes) -> bool:
    """Whether a version says that there is no item."""
    return bool(record[1] & records.TOMBSTONE)


def stored_at_s(tombstone: bytes) -> int:
    """When a tombstone was stored here, in seconds since 1970."""
    return _stored_s(tombstone)


def rewritten(record: bytes, index: int) -> bytes:
    """A version of another region as it is stored here, by the log entry with this index."""
    return record[:_INDEX_AT] + index.to_bytes(8, "little") + record[records.HEADER_SIZE :]


def unsound(record: bytes) -> str | None:
    """What is wrong with a version that another region sent; None for nothing."""
    if len(record) < records.HEADER_SIZE:
        return f"a record of {len(record)} bytes"
    if record[0] != records.VERSION:
        return f"a record in format {record[0]}, where this program reads {records.VERSION}"
    if record[1] == records.TOMBSTONE:
        return None if len(record) == records.HEADER_SIZE else "a tombstone with an item"
    if record[1]:
        return f"a record with the unknown flags {record[1]}"
    if record[records.HEADER_SIZE : records.HEADER_SIZE + 1] != b"{":
        return "a record without an item"
    return None


def mark(effects: Effects, schema: TableSchema, full_key: bytes, stamp: int) -> None:
    """Mark the item as changed at `stamp`, for all replicas of its table in other regions."""
    bits = schema.replica_bits
    if bits:
        effects.mutations.append((mark_key(full_key), pack_mark(stamp, bits)))
        key = full_key[_KEY_AT:]
        if effects.marked is None:
            effects.marked = [(key, stamp, bits)]
        else:
            effects.marked.append((key, stamp, bits))


def bury(effects: Effects, full_key: bytes, stamp: int, index: int, region: int, now_s: int) -> None:
    """Leave a tombstone for an item that is deleted at `stamp` by `region`; `now_s`: seconds since 1970."""
    tombstone = records.tombstone(stamp, index, region, now_s)
    effects.mutations.append((tombstone_key(full_key), tombstone))
