"""Heads of CBOR values: what each begins with. One byte has the major type and a small number, or how long it is.

The other modules read heads themselves where speed counts, and have the rest from here.
"""

from __future__ import annotations

from typing import Final

UNSIGNED: Final = 0x00
NEGATIVE: Final = 0x20
BYTES: Final = 0x40
TEXT: Final = 0x60
ARRAY: Final = 0x80
MAP: Final = 0xA0
TAG: Final = 0xC0
SIMPLE: Final = 0xE0

FALSE: Final = b"\xf4"
TRUE: Final = b"\xf5"
NULL: Final = b"\xf6"
BREAK: Final = b"\xff"
MAP_STREAM: Final = b"\xbf"
ARRAY_STREAM: Final = b"\x9f"

BIGNUM: Final = 2
NEGATIVE_BIGNUM: Final = 3
DECIMAL: Final = 4
STRING_SET: Final = 3321
NUMBER_SET: Final = 3322
BINARY_SET: Final = 3323
LIST_INDEX: Final = 3324
"""The tags that clients use: those of RFC 7049, and their own."""

MAX_DEPTH: Final = 64
"""Arrays, maps and tags in one another. Attribute values may be 32 deep, which the API checks."""

SHORT: Final = 256


class CodecError(ValueError):
    """Bytes that are not what they should be: truncated, malformed, or beyond a limit."""


def head(major: int, number: int) -> bytes:
    """The head of a value: its major type (`TEXT` ...) with a number below 2^64: a length, a tag, the value itself."""
    if number < 24:
        return bytes((major | number,))
    if number < 0x100:
        return bytes((major | 24, number))
    if number < 0x10000:
        return bytes((major | 25,)) + number.to_bytes(2, "big")
    if number < 0x100000000:
        return bytes((major | 26,)) + number.to_bytes(4, "big")
    return bytes((major | 27,)) + number.to_bytes(8, "big")


TEXT_HEADS: Final = tuple(head(TEXT, length) for length in range(SHORT))
BYTES_HEADS: Final = tuple(head(BYTES, length) for length in range(SHORT))
"""Heads of strings shorter than `SHORT`, by length."""


def read_head(data: bytes, position: int) -> tuple[int, int, int]:
    """Major type, number and the position behind the head; the number is -1 where a length is indefinite.

    Of a simple value or float the number is what follows, bit by bit.
    """
    try:
        first = data[position]
    except IndexError:
        raise CodecError("truncated") from None
    position += 1
    number = first & 0x1F
    if number < 24:
        return first & 0xE0, number, position
    if number > 27:
        if number == 31 and 0x40 <= first < 0xC0:
            return first & 0xE0, -1, position
        raise CodecError(f"no CBOR begins with {first:#04x}")
    end = position + (1 << (number - 24))
    raw = data[position:end]
    if end > len(data):
        raise CodecError("truncated")
    return first & 0xE0, int.from_bytes(raw, "big"), end
