"""The bytes of which keys in the engine are made: partition hash, escaped parts, prefixes and their ends.

memcmp order of the bytes is DynamoDB's order of the values: strings by UTF-8 bytes, binaries by unsigned
bytes, numbers by value. A part that something follows is escaped and terminated, so that no part is a prefix
of another one and longer values sort behind their prefixes whatever comes next:

    00 inside the value  ->  00 FF
    end of the value     ->  00 01

Numbers end by themselves (`hashrange.model.number_order`). All of this is on disk: it must never change.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Literal, TypeAlias

from hashrange.model.binary import decode
from hashrange.model.number import order_key

PartType: TypeAlias = Literal["S", "N", "B"]
PartEncoder: TypeAlias = Callable[[str], bytes]

HASH_SIZE: Final = 8

TERMINATOR: Final = b"\x00\x01"
_ZERO: Final = b"\x00"
_ESCAPED_ZERO: Final = b"\x00\xff"
# Longer than any run of FF that can begin a key: a binary hash key has at most 2048 bytes.
_CEILING: Final = b"\xff" * 4096
_NEXT_BYTE: Final = tuple(bytes((byte + 1,)) for byte in range(255))


def hash_of(partition_key_bytes: bytes) -> bytes:
    """The partition hash: 8 bytes, a big-endian unsigned 64-bit integer.

    BLAKE2b with an 8-byte digest, unkeyed and without salt or personalisation. It decides which partition
    owns an item, in every table and index of every cluster: it must never change. Its input is the value of
    the partition key: UTF-8 bytes of a string, the bytes of a binary, `order_key` of a number; several hash
    parts are terminated and joined.
    """
    return blake2b(partition_key_bytes, digest_size=8).digest()


def escape(raw: bytes) -> bytes:
    """`raw` with its zero bytes escaped, not terminated: the common prefix of all values that begin so."""
    return raw.replace(_ZERO, _ESCAPED_ZERO) if _ZERO in raw else raw


def terminate(raw: bytes) -> bytes:
    """`raw` escaped and terminated: a part that something follows."""
    if _ZERO in raw:
        raw = raw.replace(_ZERO, _ESCAPED_ZERO)
    return raw + TERMINATOR


def successor(prefix: bytes) -> bytes:
    """The smallest byte string greater than every key that begins with `prefix`.

    No string is greater than every string that begins with FF bytes only; the answer to those is one that is
    greater than every key there can be.
    """
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return _CEILING
    return stripped[:-1] + _NEXT_BYTE[stripped[-1]]


def _terminated_string(content: str) -> bytes:
    return terminate(content.encode())


def _terminated_binary(content: str) -> bytes:
    return terminate(decode(content))


RAW: Final[dict[str, PartEncoder]] = {"S": str.encode, "N": order_key, "B": decode}
"""For a part that nothing follows, and for what is hashed: content of a value to bytes."""

TERMINATED: Final[dict[str, PartEncoder]] = {
    "S": _terminated_string,
    "N": order_key,
    "B": _terminated_binary,
}
"""For a part that something follows."""
