"""Where the newer validation layer of the service words or orders things its own way, and where not."""

from __future__ import annotations

from typing import Any

import pytest
from hashrange_router.api.prefix import Wording, rejection, with_prefix
from hashrange_router.api.validate import Validation

from hashrange.errors import ApiError, validation
from hashrange.expr.errors import ExpressionError
from hashrange.model.shape_error import ShapeError

KEY = {"a": {"S": "x"}}
ONE = "1 validation error detected: "
RCC = (
    "Value 'hi' at 'returnConsumedCapacity' failed to satisfy constraint: "
    "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
)
RICM = (
    "Value 'hi' at 'returnItemCollectionMetrics' failed to satisfy constraint: "
    "Member must satisfy enum value set: [SIZE, NONE]"
)
NEW_RETURN_VALUES = (
    "Failed to satisfy constraint: Member must satisfy enum value set: "
    "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
)
NEW_RICM = "ReturnItemCollectionMetrics can only be SIZE or NONE"
NEW_OPERATOR = "Failed to satisfy constraint: Member must satisfy enum value set: [ALL, OR]"
OLD_OPERATOR = (
    "Value 'XOR' at 'conditionalOperator' failed to satisfy constraint: "
    "Member must satisfy enum value set: [OR, AND]"
)
LENGTH = "failed to satisfy constraint: Member must have length greater than or equal to 1"
EMPTY_NAME = f"Value at 'TableName' {LENGTH}"
EMPTY_NAME_CLASSIC = f"Value '' at 'tableName' {LENGTH}"
NO_KEY = "Value null at 'key' failed to satisfy constraint: Member must not be null"
MAP_KEYS = (
    "Map keys must satisfy constraint: [Member must have length less than or equal to 255, "
    "Member must have length greater than or equal to 3, "
    "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+]"
)


def text(operation: str, request: dict[str, Any], wording: Wording = "2026") -> str | None:
    with pytest.raises(ApiError) as raised:
        Validation(wording=wording).validate(operation, request)
    assert raised.value.type_name == "ValidationException"
    return raised.value.message


def several(*texts: str) -> str:
    return f"{len(texts)} validation errors detected: {'; '.join(texts)}"


@pytest.mark.parametrize("operation", ["PutItem", "GetItem", "UpdateItem", "DeleteItem", "Query", "Scan"])
def test_an_empty_table_name_is_reported_alone(operation: str) -> None:
    request = {"TableName": "", "ReturnConsumedCapacity": "hi", "Item": KEY, "Key": KEY}
    assert text(operation, request) == ONE + EMPTY_NAME
    classic = text(operation, request, "classic")
    assert classic == several(RCC, EMPTY_NAME_CLASSIC)


def test_an_empty_table_name_elsewhere_is_worded_as_before() -> None:
    assert text("DescribeTable", {"TableName": ""}) == ONE + EMPTY_NAME_CLASSIC
    answer = text("CreateTable", {"TableName": ""})
    assert answer is not None and "Value '' at 'tableName'" in answer


@pytest.mark.parametrize("wording", ["2026", "classic"])
def test_missing_members_bring_back_the_classic_form(wording: Wording) -> None:
    name = "Value null at 'tableName' failed to satisfy constraint: Member must not be null"
    assert text("PutItem", {"Item": KEY}, wording) == ONE + name
    assert text("UpdateItem", {"TableName": ""}, wording) == several(EMPTY_NAME_CLASSIC, NO_KEY)
    request = {"TableName": "", "ReturnConsumedCapacity": "hi", "ReturnValues": "hi"}
    returned = (
        "Value 'hi' at 'returnValues' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
    )
    assert text("UpdateItem", request, wording) == several(RCC, EMPTY_NAME_CLASSIC, returned, NO_KEY)
    request = {"TableName": "abc", "ConditionalOperator": "XOR"}
    assert text("UpdateItem", request, wording) == several(OLD_OPERATOR, NO_KEY)


@pytest.mark.parametrize("wording", ["2026", "classic"])
def test_bad_and_long_table_names_are_alike(wording: Wording) -> None:
    pattern = "failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    assert text("PutItem", {"TableName": "x!", "Item": KEY}, wording) == (
        f"{ONE}Value 'x!' at 'tableName' {pattern}"
    )
    long = "a" * 256
    assert text("PutItem", {"TableName": long, "Item": KEY}, wording) == (
        f"{ONE}Value '{long}' at 'tableName' failed to satisfy constraint: "
        "Member must have length less than or equal to 255"
    )


def test_wrong_enums_of_the_writes() -> None:
    put = {
        "TableName": "abc",
        "Item": KEY,
        "ReturnValues": "hi",
        "ReturnItemCollectionMetrics": "hi",
        "ReturnConsumedCapacity": "hi",
    }
    assert text("PutItem", put) == several(RCC, NEW_RETURN_VALUES, NEW_RICM)
    delete = {"TableName": "abc", "Key": KEY, "ReturnValues": "hi", "ReturnConsumedCapacity": "hi"}
    assert text("DeleteItem", delete) == several(RCC, NEW_RETURN_VALUES)
    assert text("UpdateItem", delete) == ONE + NEW_RETURN_VALUES
    assert text("PutItem", {"TableName": "abc", "Item": KEY, "ReturnValues": ""}) == ONE + NEW_RETURN_VALUES
    metrics = {"TableName": "abc", "Key": KEY, "ReturnItemCollectionMetrics": "hi"}
    assert text("UpdateItem", metrics) == ONE + NEW_RICM


def test_a_wrong_conditional_operator() -> None:
    expected = {"b": {"Exists": False}, "c": {"Exists": False}}
    put = {"TableName": "abc", "Item": KEY, "Expected": expected, "ConditionalOperator": "XOR"}
    assert text("PutItem", put) == ONE + NEW_OPERATOR
    assert text("PutItem", put, "classic") == ONE + OLD_OPERATOR
    delete = {"TableName": "abc", "Key": KEY, "Expected": expected, "ConditionalOperator": "XOR"}
    assert text("DeleteItem", delete) == ONE + NEW_OPERATOR
    query = {"TableName": "abc", "ConditionalOperator": "XOR", "Select": "hi"}
    assert text("Query", query) == NEW_OPERATOR
    assert text("Scan", {"TableName": "abc", "ConditionalOperator": "XOR"}) == ONE + OLD_OPERATOR


@pytest.mark.parametrize("wording", ["2026", "classic"])
def test_the_limit_of_a_query_is_not_echoed_that_of_a_scan_is(wording: Wording) -> None:
    demand = "failed to satisfy constraint: Member must have value greater than or equal to 1"
    assert text("Query", {"TableName": "abc", "Limit": 0}, wording) == f"{ONE}Value at 'Limit' {demand}"
    assert text("Scan", {"TableName": "abc", "Limit": 0}, wording) == f"{ONE}Value '0' at 'limit' {demand}"


@pytest.mark.parametrize("wording", ["2026", "classic"])
def test_the_number_of_keys_is_not_echoed(wording: Wording) -> None:
    at = "Value at 'RequestItems.abc.member.Keys' failed to satisfy constraint: "
    most = {"abc": {"Keys": [KEY] * 101}}
    assert text("BatchGetItem", {"RequestItems": most}, wording) == (
        f"{ONE}{at}Member must have length less than or equal to 100"
    )
    assert text("BatchGetItem", {"RequestItems": {"abc": {"Keys": []}}}, wording) == (
        f"{ONE}{at}Member must have length greater than or equal to 1"
    )


def test_empty_batches() -> None:
    empty: dict[str, Any] = {"RequestItems": {}}
    assert text("BatchGetItem", dict(empty)) == f"{ONE}Value at 'RequestItems' {LENGTH}"
    sentence = "The requestItems parameter is required for BatchGetItem"
    assert text("BatchGetItem", dict(empty), "classic") == sentence
    sentence = "The requestItems parameter is required for BatchWriteItem"
    assert text("BatchWriteItem", dict(empty)) == sentence
    assert text("BatchWriteItem", dict(empty), "classic") == sentence
    assert text("BatchWriteItem", {**empty, "ReturnConsumedCapacity": "hi"}) == ONE + RCC
    assert text("BatchGetItem", {**empty, "ReturnConsumedCapacity": "hi"}, "classic") == ONE + RCC


def test_bad_names_in_batches() -> None:
    gets = {"RequestItems": {"bad!name": {"Keys": [{"pk": {"S": "a"}}]}}}
    echo = '{"bad!name":{"Keys":[{"pk":{"S":"a"}}]}}'
    refused = f"Value '{echo}' at 'requestItems' failed to satisfy constraint: {MAP_KEYS}"
    assert text("BatchGetItem", dict(gets)) == ONE + refused
    assert text("BatchGetItem", {**gets, "ReturnConsumedCapacity": "hi"}) == several(refused, RCC)
    classic = text("BatchGetItem", dict(gets), "classic")
    assert classic is not None
    assert classic.startswith(f"{ONE}Value '{{bad!name=KeysAndAttributes(keys=[{{pk=AttributeValue(s=a, ")

    writes = {"RequestItems": {"bad!name": [{"DeleteRequest": {"Key": KEY}}]}}
    echoed = text("BatchWriteItem", dict(writes))
    assert echoed is not None
    assert echoed.startswith(f"{ONE}Value '{{bad!name=[WriteRequest(putRequest=null, deleteRequest=")
    assert echoed.endswith(MAP_KEYS)


def test_enums_of_a_batch_of_writes_come_before_the_writes() -> None:
    request = {"RequestItems": {"bad!name": []}, "ReturnConsumedCapacity": "hi"}
    assert text("BatchWriteItem", dict(request)) == ONE + RCC
    assert text("BatchWriteItem", {**request, "ReturnItemCollectionMetrics": "hi"}) == several(RCC, RICM)
    classic = text("BatchWriteItem", dict(request), "classic")
    assert classic is not None and classic.startswith("3 validation errors detected: " + RCC)
    missing = {"ReturnConsumedCapacity": "hi"}
    assert text("BatchWriteItem", missing) == several(
        RCC, "Value null at 'requestItems' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize("error", [ExpressionError("bad"), ShapeError("bad")])
def test_faults_of_the_shape_get_the_prefix_of_the_operation(error: ApiError) -> None:
    for operation in ("PutItem", "UpdateItem", "DeleteItem"):
        prefixed = with_prefix(operation, error, "2026")
        assert (prefixed.type_name, prefixed.message) == ("ValidationException", ONE + "bad")
        assert with_prefix(operation, error, "classic") is error
    for operation in ("GetItem", "BatchGetItem", "Query", "Scan", "BatchWriteItem", "TransactWriteItems"):
        assert with_prefix(operation, error, "2026") is error
    assert error.message == "bad"


def test_other_errors_never_get_a_prefix() -> None:
    for error in (validation("bad"), ApiError("SerializationException", None)):
        assert with_prefix("PutItem", error, "2026") is error


def test_rejections() -> None:
    assert rejection("PutItem", "bad", "2026").message == ONE + "bad"
    assert rejection("PutItem", "bad", "classic").message == "bad"
    assert rejection("Query", "bad", "2026").message == "bad"
