"""CBOR (RFC 7049) as far as the DAX protocol has it: reading one value, and writing.

    value, end = decode(data, position)
    values = decode_all(data)

gives int, float, str, bytes, bool, None, list and dict; a decimal (tag 4) is a `Number`, its exact text, and a value
with another tag that clients use is a `Tagged`. Attribute values have functions of their own in `values`.
"""

from __future__ import annotations

from struct import Struct, error
from typing import Any, Final, NamedTuple

from hashrange_dax.codec.heads import (
    ARRAY,
    BIGNUM,
    BREAK,
    BYTES,
    BYTES_HEADS,
    DECIMAL,
    FALSE,
    MAP,
    MAP_STREAM,
    MAX_DEPTH,
    NEGATIVE,
    NEGATIVE_BIGNUM,
    NULL,
    SHORT,
    STRING_SET,
    TAG,
    TEXT,
    TEXT_HEADS,
    TRUE,
    UNSIGNED,
    CodecError,
    head,
    read_head,
)
from hashrange_dax.codec.scanner import Scanner

__all__ = [
    "BREAK",
    "FALSE",
    "MAP_STREAM",
    "MAX_DEPTH",
    "NULL",
    "TRUE",
    "CodecError",
    "Number",
    "Scanner",
    "Tagged",
    "array_head",
    "byte_string",
    "decimal_text",
    "decode",
    "decode_all",
    "double",
    "float_text",
    "head",
    "integer",
    "map_head",
    "read_head",
    "read_integer",
    "read_string",
    "text",
]

_MAX_BIGNUM: Final = 1024
"""Bytes of an integer. DynamoDB's have at most 53; what is longer than this is not even worth a good error."""

_MAX_PLAIN: Final = 200
"""Places that a number's text may be filled with zeros for; those of DynamoDB have at most 130."""

_DOUBLE: Final = Struct(">Bd")
_FLOATS: Final = {0xF9: Struct(">e"), 0xFA: Struct(">f"), 0xFB: Struct(">d")}
_LITERALS: Final[dict[int, Any]] = {0xF4: False, 0xF5: True, 0xF6: None, 0xF7: None}
_LAST_TAG: Final = STRING_SET + 3


class Number(str):
    """A decimal: its exact text, canonical if it is within DynamoDB's limits."""

    __slots__ = ()


class Tagged(NamedTuple):
    """A value under one of the tags 3321 to 3324."""

    tag: int
    value: Any


# Writing


def integer(number: int) -> bytes:
    """An integer of any size."""
    if number >= 0:
        if number < 1 << 64:
            return head(UNSIGNED, number)
        raw = number.to_bytes((number.bit_length() + 7) >> 3, "big")
        return b"\xc2" + head(BYTES, len(raw)) + raw
    number = -1 - number
    if number < 1 << 64:
        return head(NEGATIVE, number)
    raw = number.to_bytes((number.bit_length() + 7) >> 3, "big")
    return b"\xc3" + head(BYTES, len(raw)) + raw


def text(string: str) -> bytes:
    """A text."""
    raw = string.encode()
    size = len(raw)
    return (TEXT_HEADS[size] if size < SHORT else head(TEXT, size)) + raw


def byte_string(raw: bytes) -> bytes:
    """A byte string."""
    size = len(raw)
    return (BYTES_HEADS[size] if size < SHORT else head(BYTES, size)) + raw


def double(number: float) -> bytes:
    """A float of 64 bits, which clients want capacity units to be, whole ones too."""
    return _DOUBLE.pack(0xFB, number)


def array_head(count: int) -> bytes:
    """The beginning of an array of `count` values."""
    return head(ARRAY, count)


def map_head(count: int) -> bytes:
    """The beginning of a map of `count` pairs."""
    return head(MAP, count)


# Reading


def decode(data: bytes, position: int = 0, depth: int = 0) -> tuple[Any, int]:
    """The value at a position, and the position behind it. Keys of maps are str, int or bytes; the last of two counts.

    `CodecError` if there is none, or one that no client sends.
    """
    major, number, behind = read_head(data, position)
    if major == UNSIGNED:
        return number, behind
    if major == NEGATIVE:
        return -1 - number, behind
    if major in (TEXT, BYTES):
        return read_string(data, position)
    if major == TAG:
        return _decode_tagged(data, position, number, behind, depth)
    if major != ARRAY and major != MAP:
        first = data[position]
        if first in _LITERALS:
            return _LITERALS[first], behind
        return _read_float(data, position)
    if depth >= MAX_DEPTH:
        raise CodecError("nested too deep")
    if major == ARRAY:
        return _decode_array(data, number, behind, depth + 1)
    return _decode_map(data, number, behind, depth + 1)


def decode_all(data: bytes) -> list[Any]:
    """All values of a sequence that fills the data."""
    values = []
    position = 0
    while position < len(data):
        value, position = decode(data, position)
        values.append(value)
    return values


def read_string(data: bytes, position: int) -> tuple[str | bytes, int]:
    """The text or the byte string at a position, also one in parts, and the position behind it."""
    major, length, behind = read_head(data, position)
    if major != TEXT and major != BYTES:
        raise CodecError("not a string")
    if length < 0:
        return _read_parts(data, major, behind)
    end = behind + length
    if end > len(data):
        raise CodecError("truncated")
    raw = data[behind:end]
    return (_text_of(raw) if major == TEXT else bytes(raw)), end


def read_integer(data: bytes, position: int) -> tuple[int, int]:
    """The integer at a position, of any size, and the position behind it."""
    major, number, behind = read_head(data, position)
    if major == UNSIGNED:
        return number, behind
    if major == NEGATIVE:
        return -1 - number, behind
    if major != TAG or number not in (BIGNUM, NEGATIVE_BIGNUM):
        raise CodecError("not an integer")
    raw, end = read_string(data, behind)
    if raw.__class__ is not bytes or len(raw) > _MAX_BIGNUM:
        raise CodecError("not an integer")
    magnitude = int.from_bytes(raw, "big")
    return (magnitude if number == BIGNUM else -1 - magnitude), end


def decimal_text(mantissa: int, exponent: int) -> str:
    """The text of mantissa x 10^exponent: canonical, and with an exponent only where that is beyond all limits."""
    if not mantissa:
        return "0"
    written = str(mantissa)
    sign = ""
    if mantissa < 0:
        sign, written = "-", written[1:]
    digits = written.rstrip("0")
    exponent += len(written) - len(digits)
    point = len(digits) + exponent
    if not -_MAX_PLAIN < point < _MAX_PLAIN:
        return f"{sign}{digits}E{exponent}"
    if exponent >= 0:
        return sign + digits + "0" * exponent
    if point > 0:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    return f"{sign}0.{'0' * -point}{digits}"


def float_text(number: float) -> str:
    """The shortest text of a float that gives it again, canonical: what a client has written, if it sends floats."""
    if number != number or number in (float("inf"), float("-inf")):
        raise CodecError("not a number")
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    return decimal_text(int(whole + fraction), int(exponent or 0) - len(fraction))


def _read_parts(data: bytes, major: int, position: int) -> tuple[str | bytes, int]:
    """The parts of a string of indefinite length, joined; each is complete by itself."""
    parts: list[Any] = []
    while data[position : position + 1] != BREAK:
        part_major, length, _ = read_head(data, position)
        if part_major != major or length < 0:
            raise CodecError("a part of a string is of another type")
        part, position = read_string(data, position)
        parts.append(part)
    return ("" if major == TEXT else b"").join(parts), position + 1


def _text_of(raw: bytes) -> str:
    try:
        return str(raw, "utf-8")
    except UnicodeDecodeError:
        raise CodecError("a text that is not UTF-8") from None


def _read_float(data: bytes, position: int) -> tuple[float, int]:
    form = _FLOATS.get(data[position])
    if form is None:
        raise CodecError(f"a simple value {data[position]:#04x}")
    try:
        [number] = form.unpack_from(data, position + 1)
    except error:
        raise CodecError("truncated") from None
    return number, position + 1 + form.size


def _decode_tagged(data: bytes, start: int, tag: int, position: int, depth: int) -> tuple[Any, int]:
    if tag in (BIGNUM, NEGATIVE_BIGNUM):
        return read_integer(data, start)
    if tag == DECIMAL:
        return read_decimal(data, position)
    if not STRING_SET <= tag <= _LAST_TAG:
        raise CodecError(f"unknown tag {tag}")
    if depth >= MAX_DEPTH:
        raise CodecError("nested too deep")
    value, position = decode(data, position, depth + 1)
    return Tagged(tag, value), position


def read_decimal(data: bytes, position: int) -> tuple[Number, int]:
    """The array of exponent and mantissa behind a tag 4, as the text of the number."""
    if data[position : position + 1] != b"\x82":
        raise CodecError("a decimal has an exponent and a mantissa")
    exponent, position = read_integer(data, position + 1)
    mantissa, position = read_integer(data, position)
    return Number(decimal_text(mantissa, exponent)), position


def _decode_array(data: bytes, count: int, position: int, depth: int) -> tuple[list[Any], int]:
    values: list[Any] = []
    if count > len(data) - position:
        raise CodecError("truncated")
    while count != len(values):
        if count < 0 and data[position : position + 1] == BREAK:
            return values, position + 1
        value, position = decode(data, position, depth)
        values.append(value)
    return values, position


def _decode_map(data: bytes, count: int, position: int, depth: int) -> tuple[dict[Any, Any], int]:
    members: dict[Any, Any] = {}
    if 2 * count > len(data) - position:
        raise CodecError("truncated")
    left = count
    while left:
        if count < 0 and data[position : position + 1] == BREAK:
            return members, position + 1
        key, position = decode(data, position, depth)
        if key.__class__ is not int and key.__class__ is not str and key.__class__ is not bytes:
            raise CodecError("the key of a map is neither a number nor a string")
        members[key], position = decode(data, position, depth)
        left -= 1
    return members, position
