"""Primary keys on the wire: without names, and put together from the key schema.

    hash key only    S its UTF-8, B its bytes, N a CBOR number
    with range key   the hash key as a CBOR value, then the range key raw: S, B as above, N a lexicographic decimal

The same key can be sent in several ways (1.5 and 1.50): `WireKeys.key_of` gives the key that the table has it under.
Start keys of an index have names and are maps of indefinite length, of a table they are keys as above.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from hashrange.model.key import KeyCodec, KeyPart, PartType, hash_of
from hashrange.model.value import AttributeValue, Item
from hashrange_dax.codec import lexdecimal, values
from hashrange_dax.codec.cbor import map_head, read_string, text
from hashrange_dax.codec.heads import BREAK, MAP, MAP_STREAM, CodecError, read_head

_HASH_AND_RANGE: Final = 2


class WireKeys:
    """The keys of one table. Make it with `wire_keys`.

    `key_of(data)` gives the encoded key (`hashrange.model.key`) that the table has an item under. For bytes that are no
    key of the table it raises `CodecError` or `KeyMismatch`, or gives a key that no item has.
    """

    __slots__ = ("_codec", "_hash", "_range", "key_of")

    key_of: Callable[[bytes], bytes]

    def __init__(self, codec: KeyCodec) -> None:
        self._codec = codec
        [self._hash] = codec.hash_parts
        self._range = codec.range_parts[0] if codec.range_parts else None
        self.key_of = self._key_of
        if self._range is None and self._hash.type != "N":
            self.key_of = _hashed

    def decode(self, data: bytes) -> Item:
        """The key attributes of a key; numbers canonical unless out of range. `CodecError`."""
        if self._range is None:
            value, end = _read_lone(self._hash, data)
        else:
            value, end = values.decode_value(data)
        if self._hash.type not in value:
            raise CodecError(f"a hash key of another type than {self._hash.type}")
        key = {self._hash.name: value}
        if self._range is not None:
            key[self._range.name] = _read_rest(self._range.type, data[end:])
        elif end != len(data):
            raise CodecError("bytes behind a key")
        return key

    def encode(self, item: Item) -> bytes:
        """The key of an item with canonical key attributes, among others if there are some."""
        hash_value = item[self._hash.name]
        if self._range is None:
            return _raw(self._hash.type, hash_value)
        kind = self._range.type
        content = item[self._range.name]
        rest = lexdecimal.encode(content["N"]) if kind == "N" else _raw(kind, content)
        return values.encode_value(hash_value) + rest

    def _key_of(self, data: bytes) -> bytes:
        return self._codec.encode(self.decode(data))


@lru_cache(maxsize=4096)
def wire_keys(codec: KeyCodec) -> WireKeys:
    """The keys of the table with this codec (`TableSchema.codec`), from a cache."""
    return WireKeys(codec)


def key_schema_reply(codec: KeyCodec) -> bytes:
    """What `defineKeySchema` is answered with: the map of key attributes to types, hash key first."""
    parts = codec.own_parts
    return map_head(len(parts)) + b"".join([text(part.name) + text(part.type) for part in parts])


def encode_compound(key: Item) -> bytes:
    """A start key of an index: all its attributes with their names. Clients insist on the indefinite length."""
    parts = [MAP_STREAM]
    for name, value in key.items():
        parts.append(text(name))
        values.append_value(value, parts.append)
    parts.append(BREAK)
    return b"".join(parts)


def decode_compound(data: bytes) -> Item:
    """The inverse of `encode_compound`; a map of definite length will do. `CodecError`."""
    major, count, position = read_head(data, 0)
    if major != MAP:
        raise CodecError("a start key is no map")
    key: Item = {}
    while count:
        if count < 0 and data[position : position + 1] == BREAK:
            position += 1
            break
        name, position = read_string(data, position)
        if not isinstance(name, str):
            raise CodecError("the name of an attribute is no text")
        key[name], position = values.decode_value(data, position)
        count -= 1
    if position != len(data):
        raise CodecError("bytes behind a start key")
    return key


def encode_start_key(codec: KeyCodec, key: Item, of_index: bool) -> bytes:
    """A LastEvaluatedKey, of the table itself (`codec` is always the table's) or of one of its indexes."""
    return encode_compound(key) if of_index else wire_keys(codec).encode(key)


def decode_start_key(codec: KeyCodec, data: bytes, of_index: bool) -> Item:
    """An ExclusiveStartKey, of the table itself or of one of its indexes. `CodecError`."""
    return decode_compound(data) if of_index else wire_keys(codec).decode(data)


def _hashed(data: bytes) -> bytes:
    return hash_of(data) + data


def _raw(kind: PartType, value: AttributeValue) -> bytes:
    if kind == "S":
        return bytes(value["S"].encode())
    if kind == "B":
        return a2b_base64(value["B"])
    return values.encode_number(value["N"])


def _read_lone(part: KeyPart, data: bytes) -> tuple[AttributeValue, int]:
    """A hash key that has no range key behind it."""
    if part.type == "N":
        return values.decode_value(data)
    return _read_rest(part.type, data), len(data)


def _read_rest(kind: PartType, data: bytes) -> AttributeValue:
    """The rest of a key: a string or binary as it is, or a lexicographic decimal."""
    if kind == "B":
        return {"B": b2a_base64(data, newline=False).decode()}
    if kind == "N":
        return {"N": lexdecimal.decode(data)}
    try:
        return {"S": str(data, "utf-8")}
    except UnicodeDecodeError:
        raise CodecError("a key that is not UTF-8") from None
