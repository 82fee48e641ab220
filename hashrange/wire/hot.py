"""The hot messages of proto/node.proto, packed at fixed offsets: ReadItem, WriteItem and WriteResult.

Their numeric fields are of fixed width in the .proto, so a struct format that has the field tags as constants
writes them in one step, and reads them in one step from whoever writes the same order. Bytes laid out otherwise are
not wrong: the readers here return None for them, and the codec reads them with the generated classes. Measured
against the generated classes in proto/README.md. Those of transactions are in `hashrange.wire.transact_codec`.

All functions include the leading byte that says what follows (`MessageType` or `AnswerType` of proto/rpc.proto).
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import Any

import msgpack
import orjson

from hashrange.expr import Bound, BoundUpdate
from hashrange.wire import messages as wire
from hashrange.wire.fields import length_prefix, read_length
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc

_READ_ITEM: int = rpc.READ_ITEM
_WRITE_ITEM: int = rpc.WRITE_ITEM
_WRITE_RESULT: int = rpc.ANSWER_WRITE_RESULT

# Neighbouring single bytes are packed as one number: fewer fields make a faster struct.
# type and tag; partition; tag; epoch; tag, consistent, tag and length of the key
_READ = Struct("<HQBQI")
# type and tag; partition; tag; epoch; tag, kind, tag, returns; tag, want_old_on_failure; tag, item_size; tag, session;
# tag, sequence; tag of the key
_WRITE = Struct("<HQBQIHBIBQBQB")
# type and tag; old_size; tag; new_size; tag; stamp
_RESULT = Struct("<HIBIBQ")
_READ_SIZE = _READ.size
_WRITE_SIZE = _WRITE.size
_RESULT_SIZE = _RESULT.size
_READ_HEAD = _READ_ITEM | 0x0900
_WRITE_HEAD = _WRITE_ITEM | 0x0900
_RESULT_HEAD = _WRITE_RESULT | 0x0D00

_KEY, _ITEM, _KEY_ITEM, _CONDITION, _UPDATE = 0x4A, 0x52, 0x5A, 0x62, 0x6A
_ITEM_TAG, _KEY_ITEM_TAG, _CONDITION_TAG, _UPDATE_TAG = b"\x52", b"\x5a", b"\x62", b"\x6a"
_WRITE_TAGS = (0x11, 0x35, 0x39, 0x41, _KEY)
_CODE_TAG, _VALUES_TAG = b"\x0a", b"\x12"
_PROGRAMS_KEPT = 4_096


def encode_read_item(message: wire.ReadItem) -> bytes:
    """Type and message."""
    key = message.key
    size = len(key)
    flag = 0x220118 if message.consistent else 0x220018
    if size < 128:
        return _READ.pack(_READ_HEAD, message.partition, 0x11, message.epoch, flag | size << 24) + key
    head = _READ.pack(_READ_HEAD, message.partition, 0x11, message.epoch, flag)
    return head[:-1] + length_prefix(size) + key


def decode_read_item(data: bytes) -> wire.ReadItem | None:
    """The message, or None if it is laid out in another way."""
    if len(data) < _READ_SIZE:
        return None
    head, partition, tag, epoch, rest = _READ.unpack_from(data)
    if head == _READ_HEAD and tag == 0x11 and rest & 0xFFFEFF == 0x220018:
        size = rest >> 24
        if size < 128 and len(data) == _READ_SIZE + size:
            return wire.ReadItem(partition, epoch, data[_READ_SIZE:], rest & 0x100 != 0)
    return None


def encode_write_item(message: wire.WriteItem) -> bytes | None:
    """Type and message; None for a message without request id, or with an expiry."""
    request_id = message.request_id
    if request_id is None or message.expiry_s is not None:
        return None
    session, sequence = request_id
    key = message.key
    parts = [
        _WRITE.pack(
            _WRITE_HEAD, message.partition, 0x11, message.epoch,
            0x200018 | message.kind << 8 | message.returns << 24,
            0x128 if message.want_old_on_failure else 0x28, 0x35, message.item_size,
            0x39, session, 0x41, sequence, _KEY,
        ),
        length_prefix(len(key)),
        key,
    ]  # fmt: skip
    append_contents(parts, message)
    return b"".join(parts)


def append_contents(parts: list[bytes], message: wire.WriteItem) -> None:
    """Add the fields of a WriteItem that come behind its key."""
    item = message.item_json
    if item:
        parts += (_ITEM_TAG, length_prefix(len(item)), item)
    if message.key_item is not None:
        document = orjson.dumps(message.key_item)
        parts += (_KEY_ITEM_TAG, length_prefix(len(document)), document)
    if message.condition is not None:
        program = encode_program(message.condition)
        parts += (_CONDITION_TAG, length_prefix(len(program)), program)
    if message.update is not None:
        program = encode_program(message.update)
        parts += (_UPDATE_TAG, length_prefix(len(program)), program)


def decode_write_item(data: bytes) -> wire.WriteItem | None:
    """The message, or None if it is laid out in another way."""
    end = len(data)
    if end < _WRITE_SIZE:
        return None
    head, partition, tag1, epoch, numbers, flag, tag2, item_size, tag3, session, tag4, sequence, tag5 = (
        _WRITE.unpack_from(data)
    )
    if head != _WRITE_HEAD or (tag1, tag2, tag3, tag4, tag5) != _WRITE_TAGS:
        return None
    if numbers & 0x80FF80FF != 0x200018 or flag & 0xFEFF != 0x28:
        return None
    try:
        key, at = bytes_at(data, _WRITE_SIZE)
        message = wire.WriteItem(partition, epoch, numbers >> 8 & 127, key)
        message.returns = numbers >> 24
        message.want_old_on_failure = flag == 0x128
        message.item_size = item_size
        message.request_id = (session, sequence)
        return message if read_contents(message, data, at, end) else None
    except IndexError:
        return None


def read_contents(message: wire.WriteItem, data: bytes, at: int, end: int) -> bool:
    """Take what `append_contents` has written from `at` to `end`; False if it is laid out in another way.

    IndexError when the bytes end before a field does.
    """
    if at < end and data[at] == _ITEM:
        message.item_json, at = bytes_at(data, at + 1)
    while at < end:
        tag = data[at]
        if tag & 7 != 2:  # a field without a length: none of those that follow here
            return False
        part, at = bytes_at(data, at + 1)
        if not _set_part(message, tag, part):
            return False
    return at == end


def bytes_at(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes behind their length, and the offset after them, which may be beyond the end."""
    size = data[at]
    if size < 128:
        at += 1
    else:
        size, at = read_length(data, at)
    stop = at + size
    return data[at:stop], stop


def _set_part(message: wire.WriteItem, tag: int, part: bytes) -> bool:
    if tag == _KEY_ITEM:
        message.key_item = orjson.loads(part)
    elif tag == _CONDITION:
        message.condition = decode_condition(pb.Program.FromString(part))
    elif tag == _UPDATE:
        message.update = decode_update(pb.Program.FromString(part))
    else:
        return False
    return True


def encode_write_result(result: wire.WriteResult) -> bytes:
    """Type and answer."""
    head = _RESULT.pack(_RESULT_HEAD, result.old_size, 0x15, result.new_size, 0x29, result.stamp)
    attributes = result.attributes
    if attributes is not None:
        head += b"\x1a" + length_prefix(len(attributes)) + attributes
    if result.index_units:
        rest = pb.WriteResult()
        for kind, name, half in result.index_units:
            rest.index_units.add(kind=kind, name=name, units_half=half)
        head += rest.SerializeToString()
    return head


def decode_write_result(data: bytes) -> wire.WriteResult | None:
    """The answer, or None if it is laid out in another way or has more than sizes and stamp."""
    if len(data) != _RESULT_SIZE:
        return None
    head, old_size, tag1, new_size, tag2, stamp = _RESULT.unpack(data)
    if head != _RESULT_HEAD or tag1 != 0x15 or tag2 != 0x29:
        return None
    return wire.WriteResult(old_size, new_size, None, None, stamp)


@lru_cache(maxsize=_PROGRAMS_KEPT)
def _code_of(program: Any) -> bytes:
    """The `code` field of a program, tag and length included; a program's identity is its key."""
    code: bytes = msgpack.packb((program.kind, program.tree))
    return _CODE_TAG + length_prefix(len(code)) + code + _VALUES_TAG


def encode_program(bound: Bound | BoundUpdate) -> bytes:
    """A Program message: the code, which is packed once for an expression, and this request's values."""
    values = orjson.dumps(bound.values)
    return _code_of(bound.program) + length_prefix(len(values)) + values


@lru_cache(maxsize=_PROGRAMS_KEPT)
def _condition_program(code: bytes) -> Any:
    kind, tree = msgpack.unpackb(code, use_list=False)
    return Bound.from_portable((kind, tree, b"[]")).program


@lru_cache(maxsize=_PROGRAMS_KEPT)
def _update_program(code: bytes) -> Any:
    kind, tree = msgpack.unpackb(code, use_list=False)
    return BoundUpdate.from_portable((kind, tree, b"[]")).program


def decode_condition(part: Any) -> Bound:
    """A condition or filter of its Program message; raises whatever unreadable code raises."""
    return Bound(_condition_program(part.code), orjson.loads(part.values_json))


def decode_update(part: Any) -> BoundUpdate:
    """An update of its Program message; raises whatever unreadable code raises."""
    return BoundUpdate(_update_program(part.code), orjson.loads(part.values_json))
