"""The stored form of an item: a fixed header in front of its canonical JSON bytes.

The JSON is exactly what a reply carries, so a read splices `item_json` into the response and never decodes
it.
Layout, little-endian (this is on disk; a change needs a new version byte):

    offset  size  field
    0       1     format version, 1
    1       1     flags: TOMBSTONE
    2       2     number of the region that wrote it (`hashrange.model.regions`); 0 in tables of one region
    4       4     item size in bytes, as counted against the 400 KB limit; of a tombstone, when it was stored
    8       8     stamp of the last write: milliseconds since 1970 << 16 | logical counter
    16      8     index of the log entry that wrote it
    24            item as canonical JSON
"""

from __future__ import annotations

import struct

VERSION = 1
HEADER_SIZE = 24

TOMBSTONE = 1
"""Flag of a record without an item: what a deletion leaves behind in a global table."""

_header = struct.Struct("<BBHIQQ")
_pack = _header.pack
_read_size = struct.Struct("<I").unpack_from
_read_word = struct.Struct("<Q").unpack_from


def pack(item_json: bytes, size: int, stamp: int, index: int, flags: int = 0, region: int = 0) -> bytes:
    """The record of an item given as `dump` bytes; `struct.error` if a field does not fit."""
    return _pack(VERSION, flags, region, size, stamp, index) + item_json


def tombstone(stamp: int, index: int, region: int, stored_s: int = 0) -> bytes:
    """The record of a deleted item; `stored_s` is when it was stored, in seconds since 1970."""
    return _pack(VERSION, TOMBSTONE, region, stored_s, stamp, index)


def region(record: bytes) -> int:
    """The number of the region that wrote the record, 0 if its table was not global then."""
    return record[2] | record[3] << 8


def item_version(record: bytes) -> tuple[int, int]:
    """Stamp and region: of two versions of an item the greater one wins, in every region."""
    return stamp(record), record[2] | record[3] << 8


def version(record: bytes) -> int:
    """The format version; only `VERSION` can be read by this code."""
    return record[0]


def flags(record: bytes) -> int:
    """The flag byte."""
    return record[1]


def size(record: bytes) -> int:
    """The item's size in bytes."""
    (value,) = _read_size(record, 4)
    return value  # type: ignore[no-any-return]


def stamp(record: bytes) -> int:
    """The stamp of the last write."""
    (value,) = _read_word(record, 8)
    return value  # type: ignore[no-any-return]


def index(record: bytes) -> int:
    """The index of the log entry that wrote the record."""
    (value,) = _read_word(record, 16)
    return value  # type: ignore[no-any-return]


def item_json(record: bytes) -> bytes:
    """The item's canonical JSON bytes."""
    return record[HEADER_SIZE:]
