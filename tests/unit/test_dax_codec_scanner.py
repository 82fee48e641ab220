"""The scanner of DAX requests: what it counts, what it refuses, and that it looks at each byte once."""

from __future__ import annotations

import pytest
from hashrange_dax.codec.cbor import MAX_DEPTH, CodecError, Scanner, decode
from hashrange_dax.codec.scanner import heads_in

GET_ITEM = bytes.fromhex("011a0fb0cc6a434854534130bf0300ff")


def ends_of(data: bytes, max_size: int = 1000) -> list[int]:
    return list(Scanner(max_size).scan(data))


def test_a_request_has_as_many_values_as_the_protocol_says() -> None:
    assert ends_of(GET_ITEM) == [1, 6, 10, 12, 16]


def test_every_prefix_has_the_values_that_are_complete() -> None:
    for size in range(len(GET_ITEM) + 1):
        assert ends_of(GET_ITEM[:size]) == [end for end in (1, 6, 10, 12, 16) if end <= size]


def test_what_was_taken_is_forgotten() -> None:
    scanner = Scanner(1000)
    buffer = bytearray(GET_ITEM + GET_ITEM[:9])
    assert list(scanner.scan(buffer)) == [1, 6, 10, 12, 16, 17, 22]
    del buffer[:16]
    scanner.discard(16)
    assert list(scanner.scan(buffer)) == [1, 6]
    buffer += GET_ITEM[9:]
    assert list(scanner.scan(buffer)) == [1, 6, 10, 12, 16]


@pytest.mark.parametrize(
    "data",
    [
        "9f01029f03ffff",  # arrays of indefinite length
        "bf01bf0304ffff",
        "5f41014102ff",  # a byte string in parts
        "7f61616162ff",
        "c24101",  # a bignum
        "c48220c249010000000000000000",
        "d90cfc03",
        "d90cf9826161d90cf98100",
        "80",
        "a0",
        "f93c00",
        "fa3fc00000",
        "fb3ff8000000000000",
        "f820",
        "8301820203a10405",
    ],
)
def test_one_value_of_each_kind(data: str) -> None:
    raw = bytes.fromhex(data)
    assert ends_of(raw) == [len(raw)]
    assert ends_of(raw[:-1]) == []


@pytest.mark.parametrize(
    "data",
    [
        "1c",  # reserved
        "5c",
        "1f",  # integers, tags have no indefinite length
        "df",
        "ff",  # nothing to break off
        "8101ff",
        "82ff",
        "bf01ff",  # a key without a value
        "9fc2ff",  # a tag without a value
        "5f6161ff",  # parts of another type
        "5f5f4101ffff",
        "7f01ff",
        "c2c2c2c2c24101",
        "f810",
    ],
)
def test_what_is_no_cbor_is_refused(data: str) -> None:
    with pytest.raises(CodecError):
        ends_of(bytes.fromhex(data))


@pytest.mark.parametrize(
    "data", ["5b0000001000000000", "7affffffff", "9affffffff", "bb7fffffffffffffff", "5903e9"]
)
def test_what_says_that_it_is_too_large_is_refused_at_once(data: str) -> None:
    with pytest.raises(CodecError, match="1000 bytes"):
        ends_of(bytes.fromhex(data))


def test_a_buffer_has_a_largest_size_however_small_its_values() -> None:
    assert ends_of(b"\x01" * 1000) == list(range(1, 1001))
    with pytest.raises(CodecError, match="1000 bytes"):
        ends_of(b"\x01" * 1001)


@pytest.mark.parametrize("opening", ["81", "9f", "a100", "bf00", "a1", "bf"])
def test_nesting_ends_somewhere(opening: str) -> None:
    one = bytes.fromhex(opening)
    with pytest.raises(CodecError, match="deep"):
        ends_of(one * 500)
    with pytest.raises(CodecError):
        decode(one * 500)


def test_arrays_may_be_nested_as_deep_as_that() -> None:
    data = b"\x81" * MAX_DEPTH + b"\x01"
    assert ends_of(data) == [len(data)]
    decode(data)


class Counting(bytearray):
    """A buffer that counts how often a single byte of it is looked at."""

    looks = 0

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        self.looks += 1
        return super().__getitem__(index)


def test_a_value_that_comes_byte_by_byte_costs_no_more_than_its_heads() -> None:
    buffer = Counting()
    scanner = Scanner(100_000)
    data = bytes.fromhex("8259ea60") + bytes(60_000) + b"\x01"
    for byte in data:
        buffer.append(byte)
        scanner.scan(buffer)
    assert list(scanner.ends) == [len(data)]
    assert buffer.looks < 20


@pytest.mark.parametrize(
    "data", ["8a" + "00" * 10, "8a" + "80" * 10, "9f" + "00" * 10 + "ff", "a5" + "6100" * 10]
)
def test_values_within_one_are_bounded(data: str) -> None:
    """Also when they come one by one; and those beside it do not count."""
    raw = bytes.fromhex(data)
    assert Scanner(1000, max_values=12).scan(raw * 2) == [len(raw), 2 * len(raw)]
    with pytest.raises(CodecError, match="values within"):
        Scanner(1000, max_values=9).scan(raw)
    scanner = Scanner(1000, max_values=9)
    with pytest.raises(CodecError, match="values within"):
        for size in range(len(raw) + 1):
            scanner.scan(raw[:size])


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ("", 0),
        ("0700" + "6161" + "1818" + "5803010203" + "82f4f5", 8),
        ("c48220" + "190100" + "f93c00" + "bf6161ff", 8),
        ("78", 0),
        ("01781001", 2),
        ("011c0202", 1),
        ("5f4101ff", 3),
    ],
)
def test_heads_are_counted_as_far_as_there_are_any(data: str, count: int) -> None:
    assert heads_in(bytes.fromhex(data), 100) == count


def test_heads_are_counted_up_to_a_limit() -> None:
    assert heads_in(bytes(1000), 10) == 11
