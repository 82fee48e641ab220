"""Encoded keys back to attributes: for people who want to see which keys are asked for.

The layout is that of `hashrange.model.key`. Nothing on the way of a request needs this: items carry their keys.
"""

from __future__ import annotations

from binascii import b2a_base64

from hashrange.model.key import KeyCodec, KeyPart
from hashrange.model.key_bytes import HASH_SIZE, TERMINATOR
from hashrange.model.number_order import from_order_key
from hashrange.model.value import AttributeValue, Item


def decode_key(codec: KeyCodec, key: bytes, hash_only: bool = False) -> Item:
    """The key attributes of an encoded key, as far as it goes: a prefix of a key gives the leading ones.

    `hash_only` leaves the range attributes out. Of an index entry the index's own attributes are given, without the
    table's key.
    """
    found: Item = {}
    offset = HASH_SIZE
    parts = codec.hash_parts if hash_only else codec.own_parts
    # What ends a key is stored as it is; several hash parts are terminated each.
    ends = codec.suffix is None and bool(codec.range_parts or len(codec.hash_parts) == 1)
    last = codec.own_parts[-1] if ends else None
    for part in parts:
        if offset >= len(key):
            break
        try:
            value, offset = _part(part, key, offset, part is last)
        except (ValueError, IndexError, UnicodeDecodeError):
            break
        found[part.name] = value
    return found


def _part(part: KeyPart, key: bytes, offset: int, ends_key: bool) -> tuple[AttributeValue, int]:
    """The value of one part, and the offset after it; ValueError when the part is not complete."""
    if part.type == "N":
        number, offset = from_order_key(key, offset)
        return {"N": number}, offset
    if ends_key:
        raw, offset = key[offset:], len(key)
    else:
        raw, offset = _terminated(key, offset)
    if part.type == "S":
        return {"S": raw.decode()}, offset
    return {"B": b2a_base64(raw, newline=False).decode()}, offset


def _terminated(key: bytes, offset: int) -> tuple[bytes, int]:
    """The unescaped bytes up to the terminator, and the offset after it."""
    end = offset
    while True:
        end = key.index(b"\x00", end)
        if key[end : end + 2] == TERMINATOR:
            return key[offset:end].replace(b"\x00\xff", b"\x00"), end + 2
        end += 2
