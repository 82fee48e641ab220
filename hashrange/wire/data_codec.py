"""Data messages and answers as bytes, by the generated classes of proto/node.proto.

The codec of frames (`hashrange.wire.codec`) tries the short ways of `hashrange.wire.hot` first. Programs travel as
msgpack of their portable form, items as the JSON bytes that are stored: nothing is decoded that the other side
does not need decoded.
"""

from __future__ import annotations

from typing import Any

import msgpack
import orjson

from hashrange.errors import ApiError
from hashrange.expr import Bound, BoundUpdate, Projection
from hashrange.wire import messages as wire
from hashrange.wire.faults import fault_from
from hashrange.wire.fields import Decoder, Encoder, FrameError, parsed
from hashrange.wire.hot import decode_condition, decode_update, encode_program
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc


def _serialized(part: Any) -> bytes:
    data: bytes = part.SerializeToString()
    return data


def _program(bound: Bound | BoundUpdate | None) -> Any:
    return None if bound is None else pb.Program.FromString(encode_program(bound))


def encode_read_item(message: wire.ReadItem) -> bytes:
    """A ReadItem, without its type."""
    return _serialized(
        pb.ReadItem(
            partition=message.partition, epoch=message.epoch, consistent=message.consistent, key=message.key
        )
    )


def decode_read_item(data: bytes) -> wire.ReadItem:
    """A ReadItem in any layout."""
    part = parsed(pb.ReadItem, data)
    return wire.ReadItem(part.partition, part.epoch, part.key, part.consistent)


def encode_write_item(message: wire.WriteItem) -> bytes:
    """A WriteItem of any kind, without its type."""
    session, sequence = message.request_id if message.request_id is not None else (None, None)
    make: Any = pb.WriteItem  # its enums take plain numbers
    return _serialized(
        make(
            partition=message.partition,
            epoch=message.epoch,
            kind=message.kind,
            returns=message.returns,
            want_old_on_failure=message.want_old_on_failure,
            item_size=message.item_size,
            session=session,
            sequence=sequence,
            key=message.key,
            item_json=message.item_json,
            key_item_json=None if message.key_item is None else orjson.dumps(message.key_item),
            condition=_program(message.condition),
            update=_program(message.update),
            expiry_s=message.expiry_s,
        )
    )


def decode_write_item(data: bytes) -> wire.WriteItem:
    """A WriteItem in any layout."""
    part = parsed(pb.WriteItem, data)
    message = wire.WriteItem(part.partition, part.epoch, part.kind, part.key)
    message.item_json, message.item_size = part.item_json, part.item_size
    message.key_item = orjson.loads(part.key_item_json) if part.key_item_json else None
    message.condition = decode_condition(part.condition) if part.HasField("condition") else None
    message.update = decode_update(part.update) if part.HasField("update") else None
    message.returns = part.returns
    message.want_old_on_failure = part.want_old_on_failure
    message.expiry_s = part.expiry_s if part.HasField("expiry_s") else None
    message.request_id = (part.session, part.sequence) if part.HasField("session") else None
    return message


def _encode_read_range(message: wire.ReadRange) -> bytes:
    part = pb.ReadRange()
    part.partition, part.epoch, part.space = message.partition, message.epoch, message.space
    part.low, part.high, part.reverse = message.low, message.high, message.reverse
    if message.limit is not None:
        part.limit = message.limit
    part.max_bytes = message.max_bytes
    if message.filter is not None:
        part.filter.MergeFromString(encode_program(message.filter))
    if message.projection is not None:
        part.projection = msgpack.packb(message.projection.to_portable())
    part.count_only, part.fetch, part.consistent = message.count_only, message.fetch, message.consistent
    return _serialized(part)


def _decode_read_range(data: bytes) -> wire.ReadRange:
    part = parsed(pb.ReadRange, data)
    message = wire.ReadRange(part.partition, part.epoch, part.space, part.low, part.high)
    message.reverse = part.reverse
    message.limit = part.limit if part.HasField("limit") else None
    message.max_bytes = part.max_bytes
    message.filter = decode_condition(part.filter) if part.HasField("filter") else None
    if part.projection:
        message.projection = Projection.from_portable(msgpack.unpackb(part.projection, use_list=False))
    message.count_only, message.fetch, message.consistent = part.count_only, part.fetch, part.consistent
    return message


def _encode_write_entries(message: wire.WriteEntries) -> bytes:
    part = pb.WriteEntries(partition=message.partition, epoch=message.epoch, fence=message.fence)
    for key, record, stamp in message.entries:
        part.entries.add(key=key, record=record, stamp=stamp)
    return _serialized(part)


def _decode_write_entries(data: bytes) -> wire.WriteEntries:
    part = parsed(pb.WriteEntries, data)
    entries = [(e.key, e.record if e.HasField("record") else None, e.stamp) for e in part.entries]
    fence = tuple(part.fence)
    if len(fence) not in (0, 3):
        raise FrameError(f"a fence of {len(fence)} numbers")
    return wire.WriteEntries(part.partition, part.epoch, entries, fence or None)


def _encode_collection_size(message: wire.CollectionSize) -> bytes:
    return _serialized(
        pb.CollectionSize(partition=message.partition, epoch=message.epoch, prefix=message.prefix)
    )


def _decode_collection_size(data: bytes) -> wire.CollectionSize:
    part = parsed(pb.CollectionSize, data)
    return wire.CollectionSize(part.partition, part.epoch, part.prefix)


def encode_failure(error: ApiError) -> bytes:
    """An error as answer; what `fault_from` and ConflictError need comes along."""
    part = pb.Failure(type_name=error.type_name, status=error.status)
    part.namespace, part.message_key = error.namespace, error.message_key
    if error.message is not None:
        part.message = error.message
    if error.fields is not None:
        part.fields_json = orjson.dumps(error.fields)
    part.conflict = isinstance(error, wire.ConflictError)
    part.item_size = error.item_size
    return _serialized(part)


def decode_failure(data: bytes) -> ApiError:
    """The error, as the class that it was: ConflictError, one of the faults, or ApiError."""
    part = parsed(pb.Failure, data)
    if part.conflict:
        return wire.ConflictError()
    try:
        error = ApiError(
            part.type_name,
            part.message if part.HasField("message") else None,
            status=part.status,
            namespace=part.namespace,
            message_key=part.message_key,
            fields=orjson.loads(part.fields_json) if part.fields_json else None,
        )
        error.item_size = part.item_size
        return fault_from(error)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as problem:
        raise FrameError(f"a failure with unreadable fields: {problem!r}") from problem


def decode_write_result(data: bytes) -> wire.WriteResult:
    """A WriteResult in any layout."""
    part = parsed(pb.WriteResult, data)
    units = [(unit.kind, unit.name, unit.units_half) for unit in part.index_units]
    attributes = part.attributes if part.HasField("attributes") else None
    return wire.WriteResult(part.old_size, part.new_size, attributes, units or None, part.stamp)


def encode_range_result(result: wire.RangeResult) -> bytes:
    """A RangeResult, without its type."""
    part = pb.RangeResult()
    part.items.extend(result.items)
    part.count, part.scanned, part.size_bytes = result.count, result.scanned, result.size_bytes
    if result.fetched_sizes:
        part.fetched_sizes.extend(result.fetched_sizes)
    if result.last is not None:
        part.last = result.last
    return _serialized(part)


def decode_range_result(data: bytes) -> wire.RangeResult:
    """A RangeResult."""
    part = parsed(pb.RangeResult, data)
    result = wire.RangeResult()
    result.items = list(part.items)
    result.count, result.scanned, result.size_bytes = part.count, part.scanned, part.size_bytes
    result.fetched_sizes = list(part.fetched_sizes)
    result.last = part.last if part.HasField("last") else None
    return result


NUMBERS: dict[type, int] = {
    wire.ReadItem: rpc.READ_ITEM,
    wire.WriteItem: rpc.WRITE_ITEM,
    wire.ReadRange: rpc.READ_RANGE,
    wire.WriteEntries: rpc.WRITE_ENTRIES,
    wire.CollectionSize: rpc.COLLECTION_SIZE,
}
ENCODERS: dict[int, Encoder] = {
    rpc.READ_ITEM: encode_read_item,
    rpc.WRITE_ITEM: encode_write_item,
    rpc.READ_RANGE: _encode_read_range,
    rpc.WRITE_ENTRIES: _encode_write_entries,
    rpc.COLLECTION_SIZE: _encode_collection_size,
}
DECODERS: dict[int, Decoder] = {
    rpc.READ_ITEM: decode_read_item,
    rpc.WRITE_ITEM: decode_write_item,
    rpc.READ_RANGE: _decode_read_range,
    rpc.WRITE_ENTRIES: _decode_write_entries,
    rpc.COLLECTION_SIZE: _decode_collection_size,
}
