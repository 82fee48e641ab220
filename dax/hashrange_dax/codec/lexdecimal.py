"""Lexicographic decimals: numbers as bytes that compare as the numbers do. A numeric range key is sent like this.

    zero      80
    positive  C0 + e    for -62 <= e < 62, else 81 (e < 0) or FE (e > 0) with e in four bytes, its sign inverted
    negative  3F - e    likewise, else 7E or 01 with e in four bytes, all bits but the sign inverted

e is the number of digits before the point. The significant digits follow in groups of three, filled with zeros at
the end, as symbols of ten bits: group + 12, of a negative number 1011 - group. The last symbol tells how many digits
of the last group count: 0, 1 or 2 for one, two or three, of a negative number 1023, 1022 or 1021.

This is what the official clients do; they do not drop zeros at the end, which makes no difference to the value.
"""

from __future__ import annotations

from typing import Final

from hashrange_dax.codec.cbor import decimal_text
from hashrange_dax.codec.heads import CodecError

_MAX_SIZE: Final = 64
"""Bytes of an encoding; 38 digits take at most 23."""

_ZERO: Final = b"\x80"


def encode(number: str) -> bytes:
    """The bytes of a canonical number (see `hashrange.model.number`)."""
    negative = number[0] == "-"
    whole, _, fraction = number[negative:].partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(digits) - len(fraction)
    digits = digits.rstrip("0")
    if not digits:
        return _ZERO
    packed = 0
    count = len(digits)
    for start in range(0, count, 3):
        group = int(digits[start : start + 3].ljust(3, "0"))
        packed = packed << 10 | (1011 - group if negative else group + 12)
    last = (count - 1) % 3
    packed = packed << 10 | (1023 - last if negative else last)
    bits = ((count + 2) // 3 + 1) * 10
    padding = -bits % 8
    return _head(negative, point) + (packed << padding).to_bytes((bits + padding) >> 3, "big")


def _head(negative: bool, point: int) -> bytes:
    if -62 <= point < 62:
        return bytes((0x3F - point if negative else 0xC0 + point,))
    mask = 0x7FFFFFFF if negative else 0x80000000
    if negative:
        first = 0x7E if point < 0 else 0x01
    else:
        first = 0x81 if point < 0 else 0xFE
    return bytes((first,)) + ((point & 0xFFFFFFFF) ^ mask).to_bytes(4, "big")


def decode(data: bytes) -> str:
    """The number of an encoding that fills the data: canonical if it is within DynamoDB's limits. `CodecError`."""
    size = len(data)
    if not 0 < size <= _MAX_SIZE:
        raise CodecError("no number")
    first = data[0]
    if first in (0x7F, 0x80):
        if size > 1:
            raise CodecError("bytes behind a number")
        return "0"
    if first in (0x00, 0xFF):
        raise CodecError("no number")
    negative = first < 0x80
    start = 1
    if first in (0x01, 0x7E, 0x81, 0xFE):
        start = 5
        raw = int.from_bytes(data[1:5], "big") ^ (0x7FFFFFFF if negative else 0x80000000)
        point = raw - (1 << 32) if raw >= 1 << 31 else raw
    else:
        point = 0x3F - first if negative else first - 0xC0
    digits = _digits(data, start, negative)
    mantissa = int(digits)
    return decimal_text(-mantissa if negative else mantissa, point - len(digits))


def _digits(data: bytes, start: int, negative: bool) -> str:
    """The digits of the symbols from `start` on, which have to end where the data ends."""
    bits = (len(data) - start) * 8
    packed = int.from_bytes(data[start:], "big")
    digits = ""
    while bits >= 10:
        bits -= 10
        symbol = packed >> bits & 0x3FF
        if negative:
            symbol = 1023 - symbol
        if symbol < 3:
            if bits >= 8 or packed & (1 << bits) - 1 or not digits:
                break
            return digits[: len(digits) - 2 + symbol]
        if not 12 <= symbol < 1012:
            break
        digits += f"{symbol - 12:03d}"
    raise CodecError("no number")
