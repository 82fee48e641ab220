"""Attribute values, numbers and items of the DAX protocol: the bytes as captured, and what is refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hashrange_dax.codec import cbor, items, lexdecimal, projections, values
from hashrange_dax.codec.cbor import CodecError, Number, Tagged
from hashrange_dax.codec.items import UnknownNames

ENCODINGS = [
    ({"S": "q"}, "6171"),
    ({"S": ""}, "60"),
    ({"N": "0"}, "00"),
    ({"N": "-1"}, "20"),
    ({"N": "24"}, "1818"),
    ({"N": "70000"}, "1a00011170"),
    ({"N": "-500000"}, "3a0007a11f"),
    ({"N": "18446744073709551615"}, "1bffffffffffffffff"),
    ({"N": "18446744073709551616"}, "c249010000000000000000"),
    ({"N": "-18446744073709551617"}, "c349010000000000000000"),
    ({"N": "1.5"}, "c482200f"),
    ({"N": "-0.01"}, "c4822120"),
    # 1.5E-130, and the number of 38 digits that is nearest to the smallest one.
    ({"N": "0." + "0" * 129 + "15"}, "c48238820f"),
    ({"N": "0." + "0" * 129 + "1" + "0" * 36 + "1"}, "c48238a6c2500785ee10d5da46d900f436a000000001"),
    ({"B": "AQI="}, "420102"),
    ({"BOOL": True}, "f5"),
    ({"BOOL": False}, "f4"),
    ({"NULL": True}, "f6"),
    ({"L": [{"S": "a"}, {"N": "1"}]}, "82616101"),
    ({"M": {"a": {"NULL": True}}}, "a16161f6"),
    ({"SS": ["a", "b"]}, "d90cf98261616162"),
    ({"NS": ["1", "2.5"]}, "d90cfa8201c4822018" + "19"),
    ({"BS": ["AQ=="]}, "d90cfb814101"),
]


@pytest.mark.parametrize(("value", "encoded"), ENCODINGS)
def test_values_as_the_clients_write_them(value: dict[str, Any], encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert values.encode_value(value) == data
    assert values.decode_value(data) == (value, len(data))
    assert values.decode_value(b"\x00" + data + b"\x00", 1) == (value, len(data) + 1)


@pytest.mark.parametrize(
    ("encoded", "number"),
    [
        ("fb3ff8000000000000", "1.5"),
        ("fb4000000000000000", "2"),
        ("fb3fb999999999999a", "0.1"),
        ("fb444b1ae4d6e2ef50", "1000000000000000000000"),
        ("fa3fc00000", "1.5"),
        ("f93e00", "1.5"),
        ("c4820301", "1000"),
        ("c482211864", "1"),
        ("c4822118c8", "2"),
        ("c4822000", "0"),
        ("c482191388" + "01", "1E5000"),
        ("c4823913870a", "1E-4999"),
        ("c482c2410103", "30"),
        ("1b0000000000000001", "1"),
    ],
)
def test_other_spellings_of_numbers(encoded: str, number: str) -> None:
    data = bytes.fromhex(encoded)
    assert values.decode_value(data) == ({"N": number}, len(data))


def test_streams_are_read_too() -> None:
    data = bytes.fromhex("9fbf61617f61626163ffff5f4101ffff")
    assert values.decode_value(data)[0] == {"L": [{"M": {"a": {"S": "bc"}}}, {"B": "AQ=="}]}


@pytest.mark.parametrize(
    "data",
    [
        "",
        "61",
        "6261",
        "78",
        "7805",
        "19ff",
        "1bff",
        "62c328",  # not UTF-8
        "7802c328",
        "a162c32801",
        "fb7ff0000000000000",  # infinity
        "fb7ff8000000000000",
        "f97e00",
        "ff",
        "f8ff",
        "e0",
        "1c",
        "a10101",  # a name that is a number
        "d90cf901",  # a set that is no array
        "d90cf98101",
        "d90cfa816161",
        "d90cfc01",
        "c0616a",  # a date
        "c4",
        "c48101",
        "c4826161" + "01",
        "c2616a",
        "c25904d2" + "01" * 1234,
        "9b0fffffffffffffff",
        "bb0fffffffffffffff",
        "81" * 100 + "00",
        "9f" * 100_000,
        "a16161" * 100_000,
        "d90cf981" * 2,
    ],
)
def test_what_is_no_value_is_refused(data: str) -> None:
    raw = bytes.fromhex(data)
    with pytest.raises(CodecError):
        values.decode_value(raw)
    with pytest.raises(CodecError):
        values.decode_values(raw, 0, 1)


def test_options_that_come_twice_count_as_they_come_last() -> None:
    data = bytes.fromhex("bf0461610442010207f60ef5ff")
    assert cbor.decode(data) == ({4: b"\x01\x02", 7: None, 14: True}, len(data))


def test_decimals_and_tags_of_requests() -> None:
    assert cbor.decode_all(bytes.fromhex("82c482200fd90cfc0301")) == [[Number("1.5"), Tagged(3324, 3)], 1]


@pytest.mark.parametrize(
    "data", ["a1f500", "c000", "82", "a101", "9f01", "bf01", "5f6161ff", "f818", "fb00", "7f"]
)
def test_what_is_no_request_is_refused(data: str) -> None:
    with pytest.raises(CodecError):
        cbor.decode(bytes.fromhex(data))


def test_floats_are_64_bits_wide() -> None:
    assert cbor.double(1.0) == bytes.fromhex("fb3ff0000000000000")
    assert struct.unpack(">d", cbor.double(0.5)[1:]) == (0.5,)


SAMPLES = [("0", "80"), ("1", "c11c0000"), ("-1", "3ee3fff0"), ("1.5", "c1288010"), ("1000", "c41c0000")]


@pytest.mark.parametrize(("number", "encoded"), [*SAMPLES, ("123456", "c621dd4008"), ("-1.5", "3ed77fe0")])
def test_numbers_in_range_keys(number: str, encoded: str) -> None:
    assert lexdecimal.encode(number).hex() == encoded
    assert lexdecimal.decode(bytes.fromhex(encoded)) == number


@pytest.mark.parametrize(
    "data",
    ["", "00", "ff", "c1", "c11c00", "c11c000000", "8000", "c11c0001", "fe8000", "c10000", "c1" + "1c" * 80],
)
def test_what_is_no_number_in_a_range_key(data: str) -> None:
    with pytest.raises(CodecError):
        lexdecimal.decode(bytes.fromhex(data))


def test_an_absurd_exponent_makes_no_long_text() -> None:
    assert lexdecimal.decode(bytes.fromhex("feffffffff1c0000")) == "1E2147483646"


ITEM = {"pk": {"S": "k"}, "b": {"N": "1"}, "a": {"S": "x"}}


def test_an_item_is_its_list_and_its_values() -> None:
    asked: list[tuple[str, ...]] = []

    def id_of(names: tuple[str, ...]) -> int:
        asked.append(names)
        return 7

    data = items.encode_values(ITEM, ("pk",), id_of)
    assert data.hex() == "07617801"
    assert asked == [("a", "b")]
    assert items.split_list_id(data) == (7, 1)
    assert items.decode_values(data, ("a", "b")) == {"a": {"S": "x"}, "b": {"N": "1"}}
    assert items.decode_values(data, ("b", "a"), 1) == {"b": {"S": "x"}, "a": {"N": "1"}}


def test_nobody_asks_for_the_empty_list() -> None:
    def id_of(names: tuple[str, ...]) -> int | None:
        raise AssertionError(names)

    data = items.encode_values({"pk": {"S": "k"}}, ("pk",), id_of)
    assert data == b"\x01"
    assert items.decode_values(data, ()) == {}


def test_names_without_an_id_are_named() -> None:
    with pytest.raises(UnknownNames) as caught:
        items.encode_values(ITEM, ("pk",), lambda names: None)
    assert caught.value.names == ("a", "b")
    with pytest.raises(UnknownNames):
        items.encode_updated({"a": {"S": "x"}}, lambda names: None)


def test_updated_attributes_are_a_map_of_places() -> None:
    data = items.encode_updated({"b": {"N": "1"}, "a": {"S": "x"}}, lambda names: 300)
    assert data.hex() == "19012ca20061780101"
    assert items.decode_updated(data, ("a", "b")) == {"a": {"S": "x"}, "b": {"N": "1"}}


@pytest.mark.parametrize(
    "data", ["", "07", "0761", "07617801" + "02", "00617801", "27617801", "616161", "f6"]
)
def test_items_that_do_not_fit_their_list(data: str) -> None:
    with pytest.raises(CodecError):
        items.decode_values(bytes.fromhex(data), ("a", "b"))


@pytest.mark.parametrize(
    "data", ["07a1026161", "07a120" + "6161", "07a2006161", "0780", "07a100616100", "07bf"]
)
def test_updated_attributes_that_do_not_fit_their_list(data: str) -> None:
    with pytest.raises(CodecError):
        items.decode_updated(bytes.fromhex(data), ("a", "b"))


def test_what_a_path_leads_to_goes_by_its_position() -> None:
    item = {"a": {"L": [{"N": "0"}, {"M": {"b": {"S": "x"}}}]}, "pk": {"S": "k"}}
    paths = [("none",), ("a", 1, "b"), ("a", 2), ("a", "b"), ("pk", "x"), ("pk",), ("a", 0)]
    projected = projections.project(item, paths)
    assert projected == {1: {"S": "x"}, 5: {"S": "k"}, 6: {"N": "0"}}
    assert projections.encode_projected(projected).hex() == "a301617805616b0600"
