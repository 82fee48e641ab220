"""The messages of transactions as bytes: those of `hashrange.wire.transactions`, by proto/node.proto.

Like the hot messages (`hashrange.wire.hot`) they are packed with the field tags as constants, and read in one step
from whoever writes the same order; bytes laid out otherwise are read with the generated classes. None of the
functions includes the byte that says what follows.

An action is a WriteItem without partition, epoch and request id: those of the message around it hold, and the reader
fills in the partition and the epoch.
"""

from __future__ import annotations

import struct
from struct import Struct, pack, unpack_from
from typing import Any

import orjson

from hashrange.errors import ApiError
from hashrange.wire import data_codec
from hashrange.wire import messages as wire
from hashrange.wire.fields import Decoder, Encoder, FrameError, length_prefix, parsed, read_length
from hashrange.wire.hot import append_contents, bytes_at, decode_condition, decode_update, read_contents
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.transactions import (
    TXID_BYTES,
    TransactFinish,
    TransactOutcome,
    TransactPrepare,
    TransactRead,
    TransactVersions,
    TransactWrite,
)

# tag; partition; tag; epoch
_PLACE = Struct("<BQBQ")
# tag and length of the txid, txid
_TXID = Struct("<H16s")
# tag, kind, tag, returns; tag, want_old_on_failure; tag, item_size; tag of the key
_ACTION = Struct("<IHBIB")
# tag, verdict, tag; stamp
_OUTCOME = Struct("<HBQ")
# tag and length of the result, tag and length of the write result; tag; old_size; tag; new_size
_WRITTEN = Struct("<IBIBI")
_TXID_HEAD = 0x1A | TXID_BYTES << 8
_WRITTEN_HEAD = 0x0A0A0C1A
_STAMP = Struct("<BQ")

_PLACE_SIZE, _ACTION_SIZE, _OUTCOME_SIZE, _WRITTEN_SIZE = (
    _PLACE.size,
    _ACTION.size,
    _OUTCOME.size,
    _WRITTEN.size,
)
_HEAD_SIZE = _PLACE_SIZE + _TXID.size
_STAMPED_SIZE = _HEAD_SIZE + _STAMP.size


def _head(partition: int, epoch: int, txid: bytes) -> bytes:
    if len(txid) != TXID_BYTES:
        raise ValueError(f"a txid of {len(txid)} bytes")
    return _PLACE.pack(0x09, partition, 0x11, epoch) + _TXID.pack(_TXID_HEAD, txid)


def _read_head(data: bytes) -> tuple[int, int, bytes] | None:
    """Partition, epoch and txid, or None if they are laid out in another way."""
    if len(data) < _HEAD_SIZE:
        return None
    tag1, partition, tag2, epoch = _PLACE.unpack_from(data)
    tag3, txid = _TXID.unpack_from(data, _PLACE_SIZE)
    return (partition, epoch, txid) if (tag1, tag2, tag3) == (0x09, 0x11, _TXID_HEAD) else None


# Actions.


def _append_actions(parts: list[bytes], actions: list[wire.WriteItem]) -> bytes:
    for action in actions:
        key = action.key
        body = [
            _ACTION.pack(
                0x200018 | action.kind << 8 | action.returns << 24,
                0x128 if action.want_old_on_failure else 0x28,
                0x35,
                action.item_size,
                0x4A,
            ),
            length_prefix(len(key)),
            key,
        ]
        append_contents(body, action)
        whole = b"".join(body)
        parts += (b"\x32", length_prefix(len(whole)), whole)
    return b"".join(parts)


def _read_actions(data: bytes, at: int, partition: int, epoch: int) -> list[wire.WriteItem] | None:
    actions = []
    end = len(data)
    while at < end:
        if data[at] != 0x32:
            return None
        size, at = read_length(data, at + 1)
        stop = at + size
        if stop > end or size < _ACTION_SIZE:
            return None
        numbers, flag, tag, item_size, key_tag = _ACTION.unpack_from(data, at)
        if numbers & 0x80FF80FF != 0x200018 or flag & 0xFEFF != 0x28 or tag != 0x35 or key_tag != 0x4A:
            return None
        key, at = bytes_at(data, at + _ACTION_SIZE)
        action = wire.WriteItem(partition, epoch, numbers >> 8 & 127, key)
        action.returns = numbers >> 24
        action.want_old_on_failure = flag == 0x128
        action.item_size = item_size
        if not read_contents(action, data, at, stop):
            return None
        actions.append(action)
        at = stop
    return actions if at == end else None


def _action_of(part: Any, partition: int, epoch: int) -> wire.WriteItem:
    """An action in any layout."""
    action = wire.WriteItem(partition, epoch, part.kind, part.key)
    action.item_json, action.item_size = part.item_json, part.item_size
    action.key_item = orjson.loads(part.key_item_json) if part.key_item_json else None
    action.condition = decode_condition(part.condition) if part.HasField("condition") else None
    action.update = decode_update(part.update) if part.HasField("update") else None
    action.returns, action.want_old_on_failure = part.returns, part.want_old_on_failure
    return action


def _encode_write(message: TransactWrite) -> bytes:
    parts = [_head(message.partition, message.epoch, message.txid)]
    digest = message.digest
    if digest:
        parts += (b"\x2a", length_prefix(len(digest)), digest)
    return _append_actions(parts, message.actions)


def _decode_write(data: bytes) -> TransactWrite:
    head = _read_head(data)
    if head is not None:
        partition, epoch, txid = head
        at, digest = _HEAD_SIZE, b""
        try:
            if data[at : at + 1] == b"\x2a":
                digest, at = bytes_at(data, at + 1)
            actions = _read_actions(data, at, partition, epoch)
        except IndexError:
            actions = None
        if actions is not None:
            return TransactWrite(partition, epoch, txid, actions, digest)
    part = parsed(pb.TransactWrite, data)
    return TransactWrite(
        part.partition,
        part.epoch,
        _txid_of(part),
        [_action_of(each, part.partition, part.epoch) for each in part.actions],
        part.digest,
    )


def _encode_prepare(message: TransactPrepare) -> bytes:
    parts = [_head(message.partition, message.epoch, message.txid), _STAMP.pack(0x21, message.stamp)]
    marker = message.marker
    if marker:
        parts += (b"\x2a", length_prefix(len(marker)), marker)
    return _append_actions(parts, message.actions)


def _decode_prepare(data: bytes) -> TransactPrepare:
    head = _read_head(data)
    if head is not None and len(data) >= _STAMPED_SIZE and data[_HEAD_SIZE] == 0x21:
        partition, epoch, txid = head
        stamp = _STAMP.unpack_from(data, _HEAD_SIZE)[1]
        at, marker = _STAMPED_SIZE, b""
        try:
            if data[at : at + 1] == b"\x2a":
                marker, at = bytes_at(data, at + 1)
            actions = _read_actions(data, at, partition, epoch)
        except IndexError:
            actions = None
        if actions is not None:
            return TransactPrepare(partition, epoch, txid, stamp, actions, marker)
    part = parsed(pb.TransactPrepare, data)
    return TransactPrepare(
        part.partition,
        part.epoch,
        _txid_of(part),
        part.stamp,
        [_action_of(each, part.partition, part.epoch) for each in part.actions],
        part.marker,
    )


def _txid_of(part: Any) -> bytes:
    txid: bytes = part.txid
    if len(txid) != TXID_BYTES:
        raise FrameError(f"a txid of {len(txid)} bytes")
    return txid


def _encode_finish(message: TransactFinish) -> bytes:
    head = _head(message.partition, message.epoch, message.txid)
    hashes = message.hashes
    count = len(hashes)
    packed = pack(f"<{count}Q", *hashes)
    return head + (b"\x20\x01\x2a" if message.commit else b"\x20\x00\x2a") + length_prefix(8 * count) + packed


def _decode_finish(data: bytes) -> TransactFinish:
    head = _read_head(data)
    if head is not None and data[_HEAD_SIZE : _HEAD_SIZE + 3] in (b"\x20\x00\x2a", b"\x20\x01\x2a"):
        partition, epoch, txid = head
        try:
            packed, at = bytes_at(data, _HEAD_SIZE + 3)
        except IndexError:
            packed, at = b"", -1
        if at == len(data) and len(packed) % 8 == 0:
            hashes = list(unpack_from(f"<{len(packed) // 8}Q", packed))
            return TransactFinish(partition, epoch, txid, data[_HEAD_SIZE + 1] == 1, hashes)
    part = parsed(pb.TransactFinish, data)
    return TransactFinish(part.partition, part.epoch, _txid_of(part), part.commit, list(part.hashes))


def _encode_read(message: TransactRead) -> bytes:
    parts = [_PLACE.pack(0x09, message.partition, 0x11, message.epoch)]
    for key in message.keys:
        parts += (b"\x1a", length_prefix(len(key)), key)
    return b"".join(parts)


def _decode_read(data: bytes) -> TransactRead:
    part = parsed(pb.TransactRead, data)
    return TransactRead(part.partition, part.epoch, list(part.keys))


# Answers.


def encode_outcome(outcome: TransactOutcome) -> bytes:
    """A TransactOutcome, without its type."""
    parts = [_OUTCOME.pack(0x08 | outcome.verdict << 8, 0x11, outcome.stamp)]
    for result in outcome.results:
        if result is None:
            parts.append(b"\x1a\x00")
        elif result.__class__ is wire.WriteResult and result.attributes is None and not result.index_units:
            parts.append(_WRITTEN.pack(_WRITTEN_HEAD, 0x0D, result.old_size, 0x15, result.new_size))
        else:
            body = _result_body(result)
            parts += (b"\x1a", length_prefix(len(body)), body)
    return b"".join(parts)


def _result_body(result: wire.WriteResult | ApiError) -> bytes:
    """A result with more than two sizes."""
    if isinstance(result, ApiError):
        failure = data_codec.encode_failure(result)
        return b"\x12" + length_prefix(len(failure)) + failure
    part = pb.WriteResult(old_size=result.old_size, new_size=result.new_size)
    if result.attributes is not None:
        part.attributes = result.attributes
    for kind, name, half in result.index_units or ():
        part.index_units.add(kind=kind, name=name, units_half=half)
    data: bytes = part.SerializeToString()
    return b"\x0a" + length_prefix(len(data)) + data


def decode_outcome(data: bytes) -> TransactOutcome:
    """A TransactOutcome in any layout."""
    if len(data) >= _OUTCOME_SIZE:
        head, tag, stamp = _OUTCOME.unpack_from(data)
        if head & 0x80FF == 0x08 and tag == 0x11:
            results = _read_written(data)
            if results is not None:
                return TransactOutcome(head >> 8, results, stamp)
    part = parsed(pb.TransactOutcome, data)
    return TransactOutcome(part.verdict, [_result_of(each) for each in part.results], part.stamp)


def _read_written(data: bytes) -> list[wire.WriteResult | ApiError | None] | None:
    """Results that are nothing but sizes; None if there are others."""
    results: list[wire.WriteResult | ApiError | None] = []
    add = results.append
    try:
        for head, tag1, old_size, tag2, new_size in _WRITTEN.iter_unpack(data[_OUTCOME_SIZE:]):
            if head != _WRITTEN_HEAD or tag1 != 0x0D or tag2 != 0x15:
                return None
            add(wire.WriteResult(old_size, new_size))
    except struct.error:
        return None
    return results


def _result_of(part: Any) -> wire.WriteResult | ApiError | None:
    kind = part.WhichOneof("result")
    if kind == "written":
        written = part.written
        units = [(unit.kind, unit.name, unit.units_half) for unit in written.index_units]
        attributes = written.attributes if written.HasField("attributes") else None
        return wire.WriteResult(written.old_size, written.new_size, attributes, units or None)
    return None if kind is None else data_codec.decode_failure(part.refused.SerializeToString())


def encode_versions(versions: TransactVersions) -> bytes:
    """A TransactVersions, without its type."""
    parts = [_PLACE.pack(0x09, versions.partition, 0x11, versions.deletes)]
    for record, locked in zip(versions.records, versions.locked, strict=True):
        flag = b"\x10\x01" if locked else b""
        if record is None:
            parts += (b"\x1a", length_prefix(len(flag)), flag)
        else:
            prefix = length_prefix(len(record))
            size = 1 + len(prefix) + len(record) + len(flag)
            parts += (b"\x1a", length_prefix(size), b"\x0a", prefix, record, flag)
    return b"".join(parts)


def decode_versions(data: bytes) -> TransactVersions:
    """A TransactVersions in any layout."""
    part = parsed(pb.TransactVersions, data)
    records: list[bytes | None] = []
    locked = []
    for version in part.versions:
        records.append(version.record if version.HasField("record") else None)
        locked.append(version.locked)
    return TransactVersions(part.partition, part.deletes, records, locked)


NUMBERS: dict[type, int] = {
    TransactWrite: rpc.TRANSACT_WRITE,
    TransactPrepare: rpc.TRANSACT_PREPARE,
    TransactFinish: rpc.TRANSACT_FINISH,
    TransactRead: rpc.TRANSACT_READ,
}
ENCODERS: dict[int, Encoder] = {
    rpc.TRANSACT_WRITE: _encode_write,
    rpc.TRANSACT_PREPARE: _encode_prepare,
    rpc.TRANSACT_FINISH: _encode_finish,
    rpc.TRANSACT_READ: _encode_read,
}
DECODERS: dict[int, Decoder] = {
    rpc.TRANSACT_WRITE: _decode_write,
    rpc.TRANSACT_PREPARE: _decode_prepare,
    rpc.TRANSACT_FINISH: _decode_finish,
    rpc.TRANSACT_READ: _decode_read,
}
