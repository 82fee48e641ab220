"""ProjectionExpression and AttributesToGet in GetItem, Query, Scan and BatchGetItem, and the Select rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import Containing, either, error, invalid, n, prefixed, s, table

ITEM: dict[str, Any] = {
    "p": s("k"),
    "r": s("r"),
    "a": n(1),
    "b": s("two"),
    "m": {"M": {"x": n(1), "y": {"M": {"z": s("deep"), "w": s("wide")}}, "l": {"L": [n(10), n(11), n(12)]}}},
    "l": {"L": [{"M": {"a": n(1), "b": n(2)}}, s("one"), {"L": [s("in"), s("out")]}, s("three")]},
    "ss": {"SS": ["x"]},
    "dotted.name": s("dots"),
}

CASES: list[tuple[str, dict[str, Any]]] = [
    ("a", {"a": n(1)}),
    ("a, b", {"a": n(1), "b": s("two")}),
    ("p", {"p": s("k")}),
    ("p, r, a", {"p": s("k"), "r": s("r"), "a": n(1)}),
    ("gone", {}),
    ("a, gone", {"a": n(1)}),
    ("m.x", {"m": {"M": {"x": n(1)}}}),
    ("m.y.z", {"m": {"M": {"y": {"M": {"z": s("deep")}}}}}),
    ("m.x, m.y.w", {"m": {"M": {"x": n(1), "y": {"M": {"w": s("wide")}}}}}),
    ("m.l[1]", {"m": {"M": {"l": {"L": [n(11)]}}}}),
    ("m.gone", {}),
    ("m.gone.deeper", {}),
    ("a.x", {}),
    ("a[0]", {}),
    ("m[0]", {}),
    ("l.a", {}),
    ("ss[0]", {}),
    ("l[1]", {"l": {"L": [s("one")]}}),
    ("l[3], l[1]", {"l": {"L": [s("one"), s("three")]}}),
    ("l[99]", {}),
    ("l[1], l[99]", {"l": {"L": [s("one")]}}),
    ("l[0].a", {"l": {"L": [{"M": {"a": n(1)}}]}}),
    ("l[0].a, l[0].b", {"l": {"L": [{"M": {"a": n(1), "b": n(2)}}]}}),
    ("l[2][1], l[0].b", {"l": {"L": [{"M": {"b": n(2)}}, {"L": [s("out")]}]}}),
    ("l[0].gone, a", {"a": n(1)}),
    ("#d", {"dotted.name": s("dots")}),
    ("#m.#y.z", {"m": {"M": {"y": {"M": {"z": s("deep")}}}}}),
]
NAMES = {"#d": "dotted.name", "#m": "m", "#y": "y"}


def named(expression: str) -> dict[str, Any]:
    """The projection with the names it uses."""
    names = {key: value for key, value in NAMES.items() if key in expression}
    more: dict[str, Any] = {"ProjectionExpression": expression}
    if names:
        more["ExpressionAttributeNames"] = names
    return more


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p/r") as made:
        client.put_item(TableName=made, Item=ITEM)
        yield made


@pytest.mark.parametrize(("expression", "expected"), CASES)
def test_projection(client: Any, name: str, expression: str, expected: dict[str, Any]) -> None:
    key = {"p": ITEM["p"], "r": ITEM["r"]}
    more = {**named(expression), "ConsistentRead": True}
    assert client.get_item(TableName=name, Key=key, **more)["Item"] == expected
    assert client.scan(TableName=name, **more)["Items"] == [expected]
    names = {**more.get("ExpressionAttributeNames", {}), "#p": "p"}
    query = {"KeyConditionExpression": "#p = :p", "ExpressionAttributeValues": {":p": s("k")}}
    found = client.query(TableName=name, **{**more, **query, "ExpressionAttributeNames": names})
    assert found["Items"] == [expected]
    batch = {name: {"Keys": [key], **more}}
    assert client.batch_get_item(RequestItems=batch)["Responses"][name] == [expected]


def test_a_missing_item_stays_missing(client: Any, name: str) -> None:
    key = {"p": s("nobody"), "r": s("r")}
    assert "Item" not in client.get_item(TableName=name, Key=key, ProjectionExpression="a")


def test_attributes_to_get(client: Any, name: str) -> None:
    key = {"p": ITEM["p"], "r": ITEM["r"]}
    wanted = ["a", "m", "gone"]
    expected = {"a": ITEM["a"], "m": ITEM["m"]}
    assert client.get_item(TableName=name, Key=key, AttributesToGet=wanted)["Item"] == expected
    assert client.scan(TableName=name, AttributesToGet=wanted)["Items"] == [expected]
    batch = {name: {"Keys": [key], "AttributesToGet": wanted}}
    assert client.batch_get_item(RequestItems=batch)["Responses"][name] == [expected]
    conditions = {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [s("k")]}}
    assert client.query(TableName=name, KeyConditions=conditions, AttributesToGet=wanted)["Items"] == [
        expected
    ]
    assert client.get_item(TableName=name, Key=key, AttributesToGet=["gone"])["Item"] == {}
    dotted = client.get_item(TableName=name, Key=key, AttributesToGet=["m.x", "dotted.name"])["Item"]
    assert dotted == {"dotted.name": s("dots")}, "AttributesToGet names whole attributes, never paths"


def test_attributes_to_get_is_checked(client: Any, name: str) -> None:
    key = {"p": ITEM["p"], "r": ITEM["r"]}
    assert error(client.get_item, TableName=name, Key=key, AttributesToGet=["a", "a"]) == either(
        "One or more parameter values were invalid: Duplicate value in attribute name: a"
    )
    assert error(client.get_item, TableName=name, Key=key, AttributesToGet=[]) == prefixed(
        "Value '[]' at 'attributesToGet' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


QUERY = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": s("k")}}


def test_select(client: Any, name: str) -> None:
    assert client.scan(TableName=name, Select="ALL_ATTRIBUTES")["Items"] == [ITEM]
    for answer in (
        client.scan(TableName=name, Select="COUNT"),
        client.query(TableName=name, Select="COUNT", **QUERY),
    ):
        assert (answer["Count"], answer["ScannedCount"]) == (1, 1)
        assert "Items" not in answer
    specific = client.scan(TableName=name, Select="SPECIFIC_ATTRIBUTES", ProjectionExpression="a")
    assert specific["Items"] == [{"a": n(1)}]
    conditions = {"p": {"ComparisonOperator": "EQ", "AttributeValueList": [s("k")]}}
    specific = client.query(
        TableName=name, Select="SPECIFIC_ATTRIBUTES", AttributesToGet=["a"], KeyConditions=conditions
    )
    assert specific["Items"] == [{"a": n(1)}]


@pytest.mark.parametrize(
    ("select", "text"),
    [
        ("ALL_ATTRIBUTES", "Cannot specify the ProjectionExpression when choosing to get ALL_ATTRIBUTES"),
        ("COUNT", "Cannot specify the ProjectionExpression when choosing to get only the Count"),
    ],
)
def test_select_with_a_projection(client: Any, name: str, select: str, text: str) -> None:
    assert error(client.scan, TableName=name, Select=select, ProjectionExpression="a") == either(text)
    assert error(client.query, TableName=name, Select=select, ProjectionExpression="a", **QUERY) == either(
        text
    )
    attributes = text.replace("ProjectionExpression", "AttributesToGet")
    assert error(client.scan, TableName=name, Select=select, AttributesToGet=["a"]) == either(attributes)


def test_all_projected_needs_an_index(client: Any, name: str) -> None:
    refused = error(client.scan, TableName=name, Select="ALL_PROJECTED_ATTRIBUTES")
    assert refused == ("ValidationException", Containing("ALL_PROJECTED_ATTRIBUTES", "ndex"))


def test_specific_without_a_list(client: Any, name: str) -> None:
    text = "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
    assert error(client.query, TableName=name, Select="SPECIFIC_ATTRIBUTES", **QUERY) == prefixed(text)
    assert error(client.scan, TableName=name, Select="SPECIFIC_ATTRIBUTES") == invalid(text)


def test_an_unknown_select(client: Any, name: str) -> None:
    assert error(client.scan, TableName=name, Select="cat") == prefixed(
        "Value 'cat' at 'select' failed to satisfy constraint: Member must satisfy enum value set: "
        "[SPECIFIC_ATTRIBUTES, COUNT, ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]"
    )
