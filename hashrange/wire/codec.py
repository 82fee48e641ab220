"""Messages and answers as bytes: what goes into the frames between processes (proto/rpc.proto).

    codec = Codec(raft=RaftMessages())                 # a node's; a router's has no raft
    data = codec.encode_request(message)               # one byte of type, then the message
    message = codec.decode_request(data)
    data = codec.encode_reply(message, answer)         # the answer to `message`; ApiErrors are answers too
    answer = codec.decode_reply(data)
    codec.encode_cast, codec.decode_cast               # one-way messages, the same as requests

Decoding raises FrameError for bytes that cannot be read, and nothing else. Errors come back as the class that they
were: ConflictError, a fault of `hashrange.wire.faults`, or ApiError.
"""

from __future__ import annotations

from typing import Any, Protocol

import orjson

from hashrange.errors import ApiError
from hashrange.wire import cluster, control_codec, data_codec, hot, region_codec, stream_codec, transact_codec
from hashrange.wire import messages as wire
from hashrange.wire.fields import Decoder, Encoder, FrameError
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.regions import ReplicatedOutcome
from hashrange.wire.streams import RecordPage
from hashrange.wire.transactions import TransactOutcome, TransactVersions

__all__ = ["Codec", "FrameError", "RaftCodec"]

_READ_ITEM: int = rpc.READ_ITEM
_WRITE_ITEM: int = rpc.WRITE_ITEM
_NOTHING = bytes((rpc.ANSWER_NOTHING,))
_RECORD = bytes((rpc.ANSWER_RECORD,))
_RANGE_RESULT = bytes((rpc.ANSWER_RANGE_RESULT,))
_NUMBER = bytes((rpc.ANSWER_NUMBER,))
_FAILURE = bytes((rpc.ANSWER_FAILURE,))
_JSON = bytes((rpc.ANSWER_JSON,))
_TOTALS = bytes((rpc.ANSWER_TABLE_TOTALS,))
_OUTCOME = bytes((rpc.ANSWER_TRANSACT_OUTCOME,))
_VERSIONS = bytes((rpc.ANSWER_TRANSACT_VERSIONS,))
_RECORD_PAGE = bytes((rpc.ANSWER_RECORD_PAGE,))
_REPLICATED = bytes((rpc.ANSWER_REPLICATED_OUTCOME,))
_NUMBER_END = 1 << 64


class RaftCodec(Protocol):
    """Encodes what only nodes understand: messages of hashrange_node.raft."""

    def encode_batch(self, batch: cluster.RaftBatch) -> bytes:
        """The Batch of proto/raft.proto."""
        ...

    def decode_batch(self, data: bytes) -> cluster.RaftBatch:
        """The inverse; raises FrameError, ValueError or IndexError for bytes that are none."""
        ...

    def encode_chunk(self, chunk: cluster.SnapshotChunk) -> bytes:
        """The SnapshotChunk of proto/raft.proto."""
        ...

    def decode_chunk(self, data: bytes) -> cluster.SnapshotChunk:
        """The inverse; raises FrameError, ValueError or IndexError for bytes that are none."""
        ...


class Codec:
    """All messages and answers of the cluster. Holds no state: one for all connections of a process."""

    def __init__(self, raft: RaftCodec | None = None) -> None:
        numbers: dict[type, int] = {}
        encoders: dict[int, Encoder] = {}
        self._decoders: dict[int, Decoder] = {}
        for part in (data_codec, transact_codec, stream_codec, region_codec, control_codec):
            numbers |= part.NUMBERS
            encoders |= part.ENCODERS
            self._decoders |= part.DECODERS
        if raft is not None:
            numbers[cluster.RaftBatch] = rpc.RAFT_BATCH
            numbers[cluster.SnapshotChunk] = rpc.SNAPSHOT_CHUNK
            encoders[rpc.RAFT_BATCH] = raft.encode_batch
            encoders[rpc.SNAPSHOT_CHUNK] = raft.encode_chunk
            self._decoders[rpc.RAFT_BATCH] = raft.decode_batch
            self._decoders[rpc.SNAPSHOT_CHUNK] = raft.decode_chunk
        self._encoders = {made: (bytes((number,)), encoders[number]) for made, number in numbers.items()}

    def encode_request(self, message: Any) -> bytes:
        """Type and message. TypeError for an object that is no message."""
        kind = message.__class__
        if kind is wire.ReadItem:
            return hot.encode_read_item(message)
        if kind is wire.WriteItem:
            data = hot.encode_write_item(message)
            if data is not None:
                return data
        try:
            number, encode = self._encoders[kind]
        except KeyError:
            raise TypeError(f"{kind.__name__} is no message of this program") from None
        return number + encode(message)

    def decode_request(self, data: bytes) -> Any:
        """The message of its bytes; FrameError for bytes that are none."""
        if not data:
            raise FrameError("a frame without a message")
        number = data[0]
        try:
            message: Any = None
            if number == _READ_ITEM:
                message = hot.decode_read_item(data)
            elif number == _WRITE_ITEM:
                message = hot.decode_write_item(data)
            if message is not None:
                return message
            decode = self._decoders.get(number)
            if decode is None:
                raise FrameError(f"a message of the unknown type {number}")
            return decode(data[1:])
        except FrameError:
            raise
        except Exception as error:  # a program or JSON inside the message that is none
            raise FrameError(f"a message of type {number} with unreadable contents: {error!r}") from error

    encode_cast = encode_request
    decode_cast = decode_request

    def encode_reply(self, message: Any, answer: Any) -> bytes:
        """Type and answer to `message`. TypeError for what no answer can be."""
        if answer is None:
            return _NOTHING
        kind = answer.__class__
        data: bytes
        if kind is bytes:
            data = _RECORD + answer
            return data
        if kind is wire.WriteResult:
            return hot.encode_write_result(answer)
        if kind is wire.RangeResult:
            return _RANGE_RESULT + data_codec.encode_range_result(answer)
        if kind is TransactOutcome:
            return _OUTCOME + transact_codec.encode_outcome(answer)
        if kind is TransactVersions:
            return _VERSIONS + transact_codec.encode_versions(answer)
        if kind is RecordPage:
            return _RECORD_PAGE + stream_codec.encode_page(answer)
        if kind is ReplicatedOutcome:
            return _REPLICATED + region_codec.encode_outcome(answer)
        if isinstance(answer, ApiError):
            return _FAILURE + data_codec.encode_failure(answer)
        if message.__class__ is wire.TableStatistics:
            return _TOTALS + control_codec.encode_totals(answer)
        if kind is int and 0 <= answer < _NUMBER_END:
            data = _NUMBER + answer.to_bytes(8, "little")
            return data
        return _JSON + orjson.dumps(answer)

    def decode_reply(self, data: bytes) -> Any:
        """The answer of its bytes; FrameError for bytes that are none."""
        if not data:
            raise FrameError("a frame without an answer")
        number = data[0]
        if number == rpc.ANSWER_RECORD:
            return data[1:]
        if number == rpc.ANSWER_WRITE_RESULT:
            result = hot.decode_write_result(data)
            return result if result is not None else data_codec.decode_write_result(data[1:])
        if number == rpc.ANSWER_NOTHING:
            return None
        return _decode_other_reply(number, data[1:])


def _decode_other_reply(number: int, data: bytes) -> Any:
    if number == rpc.ANSWER_RANGE_RESULT:
        return data_codec.decode_range_result(data)
    if number == rpc.ANSWER_TRANSACT_OUTCOME:
        return transact_codec.decode_outcome(data)
    if number == rpc.ANSWER_TRANSACT_VERSIONS:
        return transact_codec.decode_versions(data)
    if number == rpc.ANSWER_RECORD_PAGE:
        return stream_codec.decode_page(data)
    if number == rpc.ANSWER_REPLICATED_OUTCOME:
        return region_codec.decode_outcome(data)
    if number == rpc.ANSWER_FAILURE:
        return data_codec.decode_failure(data)
    if number == rpc.ANSWER_NUMBER:
        return int.from_bytes(data, "little")
    if number == rpc.ANSWER_TABLE_TOTALS:
        return control_codec.decode_totals(data)
    if number != rpc.ANSWER_JSON:
        raise FrameError(f"an answer of the unknown type {number}")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FrameError(f"an answer that is no JSON: {error}") from error
