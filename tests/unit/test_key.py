"""Keys: the layout on disk, query bounds by example, and the rules for key values with their texts."""

from __future__ import annotations

from base64 import b64encode
from hashlib import blake2b
from typing import Any

import pytest

from hashrange.errors import ApiError
from hashrange.model.key import (
    KeyCodec,
    KeyMismatch,
    KeyPart,
    check_index_keys,
    check_item_keys,
    check_key,
    hash_of,
    successor,
)
from hashrange.model.key_rules import indexable
from hashrange.model.number import order_key

INVALID = "One or more parameter values were invalid: "
NOT_VALID = "One or more parameter values are not valid. "
SCHEMA = "The provided key element does not match the schema"
EMPTY = "The AttributeValue for a key attribute cannot contain an empty {} value."
HASH_SIZE = INVALID + "Size of hashkey has exceeded the maximum size limit of2048 bytes"
RANGE_SIZE = INVALID + "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"


def parts(schema: str) -> tuple[KeyPart, ...]:
    """`p:S r:N` as key parts; the type S may be left out."""
    return tuple(KeyPart(*(part if ":" in part else part + ":S").split(":")) for part in schema.split())  # type: ignore[arg-type]


def codec(schema: str, suffix: KeyCodec | None = None) -> KeyCodec:
    """A codec from `hash parts / range parts`."""
    hash_parts, _, range_parts = schema.partition("/")
    return KeyCodec(parts(hash_parts), parts(range_parts), suffix)


def s(text: str) -> dict[str, Any]:
    return {"S": text}


def n(text: str) -> dict[str, Any]:
    return {"N": text}


def b(raw: bytes) -> dict[str, Any]:
    return {"B": b64encode(raw).decode()}


# ---- layout ------------------------------------------------------------------------------------------------


def test_the_hash_is_fixed() -> None:
    assert hash_of(b"").hex() == "e4a6a0577479b2b4"
    assert hash_of(b"user#1") == blake2b(b"user#1", digest_size=8).digest()


def test_a_string_alone_is_stored_raw() -> None:
    assert codec("p").encode({"p": s("a\0é"), "x": n("1")}) == hash_of("a\0é".encode()) + "a\0é".encode()


def test_a_part_before_another_is_escaped_and_terminated() -> None:
    item = {"p": s("a\0b"), "r": s("x\0")}
    assert codec("p/r").encode(item) == hash_of(b"a\0b") + b"a\0\xffb" + b"\0\1" + b"x\0"


def test_binaries_are_decoded() -> None:
    item = {"p": b(b"\0\xff"), "r": b(b"\0\0")}
    assert codec("p:B/r:B").encode(item) == hash_of(b"\0\xff") + b"\0\xff\xff" + b"\0\1" + b"\0\0"


def test_numbers_end_by_themselves() -> None:
    item = {"p": n("12"), "r": n("-3")}
    assert codec("p:N").encode(item) == hash_of(order_key("12")) + order_key("12")
    assert codec("p:N/r:N").encode(item) == hash_of(order_key("12")) + order_key("12") + order_key("-3")
    assert codec("q/r:N").encode({"q": s("q"), "r": n("7")}) == hash_of(b"q") + b"q\0\1" + order_key("7")


def test_an_index_entry_ends_with_the_key_of_the_table() -> None:
    table = codec("p/r")
    item = {"p": s("P"), "r": s("R"), "g": s("G"), "h": n("5")}
    own = hash_of(b"G") + b"G\0\1" + order_key("5")
    assert codec("g/h:N", table).encode_entry(item) == own + table.encode(item)
    assert codec("g", table).encode_entry(item) == hash_of(b"G") + b"G\0\1" + table.encode(item)
    local = codec("p/h:N", table).encode_entry(item)
    assert local == hash_of(b"P") + b"P\0\1" + order_key("5") + table.encode(item)


def test_several_hash_parts_are_hashed_together() -> None:
    table = codec("p")
    index = codec("a b:N/c d", table)
    item = {"p": s("p"), "a": s("a\0"), "b": n("1"), "c": s("c"), "d": s("d")}
    joined = b"a\0\xff\0\1" + order_key("1")
    assert index.encode(item) == hash_of(joined) + joined + b"c\0\1" + b"d\0\1" + table.encode(item)
    assert index.partition_prefix([s("a\0"), n("1")]) == hash_of(joined) + joined


def test_names_of_attributes() -> None:
    table = codec("p/r:N")
    index = codec("g/r:N", table)
    assert table.attribute_names == ("p", "r")
    assert index.attribute_names == ("g", "r")
    assert index.key_parts == (KeyPart("g", "S"), KeyPart("r", "N"), KeyPart("p", "S"))


@pytest.mark.parametrize("schema", ["p", "p/r", "p/r:N", "p:N/r:B", "p:B"])
def test_encode_refuses_what_does_not_fit(schema: str) -> None:
    it = codec(schema)
    whole = {
        part.name: {part.type: "MA=="} if part.type == "B" else {part.type: "0"} for part in it.own_parts
    }
    it.encode(whole)
    for part in it.own_parts:
        for other in ({}, {part.name: {"SS": ["0"]}}, {part.name: {"BOOL": True}}):
            broken = {name: value for name, value in whole.items() if name != part.name} | other
            with pytest.raises(KeyMismatch) as caught:
                it.encode(broken)
            assert (caught.value.type_name, caught.value.message) == ("ValidationException", SCHEMA)


def test_a_prefix_of_a_value_of_another_type_is_refused() -> None:
    for it in (codec("p/r"), codec("p q/r")):
        with pytest.raises(KeyMismatch):
            it.partition_prefix([n("1")] * len(it.hash_parts))


@pytest.mark.parametrize(
    "change",
    [
        {"g": None}, {"h": None}, {"g": n("1")}, {"h": s("1")}, {"h": {"NULL": True}}, {"g": s("")},
        {"g": s("x" * 2049)}, {"g": s("é" * 1025)},
    ],
)  # fmt: skip
def test_items_that_an_index_leaves_out(change: dict[str, Any]) -> None:
    index = codec("g/h:N", codec("p"))
    item = {"p": s("p"), "g": s("g"), "h": n("1")}
    assert index.encode_entry(item) is not None
    changed = {name: value for name, value in (item | change).items() if value is not None}
    assert not indexable(index, changed)
    assert index.encode_entry(changed) is None


def test_the_largest_keys_are_indexed() -> None:
    index = codec("g/h", codec("p"))
    item = {"p": s("p"), "g": s("é" * 1024), "h": s("x" * 1024)}
    assert index.encode_entry(item) == index.encode(item)
    assert index.encode_entry(item | {"h": s("x" * 1025)}) is None
    assert index.encode_entry({"g": item["g"], "p": item["p"]}) is None


# ---- bounds ------------------------------------------------------------------------------------------------


def test_successor() -> None:
    assert successor(b"a") == b"b"
    assert successor(b"a\xff\xff") == b"b"
    assert successor(b"\x00") == b"\x01"
    assert successor(b"\xff" * 8) > b"\xff" * 8 + b"\xff" * 2048 + b"\x00\x01"


def test_the_only_item_of_a_partition_key_without_range_key() -> None:
    table = codec("p")
    prefix = table.partition_prefix([s("a")])
    assert table.range_bounds(prefix, [], None, []) == (prefix, prefix + b"\0")


def test_bounds_of_a_last_part() -> None:
    table = codec("p/r")
    prefix = table.partition_prefix([s("a")])
    end = prefix[:-1] + b"\2"
    for op, operands, lo, hi in (
        (None, [], prefix, end),
        ("=", [s("m")], prefix + b"m", prefix + b"m\0"),
        ("<", [s("m")], prefix, prefix + b"m"),
        ("<=", [s("m")], prefix, prefix + b"m\0"),
        (">", [s("m")], prefix + b"m\0", end),
        (">=", [s("m")], prefix + b"m", end),
        ("BETWEEN", [s("b"), s("m")], prefix + b"b", prefix + b"m\0"),
        ("BETWEEN", [s("m"), s("b")], prefix + b"m", prefix + b"m"),
        ("begins_with", [s("m")], prefix + b"m", prefix + b"n"),
        ("begins_with", [s("")], prefix, end),
    ):
        assert table.range_bounds(prefix, [], op, operands) == (lo, hi)  # type: ignore[arg-type]


def test_bounds_refuse_an_operand_of_another_type() -> None:
    table = codec("p/r:N")
    prefix = table.partition_prefix([s("a")])
    with pytest.raises(KeyMismatch):
        table.range_bounds(prefix, [], "<", [s("1")])
    with pytest.raises(KeyMismatch):
        table.range_bounds(prefix, [], "begins_with", [n("1")])
    with pytest.raises(KeyMismatch):
        codec("p/r").range_bounds(prefix, [], "begins_with", [n("1")])


# ---- rules -------------------------------------------------------------------------------------------------


def refusal(check: Any, *arguments: Any, **options: Any) -> tuple[str | None, bool]:
    """The text of a refusal, and whether it is a mismatch."""
    with pytest.raises(ApiError) as caught:
        check(*arguments, **options)
    assert caught.value.type_name == "ValidationException"
    return caught.value.message, isinstance(caught.value, KeyMismatch)


TABLE = codec("p/r:N")


def test_keys_that_fit() -> None:
    check_key(codec("p"), {"p": s("x")})
    check_key(TABLE, {"r": n("0"), "p": s("x")})
    check_item_keys(TABLE, {"r": n("-1"), "p": s("x"), "v": s("")})
    check_index_keys("i", codec("g/h", TABLE), {"g": s("x"), "v": s("")})
    check_index_keys("i", codec("g/h", TABLE), {})


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"p": s("x")},
        {"p": s("x"), "r": n("1"), "v": n("1")},
        {"p": s("x"), "v": n("1")},
        {"p": n("1"), "r": n("1")},
        {"p": s("x"), "r": s("1")},
        {"p": {"NULL": True}, "r": n("1")},
        {"p": {"SS": ["x"]}, "r": n("1")},
        # Types are looked at before values are.
        {"p": s(""), "r": s("1")},
    ],
)
def test_keys_that_do_not_match_the_schema(key: dict[str, Any]) -> None:
    assert refusal(check_key, TABLE, key) == (SCHEMA, True)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({}, "Missing the key p in the item"),
        ({"p": s("x")}, "Missing the key r in the item"),
        ({"r": n("1")}, "Missing the key p in the item"),
        ({"p": n("1"), "r": n("1")}, "Type mismatch for key p expected: S actual: N"),
        ({"p": s("x"), "r": {"BOOL": True}}, "Type mismatch for key r expected: N actual: BOOL"),
        ({"p": {"L": [s("x")]}}, "Type mismatch for key p expected: S actual: L"),
        ({"p": s(""), "r": {"NULL": True}}, "Type mismatch for key r expected: N actual: NULL"),
    ],
)
def test_items_whose_keys_do_not_match_the_schema(item: dict[str, Any], text: str) -> None:
    assert refusal(check_item_keys, TABLE, item) == (INVALID + text, True)
    assert refusal(check_item_keys, TABLE, item, batch=True) == (SCHEMA, True)


@pytest.mark.parametrize("check", [check_key, check_item_keys])
def test_empty_key_values(check: Any) -> None:
    for schema, key, kind, name in (
        ("p", {"p": s("")}, "string", "p"),
        ("p:B", {"p": b(b"")}, "binary", "p"),
        ("p/r", {"p": s("x"), "r": s("")}, "string", "r"),
        ("p/r:B", {"p": s("x"), "r": b(b"")}, "binary", "r"),
        ("p/r", {"p": s(""), "r": s("")}, "string", "p"),
    ):
        text = f"{NOT_VALID}{EMPTY.format(kind)} Key: {name}"
        assert refusal(check, codec(schema), key) == (text, False)


@pytest.mark.parametrize("check", [check_key, check_item_keys])
def test_key_sizes_are_in_bytes(check: Any) -> None:
    for schema in ("p/r", "p:B/r:B"):
        value = b if ":" in schema else lambda raw: s(raw.decode())
        it = codec(schema)
        check(it, {"p": value(b"x" * 2048), "r": value(b"y" * 1024)})
        assert refusal(check, it, {"p": value(b"x" * 2049), "r": value(b"y")}) == (HASH_SIZE, False)
        assert refusal(check, it, {"p": value(b"x"), "r": value(b"y" * 1025)}) == (RANGE_SIZE, False)
        assert refusal(check, it, {"p": value(b"x"), "r": value(("é" * 513).encode())}) == (RANGE_SIZE, False)
    check(codec("p"), {"p": s("é" * 1024)})
    assert refusal(check, codec("p"), {"p": s("é" * 1024 + "x")}) == (HASH_SIZE, False)
    check(codec("p:N/r:N"), {"p": n("1" + "0" * 125), "r": n("-0." + "0" * 129 + "1")})


def test_index_keys_of_another_type() -> None:
    index = codec("g/h:N", TABLE)
    for item, text in (
        ({"g": n("1")}, "Type mismatch for Index Key g Expected: S Actual: N IndexName: i"),
        ({"h": {"NULL": True}}, "Type mismatch for Index Key h Expected: N Actual: NULL IndexName: i"),
        ({"g": s(""), "h": s("")}, "Type mismatch for Index Key h Expected: N Actual: S IndexName: i"),
    ):
        for updating in (False, True):
            assert refusal(check_index_keys, "i", index, item, updating=updating) == (INVALID + text, True)


def test_empty_index_keys() -> None:
    put = NOT_VALID + "A value specified for a secondary index key is not supported. " + EMPTY
    update = (
        NOT_VALID
        + "The update expression attempted to update a secondary index key to a value that is not supported. "
        + EMPTY
    )
    for schema, item, kind in (
        ("g/h", {"h": s("")}, "string"),
        ("g/h:B", {"g": s("x"), "h": b(b"")}, "binary"),
    ):
        index = codec(schema, TABLE)
        text = put.format(kind) + " IndexName: i, IndexKey: h"
        assert refusal(check_index_keys, "i", index, item) == (text, False)
        assert refusal(check_index_keys, "i", index, item, updating=True) == (update.format(kind), False)


def test_sizes_of_index_keys() -> None:
    index = codec("g/h", TABLE)
    check_index_keys("i", index, {"g": s("x" * 2048), "h": s("y" * 1024)})
    assert refusal(check_index_keys, "i", index, {"g": s("x" * 2049)}) == (HASH_SIZE, False)
    assert refusal(check_index_keys, "i", index, {"h": s("x" * 1025)}) == (RANGE_SIZE, False)


def test_sizes_of_several_parts_are_added_up() -> None:
    index = codec("a b/c d e f", TABLE)
    fits = {"a": s("x" * 1024), "b": s("x" * 1024), **{name: s("y" * 256) for name in "cdef"}}
    check_index_keys("i", index, fits)
    assert index.encode_entry({**fits, "p": s("p"), "r": n("1")}) is not None
    assert refusal(check_index_keys, "i", index, fits | {"b": s("x" * 1025)}) == (HASH_SIZE, False)
    assert refusal(check_index_keys, "i", index, fits | {"f": s("y" * 257)}) == (RANGE_SIZE, False)
    wide = {name: s("é" * 200) for name in "cdef"}
    assert refusal(check_index_keys, "i", index, wide) == (RANGE_SIZE, False)
    assert not indexable(index, fits | wide)


def test_the_start_key_of_an_index_has_the_keys_of_the_table_too() -> None:
    index = codec("g/r:N", TABLE)
    start = {"g": s("g"), "r": n("1"), "p": s("p")}
    check_key(index, start)
    assert refusal(check_key, index, {"g": s("g"), "r": n("1")}) == (SCHEMA, True)
    assert refusal(check_key, index, start | {"v": s("x")}) == (SCHEMA, True)
    assert refusal(check_key, index, start | {"p": n("1")}) == (SCHEMA, True)
