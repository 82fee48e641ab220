"""One change of an item as its stream keeps it, and as GetRecords and Lambda events show it.

    value = pack(event, key, old_json, new_json, images_size, stamp, expired)   # at the leader that writes it
    record = unpack(sequence, value)                                            # of a RecordPage
    body = render(record, codec, view_type, region, stream_arn)                 # one of GetRecords' Records
    body = render_event(record, codec, view_type, region, stream_arn)           # one of a Lambda event's Records
    show = renderer(codec, view_type, region, stream_arn)                       # for many: body = show(record)

The images are the JSON bytes of the stored items: they are never decoded, only put between other bytes. A stream keeps
the images that its view type asks for (`images_of`), no more.

Layout, little-endian (this is on disk; a change needs a new version byte):

    offset  size  field
    0       1     format version, 1
    1       1     flags: 0-1 the event, 4 with an old image, 8 with a new image, 16 expired
    2       2     length of the key
    4       4     size in bytes of the images that it has, by the rules for item sizes
    8       8     stamp of the write: milliseconds since 1970 << 16 | logical counter (where records of items have it)
    16      4     length of the old image
    20            key as the engine has it (relative: hash and key values), old image, new image
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import orjson

from hashrange.model.key import KeyCodec
from hashrange.model.key_bytes import HASH_SIZE
from hashrange.model.key_decode import decode_key
from hashrange.model.sizes import item_size

VERSION = 1
HEADER_SIZE = 20
INSERT = "INSERT"
MODIFY = "MODIFY"
REMOVE = "REMOVE"
EVENTS = (INSERT, MODIFY, REMOVE)
KEYS_ONLY = "KEYS_ONLY"
NEW_IMAGE = "NEW_IMAGE"
OLD_IMAGE = "OLD_IMAGE"
NEW_AND_OLD_IMAGES = "NEW_AND_OLD_IMAGES"

WITH_OLD = 4
WITH_NEW = 8
_EXPIRED = 16
_header = struct.Struct("<BBHIQI")
pack_header = _header.pack
"""Version, flags, length of the key, size of the images, stamp, length of the old image: for who assembles a record."""
_unpack = _header.unpack_from
_read_word = struct.Struct("<Q").unpack_from
_NUMBERS = {INSERT: 0, MODIFY: 1, REMOVE: 2}
_STAMP_MS_BITS = 16
# An odd factor makes the ids of one stream a permutation of its sequence numbers: no two are equal.
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
_ID_MASK = (1 << 128) - 1
_IDENTITY = b',"userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"}}'
_EVENT_IDENTITY = b',"userIdentity":{"principalId":"dynamodb.amazonaws.com","type":"Service"}}'


class StreamRecord(NamedTuple):
    """A change. `key` is relative (it begins with the hash), `size` that of the images that the record has.

    `old` and `new` are JSON bytes; None where there is none or the stream's view type leaves it out.
    """

    sequence: int
    event: str
    key: bytes
    old: bytes | None
    new: bytes | None
    size: int
    stamp: int
    expired: bool


def images_of(view_type: str) -> tuple[bool, bool]:
    """Whether records of a view type have the old image, and the new one."""
    both = view_type == NEW_AND_OLD_IMAGES
    return both or view_type == OLD_IMAGE, both or view_type == NEW_IMAGE


def pack(
    event: str,
    key: bytes,
    old_json: bytes | None,
    new_json: bytes | None,
    images_size: int,
    stamp: int,
    expired: bool,
) -> bytes:
    """The stored form; `struct.error` if a field does not fit, KeyError for an event that is none."""
    flags = _NUMBERS[event]
    if expired:
        flags |= _EXPIRED
    old_length = 0
    parts = key
    if old_json is not None:
        flags |= WITH_OLD
        old_length = len(old_json)
        parts += old_json
    if new_json is not None:
        flags |= WITH_NEW
        parts += new_json
    return pack_header(VERSION, flags, len(key), images_size, stamp, old_length) + parts


def stamp_of(value: bytes) -> int:
    """The stamp of a stored record."""
    (stamp,) = _read_word(value, 8)
    return stamp  # type: ignore[no-any-return]


def unpack(sequence: int, value: bytes) -> StreamRecord:
    """A stored record; `struct.error`, ValueError or IndexError for bytes that are none."""
    version, flags, key_length, size, stamp, old_length = _unpack(value)
    if version != VERSION:
        raise ValueError(f"a stream record of the unknown version {version}")
    key_end = HEADER_SIZE + key_length
    old_end = key_end + old_length
    return StreamRecord(
        sequence,
        EVENTS[flags & 3],
        value[HEADER_SIZE:key_end],
        value[key_end:old_end] if flags & WITH_OLD else None,
        value[old_end:] if flags & WITH_NEW else None,
        size,
        stamp,
        flags & _EXPIRED != 0,
    )


def event_id(stream_arn: str, sequence: int) -> str:
    """The id of a change, 32 hex digits: the same whenever it is read."""
    return _event_id(_offset_of(stream_arn), sequence)


def render(record: StreamRecord, codec: KeyCodec, view_type: str, region: str, stream_arn: str) -> bytes:
    """The record as GetRecords shows it. The creation time is in whole seconds, rounded down."""
    return renderer(codec, view_type, region, stream_arn)(record)


def render_event(
    record: StreamRecord, codec: KeyCodec, view_type: str, region: str, stream_arn: str
) -> bytes:
    """The record as a Lambda function gets it, as one of the event's `Records`."""
    return renderer(codec, view_type, region, stream_arn, True)(record)


@lru_cache(maxsize=1024)
def renderer(
    codec: KeyCodec, view_type: str, region: str, stream_arn: str, lambda_event: bool = False
) -> Callable[[StreamRecord], bytes]:
    """`render` (or `render_event`) with all that is the same for the records of a stream worked out: for many."""
    quoted_region = orjson.dumps(region)
    opening = b'{"awsRegion":%b,"dynamodb":{"ApproximateCreationDateTime":' % quoted_region
    keys_lead = b'.0,"Keys":' if lambda_event else b',"Keys":'
    source = b'","eventSource":"aws:dynamodb"'
    if lambda_event:
        source += b',"eventSourceARN":' + orjson.dumps(stream_arn)
    source += b',"eventVersion":"1.1"'
    view = b',"StreamViewType":%b},"eventID":"' % orjson.dumps(view_type)
    identity = _EVENT_IDENTITY if lambda_event else _IDENTITY
    offset = _offset_of(stream_arn)
    shown_keys = _key_renderer(codec)

    def rendered(record: StreamRecord) -> bytes:
        sequence, event, key, old, new, size, stamp, expired = record
        keys, keys_size = shown_keys(key)
        seconds = (stamp >> _STAMP_MS_BITS) // 1000
        images = b""
        if new is not None:
            images = b',"NewImage":' + new
        if old is not None:
            images += b',"OldImage":' + old
        return b'%b%d%b%b%b,"SequenceNumber":"%021d","SizeBytes":%d%b%b","eventName":"%b%b%b' % (
            opening,
            seconds,
            keys_lead,
            keys,
            images,
            sequence,
            size + keys_size,
            view,
            _event_id(offset, sequence).encode(),
            event.encode(),
            source,
            identity if expired else b"}",
        )

    return rendered


def _event_id(offset: int, sequence: int) -> str:
    return f"{(sequence * _SPREAD + offset) & _ID_MASK:032x}"


@lru_cache(maxsize=1024)
def _offset_of(stream_arn: str) -> int:
    return int.from_bytes(blake2b(stream_arn.encode(), digest_size=16).digest(), "big")


def _key_renderer(codec: KeyCodec) -> Callable[[bytes], tuple[bytes, int]]:
    """Key bytes to the JSON of the key attributes and their size."""
    if codec.suffix is None and not codec.range_parts and len(codec.hash_parts) == 1:
        name, kind = codec.hash_parts[0]
        if kind == "S":
            return _string_key(name)

    def any_key(key: bytes) -> tuple[bytes, int]:
        item = decode_key(codec, key)
        return orjson.dumps(item), item_size(item)

    return any_key


def _string_key(name: str) -> Callable[[bytes], tuple[bytes, int]]:
    """The commonest schema: one string, no range key."""
    lead = b'{%b:{"S":' % orjson.dumps(name)
    name_size = len(name.encode())

    def string_key(key: bytes) -> tuple[bytes, int]:
        value = key[HASH_SIZE:]
        return lead + orjson.dumps(value.decode()) + b"}}", name_size + len(value)

    return string_key
