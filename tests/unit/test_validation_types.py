"""SerializationException: the text for every JSON type in every kind of place, and what is put right."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.validate import Validation

from hashrange.errors import ApiError

PACKAGE = "com.amazonaws.dynamodb.v20120810."
OUT_OF_PLACE = "Start of structure or map found where not expected"
PARAMETERIZED = (
    "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class "
    "java.lang.Class (sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are "
    "in module java.base of loader 'bootstrap')"
)
KEY = {"a": {"S": "x"}}


def refusal(operation: str, request: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as raised:
        Validation().validate(operation, request)
    return raised.value


def serialization_text(operation: str, request: dict[str, Any]) -> str | None:
    error = refusal(operation, request)
    assert error.type_name == "SerializationException"
    assert error.message_key == "Message"
    return error.message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "TRUE_VALUE cannot be converted to String"),
        (False, "FALSE_VALUE cannot be converted to String"),
        (23, "NUMBER_VALUE cannot be converted to String"),
        (34.56, "DECIMAL_VALUE cannot be converted to String"),
        ([], "Unrecognized collection type class java.lang.String"),
        ({}, OUT_OF_PLACE),
    ],
)
def test_a_string_is_wanted(value: Any, text: str) -> None:
    assert serialization_text("GetItem", {"TableName": value, "Key": KEY}) == text
    assert serialization_text("Query", {"TableName": "abc", "Select": value}) == text
    names = {"#a": value}
    request = {"TableName": "abc", "Key": KEY, "ExpressionAttributeNames": names}
    assert serialization_text("GetItem", request) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "Unexpected token received from parser"),
        (23, "NUMBER_VALUE cannot be converted to Boolean"),
        (34.56, "DECIMAL_VALUE cannot be converted to Boolean"),
        ([], "Unrecognized collection type class java.lang.Boolean"),
        ({}, OUT_OF_PLACE),
    ],
)
def test_a_boolean_is_wanted(value: Any, text: str) -> None:
    request = {"TableName": "abc", "Key": KEY, "ConsistentRead": value}
    assert serialization_text("GetItem", request) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("23", "STRING_VALUE cannot be converted to Integer"),
        (True, "TRUE_VALUE cannot be converted to Integer"),
        (2**31, "NUMBER_VALUE cannot be converted to Integer"),
        (1e300, "DECIMAL_VALUE cannot be converted to Integer"),
        ([], "Unrecognized collection type class java.lang.Integer"),
        ({}, OUT_OF_PLACE),
    ],
)
def test_an_integer_is_wanted(value: Any, text: str) -> None:
    assert serialization_text("Scan", {"TableName": "abc", "Limit": value}) == text


def test_a_long_is_wanted() -> None:
    throughput = {"ReadCapacityUnits": "5", "WriteCapacityUnits": 1}
    request = {"TableName": "abc", "ProvisionedThroughput": throughput}
    assert serialization_text("UpdateTable", request) == "STRING_VALUE cannot be converted to Long"


def test_a_timestamp_is_wanted() -> None:
    request = {"TimeRangeLowerBound": "yesterday"}
    assert serialization_text("ListBackups", request) == "STRING_VALUE cannot be converted to Date"
    Validation().validate("ListBackups", {"TimeRangeLowerBound": 1.5e9})


@pytest.mark.parametrize("value", ["23", True, 23, 34.56])
def test_a_collection_or_structure_is_wanted(value: Any) -> None:
    text = "Unexpected field type"
    assert serialization_text("GetItem", {"TableName": "abc", "Key": value}) == text
    assert serialization_text("GetItem", {"TableName": "abc", "Key": KEY, "AttributesToGet": value}) == text
    assert serialization_text("UpdateTable", {"TableName": "abc", "ProvisionedThroughput": value}) == text


@pytest.mark.parametrize(
    ("operation", "request_", "text"),
    [
        (
            "GetItem",
            {"Key": []},
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>",
        ),
        (
            "GetItem",
            {"ExpressionAttributeNames": []},
            "Unrecognized collection type java.util.Map<java.lang.String, java.lang.String>",
        ),
        (
            "BatchWriteItem",
            {"RequestItems": []},
            "Unrecognized collection type "
            f"java.util.Map<java.lang.String, java.util.List<{PACKAGE}WriteRequest>>",
        ),
        (
            "BatchGetItem",
            {"RequestItems": []},
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}KeysAndAttributes>",
        ),
        ("GetItem", {"AttributesToGet": {}}, OUT_OF_PLACE),
        ("BatchWriteItem", {"RequestItems": {"abc": {}}}, OUT_OF_PLACE),
        ("BatchWriteItem", {"RequestItems": {"abc": "x"}}, PARAMETERIZED),
        ("BatchGetItem", {"RequestItems": {"abc": {"Keys": ["x"]}}}, PARAMETERIZED),
        ("BatchGetItem", {"RequestItems": {"abc": 1}}, "Unexpected value type in payload"),
        (
            "BatchGetItem",
            {"RequestItems": {"abc": []}},
            f"Unrecognized collection type class {PACKAGE}KeysAndAttributes",
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"abc": [[]]}},
            f"Unrecognized collection type class {PACKAGE}WriteRequest",
        ),
        (
            "BatchWriteItem",
            {"RequestItems": {"abc": [{"PutRequest": []}]}},
            f"Unrecognized collection type class {PACKAGE}PutRequest",
        ),
        ("BatchWriteItem", {"RequestItems": {"abc": [{"PutRequest": 1}]}}, "Unexpected field type"),
        ("Query", {"KeyConditions": {"a": 1}}, "Unexpected value type in payload"),
        (
            "Query",
            {"KeyConditions": {"a": {"AttributeValueList": ["x"]}}},
            "Unexpected value type in payload",
        ),
        (
            "Query",
            {"KeyConditions": {"a": {"AttributeValueList": [[]]}}},
            f"Unrecognized collection type class {PACKAGE}AttributeValue",
        ),
        ("PutItem", {"Expected": {"a": {"Value": "x"}}}, "Unexpected field type"),
        (
            "PutItem",
            {"Expected": {"a": {"Value": []}}},
            f"Unrecognized collection type class {PACKAGE}AttributeValue",
        ),
    ],
)
def test_positions(operation: str, request_: dict[str, Any], text: str) -> None:
    assert serialization_text(operation, request_) == text


def test_the_first_wrong_type_in_the_document_is_reported() -> None:
    request = {"ConsistentRead": 1, "TableName": 5}
    assert serialization_text("GetItem", request) == "NUMBER_VALUE cannot be converted to Boolean"


def test_types_come_before_constraints() -> None:
    request = {"TableName": "", "Key": KEY, "ConsistentRead": 1}
    assert serialization_text("GetItem", request) == "NUMBER_VALUE cannot be converted to Boolean"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"S": 5}, "NUMBER_VALUE cannot be converted to String"),
        ({"N": 5}, "NUMBER_VALUE cannot be converted to String"),
        ({"B": 5}, "only base-64-encoded strings are convertible to bytes"),
        ({"B": "23456"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ({"B": "=+/="}, "Invalid last non-pad Base64 character dectected"),
        ({"B": []}, "Unrecognized collection type class java.nio.ByteBuffer"),
        ({"B": {}}, OUT_OF_PLACE),
        ({"BOOL": "x"}, "Unexpected token received from parser"),
        ({"NULL": 1}, "NUMBER_VALUE cannot be converted to Boolean"),
        ({"SS": "x"}, "Unexpected field type"),
        ({"SS": [5]}, "NUMBER_VALUE cannot be converted to String"),
        ({"BS": [[]]}, "Unrecognized collection type class java.nio.ByteBuffer"),
        ({"L": {}}, OUT_OF_PLACE),
        ({"L": ["x"]}, "Unexpected value type in payload"),
        ({"L": [[]]}, f"Unrecognized collection type class {PACKAGE}AttributeValue"),
        ({"M": 1}, "Unexpected field type"),
        (
            {"M": []},
            f"Unrecognized collection type java.util.Map<java.lang.String, {PACKAGE}AttributeValue>",
        ),
        ({"M": {"b": {"L": [{"S": True}]}}}, "TRUE_VALUE cannot be converted to String"),
        ("x", "Unexpected value type in payload"),
    ],
)
def test_a_wrong_type_in_a_value_comes_before_a_broken_constraint(value: Any, text: str) -> None:
    assert serialization_text("PutItem", {"Item": {"a": value}}) == text


def test_values_alone_are_left_to_their_own_checks() -> None:
    Validation().validate("PutItem", {"TableName": "abc", "Item": {"a": {"S": 5}, "b": "x"}})


def test_values_of_right_types_do_not_hide_a_broken_constraint() -> None:
    values = {"a": {"L": [None, {"M": {"c": None}}, {"BOOL": "true"}], "S": None}, "b": None}
    assert refusal("PutItem", {"Item": values}).type_name == "ValidationException"


def test_deep_values_are_no_danger() -> None:
    value: dict[str, Any] = {"S": "x"}
    for _ in range(500):
        value = {"L": [value]}
    assert refusal("PutItem", {"Item": {"a": value}}).type_name == "ValidationException"
    batch = {"abc": [{"PutRequest": {"Item": {"a": value}}}] * 26}
    assert refusal("BatchWriteItem", {"RequestItems": batch}).type_name == "ValidationException"
    refusal("BatchGetItem", {"RequestItems": {"a!": {"Keys": [{"a": value}]}}})


@pytest.mark.parametrize(
    ("given", "taken"),
    [("true", True), ("YES", True), ("1", True), ("false", False), ("No", False), ("0", False)],
)
def test_strings_that_stand_for_booleans(given: str, taken: bool) -> None:
    request: dict[str, Any] = {"TableName": "abc", "Key": KEY, "ConsistentRead": given}
    Validation().validate("GetItem", request)
    assert request["ConsistentRead"] is taken


def test_a_fraction_is_cut_off() -> None:
    request = {"TableName": "abc", "Limit": 3.7}
    Validation().validate("Scan", request)
    assert request["Limit"] == 3


def test_null_members_are_absent() -> None:
    request = {
        "TableName": "abc",
        "Item": {},
        "ReturnValues": None,
        "Expected": {"a": {"Exists": False, "Value": None}},
    }
    Validation().validate("PutItem", request)
    assert request == {"TableName": "abc", "Item": {}, "Expected": {"a": {"Exists": False}}}


def test_unknown_members_are_ignored() -> None:
    request = {"TableName": "abc", "Key": KEY, "Colour": 5, "Size": None}
    Validation().validate("GetItem", request)
    assert request == {"TableName": "abc", "Key": KEY, "Colour": 5, "Size": None}
    Validation().validate("GetItem", {**request, "ConsistentRead": "true"})
