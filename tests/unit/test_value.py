"""Attribute values: canonical form, sizes, and the exact errors in both wordings."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from hashrange.errors import ApiError
from hashrange.model import value as values
from hashrange.model.value import CLASSIC, CURRENT, ShapeError, ValueRules

INVALID = "One or more parameter values were invalid: "
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, "
    "must contain exactly one of the supported datatypes"
)
NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
VALUE_CLASS = "com.amazonaws.dynamodb.v20120810.AttributeValue"


def refusal(value: Any, rules: ValueRules = CURRENT) -> ApiError:
    """The error for a value, the same whether it stands alone, in an item or inside other values."""
    text = orjson.dumps(value)
    errors = []
    for wrap in (lambda v: {"a": v}, lambda v: {"a": {"L": [{"M": {"b": v}}]}}, lambda v: {"a": {"L": [v]}}):
        with pytest.raises(ApiError) as in_item:
            rules.normalise_item(wrap(orjson.loads(text)))
        errors.append(in_item.value)
    with pytest.raises(ApiError) as alone:
        rules.normalise_value(orjson.loads(text))
    for error in errors:
        assert (error.type_name, error.message) == (alone.value.type_name, alone.value.message)
        assert isinstance(error, ShapeError) == isinstance(alone.value, ShapeError)
    return alone.value


# ---- canonical form and sizes ------------------------------------------------------------------------------

CANONICAL: list[tuple[dict[str, Any], dict[str, Any], int]] = [
    ({"S": ""}, {"S": ""}, 0),
    ({"S": "abc"}, {"S": "abc"}, 3),
    ({"S": "é\U0001f600"}, {"S": "é\U0001f600"}, 6),
    ({"N": "0012.50"}, {"N": "12.5"}, 3),
    ({"N": "-0"}, {"N": "0"}, 1),
    ({"N": "1e3"}, {"N": "1000"}, 2),
    ({"N": "-0.5"}, {"N": "-0.5"}, 3),
    ({"B": ""}, {"B": ""}, 0),
    ({"B": "YQ=="}, {"B": "YQ=="}, 1),
    ({"B": "YWI="}, {"B": "YWI="}, 2),
    ({"B": "YWJj"}, {"B": "YWJj"}, 3),
    ({"BOOL": False}, {"BOOL": False}, 1),
    ({"BOOL": "True"}, {"BOOL": True}, 1),
    ({"BOOL": "no"}, {"BOOL": False}, 1),
    ({"NULL": True}, {"NULL": True}, 1),
    ({"NULL": "yes"}, {"NULL": True}, 1),
    ({"SS": ["b", "", "a\uffff", "a\U00010000"]}, {"SS": ["", "a\uffff", "a\U00010000", "b"]}, 1 + 4 + 5),
    ({"NS": ["10", "9", "-1", "1.50"]}, {"NS": ["-1", "1.5", "9", "10"]}, 2 + 3 + 2 + 3),
    ({"NS": ["10", "9", "1e2"]}, {"NS": ["9", "10", "100"]}, 2 + 2 + 2),
    ({"BS": ["/w==", "AA==", ""]}, {"BS": ["", "AA==", "/w=="]}, 2),
    ({"L": []}, {"L": []}, 3),
    ({"L": [{"S": "ab"}, {"N": "01"}]}, {"L": [{"S": "ab"}, {"N": "1"}]}, 3 + 2 + 2 + 2),
    ({"M": {}}, {"M": {}}, 3),
    ({"M": {"ké": {"N": "1.0"}}}, {"M": {"ké": {"N": "1"}}}, 3 + 1 + 3 + 2),
    (
        {"L": [{"L": []}, {"M": {}}, {"BOOL": True}]},
        {"L": [{"L": []}, {"M": {}}, {"BOOL": True}]},
        3 + 3 + 3 + 3 + 1,
    ),
    ({"S": "a", "N": None, "x": 5}, {"S": "a"}, 1),
    ({"L": [{"BOOL": "false", "S": None}]}, {"L": [{"BOOL": False}]}, 5),
]


@pytest.mark.parametrize(("given", "canonical", "size"), CANONICAL)
@pytest.mark.parametrize("rules", [CURRENT, CLASSIC])
def test_canonical_form_and_size(
    given: dict[str, Any], canonical: dict[str, Any], size: int, rules: ValueRules
) -> None:
    text = orjson.dumps(given)
    value = orjson.loads(text)
    assert rules.normalise_value(value) == size
    assert value == canonical
    assert values.value_size(canonical) == size
    for wrap, around in (
        (lambda v: {"ab": v}, 2),
        (lambda v: {"l": {"L": [{"M": {"k": v}}]}}, 1 + 4 + 4 + 1),
    ):
        item = wrap(orjson.loads(text))
        assert rules.normalise_item(item) == size + around
        assert item == wrap(canonical)
        assert values.item_size(item) == size + around


def test_the_documented_example_of_an_item_size() -> None:
    item = {"shirt-color": {"S": "R"}, "shirt-size": {"S": "M"}}
    assert values.normalise_item(item) == values.item_size(item) == 23


def test_an_item_without_attributes() -> None:
    assert values.normalise_item({}) == values.item_size({}) == 0


def test_module_functions_use_the_current_wording() -> None:
    with pytest.raises(ShapeError, match='"a", "a"'):
        values.normalise_value({"SS": ["a", "a"]})
    with pytest.raises(ShapeError, match='"a", "a"'):
        values.normalise_item({"v": {"SS": ["a", "a"]}})


# ---- errors of values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "current", "classic"),
    [
        ({"SS": []}, INVALID + "An string set  may not be empty", None),
        ({"NS": []}, INVALID + "An number set  may not be empty", None),
        ({"BS": []}, INVALID + "Binary sets should not be empty", None),
        ({"NULL": False}, INVALID + "Null attribute value types must have the value of true", None),
        ({"NULL": "no"}, INVALID + "Null attribute value types must have the value of true", None),
        (
            {"SS": ["b", "a", "b", "c", "a"]},
            INVALID + 'Input collection ["a", "b", "b", "c", "a"] contains duplicates.',
            INVALID + "Input collection [b, a, b, c, a] contains duplicates.",
        ),
        (
            {"SS": ["", ""]},
            INVALID + 'Input collection ["", ""] contains duplicates.',
            INVALID + "Input collection [, ] contains duplicates.",
        ),
        (
            {"BS": ["/w==", "AA==", "AA=="]},
            INVALID + 'Input collection ["AA==","/w==","AA=="]of type BS contains duplicates.',
            INVALID + "Input collection [/w==, AA==, AA==]of type BS contains duplicates.",
        ),
        (
            {"NS": ["2", "1", "2.0"]},
            INVALID + "Input collection contains duplicates.",
            "Input collection contains duplicates",
        ),
        ({"N": "abc"}, NOT_NUMERIC + ": abc", None),
        ({"N": ""}, NOT_NUMERIC + ": ", NOT_NUMERIC),
        ({"NS": ["1", ""]}, NOT_NUMERIC + ": ", NOT_NUMERIC),
        ({"NS": ["1", "b"]}, NOT_NUMERIC + ": b", None),
        # Every type present is looked at before it counts that there are two.
        ({"S": "a", "N": "b"}, NOT_NUMERIC + ": b", None),
        ({"S": "a", "SS": []}, INVALID + "An string set  may not be empty", None),
    ],
)
def test_faults_of_shape(value: dict[str, Any], current: str, classic: str | None) -> None:
    for rules, text in ((CURRENT, current), (CLASSIC, classic or current)):
        error = refusal(value, rules)
        assert isinstance(error, ShapeError)
        assert error.type_name == "ValidationException"
        assert error.message == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, EMPTY),
        (None, EMPTY),
        ({"S": None}, EMPTY),
        ({"a": ""}, EMPTY),
        ({"M": {"a": {}}}, EMPTY),
        ({"L": [{}]}, EMPTY),
        ({"L": [None]}, EMPTY),
        ({"S": "a", "N": "1"}, SEVERAL),
        ({"S": "a", "NULL": True}, SEVERAL),
        ({"L": [], "M": {}}, SEVERAL),
    ],
)
def test_exactly_one_type(value: Any, text: str) -> None:
    for rules in (CURRENT, CLASSIC):
        error = refusal(value, rules)
        assert (error.type_name, error.message) == ("ValidationException", text)
        assert not isinstance(error, ShapeError)


@pytest.mark.parametrize("value", [{"SS": ["a", None]}, {"BS": [None]}, {"NS": [None]}])
def test_null_is_no_member_of_a_set(value: dict[str, Any]) -> None:
    assert refusal(value).type_name == "ValidationException"


# ---- JSON types --------------------------------------------------------------------------------------------

OBJECT = "Start of structure or map found where not expected"
MAP_CLASS = f"java.util.Map<java.lang.String, {VALUE_CLASS}>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(
            ({tag: content}, text)
            for tag in ("S", "N")
            for content, text in (
                (True, "TRUE_VALUE cannot be converted to String"),
                (False, "FALSE_VALUE cannot be converted to String"),
                (23, "NUMBER_VALUE cannot be converted to String"),
                (2**40, "NUMBER_VALUE cannot be converted to String"),
                (34.56, "DECIMAL_VALUE cannot be converted to String"),
                ([], "Unrecognized collection type class java.lang.String"),
                ({}, OBJECT),
            )
        ),
        *(
            ({tag: content}, text)
            for tag in ("BOOL", "NULL")
            for content, text in (
                ("23", "Unexpected token received from parser"),
                (23, "NUMBER_VALUE cannot be converted to Boolean"),
                (34.56, "DECIMAL_VALUE cannot be converted to Boolean"),
                ([], "Unrecognized collection type class java.lang.Boolean"),
                ({}, OBJECT),
            )
        ),
        *(
            (wrap(content), text)
            for wrap in (lambda content: {"B": content}, lambda content: {"BS": ["", content]})
            for content, text in (
                (True, "only base-64-encoded strings are convertible to bytes"),
                (23, "only base-64-encoded strings are convertible to bytes"),
                (34.56, "only base-64-encoded strings are convertible to bytes"),
                ([], "Unrecognized collection type class java.nio.ByteBuffer"),
                ({}, OBJECT),
                ("23456", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
                ("YWJj=", "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
                ("YQ", "Base64 encoded length is expected a multiple of 4 bytes but found: 2"),
                ("ab!=", "Invalid Base64 character: '!'"),
                ("YQ_-", "Invalid Base64 character: '_'"),
                ("YW\n=", "Invalid Base64 character: '\n'"),
                ("=+/=", "Invalid last non-pad Base64 character dectected"),
                ("+/+=", "Invalid last non-pad Base64 character dectected"),
                ("YR==", "Invalid last non-pad Base64 character dectected"),
                ("Y===", "Invalid last non-pad Base64 character dectected"),
                ("YWJj====", "Invalid last non-pad Base64 character dectected"),
                ("YQ==YQ==", "Invalid last non-pad Base64 character dectected"),
            )
        ),
        *(
            ({tag: content}, text)
            for tag in ("SS", "NS", "BS", "L")
            for content, text in (
                ("23", "Unexpected field type"),
                (True, "Unexpected field type"),
                (23, "Unexpected field type"),
                ({}, OBJECT),
            )
        ),
        ({"SS": ["a", 1]}, "NUMBER_VALUE cannot be converted to String"),
        ({"NS": [1]}, "NUMBER_VALUE cannot be converted to String"),
        ({"NS": [["1"]]}, "Unrecognized collection type class java.lang.String"),
        ({"SS": [{}]}, OBJECT),
        ({"M": "a"}, "Unexpected field type"),
        ({"M": 5}, "Unexpected field type"),
        ({"M": []}, f"Unrecognized collection type {MAP_CLASS}"),
        ("a", "Unexpected value type in payload"),
        (23, "Unexpected value type in payload"),
        (1.5, "Unexpected value type in payload"),
        (True, "Unexpected value type in payload"),
        ([], f"Unrecognized collection type class {VALUE_CLASS}"),
        ([0], f"Unrecognized collection type class {VALUE_CLASS}"),
        ([True], f"Unrecognized collection type class {VALUE_CLASS}"),
        ([[]], f"Unrecognized collection type class {VALUE_CLASS}"),
        (["S"], f"Unrecognized collection type class {VALUE_CLASS}"),
    ],
)
def test_json_of_the_wrong_type(value: Any, text: str) -> None:
    error = refusal(value)
    assert (error.type_name, error.message) == ("SerializationException", text)
    assert error.message_key == "Message"
    assert not isinstance(error, ShapeError)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ([], f"Unrecognized collection type {MAP_CLASS}"),
        ("a", "Unexpected field type"),
        (None, "Unexpected field type"),
    ],
)
def test_an_item_is_an_object(item: Any, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        values.normalise_item(item)
    assert (caught.value.type_name, caught.value.message) == ("SerializationException", text)


def test_wrong_types_come_before_all_other_faults_and_the_first_one_wins() -> None:
    item = {
        "": {"S": "x"},
        "a": {"N": "abc"},
        "b": {"L": [{"M": {"x": {"S": 5}}}]},
        "c": {"S": True},
    }
    with pytest.raises(ApiError, match="NUMBER_VALUE"):
        values.normalise_item(item)


# ---- depth -------------------------------------------------------------------------------------------------


def nested(levels: int, kind: str, leaf: dict[str, Any]) -> dict[str, Any]:
    """`leaf` inside so many maps or lists."""
    value = leaf
    for _ in range(levels):
        value = {"M": {"n": value}} if kind == "M" else {"L": [value]}
    return value


@pytest.mark.parametrize("kind", ["M", "L"])
def test_thirty_one_levels_around_a_value_are_accepted(kind: str) -> None:
    per_level = 5 if kind == "M" else 4
    assert values.normalise_item({"a": nested(31, kind, {"S": "leaf"})}) == 1 + 31 * per_level + 4
    assert values.normalise_value(nested(31, kind, {"S": "leaf"})) == 31 * per_level + 4


@pytest.mark.parametrize("kind", ["M", "L"])
@pytest.mark.parametrize("levels", [32, 33, 100, 5000])
def test_more_levels_are_refused(kind: str, levels: int) -> None:
    for rules in (CURRENT, CLASSIC):
        with pytest.raises(ApiError) as in_item:
            rules.normalise_item({"a": nested(levels, kind, {"S": "leaf"})})
        with pytest.raises(ApiError) as alone:
            rules.normalise_value(nested(levels, kind, {"S": "leaf"}))
        for error in (in_item.value, alone.value):
            assert (error.type_name, error.message) == ("ValidationException", NESTING)
            assert isinstance(error, ShapeError)


def test_the_depth_of_a_value_counts_what_it_stands_in() -> None:
    values.normalise_value(nested(30, "M", {"S": "leaf"}), depth=1)
    with pytest.raises(ApiError, match="Nesting Levels"):
        values.normalise_value(nested(31, "M", {"S": "leaf"}), depth=1)


def test_a_wrong_type_far_below_the_limit_is_found() -> None:
    with pytest.raises(ApiError, match="NUMBER_VALUE cannot be converted to String"):
        values.normalise_item({"a": nested(5000, "L", {"S": 5})})


# ---- names -------------------------------------------------------------------------------------------------


def message_of(item: dict[str, Any]) -> str | None:
    with pytest.raises(ApiError) as caught:
        values.normalise_item(item)
    assert caught.value.type_name == "ValidationException"
    return caught.value.message


def test_an_empty_name_comes_before_faults_of_values() -> None:
    assert message_of({"a": nested(100, "M", {"S": "x"}), "": {"S": "x"}}) == "Empty attribute name"
    assert message_of({"a": {"N": "x"}, "": {"S": "x"}}) == "Empty attribute name"


def test_an_empty_key_in_a_map_comes_after_faults_of_values() -> None:
    inner = {"M": {"": {"S": "x"}}}
    assert message_of({"m": inner}) == "Empty attribute name"
    assert message_of({"m": {"L": [inner]}}) == "Empty attribute name"
    assert message_of({"m": inner, "d": nested(40, "M", {"S": "x"})}) == NESTING


@pytest.mark.parametrize("name", ["x" * 65_535, "é" * 32_767])
def test_the_longest_name(name: str) -> None:
    assert values.normalise_item({name: {"S": ""}}) == len(name.encode())
    assert values.normalise_item({"m": {"L": [{"M": {name: {"S": ""}}}]}}) == len(name.encode()) + 1 + 4 + 4


@pytest.mark.parametrize("name", ["x" * 65_536, "é" * 32_768])
def test_a_name_too_long(name: str) -> None:
    text = "Attribute name is too large, must be less than 65536 bytes"
    assert message_of({name: {"S": "x"}}) == text
    assert message_of({"m": {"L": [{"M": {name: {"S": "x"}}}]}}) == text
    with pytest.raises(ApiError, match="Attribute name is too large"):
        values.normalise_value({"M": {name: {"S": "x"}}})


# ---- the rest ----------------------------------------------------------------------------------------------


def test_limits_of_items() -> None:
    values.check_item_size(409_600)
    values.check_update_size(409_600)
    with pytest.raises(ApiError) as put:
        values.check_item_size(409_601)
    assert put.value.message == "Item size has exceeded the maximum allowed size"
    with pytest.raises(ApiError) as update:
        values.check_update_size(409_601)
    assert update.value.message == "Item size to update has exceeded the maximum allowed size"


@pytest.mark.parametrize(
    ("a", "b", "order"),
    [
        ({"S": "a"}, {"S": "b"}, -1),
        ({"S": "\uffff"}, {"S": "\U00010000"}, -1),
        ({"S": "a"}, {"S": "a"}, 0),
        ({"N": "10"}, {"N": "9"}, 1),
        ({"N": "-1.5"}, {"N": "-1.25"}, -1),
        ({"B": "/w=="}, {"B": "AAA="}, 1),
        ({"B": "AA=="}, {"B": "AAA="}, -1),
        ({"S": "1"}, {"N": "1"}, None),
        ({"BOOL": True}, {"BOOL": False}, None),
        ({"SS": ["a"]}, {"SS": ["a"]}, None),
    ],
)
def test_comparison(a: dict[str, Any], b: dict[str, Any], order: int | None) -> None:
    assert values.compare(a, b) == order
    assert values.compare(b, a) == (None if order is None else -order)


def test_equality_ignores_the_order_of_sets_and_maps_but_not_of_lists() -> None:
    def normal(value: dict[str, Any]) -> dict[str, Any]:
        values.normalise_value(value)
        return value

    assert values.equal(
        normal({"M": {"a": {"NS": ["1", "2.0"]}, "b": {"SS": ["x", "y"]}}}),
        normal({"M": {"b": {"SS": ["y", "x"]}, "a": {"NS": ["2", "1.00"]}}}),
    )
    assert not values.equal(normal({"L": [{"N": "1"}, {"N": "2"}]}), normal({"L": [{"N": "2"}, {"N": "1"}]}))
    assert not values.equal({"S": "1"}, {"N": "1"})


def test_dump_gives_equal_bytes_for_equal_items() -> None:
    a = {"b": {"NS": ["2", "1.0"]}, "a": {"M": {"y": {"S": "é"}, "x": {"N": "1e1"}}}}
    b = {"a": {"M": {"x": {"N": "10"}, "y": {"S": "é"}}}, "b": {"NS": ["1", "2"]}}
    values.normalise_item(a)
    values.normalise_item(b)
    assert (
        values.dump(a)
        == values.dump(b)
        == '{"a":{"M":{"x":{"N":"10"},"y":{"S":"é"}}},"b":{"NS":["1","2"]}}'.encode()
    )


def test_type_of() -> None:
    assert values.type_of({"NS": ["1"]}) == "NS"
