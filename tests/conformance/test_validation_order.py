"""Which of several mistakes is reported: the first failing class wins, constraints are listed together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import (
    CONDITION_FAILED,
    PREFIX,
    Containing,
    error,
    invalid,
    n,
    not_found,
    prefixed,
    s,
    table,
    unique,
)

NULL = "Value null at '{}' failed to satisfy constraint: Member must not be null"
CAPACITY = (
    "Value 'cat' at 'returnConsumedCapacity' failed to satisfy constraint: "
    "Member must satisfy enum value set: [INDEXES, TOTAL, NONE]"
)


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def test_serialization_before_constraints(raw: Raw) -> None:
    reply = raw.post("GetItem", {"TableName": "", "Key": {"p": {"S": 5}}, "ReturnConsumedCapacity": "cat"})
    assert reply.error[0] == "com.amazon.coral.service#SerializationException"


def test_constraints_are_listed_together(client: Any) -> None:
    code, message = error(client.get_item, ReturnConsumedCapacity="cat")
    assert code == "ValidationException"
    lead, listed = message.split(" validation errors detected: ")
    assert lead == "3"
    assert sorted(listed.split("; ")) == sorted([CAPACITY, NULL.format("key"), NULL.format("tableName")])


@pytest.mark.parametrize(
    ("operation", "parameters", "texts"),
    [
        ("put_item", {}, [NULL.format("tableName"), NULL.format("item")]),
        ("query", {}, [NULL.format("tableName")]),
        ("scan", {}, [NULL.format("tableName")]),
        ("describe_table", {}, [NULL.format("tableName")]),
        ("update_time_to_live", {"TableName": "abc"}, [NULL.format("timeToLiveSpecification")]),
    ],
)
def test_required_members(client: Any, operation: str, parameters: dict[str, Any], texts: list[str]) -> None:
    code, message = error(getattr(client, operation), **parameters)
    assert code == "ValidationException"
    match = re.fullmatch(r"(\d+) validation errors? detected: (.*)", message)
    assert match
    assert int(match[1]) == len(texts)
    assert sorted(match[2].split("; ")) == sorted(texts)
    assert ("errors" in message.split(" detected")[0]) == (len(texts) > 1)


@pytest.mark.parametrize("operation", ["BatchGetItem", "BatchWriteItem"])
def test_required_members_of_batches(raw: Raw, operation: str) -> None:
    assert raw.post(operation, {}).error[1] == PREFIX + NULL.format("requestItems")


@pytest.mark.parametrize("bad", ["has space", "a/b", "\u00e9"])
def test_the_pattern_of_table_names(client: Any, bad: str) -> None:
    code, message = error(client.scan, TableName=bad)
    assert code == "ValidationException"
    assert (
        "at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern"
        in message
    )


@pytest.mark.parametrize("call", ["get_item", "put_item", "scan", "query"])
def test_an_empty_table_name_is_reported_alone(client: Any, call: str) -> None:
    # the local oracle differs: it words this in its own way
    required: dict[str, Any] = {"get_item": {"Key": {}}, "put_item": {"Item": {}}}.get(call, {})
    refused = error(getattr(client, call), TableName="", ReturnConsumedCapacity="cat", **required)
    assert refused == prefixed(
        "Value at 'TableName' failed to satisfy constraint: Member must have length greater than or "
        "equal to 1"
    )


def test_short_names_are_fine_for_data_calls(client: Any) -> None:
    assert error(client.scan, TableName="a") == not_found()
    assert error(client.get_item, TableName="ab", Key={"p": s("x")}) == not_found()


def test_constraints_before_the_rest(client: Any) -> None:
    refused = error(
        client.put_item,
        TableName=unique(),
        Item={"p": {"SS": []}},
        ReturnConsumedCapacity="cat",
        ConditionExpression="syntax error",
    )
    assert refused == prefixed(CAPACITY)


def test_parameter_rules_before_values(client: Any) -> None:
    refused = error(
        client.put_item,
        TableName=unique(),
        Item={"p": {"SS": []}},
        Expected={"a": {"Exists": False}},
        ConditionExpression="attribute_exists(a)",
    )
    assert refused == (
        "ValidationException",
        Containing("Can not use both expression and non-expression parameters"),
    )
    refused = error(client.put_item, TableName=unique(), Item={"p": {"SS": []}}, ReturnValues="ALL_NEW")
    assert refused == ("ValidationException", Containing("ReturnValues can only be ALL_OLD or NONE"))


def test_values_before_expressions(client: Any) -> None:
    refused = error(
        client.put_item, TableName=unique(), Item={"p": {"SS": []}}, ConditionExpression="syntax error"
    )
    assert refused == ("ValidationException", Containing("An string set  may not be empty"))


def test_expressions_before_the_table(client: Any) -> None:
    key = {"p": s("x")}
    for call, parameters in (
        (client.put_item, {"Item": key, "ConditionExpression": "syntax error"}),
        (client.update_item, {"Key": key, "UpdateExpression": "syntax error"}),
        (client.delete_item, {"Key": key, "ConditionExpression": "syntax error"}),
        (client.get_item, {"Key": key, "ProjectionExpression": "syntax error"}),
        (client.scan, {"FilterExpression": "syntax error"}),
        (client.query, {"KeyConditionExpression": "syntax error"}),
    ):
        refused = error(call, TableName=unique(), **parameters)
        assert refused == ("ValidationException", Containing("Syntax error; token: "))
    unused = {"ExpressionAttributeValues": {":v": n(1), ":unused": n(2)}}
    refused = error(client.scan, TableName=unique(), FilterExpression="a = :v", **unused)
    assert refused == invalid(
        "Value provided in ExpressionAttributeValues unused in expressions: keys: {:unused}"
    )


def test_the_table_before_keys(client: Any) -> None:
    assert error(client.put_item, TableName=unique(), Item={"nothing": s("x")}) == not_found()
    assert error(client.get_item, TableName=unique(), Key={}) == not_found()


def test_keys_before_size(client: Any, name: str) -> None:
    refused = error(client.put_item, TableName=name, Item={"p": n(1), "v": s("x" * 410_000)})
    assert refused == ("ValidationException", Containing("Type mismatch for key p expected: S actual: N"))


def test_size_before_the_condition(client: Any, name: str) -> None:
    refused = error(
        client.put_item,
        TableName=name,
        Item={"p": s("x"), "v": s("x" * 410_000)},
        ConditionExpression="attribute_exists(nothing)",
    )
    assert refused == invalid("Item size has exceeded the maximum allowed size")


def test_the_condition_before_the_update(client: Any, name: str) -> None:
    refused = error(
        client.update_item,
        TableName=name,
        Key={"p": s("x")},
        UpdateExpression="SET a = nothing",
        ConditionExpression="attribute_exists(nothing)",
    )
    assert refused == CONDITION_FAILED


def test_an_expression_that_could_not_match_is_checked(client: Any, name: str) -> None:
    refused = error(
        client.query,
        TableName=name,
        KeyConditionExpression="p = :p",
        FilterExpression="a < :m",
        ExpressionAttributeValues={":p": s("nobody"), ":m": {"M": {}}},
    )
    assert refused == ("ValidationException", Containing("Incorrect operand type", "operand type: M"))


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({"RequestItems": {"abc": {"Keys": [], "ConsistentRead": True}}}, "requestItems.abc.member.keys"),
        ({"RequestItems": {"abc": {}}}, "requestItems.abc.member.keys"),
    ],
)
def test_paths_into_maps(client: Any, parameters: dict[str, Any], path: str) -> None:
    code, message = error(client.batch_get_item, **parameters)
    assert code == "ValidationException"
    assert f"at '{path.lower()}' failed to satisfy constraint" in message.lower()


def test_several_enums_of_one_request(client: Any, name: str) -> None:
    code, message = error(
        client.put_item,
        TableName=name,
        Item={"p": s("x")},
        ReturnConsumedCapacity="a",
        ReturnItemCollectionMetrics="b",
    )
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    assert "[INDEXES, TOTAL, NONE]" in message
    assert "[SIZE, NONE]" in message or "ReturnItemCollectionMetrics can only be SIZE or NONE" in message
