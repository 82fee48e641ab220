"""Which layer of the service's validation words an error: recordings of October 2026, operation by operation.

PutItem, UpdateItem and DeleteItem answer from the newer layer with the prefix of one detected error, GetItem,
BatchGetItem and Query from it without, BatchWriteItem and Scan from the older one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conformance.support import PREFIX, error, invalid, n, prefixed, s, table

NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
INVALID = "One or more parameter values were invalid: "
NESTING = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)

# A value, what the newer layer says of it, and what the older one does.
BAD = [
    (n("abc"), f"{NOT_NUMERIC}: abc", f"{NOT_NUMERIC}: abc"),
    (n(""), f"{NOT_NUMERIC}: ", NOT_NUMERIC),
    (n("1e2147483647"), OVERFLOW, UNDERFLOW),
    (
        {"SS": ["b", "a", "b"]},
        f'{INVALID}Input collection ["a", "b", "b"] contains duplicates.',
        f"{INVALID}Input collection [b, a, b] contains duplicates.",
    ),
    (
        {"NS": ["2", "1", "2"]},
        f"{INVALID}Input collection contains duplicates.",
        "Input collection contains duplicates",
    ),
]


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def nested(levels: int) -> dict[str, Any]:
    """A string in `levels` maps."""
    value: dict[str, Any] = s("leaf")
    for _ in range(levels):
        value = {"M": {"n": value}}
    return value


def condition(value: dict[str, Any]) -> dict[str, Any]:
    return {"ConditionExpression": "a = :v", "ExpressionAttributeValues": {":v": value}}


KEY = {"p": s("x")}
WRITES: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = [
    ("put_item", lambda value: {"Item": {**KEY, "a": {"L": [value]}}}),
    ("put_item", lambda value: {"Item": KEY, **condition(value)}),
    ("put_item", lambda value: {"Item": KEY, "Expected": {"a": {"Value": value}}}),
    ("update_item", lambda value: {"Key": {"p": value}}),
    ("update_item", lambda value: {"Key": KEY, **condition(value)}),
    ("update_item", lambda value: {"Key": KEY, "AttributeUpdates": {"a": {"Value": value}}}),
    ("delete_item", lambda value: {"Key": {"p": value}}),
    ("delete_item", lambda value: {"Key": KEY, **condition(value)}),
]


@pytest.mark.parametrize(("operation", "parameters"), WRITES)
@pytest.mark.parametrize(("value", "newer", "older"), BAD)
def test_writes_of_one_item(
    client: Any,
    name: str,
    operation: str,
    parameters: Callable[[Any], dict[str, Any]],
    value: dict[str, Any],
    newer: str,
    older: str,
) -> None:
    assert error(getattr(client, operation), TableName=name, **parameters(value)) == prefixed(newer)


@pytest.mark.parametrize(("value", "newer", "older"), BAD)
def test_reads(client: Any, name: str, value: dict[str, Any], newer: str, older: str) -> None:
    bare = invalid(newer)
    assert error(client.get_item, TableName=name, Key={"p": value}) == bare
    assert error(client.batch_get_item, RequestItems={name: {"Keys": [{"p": value}]}}) == bare
    query = {"TableName": name, "KeyConditionExpression": "p = :p"}
    values = {":p": s("x"), ":v": value}
    assert error(client.query, **query, FilterExpression="a = :v", ExpressionAttributeValues=values) == bare
    scan = {"FilterExpression": "a = :v", "ExpressionAttributeValues": {":v": value}}
    assert error(client.scan, TableName=name, **scan) == invalid(
        f"ExpressionAttributeValues contains invalid value: {older} for key :v"
    )


@pytest.mark.parametrize(("value", "newer", "older"), BAD)
def test_batches_of_writes(client: Any, name: str, value: dict[str, Any], newer: str, older: str) -> None:
    for request in ({"PutRequest": {"Item": {**KEY, "a": value}}}, {"DeleteRequest": {"Key": {"p": value}}}):
        assert error(client.batch_write_item, RequestItems={name: [request]}) == invalid(older)


@pytest.mark.parametrize(
    ("expectation", "problem"),
    [
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: a"),
        ({"Exists": False, "Value": s("x")}, "Value cannot be used when Exists is false for Attribute: a"),
        (
            {"ComparisonOperator": "EQ"},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: a",
        ),
        (
            {"ComparisonOperator": "BETWEEN", "AttributeValueList": [s("x")]},
            "Invalid number of argument(s) for the BETWEEN ComparisonOperator",
        ),
    ],
)
def test_malformed_expectations(client: Any, name: str, expectation: dict[str, Any], problem: str) -> None:
    more = {"TableName": name, "Expected": {"a": expectation}}
    assert error(client.put_item, Item=KEY, **more) == prefixed(INVALID + problem)
    assert error(client.delete_item, Key=KEY, **more) == prefixed(INVALID + problem)


def test_nesting(client: Any, name: str) -> None:
    """Beyond 62 levels a write is left to the older layer."""
    for levels, start in ((32, PREFIX), (61, PREFIX), (63, "")):
        item = {**KEY, "a": nested(levels)}
        assert error(client.put_item, TableName=name, Item=item) == invalid(start + NESTING)
    put = {"PutRequest": {"Item": {**KEY, "a": nested(32)}}}
    assert error(client.batch_write_item, RequestItems={name: [put]}) == invalid(NESTING)
    update = {"TableName": name, "Key": KEY}
    assert error(client.update_item, **update, **condition(nested(32))) == prefixed(NESTING)
    assert error(client.update_item, **update, **condition(nested(63))) == invalid(
        f"ExpressionAttributeValues contains invalid value: {NESTING} for key :v"
    )


def test_enums_beside_a_deep_value(client: Any, name: str) -> None:
    delete = {"TableName": name, "Key": KEY}
    assert error(client.delete_item, **delete, **condition(nested(63)), ReturnValues="cat") == prefixed(
        "Value 'cat' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set: "
        "[ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]"
    )
    assert error(client.delete_item, **delete, **condition(nested(40)), ReturnValues="cat") == prefixed(
        "Failed to satisfy constraint: Member must satisfy enum value set: "
        "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
    )
    only_old = "ReturnValues can only be ALL_OLD or NONE"
    deep = condition(nested(100))
    assert error(client.delete_item, **delete, **deep, ReturnValues="ALL_NEW") == invalid(only_old)


def test_a_statement_too_large_is_refused_before_its_condition(client: Any, name: str) -> None:
    client.put_item(TableName=name, Item={**KEY, "c": s("small")})
    for text in ("attribute_exists(nothing)", "attribute_exists(c)"):
        refused = error(
            client.update_item,
            TableName=name,
            Key=KEY,
            UpdateExpression="SET c = if_not_exists(c, :huge)",
            ConditionExpression=text,
            ExpressionAttributeValues={":huge": s("x" * 409_600)},
        )
        assert refused == invalid("Item size to update has exceeded the maximum allowed size")


def test_too_many_key_conditions(client: Any, name: str) -> None:
    values = {":v": s("x")}
    query = {"TableName": name, "ExpressionAttributeValues": values}
    assert error(client.query, **query, KeyConditionExpression="p = :v AND a > :v AND b = :v") == invalid(
        "The number of query conditions (3) exceeds the number of key attributes defined in the schema (1)"
    )
    assert error(client.query, **query, KeyConditionExpression="p = :v AND p = :v") == invalid(
        "Invalid KeyConditionExpression: KeyConditionExpressions must only contain one condition per key"
    )
