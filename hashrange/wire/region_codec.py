"""Items of other regions on their way to the leader of a partition, as bytes: by proto/node.proto.

None of the functions includes the byte that says what follows. Keys and records are two lists: the generated classes
take whole lists of bytes several times faster than messages one by one.
"""

from __future__ import annotations

from typing import Any

from hashrange.wire.fields import Decoder, Encoder, FrameError, parsed
from hashrange.wire.pb import node_pb2 as pb
from hashrange.wire.pb import rpc_pb2 as rpc
from hashrange.wire.regions import ApplyReplicated, ReplicatedOutcome


def _encode_apply(message: ApplyReplicated) -> bytes:
    part = pb.ApplyReplicated(
        partition=message.partition,
        epoch=message.epoch,
        source=message.source,
        keys=[key for key, _ in message.entries],
        records=[record for _, record in message.entries],
    )
    data: bytes = part.SerializeToString()
    return data


def _decode_apply(data: bytes) -> ApplyReplicated:
    part: Any = parsed(pb.ApplyReplicated, data)
    if len(part.keys) != len(part.records):
        raise FrameError(f"{len(part.keys)} keys with {len(part.records)} records")
    entries = list(zip(part.keys, part.records, strict=True))
    return ApplyReplicated(part.partition, part.epoch, part.source, entries)


def encode_outcome(outcome: ReplicatedOutcome) -> bytes:
    """A ReplicatedOutcome, without its type."""
    part = pb.ReplicatedOutcome(outcomes=outcome.outcomes, now=outcome.now)
    data: bytes = part.SerializeToString()
    return data


def decode_outcome(data: bytes) -> ReplicatedOutcome:
    """A ReplicatedOutcome; FrameError for bytes that are none."""
    part: Any = parsed(pb.ReplicatedOutcome, data)
    return ReplicatedOutcome(part.outcomes, part.now)


NUMBERS: dict[type, int] = {ApplyReplicated: rpc.APPLY_REPLICATED}
ENCODERS: dict[int, Encoder] = {rpc.APPLY_REPLICATED: _encode_apply}
DECODERS: dict[int, Decoder] = {rpc.APPLY_REPLICATED: _decode_apply}
