"""What conditions answer for items: comparisons, functions, missing operands, types, sets and documents."""

from __future__ import annotations

from typing import Any

import pytest

from hashrange.expr import Bound, compile_condition
from hashrange.expr.condition import size_of

ITEM: dict[str, Any] = {
    "pk": {"S": "key"},
    "s": {"S": "hello"},
    "n": {"N": "5"},
    "neg": {"N": "-10"},
    "b": {"B": "gA=="},
    "t": {"BOOL": True},
    "nu": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": ["YQ=="]},
    "l": {"L": [{"N": "1"}, {"M": {"x": {"S": "deep"}}}, {"SS": ["p", "q"]}]},
    "m": {"M": {"k": {"N": "7"}, "nest": {"M": {"z": {"BOOL": False}}}}},
    "dotted.name": {"S": "literal dot"},
}


def holds(text: str, values: dict[str, Any] | None = None, names: dict[str, str] | None = None) -> bool:
    return compile_condition(text, names, values).matches(ITEM)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("s = :v", {"S": "hello"}, True),
        ("s = :v", {"S": "Hello"}, False),
        ("n = :v", {"N": "5.00"}, True),
        ("n = :v", {"S": "5"}, False),
        ("n <> :v", {"S": "5"}, True),
        ("n <> :v", {"N": "5"}, False),
        (":v = n", {"N": "5"}, True),
        ("gone = :v", {"N": "5"}, False),
        ("gone <> :v", {"N": "5"}, True),
        ("t = :v", {"BOOL": True}, True),
        ("nu = :v", {"NULL": True}, True),
        ("nu <> :v", {"BOOL": True}, True),
        ("ss = :v", {"SS": ["b", "a"]}, True),
        ("ns = :v", {"NS": ["2.50", "1"]}, True),
        ("ss = :v", {"SS": ["a"]}, False),
        ("m = :v", {"M": {"nest": {"M": {"z": {"BOOL": False}}}, "k": {"N": "7.0"}}}, True),
        ("l[2] = :v", {"SS": ["q", "p"]}, True),
        ("l[1].x = :v", {"S": "deep"}, True),
        ("m.nest.z = :v", {"BOOL": False}, True),
        ("l[9] = :v", {"N": "1"}, False),
        ("m[0] = :v", {"N": "1"}, False),
        ("s.x = :v", {"N": "1"}, False),
        ("n < :v", {"N": "10"}, True),
        ("n < :v", {"N": "5"}, False),
        ("n <= :v", {"N": "5"}, True),
        ("neg < :v", {"N": "-9.5"}, True),
        ("neg > :v", {"N": "-9.5"}, False),
        ("n > :v", {"S": "1"}, False),
        ("n < :v", {"S": "9"}, False),
        ("s > :v", {"S": "hell"}, True),
        ("s >= :v", {"S": "hello"}, True),
        ("s < :v", {"S": "ˇ"}, True),
        ("b > :v", {"B": "fw=="}, True),  # 0x80 above 0x7f: bytes are unsigned
        ("b > :v", {"B": "gAA="}, False),
        ("gone < :v", {"N": "1"}, False),
        ("gone >= :v", {"N": "1"}, False),
        ("t < :v", {"N": "1"}, False),
        ("NOT t < :v", {"N": "1"}, True),
        ("contains(s, :v)", {"S": "ell"}, True),
        ("contains(s, :v)", {"S": ""}, True),
        ("contains(s, :v)", {"N": "1"}, False),
        ("contains(ss, :v)", {"S": "a"}, True),
        ("contains(ss, :v)", {"S": "ab"}, False),
        ("contains(ns, :v)", {"N": "2.50"}, True),
        ("contains(ns, :v)", {"S": "1"}, False),
        ("contains(bs, :v)", {"B": "YQ=="}, True),
        ("contains(l, :v)", {"N": "1"}, True),
        ("contains(l, :v)", {"SS": ["q", "p"]}, True),
        ("contains(l, :v)", {"M": {"x": {"S": "deep"}}}, True),
        ("contains(m, :v)", {"S": "k"}, False),
        ("contains(n, :v)", {"N": "5"}, False),
        ("contains(gone, :v)", {"S": "a"}, False),
        ("contains(b, :v)", {"B": "gA=="}, True),
        ("contains(b, :v)", {"B": "YQ=="}, False),
        ("begins_with(s, :v)", {"S": "he"}, True),
        ("begins_with(s, :v)", {"S": "hello!"}, False),
        ("begins_with(s, :v)", {"S": "ello"}, False),
        ("begins_with(b, :v)", {"B": "gA=="}, True),
        ("begins_with(b, :v)", {"S": "g"}, False),
        ("begins_with(n, :v)", {"S": "5"}, False),
        ("begins_with(gone, :v)", {"S": ""}, False),
        ("attribute_type(n, :v)", {"S": "N"}, True),
        ("attribute_type(n, :v)", {"S": "S"}, False),
        ("attribute_type(m.nest, :v)", {"S": "M"}, True),
        ("attribute_type(gone, :v)", {"S": "NULL"}, False),
        ("size(s) = :v", {"N": "5"}, True),
        ("size(ss) = :v", {"N": "2"}, True),
        ("size(l) = :v", {"N": "3"}, True),
        ("size(m) < :v", {"N": "10"}, True),
        ("size(b) = :v", {"N": "1"}, True),
        ("size(n) > :v", {"N": "0"}, False),
        ("size(n) <> :v", {"N": "0"}, True),
        ("size(gone) <> :v", {"N": "0"}, True),
        ("size(gone) = :v", {"N": "0"}, False),
    ],
)
def test_with_a_value(text: str, value: dict[str, Any], expected: bool) -> None:
    assert holds(text, {":v": value}) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("attribute_exists(s)", True),
        ("attribute_exists(m.nest.z)", True),
        ("attribute_exists(l[0])", True),
        ("attribute_exists(l[3])", False),
        ("attribute_exists(m[0])", False),
        ("attribute_not_exists(gone)", True),
        ("attribute_not_exists(gone.deep)", True),
        ("attribute_not_exists(nu)", False),
        ("gone = absent", False),
        ("gone <> absent", True),
        ("n > neg", True),
        ("s BETWEEN pk AND s2", False),
        ("n BETWEEN neg AND s", False),
        ("n BETWEEN neg AND gone", False),
        ("n > gone", False),
        ("gone < n", False),
        ("gone IN (absent, n)", False),
        ("size(s) > size(ss)", True),
        ("size(s) = n", True),
        ("n IN (neg, n2, m.k)", False),
        ("m.k IN (neg, n, m.nest)", False),
        ("contains(l, l[0])", True),
        ("attribute_exists(#d)", True),
        ("attribute_exists(#d.x)", False),
    ],
)
def test_without_values(text: str, expected: bool) -> None:
    names = {"#d": "dotted.name"} if "#d" in text else None
    assert holds(text, names=names) is expected


@pytest.mark.parametrize(
    ("text", "low", "high", "expected"),
    [
        ("n BETWEEN :l AND :h", {"N": "5"}, {"N": "5"}, True),
        ("n BETWEEN :l AND :h", {"N": "6"}, {"N": "7"}, False),
        ("n BETWEEN :l AND :h", {"S": "1"}, {"S": "9"}, False),
        ("s BETWEEN :l AND :h", {"S": "h"}, {"S": "i"}, True),
        ("b BETWEEN :l AND :h", {"B": "AA=="}, {"B": "/w=="}, True),
        ("gone BETWEEN :l AND :h", {"N": "1"}, {"N": "9"}, False),
        ("NOT gone BETWEEN :l AND :h", {"N": "1"}, {"N": "9"}, True),
        ("s IN (:l, :h)", {"S": "x"}, {"S": "hello"}, True),
        ("s IN (:l, :h)", {"N": "1"}, {"S": "x"}, False),
        ("gone IN (:l, :h)", {"N": "1"}, {"N": "2"}, False),
        ("l IN (:l, :h)", {"N": "1"}, {"N": "2"}, False),
    ],
)
def test_with_two_values(text: str, low: dict[str, Any], high: dict[str, Any], expected: bool) -> None:
    assert holds(text, {":l": low, ":h": high}) is expected


def test_logic() -> None:
    values = {":one": {"N": "1"}}
    true, false = "n > :one", "n < :one"
    for text, expected in [
        (f"{true} AND {true}", True),
        (f"{true} AND {false}", False),
        (f"{false} OR {true}", True),
        (f"{false} OR {false}", False),
        (f"NOT {false} AND {true}", True),
        (f"NOT ({true} AND {true})", False),
        (f"{false} AND {false} OR {true}", True),
        (f"{false} AND ({false} OR {true})", False),
        (f"{true} AND {true} AND {true} AND {false}", False),
        (f"{false} OR {false} OR {false} OR {true}", True),
    ]:
        assert compile_condition(text, None, dict(values)).matches(ITEM) is expected, text


def test_an_item_that_does_not_exist_has_no_attributes_at_all() -> None:
    assert compile_condition("attribute_not_exists(pk)").matches(None)
    assert not compile_condition("attribute_exists(pk)").matches(None)
    assert compile_condition("pk <> :v", None, {":v": {"S": "key"}}).matches(None)
    assert not compile_condition("pk = :v", None, {":v": {"S": "key"}}).matches(None)


@pytest.mark.parametrize(
    ("part", "begins", "contains"),
    [
        ("YWI=", True, True),
        ("Yg==", False, True),
        ("YQ==", True, True),
        ("/w==", False, True),
        ("", True, True),
    ],
)
def test_parts_of_binaries_are_bytes_not_base64(part: str, begins: bool, contains: bool) -> None:
    item = {"b": {"B": "YWL/"}}
    for function, expected in (("begins_with", begins), ("contains", contains)):
        bound = compile_condition(f"{function}(b, :v)", None, {":v": {"B": part}})
        assert bound.matches(item) is expected


def test_size_counts_utf16_units_bytes_and_elements() -> None:
    assert size_of({"S": "aé😀"}) == 4
    assert size_of({"S": ""}) == 0
    assert [size_of({"B": text}) for text in ("", "YQ==", "YWI=", "YWJj")] == [0, 1, 2, 3]
    assert size_of({"M": {}}) == 0
    assert size_of({"BOOL": True}) is None


def test_strings_are_ordered_by_utf8_bytes() -> None:
    # In UTF-16 the emoji would come before U+FFFD.
    bound = compile_condition("s > :v", None, {":v": {"S": "�"}})
    assert bound.matches({"s": {"S": "😀"}})


def test_deepest_allowed_conditions_compile_and_evaluate() -> None:
    assert compile_condition("NOT " * 298 + "attribute_exists(s)").matches(ITEM)
    nested = "attribute_exists(s)"
    for _ in range(99):
        nested = f"(n > neg AND {nested})"
    assert compile_condition(nested).matches(ITEM)


def test_conditions_travel() -> None:
    bound = compile_condition("n > :v AND contains(l, :w)", None, {":v": {"N": "1"}, ":w": {"N": "1"}})
    kind, tree, values = bound.to_portable()
    copy = Bound.from_portable((kind, tree, values))
    assert copy.matches(ITEM)
    assert not copy.matches(None)
    assert copy.program is Bound.from_portable(bound.to_portable()).program
