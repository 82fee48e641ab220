"""Expected and ConditionalOperator of PutItem, UpdateItem, DeleteItem: both forms of the legacy condition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import CONDITION_FAILED, Containing, error, n, s, table, unique

ITEM = {
    "v": n(5),
    "w": s("word"),
    "ss": {"SS": ["a", "b"]},
    "l": {"L": [s("x"), n(1)]},
    "null": {"NULL": True},
    "bin": {"B": b"\x01\x02"},
}


def compare(operator: str, *values: dict[str, Any]) -> dict[str, Any]:
    """One condition in the newer form."""
    made: dict[str, Any] = {"ComparisonOperator": operator}
    if values:
        made["AttributeValueList"] = list(values)
    return made


TRUE: list[dict[str, Any]] = [
    {"v": {"Value": n(5)}},
    {"v": {"Value": n("5.0"), "Exists": True}},
    {"gone": {"Exists": False}},
    {"v": compare("EQ", n(5))},
    {"v": compare("NE", n(6))},
    {"gone": compare("NE", n(6))},
    {"v": compare("IN", n(4), n(5))},
    {"v": compare("LE", n(5))},
    {"v": compare("LT", n(6))},
    {"v": compare("GE", n(5))},
    {"v": compare("GT", n(4))},
    {"v": compare("BETWEEN", n(5), n(6))},
    {"w": compare("BEGINS_WITH", s("wo"))},
    {"bin": compare("BEGINS_WITH", {"B": b"\x01"})},
    {"w": compare("CONTAINS", s("or"))},
    {"ss": compare("CONTAINS", s("a"))},
    {"l": compare("CONTAINS", n(1))},
    {"w": compare("NOT_CONTAINS", s("zz"))},
    {"ss": compare("NOT_CONTAINS", s("zz"))},
    {"v": compare("NOT_NULL")},
    {"null": compare("NOT_NULL")},
    {"gone": compare("NULL")},
    {"ss": compare("EQ", {"SS": ["b", "a"]})},
    {"v": {"Value": n(5)}, "gone": {"Exists": False}, "w": compare("EQ", s("word"))},
    {},
]

FALSE: list[dict[str, Any]] = [
    {"v": {"Value": n(6)}},
    {"v": {"Exists": False}},
    {"gone": {"Value": n(1)}},
    {"v": compare("EQ", s("5"))},
    {"v": compare("NE", n(5))},
    {"v": compare("IN", n(4), n(6))},
    {"v": compare("LT", n(5))},
    {"gone": compare("LT", n(5))},
    {"v": compare("BETWEEN", n(6), n(7))},
    {"w": compare("BEGINS_WITH", s("or"))},
    {"w": compare("CONTAINS", s("zz"))},
    {"ss": compare("NOT_CONTAINS", s("a"))},
    {"gone": compare("NOT_NULL")},
    {"v": compare("NULL")},
    {"null": compare("NULL")},
    {"v": {"Value": n(5)}, "w": compare("EQ", s("other"))},
]


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.fixture
def item(client: Any, name: str) -> dict[str, Any]:
    """A stored item."""
    stored = {"p": s(unique()), **ITEM}
    client.put_item(TableName=name, Item=stored)
    return stored


@pytest.mark.parametrize("expected", TRUE)
def test_true(client: Any, name: str, item: dict[str, Any], expected: dict[str, Any]) -> None:
    key = {"p": item["p"]}
    client.put_item(TableName=name, Item=item, Expected=expected)
    client.update_item(TableName=name, Key=key, Expected=expected)
    client.delete_item(TableName=name, Key=key, Expected=expected)
    assert "Item" not in client.get_item(TableName=name, Key=key, ConsistentRead=True)


@pytest.mark.parametrize("expected", FALSE)
def test_false(client: Any, name: str, item: dict[str, Any], expected: dict[str, Any]) -> None:
    key = {"p": item["p"]}
    more = {"TableName": name, "Expected": expected}
    assert error(client.put_item, Item={**item, "x": n(1)}, **more) == CONDITION_FAILED
    assert error(client.update_item, Key=key, **more) == CONDITION_FAILED
    assert error(client.delete_item, Key=key, **more) == CONDITION_FAILED
    assert "x" not in client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]


@pytest.mark.parametrize(
    ("operator", "holds"),
    [("AND", False), ("OR", True)],
)
def test_conditional_operator(
    client: Any, name: str, item: dict[str, Any], operator: str, holds: bool
) -> None:
    expected = {"v": compare("EQ", n(5)), "w": compare("EQ", s("other"))}
    parameters = {"TableName": name, "Item": item, "Expected": expected, "ConditionalOperator": operator}
    if holds:
        client.put_item(**parameters)
    else:
        assert error(client.put_item, **parameters) == CONDITION_FAILED


@pytest.mark.parametrize(
    ("expected", "part"),
    [
        ({"v": {"Exists": True}}, "Value must be provided when Exists is true for Attribute: v"),
        ({"v": {}}, "Value must be provided when Exists is null for Attribute: v"),
        (
            {"v": {"Exists": False, "Value": n(1)}},
            "Value cannot be used when Exists is false for Attribute: v",
        ),
        (
            {"v": {"Value": n(1), **compare("EQ", n(1))}},
            "Value and AttributeValueList cannot be used together for Attribute: v",
        ),
        (
            {"v": {"Exists": True, **compare("NOT_NULL")}},
            "Exists and ComparisonOperator cannot be used together for Attribute: v",
        ),
        (
            {"v": {"AttributeValueList": [n(1)]}},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: v",
        ),
        (
            {"v": compare("EQ")},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: v",
        ),
        ({"v": compare("NULL", n(1))}, "Invalid number of argument(s) for the NULL ComparisonOperator"),
        ({"v": compare("LT", {"L": []})}, "ComparisonOperator LT is not valid for L AttributeValue type"),
        (
            {"v": compare("IN", n(1), s("a"))},
            "One or more parameter values were invalid: AttributeValues inside AttributeValueList "
            "must be of same type",
        ),
        (
            {"v": compare("BETWEEN", n(2), n(1))},
            "The BETWEEN condition was provided a range where the lower bound is greater than the "
            "upper bound",
        ),
    ],
)
def test_refused(client: Any, name: str, item: dict[str, Any], expected: dict[str, Any], part: str) -> None:
    refused = error(client.delete_item, TableName=name, Key={"p": item["p"]}, Expected=expected)
    assert refused == ("ValidationException", Containing(part))
    assert error(client.put_item, TableName=name, Item=item, Expected=expected)[0] == "ValidationException"


def test_the_operator_needs_expected(client: Any, name: str) -> None:
    refused = error(client.delete_item, TableName=name, Key={"p": s("x")}, ConditionalOperator="OR")
    assert refused == ("ValidationException", Containing("ConditionalOperator", "without"))


def test_with_all_old(client: Any, name: str, item: dict[str, Any]) -> None:
    with pytest.raises(client.exceptions.ConditionalCheckFailedException) as refused:
        client.delete_item(
            TableName=name,
            Key={"p": item["p"]},
            Expected={"v": {"Exists": False}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert refused.value.response["Item"]["v"] == n(5)
