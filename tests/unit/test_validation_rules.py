"""The rules on the parameters of the data operations: one case for each text, in both wordings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hashrange_router.api.prefix import Wording
from hashrange_router.api.rules_batch import (
    check_batch_get_item,
    check_batch_write_item,
    check_no_duplicates,
)
from hashrange_router.api.rules_item import (
    check_delete_item,
    check_get_item,
    check_put_item,
    check_update_item,
)
from hashrange_router.api.rules_query import check_query, check_scan
from hashrange_router.api.validate import Validation

from hashrange.errors import ApiError

RULES: dict[str, Callable[[dict[str, Any], Wording], None]] = {
    "PutItem": check_put_item,
    "GetItem": check_get_item,
    "UpdateItem": check_update_item,
    "DeleteItem": check_delete_item,
    "Query": check_query,
    "Scan": check_scan,
    "BatchGetItem": check_batch_get_item,
    "BatchWriteItem": check_batch_write_item,
}
KEY = {"a": {"S": "x"}}
ONE = "1 validation error detected: "
VALUE = {":v": {"S": "x"}}
NAME = {"#a": "a"}
EXPECTED = {"b": {"Exists": False}}
TWO = {"b": {"Exists": False}, "c": {"Exists": False}}
NULL = {"ComparisonOperator": "NULL"}
KEY_CONDITIONS = {"a": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "x"}]}}
KEY_EXPRESSION = {"KeyConditionExpression": "a = :v", "ExpressionAttributeValues": VALUE}
NAMES_TEXT = "ExpressionAttributeNames can only be specified when using expressions"
VALUES_TEXT = "ExpressionAttributeValues can only be specified when using expressions"
ALONE = "ConditionalOperator cannot be used without Filter or Expected"
FOR_ONE = "ConditionalOperator can only be used when Filter or Expected has two or more elements"
DUPLICATE = "One or more parameter values were invalid: Duplicate value in attribute name: a"


def mixed(legacy: str, expressions: str) -> str:
    return (
        "Can not use both expression and non-expression parameters in the same request: "
        f"Non-expression parameters: {{{legacy}}} Expression parameters: {{{expressions}}}"
    )


def complete(operation: str, more: dict[str, Any]) -> dict[str, Any]:
    """`more` with the required members of the operation."""
    if operation.startswith("Batch"):
        return more
    request: dict[str, Any] = {"TableName": "abc"}
    if operation == "PutItem":
        request["Item"] = KEY
    elif operation.endswith("Item"):
        request["Key"] = KEY
    return {**request, **more}


def text(operation: str, more: dict[str, Any], wording: Wording = "2026") -> str | None:
    """The message with which the rules refuse a request that the model accepts, or None if they do not."""
    request = complete(operation, more)
    Validation(wording=wording).validate(operation, request)
    try:
        RULES[operation](request, wording)
    except ApiError as refused:
        assert refused.type_name == "ValidationException"
        return refused.message
    return None


CONDITION = {"ConditionExpression": "attribute_exists(a)"}

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("PutItem", {**CONDITION, "Expected": EXPECTED}, mixed("Expected", "ConditionExpression")),
    ("PutItem", {**CONDITION, "Expected": {}}, mixed("Expected", "ConditionExpression")),
    (
        "PutItem",
        {**CONDITION, "ConditionalOperator": "OR", "Expected": TWO},
        mixed("Expected, ConditionalOperator", "ConditionExpression"),
    ),
    ("DeleteItem", {**CONDITION, "Expected": EXPECTED}, mixed("Expected", "ConditionExpression")),
    (
        "UpdateItem",
        {
            **CONDITION,
            "UpdateExpression": "",
            "Expected": EXPECTED,
            "AttributeUpdates": {},
            "ConditionalOperator": "OR",
        },
        mixed("AttributeUpdates, Expected, ConditionalOperator", "UpdateExpression, ConditionExpression"),
    ),
    (
        "UpdateItem",
        {"UpdateExpression": "SET a = :v", "AttributeUpdates": {"a": {}}, "ExpressionAttributeValues": VALUE},
        mixed("AttributeUpdates", "UpdateExpression"),
    ),
    (
        "GetItem",
        {"ProjectionExpression": "a", "AttributesToGet": ["a"]},
        mixed("AttributesToGet", "ProjectionExpression"),
    ),
    (
        "Query",
        {
            "AttributesToGet": ["a", "a"],
            "QueryFilter": {},
            "ConditionalOperator": "OR",
            "KeyConditions": KEY_CONDITIONS,
            "ProjectionExpression": "",
            "FilterExpression": "",
            "KeyConditionExpression": "",
            "ExpressionAttributeNames": {},
            "ExpressionAttributeValues": {},
        },
        mixed(
            "AttributesToGet, QueryFilter, ConditionalOperator, KeyConditions",
            "ProjectionExpression, FilterExpression, KeyConditionExpression",
        ),
    ),
    (
        "Query",
        {
            "AttributesToGet": ["a"],
            "QueryFilter": {},
            "KeyConditions": KEY_CONDITIONS,
            "ProjectionExpression": "",
            "FilterExpression": "",
        },
        mixed("AttributesToGet, QueryFilter", "ProjectionExpression, FilterExpression"),
    ),
    (
        "Scan",
        {
            "AttributesToGet": ["a"],
            "ScanFilter": {},
            "ConditionalOperator": "OR",
            "ProjectionExpression": "",
            "FilterExpression": "",
        },
        mixed("AttributesToGet, ScanFilter, ConditionalOperator", "ProjectionExpression, FilterExpression"),
    ),
    *(
        (operation, {"ExpressionAttributeNames": NAME, "ExpressionAttributeValues": VALUE}, NAMES_TEXT)
        for operation in ("PutItem", "UpdateItem", "DeleteItem", "GetItem", "Query", "Scan")
    ),
    ("PutItem", {"ExpressionAttributeNames": {}}, NAMES_TEXT),
    ("UpdateItem", {"AttributeUpdates": {"a": {}}, "ExpressionAttributeNames": NAME}, NAMES_TEXT),
    ("GetItem", {"AttributesToGet": ["a"], "ExpressionAttributeNames": NAME}, NAMES_TEXT),
    ("DeleteItem", {"Expected": EXPECTED, "ExpressionAttributeNames": NAME}, NAMES_TEXT),
    *(
        (operation, {"ExpressionAttributeValues": VALUE}, VALUES_TEXT)
        for operation in ("PutItem", "UpdateItem", "DeleteItem", "Query", "Scan")
    ),
    ("Scan", {"ProjectionExpression": "a", "ExpressionAttributeValues": VALUE}, VALUES_TEXT),
    ("Query", {"KeyConditions": KEY_CONDITIONS, "ExpressionAttributeValues": VALUE}, VALUES_TEXT),
    ("PutItem", {**CONDITION, "ExpressionAttributeNames": {}}, "ExpressionAttributeNames must not be empty"),
    (
        "DeleteItem",
        {**CONDITION, "ExpressionAttributeValues": {}},
        "ExpressionAttributeValues must not be empty",
    ),
    (
        "UpdateItem",
        {"UpdateExpression": "x", "ExpressionAttributeValues": {}},
        "ExpressionAttributeValues must not be empty",
    ),
    (
        "GetItem",
        {"ProjectionExpression": "a", "ExpressionAttributeNames": {}},
        "ExpressionAttributeNames must not be empty",
    ),
    (
        "Query",
        {**KEY_EXPRESSION, "ExpressionAttributeNames": {}},
        "ExpressionAttributeNames must not be empty",
    ),
    (
        "Scan",
        {"FilterExpression": "a", "ExpressionAttributeValues": {}},
        "ExpressionAttributeValues must not be empty",
    ),
    *(
        (operation, {"ReturnValues": returned, **more}, "ReturnValues can only be ALL_OLD or NONE")
        for operation in ("PutItem", "DeleteItem")
        for returned in ("ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
        for more in ({}, CONDITION, {"Expected": EXPECTED})
    ),
    *((operation, {"ConditionalOperator": "OR"}, ALONE) for operation in ("PutItem", "UpdateItem", "Scan")),
    ("DeleteItem", {"ConditionalOperator": "AND", "Expected": {}}, ALONE),
    ("DeleteItem", {"ConditionalOperator": "AND", "Expected": EXPECTED}, FOR_ONE),
    ("UpdateItem", {"ConditionalOperator": "AND", "Expected": EXPECTED}, FOR_ONE),
    ("Query", {"KeyConditions": KEY_CONDITIONS, "ConditionalOperator": "OR"}, ALONE),
    (
        "Query",
        {"KeyConditions": KEY_CONDITIONS, "ConditionalOperator": "OR", "QueryFilter": {"b": NULL}},
        FOR_ONE,
    ),
    ("Scan", {"ConditionalOperator": "OR", "ScanFilter": {"b": NULL}}, FOR_ONE),
    ("GetItem", {"AttributesToGet": ["a", "b", "a"]}, DUPLICATE),
    ("GetItem", {"AttributesToGet": ["a", ""]}, "Empty attribute name"),
    ("Query", {"KeyConditions": KEY_CONDITIONS, "AttributesToGet": ["a", "a"]}, DUPLICATE),
    ("Scan", {"AttributesToGet": ["b", "a", "a"]}, DUPLICATE),
    (
        "Query",
        {},
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
    ),
    (
        "Query",
        {"FilterExpression": "a = b"},
        "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
    ),
    ("Query", {"KeyConditions": {}}, "Conditions must be at least length 1"),
    (
        "Scan",
        {"Segment": 0},
        "The TotalSegments parameter is required but was not present in the request "
        "when Segment parameter is present",
    ),
    (
        "Scan",
        {"TotalSegments": 4},
        "The Segment parameter is required but was not present in the request "
        "when parameter TotalSegments is present",
    ),
    (
        "Scan",
        {"Segment": 5, "TotalSegments": 5},
        "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
        "Segment: 5 is not less than TotalSegments: 5",
    ),
]


@pytest.mark.parametrize(("operation", "more", "answer"), CASES)
def test_refused(operation: str, more: dict[str, Any], answer: str) -> None:
    prefix = ONE if operation in ("PutItem", "UpdateItem", "DeleteItem") else ""
    assert text(operation, more) == prefix + answer
    classic = text(operation, more, "classic")
    if answer != VALUES_TEXT:
        assert classic == answer


@pytest.mark.parametrize(
    ("operation", "tail"),
    [
        ("PutItem", "ConditionExpression is null"),
        ("DeleteItem", "ConditionExpression is null"),
        ("UpdateItem", "UpdateExpression and ConditionExpression are null"),
        ("Query", "FilterExpression and KeyConditionExpression are null"),
        ("Scan", "FilterExpression is null"),
    ],
)
def test_the_classic_wording_names_the_missing_expressions(operation: str, tail: str) -> None:
    more = {"ExpressionAttributeValues": VALUE}
    assert text(operation, more, "classic") == f"{VALUES_TEXT}: {tail}"


@pytest.mark.parametrize(
    ("select", "more", "answer"),
    [
        (
            "COUNT",
            {"ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get only the Count",
        ),
        (
            "ALL_ATTRIBUTES",
            {"ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES",
        ),
        (
            "ALL_PROJECTED_ATTRIBUTES",
            {"ProjectionExpression": "a"},
            "Cannot specify the ProjectionExpression when choosing to get ALL_PROJECTED_ATTRIBUTES",
        ),
        (
            "COUNT",
            {"AttributesToGet": ["a"]},
            "Cannot specify the AttributesToGet when choosing to get only the Count",
        ),
        (
            "SPECIFIC_ATTRIBUTES",
            {},
            "Must specify the AttributesToGet or ProjectionExpression "
            "when choosing to get SPECIFIC_ATTRIBUTES",
        ),
        (
            "ALL_PROJECTED_ATTRIBUTES",
            {},
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
    ],
)
@pytest.mark.parametrize("wording", ["2026", "classic"])
def test_select(select: str, more: dict[str, Any], answer: str, wording: Wording) -> None:
    conditions = {"KeyConditions": KEY_CONDITIONS} if "AttributesToGet" in more else KEY_EXPRESSION
    assert text("Query", {**conditions, **more, "Select": select}, wording) == ONE + answer
    assert text("Scan", {**more, "Select": select}, wording) == answer


def keys(*names: str, **more: Any) -> dict[str, Any]:
    return {"Keys": [{"a": {"S": name}} for name in names], **more}


@pytest.mark.parametrize(
    ("tables", "answer"),
    [
        (
            {"abc": keys("x", ProjectionExpression="a", AttributesToGet=["a"])},
            mixed("AttributesToGet", "ProjectionExpression"),
        ),
        (
            {"abc": keys("x", ProjectionExpression="a"), "abd": keys("x", AttributesToGet=["a"])},
            mixed("AttributesToGet", "ProjectionExpression"),
        ),
        ({"abc": keys("x", ExpressionAttributeNames=NAME)}, NAMES_TEXT),
        ({"abc": keys("x", ExpressionAttributeNames=NAME, AttributesToGet=["a"])}, NAMES_TEXT),
        (
            {"abc": keys("x", ExpressionAttributeNames={}, ProjectionExpression="a")},
            "ExpressionAttributeNames must not be empty",
        ),
        ({"abc": keys("x", AttributesToGet=["a", "a"])}, DUPLICATE),
        (
            {"abc": keys(*map(str, range(60))), "abd": keys(*map(str, range(60)))},
            "Too many items requested for the BatchGetItem call",
        ),
        ({"abc": keys("x", "y", "x")}, "Provided list of item keys contains duplicates"),
        (
            {"abc": {"Keys": [{"a": {"S": "x"}, "b": {"N": "1"}}, {"b": {"N": "1"}, "a": {"S": "x"}}]}},
            "Provided list of item keys contains duplicates",
        ),
    ],
)
def test_batches_of_gets(tables: dict[str, Any], answer: str) -> None:
    assert text("BatchGetItem", {"RequestItems": tables}) == answer


def test_two_spellings_of_a_number_are_two_keys_to_get() -> None:
    same = {"abc": {"Keys": [{"a": {"N": "1000"}}, {"a": {"N": "1e3"}}]}, "abd": keys("x"), "abe": keys("x")}
    assert text("BatchGetItem", {"RequestItems": same}) is None


def test_keys_of_a_batch_may_be_anything() -> None:
    deep: dict[str, Any] = {"S": "x"}
    for _ in range(300):
        deep = {"L": [deep]}
    assert text("BatchGetItem", {"RequestItems": {"abc": {"Keys": [{"a": deep}, {"a": deep}]}}}) is None


@pytest.mark.parametrize(
    ("tables", "answer"),
    [
        (
            {"abc": [{}]},
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes",
        ),
        (
            {"abc": [{"PutRequest": {"Item": KEY}, "DeleteRequest": {"Key": KEY}}]},
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes",
        ),
        (
            {
                name: [{"DeleteRequest": {"Key": {"a": {"S": str(i)}}}} for i in range(13)]
                for name in ("abc", "abd")
            },
            "Too many items requested for the BatchWriteItem call",
        ),
    ],
)
def test_batches_of_writes(tables: dict[str, Any], answer: str) -> None:
    assert text("BatchWriteItem", {"RequestItems": tables}) == answer


def test_duplicates_are_found_by_identity() -> None:
    check_no_duplicates([b"x", b"y"])
    with pytest.raises(ApiError, match="Provided list of item keys contains duplicates"):
        check_no_duplicates([b"x", b"y", b"x"])


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("PutItem", {}),
        ("PutItem", {**CONDITION, "ReturnValues": "ALL_OLD", "ExpressionAttributeNames": NAME}),
        ("PutItem", {"Expected": TWO, "ConditionalOperator": "OR", "ReturnValues": "NONE"}),
        ("PutItem", {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
        ("DeleteItem", {**CONDITION, "ExpressionAttributeValues": VALUE}),
        ("UpdateItem", {}),
        ("UpdateItem", {"UpdateExpression": "SET a = :v", "ExpressionAttributeValues": VALUE}),
        ("UpdateItem", {"AttributeUpdates": {"b": {}}, "Expected": EXPECTED, "ReturnValues": "UPDATED_NEW"}),
        ("GetItem", {"AttributesToGet": ["a", "b"], "ConsistentRead": True}),
        ("GetItem", {"ProjectionExpression": "#a", "ExpressionAttributeNames": NAME}),
        ("GetItem", {"ProjectionExpression": "a", "ExpressionAttributeValues": {}}),
        ("Query", KEY_EXPRESSION),
        (
            "Query",
            {"KeyConditions": KEY_CONDITIONS, "Select": "SPECIFIC_ATTRIBUTES", "AttributesToGet": ["a"]},
        ),
        (
            "Query",
            {
                "KeyConditions": KEY_CONDITIONS,
                "FilterExpression": "a = :v",
                "ExpressionAttributeValues": VALUE,
            },
        ),
        ("Query", {**KEY_EXPRESSION, "Select": "ALL_PROJECTED_ATTRIBUTES", "IndexName": "idx"}),
        ("Query", {**KEY_EXPRESSION, "Select": "COUNT"}),
        ("Scan", {}),
        ("Scan", {"Segment": 0, "TotalSegments": 1, "Limit": 1}),
        ("Scan", {"ScanFilter": {"a": NULL, "b": NULL}, "ConditionalOperator": "AND"}),
        ("BatchGetItem", {"RequestItems": {"abc": keys("x", "y"), "abd": keys("x", AttributesToGet=["a"])}}),
        ("BatchGetItem", {"RequestItems": {"abc": keys("x", ExpressionAttributeValues={})}}),
        ("BatchWriteItem", {"RequestItems": {"abc": [{"PutRequest": {"Item": KEY}}]}}),
    ],
)
def test_accepted(operation: str, more: dict[str, Any]) -> None:
    assert text(operation, more) is None
    assert text(operation, more, "classic") is None
