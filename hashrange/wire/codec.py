"""Messages and answers as the bytes of proto/node.proto, and back.

`encode_request(id, message)` and `decode_request(bytes)` carry what a router asks; `encode_reply(id, answer)` and
`decode_reply(bytes)` what a node answers, ApiErrors included. Ids pair answers with requests on one stream and
mean nothing else. Only messages to nodes are here: the control plane's are in proto/control.proto.

Programs travel as msgpack of their portable form, items as the JSON bytes that are stored: nothing is decoded
that the other side does not need decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import orjson
from google.protobuf.message import DecodeError

from hashrange.errors import ApiError
from hashrange.expr import Bound, BoundUpdate, Projection
from hashrange.wire import messages as wire
from hashrange.wire.pb import node_pb2 as pb

MessageToNode = wire.ReadItem | wire.WriteItem | wire.ReadRange | wire.WriteEntries | wire.CollectionSize
Answer = ApiError | bytes | wire.WriteResult | wire.RangeResult | int | None


class FrameError(ValueError):
    """Bytes that are no frame, or a frame whose contents cannot be read."""


def _parsed(frame_type: Any, data: bytes) -> Any:
    try:
        return frame_type.FromString(data)
    except DecodeError as error:
        raise FrameError(f"not a frame: {error}") from error


def _portable(program: Bound | BoundUpdate | Projection | None) -> bytes:
    if program is None:
        return b""
    packed: bytes = msgpack.packb(program.to_portable())
    return packed


def _unpack(data: bytes, make: Callable[[Any], Any]) -> Any:
    return make(msgpack.unpackb(data, use_list=False)) if data else None


def encode_request(request_id: int, message: MessageToNode) -> bytes:
    """The frame of one message."""
    frame = pb.Request(id=request_id)
    _ENCODERS[type(message)](frame, message)
    data: bytes = frame.SerializeToString()
    return data


def _encode_read_item(frame: Any, message: wire.ReadItem) -> None:
    frame.read_item.SetInParent()
    part = frame.read_item
    part.partition, part.epoch = message.partition, message.epoch
    part.key, part.consistent = message.key, message.consistent


def _encode_write_item(frame: Any, message: wire.WriteItem) -> None:
    part = frame.write_item
    part.partition, part.epoch = message.partition, message.epoch
    part.kind, part.key = message.kind, message.key
    part.item_json, part.item_size = message.item_json, message.item_size
    if message.key_item is not None:
        part.key_item_json = orjson.dumps(message.key_item)
    part.condition = _portable(message.condition)
    part.update = _portable(message.update)
    part.returns = message.returns
    part.want_old_on_failure = message.want_old_on_failure
    if message.expiry_s is not None:
        part.expiry_s = message.expiry_s


def _encode_read_range(frame: Any, message: wire.ReadRange) -> None:
    part = frame.read_range
    part.partition, part.epoch, part.space = message.partition, message.epoch, message.space
    part.low, part.high, part.reverse = message.low, message.high, message.reverse
    if message.limit is not None:
        part.limit = message.limit
    part.max_bytes = message.max_bytes
    part.filter = _portable(message.filter)
    part.projection = _portable(message.projection)
    part.count_only, part.fetch, part.consistent = message.count_only, message.fetch, message.consistent


def _encode_write_entries(frame: Any, message: wire.WriteEntries) -> None:
    part = frame.write_entries
    part.partition, part.epoch = message.partition, message.epoch
    for key, record, stamp in message.entries:
        part.entries.add(key=key, record=record, stamp=stamp)


def _encode_collection_size(frame: Any, message: wire.CollectionSize) -> None:
    part = frame.collection_size
    part.partition, part.epoch, part.prefix = message.partition, message.epoch, message.prefix


_ENCODERS: dict[type, Callable[[Any, Any], None]] = {
    wire.ReadItem: _encode_read_item,
    wire.WriteItem: _encode_write_item,
    wire.ReadRange: _encode_read_range,
    wire.WriteEntries: _encode_write_entries,
    wire.CollectionSize: _encode_collection_size,
}


def decode_request(data: bytes) -> tuple[int, MessageToNode]:
    """Id and message of a frame; FrameError for bytes that are none."""
    frame = _parsed(pb.Request, data)
    kind = frame.WhichOneof("message")
    if kind is None:
        raise FrameError("a request frame without a message")
    try:
        return frame.id, _DECODERS[kind](getattr(frame, kind))
    except Exception as error:  # a program or JSON inside the frame that is none
        raise FrameError(f"a request frame with unreadable contents: {error!r}") from error


def _decode_read_item(part: Any) -> wire.ReadItem:
    return wire.ReadItem(part.partition, part.epoch, part.key, part.consistent)


def _decode_write_item(part: Any) -> wire.WriteItem:
    message = wire.WriteItem(part.partition, part.epoch, part.kind, part.key)
    message.item_json, message.item_size = part.item_json, part.item_size
    message.key_item = orjson.loads(part.key_item_json) if part.key_item_json else None
    message.condition = _unpack(part.condition, Bound.from_portable)
    message.update = _unpack(part.update, BoundUpdate.from_portable)
    message.returns = part.returns
    message.want_old_on_failure = part.want_old_on_failure
    message.expiry_s = part.expiry_s if part.HasField("expiry_s") else None
    return message


def _decode_read_range(part: Any) -> wire.ReadRange:
    message = wire.ReadRange(part.partition, part.epoch, part.space, part.low, part.high)
    message.reverse = part.reverse
    message.limit = part.limit if part.HasField("limit") else None
    message.max_bytes = part.max_bytes
    message.filter = _unpack(part.filter, Bound.from_portable)
    message.projection = _unpack(part.projection, Projection.from_portable)
    message.count_only, message.fetch, message.consistent = part.count_only, part.fetch, part.consistent
    return message


def _decode_write_entries(part: Any) -> wire.WriteEntries:
    entries = [(e.key, e.record if e.HasField("record") else None, e.stamp) for e in part.entries]
    return wire.WriteEntries(part.partition, part.epoch, entries)


def _decode_collection_size(part: Any) -> wire.CollectionSize:
    return wire.CollectionSize(part.partition, part.epoch, part.prefix)


_DECODERS: dict[str, Callable[[Any], MessageToNode]] = {
    "read_item": _decode_read_item,
    "write_item": _decode_write_item,
    "read_range": _decode_read_range,
    "write_entries": _decode_write_entries,
    "collection_size": _decode_collection_size,
}


def encode_reply(request_id: int, message: type, answer: Answer) -> bytes:
    """The frame of the answer to a message of the given type."""
    frame = pb.Reply(id=request_id)
    if isinstance(answer, ApiError):
        _encode_failure(frame.failure, answer)
    elif isinstance(answer, wire.WriteResult):
        _encode_write_result(frame.write_result, answer)
    elif isinstance(answer, wire.RangeResult):
        _encode_range_result(frame.range_result, answer)
    elif message is wire.ReadItem:
        frame.record.SetInParent()
        if isinstance(answer, bytes):
            frame.record.record = answer
    elif isinstance(answer, int):
        frame.size_bytes = answer
    else:
        frame.done.SetInParent()
    data: bytes = frame.SerializeToString()
    return data


def _encode_failure(part: Any, error: ApiError) -> None:
    part.type_name, part.status = error.type_name, error.status
    part.namespace, part.message_key = error.namespace, error.message_key
    if error.message is not None:
        part.message = error.message
    if error.fields is not None:
        part.fields_json = orjson.dumps(error.fields)


def _encode_write_result(part: Any, result: wire.WriteResult) -> None:
    part.old_size, part.new_size = result.old_size, result.new_size
    part.SetInParent()
    if result.attributes is not None:
        part.attributes = result.attributes
    for kind, name, half in result.index_units or ():
        part.index_units.add(kind=kind, name=name, units_half=half)


def _encode_range_result(part: Any, result: wire.RangeResult) -> None:
    part.SetInParent()
    part.items.extend(result.items)
    part.count, part.scanned, part.size_bytes = result.count, result.scanned, result.size_bytes
    part.fetched_sizes.extend(result.fetched_sizes)
    if result.last is not None:
        part.last = result.last


def decode_reply(data: bytes) -> tuple[int, Answer]:
    """Id and answer of a frame; FrameError for bytes that are none."""
    frame = _parsed(pb.Reply, data)
    kind = frame.WhichOneof("answer")
    if kind == "failure":
        try:
            return frame.id, _decode_failure(frame.failure)
        except orjson.JSONDecodeError as error:
            raise FrameError(f"a reply frame with unreadable contents: {error!r}") from error
    if kind == "record":
        return frame.id, frame.record.record if frame.record.HasField("record") else None
    if kind == "write_result":
        part = frame.write_result
        units = [(unit.kind, unit.name, unit.units_half) for unit in part.index_units]
        attributes = part.attributes if part.HasField("attributes") else None
        return frame.id, wire.WriteResult(part.old_size, part.new_size, attributes, units or None)
    if kind == "range_result":
        return frame.id, _decode_range_result(frame.range_result)
    if kind == "done":
        return frame.id, None
    if kind == "size_bytes":
        return frame.id, frame.size_bytes
    raise FrameError("a reply frame without an answer")


def _decode_failure(part: Any) -> ApiError:
    fields = orjson.loads(part.fields_json) if part.fields_json else None
    return ApiError(
        part.type_name,
        part.message if part.HasField("message") else None,
        status=part.status,
        namespace=part.namespace,
        message_key=part.message_key,
        fields=fields,
    )


def _decode_range_result(part: Any) -> wire.RangeResult:
    result = wire.RangeResult()
    result.items = list(part.items)
    result.count, result.scanned, result.size_bytes = part.count, part.scanned, part.size_bytes
    result.fetched_sizes = list(part.fetched_sizes)
    result.last = part.last if part.HasField("last") else None
    return result
