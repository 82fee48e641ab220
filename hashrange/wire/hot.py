"""The hot messages of proto/node.proto, packed at fixed offsets: ReadItem, WriteItem and WriteResult.

Their numeric fields are of fixed width in the .proto, so a struct format that has the field tags as constants
writes them in one step, and reads them in one step from whoever writes the same order. Bytes laid out otherwise are
not wrong: the readers here return None for them, and the codec reads them with the generated classes. Measured
against the generated classes in proto/README.md.

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

# type, then (tag, value) of partition, epoch, consistent, and tag and length of the key
_READ = Struct("<BBQBQBBBB")
# type, then (tag, value) of partition, epoch, kind, returns, want_old_on_failure, item_size, session, sequence
_WRITE = Struct("<BBQBQBBBBBBBIBQBQ")
# type, then (tag, value) of old_size, new_size
_RESULT = Struct("<BBIBI")
_READ_SIZE = _READ.size
_WRITE_SIZE = _WRITE.size
_RESULT_SIZE = _RESULT.size

_KEY, _ITEM, _KEY_ITEM, _CONDITION, _UPDATE = 0x4A, 0x52, 0x5A, 0x62, 0x6A
_KEY_TAG, _ITEM_TAG, _KEY_ITEM_TAG, _CONDITION_TAG, _UPDATE_TAG = b"\x4a", b"\x52", b"\x5a", b"\x62", b"\x6a"
_CODE_TAG, _VALUES_TAG = b"\x0a", b"\x12"
_PROGRAMS_KEPT = 4_096


def encode_read_item(message: wire.ReadItem) -> bytes:
    """Type and message."""
    key = message.key
    size = len(key)
    head = (message.partition, 0x11, message.epoch, 0x18, message.consistent, 0x22)
    if size < 128:
        return _READ.pack(_READ_ITEM, 0x09, *head, size) + key
    return _READ.pack(_READ_ITEM, 0x09, *head, 0)[:-1] + length_prefix(size) + key


def decode_read_item(data: bytes) -> wire.ReadItem | None:
    """The message, or None if it is laid out in another way."""
    if len(data) < _READ_SIZE:
        return None
    _, tag1, partition, tag2, epoch, tag3, consistent, tag4, size = _READ.unpack_from(data)
    if tag1 == 0x09 and tag2 == 0x11 and tag3 == 0x18 and tag4 == 0x22 and consistent < 2:
        if len(data) == _READ_SIZE + size and size < 128:
            return wire.ReadItem(partition, epoch, data[_READ_SIZE:], consistent == 1)
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
            _WRITE_ITEM,
            0x09,
            message.partition,
            0x11,
            message.epoch,
            0x18,
            message.kind,
            0x20,
            message.returns,
            0x28,
            message.want_old_on_failure,
            0x35,
            message.item_size,
            0x39,
            session,
            0x41,
            sequence,
        ),
        _KEY_TAG,
        length_prefix(len(key)),
        key,
    ]
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
    return b"".join(parts)


def decode_write_item(data: bytes) -> wire.WriteItem | None:
    """The message, or None if it is laid out in another way."""
    end = len(data)
    if end < _WRITE_SIZE:
        return None
    (_, tag1, partition, tag2, epoch, tag3, kind, tag4, returns, tag5, want_old, tag6, item_size, tag7, session,
     tag8, sequence) = _WRITE.unpack_from(data)  # fmt: skip
    if (tag1, tag2, tag3, tag4, tag5, tag6, tag7, tag8) != (0x09, 0x11, 0x18, 0x20, 0x28, 0x35, 0x39, 0x41):
        return None
    if kind > 127 or returns > 127 or want_old > 1:
        return None
    message = wire.WriteItem(partition, epoch, kind, b"")
    message.returns = returns
    message.want_old_on_failure = want_old == 1
    message.item_size = item_size
    message.request_id = (session, sequence)
    at = _WRITE_SIZE
    try:
        while at < end:
            tag = data[at]
            if tag & 7 != 2:  # a field without a length: none of those that follow here
                return None
            size = data[at + 1]
            if size < 128:
                at += 2
            else:
                size, at = read_length(data, at + 1)
            stop = at + size
            if stop > end or not _set_part(message, tag, data[at:stop]):
                return None
            at = stop
    except IndexError:
        return None
    return message


def _set_part(message: wire.WriteItem, tag: int, part: bytes) -> bool:
    if tag == _KEY:
        message.key = part
    elif tag == _ITEM:
        message.item_json = part
    elif tag == _KEY_ITEM:
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
    head = _RESULT.pack(_WRITE_RESULT, 0x0D, result.old_size, 0x15, result.new_size)
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
    """The answer, or None if it is laid out in another way or has more than the sizes."""
    if len(data) != _RESULT_SIZE:
        return None
    _, tag1, old_size, tag2, new_size = _RESULT.unpack(data)
    if tag1 != 0x0D or tag2 != 0x15:
        return None
    return wire.WriteResult(old_size, new_size)


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
