"""The messages of streams as bytes: those of `hashrange.wire.streams`, by proto/node.proto.

None of the functions includes the byte that says what follows. Sequence numbers travel as in the engine's keys.
"""

from __future__ import annotations

from typing import Any

from hashrange.model.stream_sequence import SEQUENCE_BYTES, sequence_bytes
from hashrange.wire.fields import Decoder, Encoder, FrameError, length_prefix, parsed
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.streams import LocateRecord, ReadRecords, ReadShards, RecordPage

# Tag and length of a sequence number, and the tag of what follows it.
_SEQUENCE_HEAD = bytes((0x0A, SEQUENCE_BYTES))
_VALUE_TAG = b"\x12"
_RECORD_TAG = b"\x1a"
_RECORD_FIXED = len(_SEQUENCE_HEAD) + SEQUENCE_BYTES + len(_VALUE_TAG)


def _sequence(data: bytes) -> int:
    if len(data) != SEQUENCE_BYTES:
        raise FrameError(f"a sequence number of {len(data)} bytes")
    return int.from_bytes(data, "big")


def _encode_read_shards(message: ReadShards) -> bytes:
    part = pb.ReadShards(partition=message.partition, epoch=message.epoch, lo=message.lo, label=message.label)
    data: bytes = part.SerializeToString()
    return data


def _decode_read_shards(data: bytes) -> ReadShards:
    part = parsed(pb.ReadShards, data)
    return ReadShards(part.partition, part.epoch, part.lo, part.label)


def _encode_read_records(message: ReadRecords) -> bytes:
    part = pb.ReadRecords(
        partition=message.partition,
        epoch=message.epoch,
        lo=message.lo,
        shard=message.shard,
        after=sequence_bytes(message.after),
        limit=message.limit,
        max_bytes=message.max_bytes,
        wait_ms=message.wait_ms,
    )
    data: bytes = part.SerializeToString()
    return data


def _decode_read_records(data: bytes) -> ReadRecords:
    part = parsed(pb.ReadRecords, data)
    return ReadRecords(
        part.partition,
        part.epoch,
        part.lo,
        part.shard,
        _sequence(part.after),
        part.limit,
        part.max_bytes,
        part.wait_ms,
    )


def _encode_locate(message: LocateRecord) -> bytes:
    part = pb.LocateRecord(
        partition=message.partition, epoch=message.epoch, lo=message.lo, shard=message.shard
    )
    if message.at_ms is not None:
        part.at_ms = message.at_ms
    data: bytes = part.SerializeToString()
    return data


def _decode_locate(data: bytes) -> LocateRecord:
    part = parsed(pb.LocateRecord, data)
    at_ms = part.at_ms if part.HasField("at_ms") else None
    return LocateRecord(part.partition, part.epoch, part.lo, part.shard, at_ms)


def encode_page(page: RecordPage) -> bytes:
    """A RecordPage, without its type."""
    parts = [_SEQUENCE_HEAD, sequence_bytes(page.after), b"\x10\x01" if page.ended else b""]
    for sequence, value in page.records:
        prefix = length_prefix(len(value))
        size = _RECORD_FIXED + len(prefix) + len(value)
        number = sequence_bytes(sequence)
        parts += (_RECORD_TAG, length_prefix(size), _SEQUENCE_HEAD, number, _VALUE_TAG, prefix, value)
    return b"".join(parts)


def decode_page(data: bytes) -> RecordPage:
    """A RecordPage; FrameError for bytes that are none."""
    part: Any = parsed(pb.RecordPage, data)
    records = [(_sequence(record.sequence), record.value) for record in part.records]
    return RecordPage(records, _sequence(part.after), part.ended)


NUMBERS: dict[type, int] = {
    ReadShards: rpc.READ_SHARDS,
    ReadRecords: rpc.READ_RECORDS,
    LocateRecord: rpc.LOCATE_RECORD,
}
ENCODERS: dict[int, Encoder] = {
    rpc.READ_SHARDS: _encode_read_shards,
    rpc.READ_RECORDS: _encode_read_records,
    rpc.LOCATE_RECORD: _encode_locate,
}
DECODERS: dict[int, Decoder] = {
    rpc.READ_SHARDS: _decode_read_shards,
    rpc.READ_RECORDS: _decode_read_records,
    rpc.LOCATE_RECORD: _decode_locate,
}
