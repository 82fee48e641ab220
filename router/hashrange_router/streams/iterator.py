"""Shard iterators: where a reader is in a shard, in a text that only this cluster can have made.

    <stream ARN>|1|<base64url(payload, its MAC)>

An iterator needs nothing kept anywhere: any router that has the cluster's key reads it. The payload, big-endian:

    offset  size  field
    0       1     format version, 1
    1       8     when it was made, milliseconds since 1970
    9       8     first hash of the shard: who owns it has the records
    17      15    sequence number behind which to read
    32            id of the shard, ASCII

The MAC is HMAC-SHA256 over the ARN, a `|` and the payload, cut to 16 bytes. An iterator can be used for 15 minutes.
"""

from __future__ import annotations

import binascii
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Final

from hashrange.errors import ApiError, validation
from hashrange.model.stream_sequence import SEQUENCE_BYTES

LIFETIME_MS: Final = 15 * 60 * 1000
"""How long an iterator can be used (Amazon DynamoDB Streams API Reference, GetShardIterator)."""
KEY_BYTES: Final = 32

_VERSION: Final = 1
_MARK: Final = "|1|"
_MAC_BYTES: Final = 16
_head = struct.Struct(f">BQQ{SEQUENCE_BYTES}s")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader is: in the shard with this id and first hash, behind the sequence number `after`."""

    shard: str
    lo: int
    after: int
    created_ms: int


def make(key: bytes, stream_arn: str, position: Position) -> str:
    """The iterator as clients get it."""
    after = position.after.to_bytes(SEQUENCE_BYTES, "big")
    payload = _head.pack(_VERSION, position.created_ms, position.lo, after) + position.shard.encode("ascii")
    sealed = payload + _mac(key, stream_arn, payload)
    return f"{stream_arn}{_MARK}{_encoded(sealed)}"


def parse(key: bytes, text: str) -> tuple[str, Position]:
    """(stream ARN, position) of an iterator that `make` made with the same key; its age is not looked at.

    ValidationException for every other text.
    """
    stream_arn, mark, encoded = text.rpartition(_MARK)
    if not mark:
        raise invalid_iterator()
    try:
        sealed = urlsafe_b64decode(encoded.encode("ascii") + b"=" * (-len(encoded) % 4))
    except (binascii.Error, UnicodeEncodeError):
        raise invalid_iterator() from None
    if _encoded(sealed) != encoded:  # the decoder passes over what is no base64
        raise invalid_iterator()
    payload = sealed[:-_MAC_BYTES]
    if len(payload) <= _head.size or not compare_digest(sealed[-_MAC_BYTES:], _mac(key, stream_arn, payload)):
        raise invalid_iterator()
    version, created_ms, lo, after = _head.unpack_from(payload)
    if version != _VERSION:
        raise invalid_iterator()
    shard = payload[_head.size :].decode("ascii")
    return stream_arn, Position(shard, lo, int.from_bytes(after, "big"), created_ms)


def check_age(position: Position, now_ms: int) -> None:
    """ExpiredIteratorException for an iterator that is too old. One from a clock that is ahead is new."""
    if now_ms - position.created_ms > LIFETIME_MS:
        raise ApiError(
            "ExpiredIteratorException",
            "The shard iterator has expired and can no longer be used to retrieve stream records",
        )


def invalid_iterator() -> ApiError:
    """ValidationException for a text that is no iterator of this cluster."""
    return validation("Invalid ShardIterator")


def _encoded(sealed: bytes) -> str:
    return urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")


def _mac(key: bytes, stream_arn: str, payload: bytes) -> bytes:
    # A surrogate that JSON let through is in no ARN that was ever signed.
    text = stream_arn.encode("utf-8", "surrogatepass")
    return hmac_digest(key, text + b"|" + payload, sha256)[:_MAC_BYTES]
