"""Attribute values in CBOR, each way in one pass.

    S text    N integer, or tag 4 [exponent, mantissa]    B bytes    BOOL, NULL as such    L array    M map
    SS, NS, BS arrays under the tags 3321, 3322, 3323

Here a value is DynamoDB JSON, as everywhere (`hashrange.model.value`). What is written must be canonical. What is read
is what a client has sent: numbers and binaries come out canonical, but members of sets stand as they were sent,
and a number may be out of range; `normalise_item` of the model finishes that, with the exact errors. What was
written here reads as it was.

Whole numbers are written as integers however large, since the clients make of a decimal with a positive exponent a
text with an exponent. A float is read as the shortest decimal that gives it: a client that sends floats sends only
what survives that.
"""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from hashrange.model.value import AttributeValue
from hashrange_dax.codec.cbor import (
    decimal_text,
    decode,
    float_text,
    integer,
    read_decimal,
    read_integer,
    read_string,
)
from hashrange_dax.codec.heads import (
    ARRAY,
    BINARY_SET,
    BYTES,
    BYTES_HEADS,
    DECIMAL,
    MAP,
    MAX_DEPTH,
    NUMBER_SET,
    SHORT,
    STRING_SET,
    TAG,
    TEXT,
    TEXT_HEADS,
    CodecError,
    head,
    read_head,
)

_SMALL: Final = {str(number): integer(number) for number in range(-1000, 10_001)}
_TAG_AND_PAIR: Final = head(TAG, DECIMAL) + head(ARRAY, 2)
_EXPONENTS: Final = tuple(_TAG_AND_PAIR + integer(-places) for places in range(130 + 38))
"""By the number of places: 1E-130 is the smallest number, and those next to it have 37 digits behind that place."""
_ARRAYS: Final = tuple(head(ARRAY, count) for count in range(24))
_MAPS: Final = tuple(head(MAP, count) for count in range(24))
_PACK_32: Final = Struct(">BI").pack
_STRING_SET: Final = head(TAG, STRING_SET)
_NUMBER_SET: Final = head(TAG, NUMBER_SET)
_BINARY_SET: Final = head(TAG, BINARY_SET)


# Writing: functions that append what a value is made of to a list of parts.

Append = Callable[[bytes], None]


def encode_value(value: AttributeValue) -> bytes:
    """One canonical attribute value."""
    parts: list[bytes] = []
    append_value(value, parts.append)
    return b"".join(parts)


def encode_number(number: str) -> bytes:
    """One canonical number."""
    return _SMALL.get(number) or _encode_large(number)


def _encode_large(number: str) -> bytes:
    whole, point, fraction = number.partition(".")
    if point:
        mantissa = whole + fraction
        return _EXPONENTS[len(fraction)] + (_SMALL.get(mantissa) or integer(int(mantissa)))
    value = int(whole)
    return _PACK_32(0x1A, value) if 0xFFFF < value <= 0xFFFFFFFF else integer(value)


def append_value(value: AttributeValue, append: Append) -> None:
    """The parts of one canonical attribute value."""
    [tag] = value
    _WRITERS[tag](value[tag], append)


def append_values(values: list[AttributeValue], append: Append) -> None:
    """The parts of canonical attribute values, one behind the other."""
    for value in values:
        [tag] = value
        if tag == "S":
            raw = value["S"].encode()
            size = len(raw)
            append((TEXT_HEADS[size] if size < SHORT else head(TEXT, size)) + raw)
        elif tag == "N":
            number = value["N"]
            append(_SMALL.get(number) or _encode_large(number))
        else:
            _WRITERS[tag](value[tag], append)


def _write_string(string: str, append: Append) -> None:
    raw = string.encode()
    size = len(raw)
    append((TEXT_HEADS[size] if size < SHORT else head(TEXT, size)) + raw)


def _write_number(number: str, append: Append) -> None:
    append(_SMALL.get(number) or _encode_large(number))


def _write_binary(binary: str, append: Append) -> None:
    raw = a2b_base64(binary)
    size = len(raw)
    append((BYTES_HEADS[size] if size < SHORT else head(BYTES, size)) + raw)


def _write_bool(flag: bool, append: Append) -> None:
    append(b"\xf5" if flag else b"\xf4")


def _write_null(_: bool, append: Append) -> None:
    append(b"\xf6")


def _write_list(elements: list[AttributeValue], append: Append) -> None:
    count = len(elements)
    append(_ARRAYS[count] if count < 24 else head(ARRAY, count))
    append_values(elements, append)


def _write_map(members: dict[str, AttributeValue], append: Append) -> None:
    count = len(members)
    append(_MAPS[count] if count < 24 else head(MAP, count))
    for name, value in members.items():
        raw = name.encode()
        size = len(raw)
        append((TEXT_HEADS[size] if size < SHORT else head(TEXT, size)) + raw)
        [tag] = value
        _WRITERS[tag](value[tag], append)


def _set_writer(tag: bytes, write: Callable[[str, Append], None]) -> Callable[[list[str], Append], None]:
    def write_set(members: list[str], append: Append) -> None:
        append(tag + head(ARRAY, len(members)))
        for member in members:
            write(member, append)

    return write_set


_WRITERS: Final[dict[str, Callable[[Any, Append], None]]] = {
    "S": _write_string,
    "N": _write_number,
    "B": _write_binary,
    "BOOL": _write_bool,
    "NULL": _write_null,
    "L": _write_list,
    "M": _write_map,
    "SS": _set_writer(_STRING_SET, _write_string),
    "NS": _set_writer(_NUMBER_SET, _write_number),
    "BS": _set_writer(_BINARY_SET, _write_binary),
}


# Reading. A slice may end early where the data does: `CodecError` comes when its end turns out to lie outside.


def decode_value(data: bytes, position: int = 0, depth: int = 0) -> tuple[AttributeValue, int]:
    """The attribute value at a position, and the position behind it. `CodecError` if there is none."""
    try:
        value, end = _READERS[data[position]](data, position, depth)
    except IndexError:
        raise CodecError("truncated") from None
    except UnicodeDecodeError:
        raise CodecError("a text that is not UTF-8") from None
    if end > len(data):
        raise CodecError("truncated")
    return value, end


def decode_values(data: bytes, position: int, count: int) -> tuple[list[AttributeValue], int]:
    """`count` attribute values, one behind the other, and the position behind them. `CodecError`."""
    size = len(data)
    if count > size - position:
        raise CodecError("truncated")
    values: list[AttributeValue] = []
    append = values.append
    readers = _READERS
    try:
        for _ in range(count):
            first = data[position]
            if 0x60 <= first < 0x78:
                end = position + first - 0x5F
                append({"S": str(data[position + 1 : end], "utf-8")})
                position = end
            elif first == 0x78:
                end = position + 2 + data[position + 1]
                append({"S": str(data[position + 2 : end], "utf-8")})
                position = end
            elif 0x18 <= first < 0x1C:
                end = position + _INTEGER_SIZES[first & 3]
                append({"N": str(_from_bytes(data[position + 1 : end], "big"))})
                position = end
            else:
                value, position = readers[first](data, position, 0)
                append(value)
    except IndexError:
        raise CodecError("truncated") from None
    except UnicodeDecodeError:
        raise CodecError("a text that is not UTF-8") from None
    if position > size:
        raise CodecError("truncated")
    return values, position


_from_bytes: Final = int.from_bytes
_INTEGER_SIZES: Final = (2, 3, 5, 9)

Reader = Callable[[bytes, int, int], tuple[AttributeValue, int]]


def _read_small(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    return {"N": str(data[position])}, position + 1


def _read_small_negative(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    return {"N": str(0x1F - data[position])}, position + 1


def _integer_reader(size: int) -> Reader:
    def read(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
        end = position + 1 + size
        return {"N": str(int.from_bytes(data[position + 1 : end], "big"))}, end

    return read


def _negative_reader(size: int) -> Reader:
    def read(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
        end = position + 1 + size
        return {"N": str(-1 - int.from_bytes(data[position + 1 : end], "big"))}, end

    return read


def _read_short_text(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    end = position + data[position] - 0x5F
    return {"S": str(data[position + 1 : end], "utf-8")}, end


def _read_byte_text(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    end = position + 2 + data[position + 1]
    return {"S": str(data[position + 2 : end], "utf-8")}, end


def _read_text(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    string, end = read_string(data, position)
    return {"S": string}, end


def _read_bytes(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    raw, end = read_string(data, position)
    return {"B": b2a_base64(raw, newline=False).decode()}, end  # type: ignore[arg-type]


def _read_list(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    count = data[position] & 0x1F
    if count < 24:
        position += 1
    else:
        _, count, position = read_head(data, position)
    depth = _deeper(data, count, position, depth)
    elements: list[AttributeValue] = []
    readers = _READERS
    while count:
        if count < 0 and data[position] == 0xFF:
            position += 1
            break
        value, position = readers[data[position]](data, position, depth)
        elements.append(value)
        count -= 1
    return {"L": elements}, position


def _read_map(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    count = data[position] & 0x1F
    if count < 24:
        position += 1
    else:
        _, count, position = read_head(data, position)
    depth = _deeper(data, 2 * count, position, depth)
    members: dict[str, AttributeValue] = {}
    readers = _READERS
    while count:
        first = data[position]
        if count < 0 and first == 0xFF:
            position += 1
            break
        if 0x60 <= first < 0x78:
            end = position + first - 0x5F
            name = str(data[position + 1 : end], "utf-8")
            position = end
        elif 0x60 <= first < 0x80:
            name, position = read_string(data, position)  # type: ignore[assignment]
        else:
            raise CodecError("the name of a map's member is no text")
        members[name], position = readers[data[position]](data, position, depth)
        count -= 1
    return {"M": members}, position


def _deeper(data: bytes, least: int, position: int, depth: int) -> int:
    """The depth inside an array or map that takes at least so many bytes more."""
    if least > len(data) - position:
        raise CodecError("truncated")
    if depth >= MAX_DEPTH:
        raise CodecError("nested too deep")
    return depth + 1


def _read_tagged(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    _, tag, behind = read_head(data, position)
    if tag == DECIMAL:
        number, end = read_decimal(data, behind)
        return {"N": str(number)}, end
    if tag in _SETS:
        return _read_set(data, *_SETS[tag], behind)
    whole, end = read_integer(data, position)
    return {"N": decimal_text(whole, 0)}, end


def _read_decimal(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    """What begins with C4: an exponent and a mantissa, mostly small ones."""
    exponent, first = data[position + 2], data[position + 3]
    if data[position + 1] == 0x82 and 0x20 <= exponent < 0x38 and first < 0x1C:
        if first < 0x18:
            digits, end = str(first), position + 4
        else:
            end = position + 3 + _INTEGER_SIZES[first & 3]
            digits = str(_from_bytes(data[position + 4 : end], "big"))
        places = exponent - 0x1F
        if len(digits) > places and digits[-1] != "0":
            return {"N": f"{digits[:-places]}.{digits[-places:]}"}, end
    number, end = read_decimal(data, position + 1)
    return {"N": str(number)}, end


def _read_set(data: bytes, name: str, kind: str, position: int) -> tuple[AttributeValue, int]:
    if not 0x80 <= data[position] < 0xA0:
        raise CodecError("a set is no array")
    value, end = _read_list(data, position, MAX_DEPTH - 1)
    members = [element.get(kind) for element in value["L"]]
    if None in members:
        raise CodecError(f"a member of a set of another type than {kind}")
    return {name: members}, end


def _read_float(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    number, end = decode(data, position)
    return {"N": float_text(number)}, end


def _read_false(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    return {"BOOL": False}, position + 1


def _read_true(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    return {"BOOL": True}, position + 1


def _read_null(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    return {"NULL": True}, position + 1


def _refuse(data: bytes, position: int, depth: int) -> tuple[AttributeValue, int]:
    raise CodecError(f"no attribute value begins with {data[position]:#04x}")


def _readers() -> tuple[Reader, ...]:
    """For each first byte the function that reads what begins with it."""
    readers: list[Reader] = [_refuse] * 256
    readers[0x00:0x18] = [_read_small] * 24
    readers[0x20:0x38] = [_read_small_negative] * 24
    for width in range(4):
        readers[0x18 + width] = _integer_reader(1 << width)
        readers[0x38 + width] = _negative_reader(1 << width)
    readers[0x40:0x5C] = [_read_bytes] * 28
    readers[0x60:0x78] = [_read_short_text] * 24
    readers[0x78] = _read_byte_text
    readers[0x79:0x7C] = [_read_text] * 3
    readers[0x80:0x9C] = [_read_list] * 28
    readers[0xA0:0xBC] = [_read_map] * 28
    readers[0xC0:0xDC] = [_read_tagged] * 28
    readers[0xC4] = _read_decimal
    for stream, reader in ((0x5F, _read_bytes), (0x7F, _read_text), (0x9F, _read_list), (0xBF, _read_map)):
        readers[stream] = reader
    readers[0xF4:0xF8] = [_read_false, _read_true, _read_null, _read_null]
    readers[0xF9:0xFC] = [_read_float] * 3
    return tuple(readers)


_SETS: Final = {STRING_SET: ("SS", "S"), NUMBER_SET: ("NS", "N"), BINARY_SET: ("BS", "B")}
_READERS: Final = _readers()
