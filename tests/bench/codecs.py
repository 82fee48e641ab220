"""What encoding and decoding the hot messages costs: here, with the generated classes, and with msgpack.

    python -m tests.bench.codecs

Each column is microseconds to encode plus microseconds to decode, the least of many short runs. The msgpack column is
the least that a schemaless encoding of the same fields could cost. The figures of record are in proto/README.md.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import msgpack
from hashrange_node import raft_codec
from hashrange_node.raft import messages as raft

from hashrange.wire import data_codec
from hashrange.wire import messages as wire
from hashrange.wire.cluster import RaftBatch
from hashrange.wire.codec import Codec
from hashrange.wire.pb import node_pb2, raft_pb2
from hashrange.wire.transactions import TransactOutcome, TransactWrite
from tests.bench.transport import RECORD, RESULT, read_item, write_item

RUNS, RUN_LENGTH = 60, 1_000
CODEC = Codec(raft_codec.RaftMessages())

Way = tuple[Callable[[], bytes], Callable[[bytes], Any]]

_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack
_WRITE_FIELDS = tuple(name for name in wire.WriteItem.__slots__ if name != "decoded")


def microseconds(call: Callable[[], Any]) -> float:
    """The least time of a call."""
    return min(timeit.repeat(call, number=RUN_LENGTH, repeat=RUNS)) / RUN_LENGTH * 1e6


def cell(way: Way | None) -> str:
    """Both directions of one way."""
    if way is None:
        return " " * 18
    encode, decode = way
    data = encode()
    there, back = microseconds(encode), microseconds(lambda: decode(data))
    return f"{there:5.2f} + {back:5.2f} us "


def slots_by_msgpack(message: Any, make: Callable[..., Any], names: tuple[str, ...]) -> Way:
    """An object of slots as an array."""

    def decode(data: bytes) -> Any:
        found = make()
        for name, value in zip(names, msgpack.unpackb(data, use_list=False), strict=True):
            setattr(found, name, value)
        return found

    return lambda: bytes(_pack([getattr(message, name) for name in names])), decode


def raft_ways(message: Any) -> tuple[Way, Way, Way]:
    """A batch of one Raft message, in the three ways."""
    batch = RaftBatch([(5, message)])
    made = type(message)

    def by_class() -> bytes:
        whole = raft_pb2.Batch()
        raft_codec._fill(whole.messages.add(), 5, message)
        data: bytes = whole.SerializeToString()
        return data

    def from_class(data: bytes) -> RaftBatch:
        return RaftBatch([raft_codec._of_part(part) for part in raft_pb2.Batch.FromString(data).messages])

    def by_msgpack() -> bytes:
        fields = [getattr(message, name) for name in made.__slots__ if name != "entries"]
        entries = [(e.index, e.term, e.kind, e.payload) for e in getattr(message, "entries", ())]
        return bytes(_pack([(5, message.sender, message.to, message.term, fields, entries)]))

    def from_msgpack(data: bytes) -> RaftBatch:
        ((group, sender, to, term, fields, packed),) = msgpack.unpackb(data, use_list=False)
        if made is not raft.Append:
            return RaftBatch([(group, made(sender, to, term, *fields))])
        entries = [raft.Entry(i, t, k, payload, len(payload)) for i, t, k, payload in packed]
        return RaftBatch([(group, raft.Append(sender, to, term, *fields[:2], entries, *fields[2:]))])

    ours: Way = (lambda: CODEC.encode_cast(batch), CODEC.decode_cast)
    return ours, (by_class, from_class), (by_msgpack, from_msgpack)


def transaction_ways(write: wire.WriteItem) -> dict[str, tuple[Way, Way | None, Way]]:
    """A transaction of two puts and its outcome."""
    message = TransactWrite(12, 3, b"t" * 16, [write, write], b"d" * 16)
    outcome = TransactOutcome(1, [RESULT, RESULT], 1 << 56)

    def message_by_msgpack() -> bytes:
        actions = [[getattr(each, name) for name in _WRITE_FIELDS] for each in message.actions]
        return bytes(_pack((12, 3, message.txid, actions, message.digest)))

    def outcome_by_msgpack() -> bytes:
        sizes = [(result.old_size, result.new_size, None, None) for result in (RESULT, RESULT)]
        return bytes(_pack((outcome.verdict, sizes, outcome.stamp)))

    return {
        "TransactWrite, 2 puts": (
            (lambda: CODEC.encode_request(message), CODEC.decode_request), None,
            (message_by_msgpack, msgpack.unpackb),
        ),
        "TransactOutcome of 2": (
            (lambda: CODEC.encode_reply(message, outcome), CODEC.decode_reply), None,
            (outcome_by_msgpack, msgpack.unpackb),
        ),
    }  # fmt: skip


def ways() -> dict[str, tuple[Way, Way | None, Way]]:
    """Of each message: here, generated classes, msgpack."""
    read, write = read_item(), write_item()

    def request(message: Any, encode: Any, decode: Any, made: Any, names: tuple[str, ...]) -> Any:
        packed = slots_by_msgpack(message, made, names)
        return (
            (lambda: CODEC.encode_request(message), CODEC.decode_request),
            (lambda: encode(message), decode),
            packed,
        )

    def result_by_class() -> bytes:
        part = node_pb2.WriteResult()
        part.old_size, part.new_size, part.stamp = RESULT.old_size, RESULT.new_size, RESULT.stamp
        data: bytes = part.SerializeToString()
        return data

    def append(entries: int) -> raft.Append:
        run = [raft.Entry(100_001 + number, 7, raft.DATA, b"p" * 600, 600) for number in range(entries)]
        return raft.Append(1, 2, 7, 100_000, 7, run, 99_999, 12_345)

    return {
        "ReadItem": request(
            read, data_codec.encode_read_item, data_codec.decode_read_item,
            lambda: wire.ReadItem(0, 0, b"", False), wire.ReadItem.__slots__,
        ),
        "WriteItem, put": request(
            write, data_codec.encode_write_item, data_codec.decode_write_item,
            lambda: wire.WriteItem(0, 0, 0, b""), _WRITE_FIELDS,
        ),
        "record of 524 bytes": (
            (lambda: CODEC.encode_reply(read, RECORD), CODEC.decode_reply), None,
            (lambda: bytes(_pack(RECORD)), msgpack.unpackb),
        ),
        "WriteResult": (
            (lambda: CODEC.encode_reply(write, RESULT), CODEC.decode_reply),
            (result_by_class, data_codec.decode_write_result),
            slots_by_msgpack(RESULT, lambda: wire.WriteResult(0, 0), wire.WriteResult.__slots__),
        ),
        **transaction_ways(write),
        "Append, 1 entry": raft_ways(append(1)),
        "Append, 32 entries": raft_ways(append(32)),
        "AppendReply": raft_ways(raft.AppendReply(1, 2, 7, 100_000, 444)),
        "Heartbeat": raft_ways(raft.Heartbeat(1, 2, 7, 100_000, 444)),
    }  # fmt: skip


def main() -> None:
    """One line for each message."""
    print(f"{'':22} {'here':18} {'generated':18} msgpack")
    for name, columns in ways().items():
        print(f"{name:22} {' '.join(map(cell, columns))}", flush=True)


if __name__ == "__main__":
    main()
