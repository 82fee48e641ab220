"""Attribute values: one canonical form for equal values, sizes that agree, and nothing but exact errors."""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashrange.errors import ApiError
from hashrange.model import value as values
from hashrange.model.binary import decode, decode_strict
from hashrange.model.binary import size as binary_size
from hashrange.model.number import size as number_size
from hashrange.model.value import CLASSIC, CURRENT
from tests.property import model_values


def reference_size(value: dict[str, Any]) -> int:
    """The size of a value, straight from the rule."""
    [(tag, content)] = value.items()
    if tag == "L":
        return 3 + sum(1 + reference_size(element) for element in content)
    if tag == "M":
        return 3 + sum(1 + len(name.encode()) + reference_size(member) for name, member in content.items())
    one = {
        "S": lambda text: len(text.encode()),
        "N": number_size,
        "B": lambda text: len(b64decode(text)),
        "BOOL": lambda flag: 1,
        "NULL": lambda flag: 1,
    }
    return sum(map(one[tag[0]], content)) if tag in ("SS", "NS", "BS") else one[tag](content)


def spelled_differently(value: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    """An equal value as another client might write it: sets and maps in other orders, other numerals."""
    [(tag, content)] = value.items()
    if tag == "N":
        return {"N": data.draw(spellings(content))}
    if tag == "NS":
        return {"NS": [data.draw(spellings(member)) for member in data.draw(st.permutations(content))]}
    if tag in ("SS", "BS"):
        return {tag: list(data.draw(st.permutations(content)))}
    if tag == "L":
        return {"L": [spelled_differently(element, data) for element in content]}
    if tag == "M":
        names = data.draw(st.permutations(list(content)))
        return {"M": {name: spelled_differently(content[name], data) for name in names}}
    return copy.deepcopy(value)


def spellings(number: str) -> st.SearchStrategy[str]:
    """Other texts of a canonical number."""
    sign, digits = ("-", number[1:]) if number[0] == "-" else (data_sign(number), number)
    whole, _, fraction = digits.partition(".")
    forms = [f"00{digits}", f"{digits}e0", f"{whole}.{fraction}0", f"{whole}{fraction}e-{len(fraction)}"]
    return st.sampled_from([number, *(sign + form for form in forms)])


def data_sign(number: str) -> str:
    """A sign that may be written before a number that is not negative."""
    return "-" if number == "0" else "+"


@given(model_values.values, st.data())
def test_equal_values_have_equal_canonical_forms(value: dict[str, Any], data: st.DataObject) -> None:
    other = spelled_differently(value, data)
    size = values.normalise_value(value)
    assert values.normalise_value(other) == size
    assert value == other
    assert values.equal(value, other)
    assert values.dump(value) == values.dump(other)


@given(model_values.items)
def test_sizes_agree_and_the_canonical_form_is_a_fixed_point(item: dict[str, Any]) -> None:
    size = values.normalise_item(item)
    canonical = copy.deepcopy(item)
    assert size == sum(len(name.encode()) + reference_size(value) for name, value in item.items())
    assert values.item_size(item) == size
    assert [values.value_size(value) for value in item.values()] == [reference_size(v) for v in item.values()]
    assert values.normalise_item(item) == CLASSIC.normalise_item(item) == size
    assert item == canonical
    assert orjson.loads(values.dump(item)) == item


@given(model_values.values, model_values.values)
def test_equality_is_that_of_the_canonical_bytes(a: dict[str, Any], b: dict[str, Any]) -> None:
    values.normalise_value(a)
    values.normalise_value(b)
    assert values.equal(a, b) == (values.dump(a) == values.dump(b))


@given(model_values.binaries, model_values.binaries, model_values.texts, model_values.texts)
def test_comparison_is_by_bytes(raw_a: bytes, raw_b: bytes, text_a: str, text_b: str) -> None:
    for kind, content_a, content_b, bytes_a, bytes_b in (
        ("B", model_values.base64_text(raw_a), model_values.base64_text(raw_b), raw_a, raw_b),
        ("S", text_a, text_b, text_a.encode(), text_b.encode()),
    ):
        expected = (bytes_a > bytes_b) - (bytes_a < bytes_b)
        assert values.compare({kind: content_a}, {kind: content_b}) == expected


# JSON as any client may send it: right tags with wrong contents, several tags, nulls, junk.
json_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["YQ==", "1", "1.0", "true", ""]),
)
tags = st.sampled_from(["S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "X", ""])
junk = st.recursive(
    json_scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(tags, inner, max_size=3)),
    max_leaves=10,
)


@given(st.one_of(junk, st.dictionaries(tags, junk, min_size=1, max_size=1)))
def test_any_json_is_made_canonical_or_refused(value: Any) -> None:
    outcomes = []
    for rules in (CURRENT, CLASSIC):
        own = copy.deepcopy(value)
        try:
            outcomes.append(rules.normalise_value(own))
        except ApiError as error:
            assert error.type_name in ("ValidationException", "SerializationException")
            assert error.message
            outcomes.append(error.type_name)
        else:
            assert reference_size(own) == outcomes[-1]
            assert rules.normalise_value(own) == outcomes[-1]
    assert outcomes[0] == outcomes[1]


@given(st.dictionaries(st.text(max_size=2), junk, max_size=3))
def test_any_item_is_made_canonical_or_refused(item: dict[str, Any]) -> None:
    try:
        size = values.normalise_item(item)
    except ApiError as error:
        assert error.type_name in ("ValidationException", "SerializationException")
    else:
        assert values.item_size(item) == size
        assert "" not in item


@given(st.integers(1, 300), st.lists(st.sampled_from("LM"), min_size=300, max_size=300), model_values.scalars)
def test_depth(levels: int, kinds: list[str], leaf: dict[str, Any]) -> None:
    value = leaf
    for kind in kinds[:levels]:
        value = {"L": [value]} if kind == "L" else {"M": {"m": value}}
    if levels < values.MAX_DEPTH:
        values.normalise_item({"a": value})
    else:
        with pytest.raises(ApiError, match="Nesting Levels have exceeded supported limits"):
            values.normalise_item({"a": value})


@given(
    st.one_of(st.text(st.sampled_from("AQgw+/=aZ09-_\n é"), max_size=9), st.binary(max_size=9).map(b64encode))
)
def test_only_canonical_base64_is_decoded(given_text: str | bytes) -> None:
    text = given_text.decode() if isinstance(given_text, bytes) else given_text
    try:
        canonical = b64encode(b64decode(text)).decode() == text
    except ValueError:
        canonical = False
    if canonical:
        assert decode_strict(text) == decode(text) == b64decode(text)
        assert binary_size(text) == len(b64decode(text))
    else:
        with pytest.raises(ValueError):
            decode_strict(text)
