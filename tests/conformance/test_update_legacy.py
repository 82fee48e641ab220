"""AttributeUpdates of UpdateItem: PUT, ADD and DELETE, alone and with Expected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import CONDITION_FAILED, Containing, error, n, s, table, unique

BEFORE: dict[str, Any] = {
    "n": n(5),
    "str": s("text"),
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "l": {"L": [s("x")]},
    "m": {"M": {"k": n(1)}},
}


def put(value: dict[str, Any]) -> dict[str, Any]:
    """A PUT action."""
    return {"Action": "PUT", "Value": value}


def add(value: dict[str, Any]) -> dict[str, Any]:
    """An ADD action."""
    return {"Action": "ADD", "Value": value}


def delete(value: dict[str, Any] | None = None) -> dict[str, Any]:
    """A DELETE action, of an attribute or of members of a set."""
    return {"Action": "DELETE", **({"Value": value} if value else {})}


CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"x": put(n(1))}, {"x": n(1)}),
    ({"x": {"Value": n(1)}}, {"x": n(1)}),
    ({"n": put(s("now text"))}, {"n": s("now text")}),
    ({"n": add(n(2))}, {"n": n(7)}),
    ({"n": add(n("-2.5"))}, {"n": n("2.5")}),
    ({"x": add(n(3))}, {"x": n(3)}),
    ({"ss": add({"SS": ["b", "c"]})}, {"ss": {"SS": ["a", "b", "c"]}}),
    ({"x": add({"SS": ["b"]})}, {"x": {"SS": ["b"]}}),
    ({"l": add({"L": [n(1)]})}, {"l": {"L": [s("x"), n(1)]}}),
    ({"x": add({"L": [n(1)]})}, {"x": {"L": [n(1)]}}),
    ({"n": delete()}, {"n": None}),
    ({"x": delete()}, {}),
    ({"ss": delete({"SS": ["a", "zz"]})}, {"ss": {"SS": ["b"]}}),
    ({"ss": delete({"SS": ["a", "b"]})}, {"ss": None}),
    ({"ns": delete({"NS": ["1.0"]})}, {"ns": {"NS": ["2"]}}),
    ({"x": delete({"SS": ["a"]})}, {}),
    ({"x": put(n(1)), "n": add(n(1)), "str": delete()}, {"x": n(1), "n": n(6), "str": None}),
    ({"a.b": put(n(1))}, {"a.b": n(1)}),
    ({}, {}),
]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """The item with sorted sets."""
    return {
        name: {kind: sorted(value) if kind in ("SS", "NS") else value}
        for name, typed in item.items()
        for kind, value in typed.items()
    }


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.mark.parametrize(("updates", "changes"), CASES)
def test_effect(client: Any, name: str, updates: dict[str, Any], changes: dict[str, Any]) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, **BEFORE})
    client.update_item(TableName=name, Key=key, AttributeUpdates=updates)
    expected = {k: v for k, v in {**key, **BEFORE, **changes}.items() if v is not None}
    assert plain(client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]) == plain(expected)


@pytest.mark.parametrize(
    ("updates", "created"),
    [
        ({"x": put(n(1))}, {"x": n(1)}),
        ({"x": add(n(1))}, {"x": n(1)}),
        ({"x": delete()}, None),
        ({"x": delete({"SS": ["a"]})}, None),
        ({}, {}),
    ],
)
def test_on_a_missing_item(
    client: Any, name: str, updates: dict[str, Any], created: dict[str, Any] | None
) -> None:
    # the local oracle differs: DELETE creates an item
    key = {"p": s(unique())}
    client.update_item(TableName=name, Key=key, AttributeUpdates=updates)
    found = client.get_item(TableName=name, Key=key, ConsistentRead=True).get("Item")
    assert found == (None if created is None else {**key, **created})


@pytest.mark.parametrize(
    ("updates", "part"),
    [
        ({"p": put(s("y"))}, "Cannot update attribute p. This attribute is part of the key"),
        ({"p": delete()}, "Cannot update attribute p. This attribute is part of the key"),
        ({"x": {"Action": "PUT"}}, "Only DELETE action is allowed when no attribute value is specified"),
        ({"x": {"Action": "ADD"}}, "Only DELETE action is allowed when no attribute value is specified"),
        ({"x": delete(n(1))}, "DELETE action with value is not supported for the type N"),
        ({"x": delete({"L": []})}, "DELETE action with value is not supported for the type L"),
        ({"x": add(s("text"))}, "ADD action is not supported for the type S"),
        ({"x": add({"M": {}})}, "ADD action is not supported for the type M"),
        ({"x": put({"SS": []})}, "may not be empty"),
    ],
)
def test_refused(client: Any, name: str, updates: dict[str, Any], part: str) -> None:
    refused = error(client.update_item, TableName=name, Key={"p": s("r")}, AttributeUpdates=updates)
    assert refused == ("ValidationException", Containing(part))


@pytest.mark.parametrize(
    "updates",
    [
        {"str": add(n(1))},
        {"n": add({"SS": ["a"]})},
        {"ss": add({"NS": ["1"]})},
        {"l": add(n(1))},
        {"n": delete({"SS": ["a"]})},
        {"ss": delete({"NS": ["1"]})},
    ],
)
def test_types_that_do_not_fit(client: Any, name: str, updates: dict[str, Any]) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, **BEFORE})
    refused = error(client.update_item, TableName=name, Key=key, AttributeUpdates=updates)
    assert refused == ("ValidationException", Containing("Type mismatch for attribute to update"))


def test_an_unknown_action(client: Any, name: str) -> None:
    code, message = error(
        client.update_item,
        TableName=name,
        Key={"p": s("x")},
        AttributeUpdates={"x": {"Action": "INC", "Value": n(1)}},
    )
    assert code == "ValidationException"
    assert "at 'attributeUpdates.x.member.action' failed to satisfy constraint" in message
    assert "Member must satisfy enum value set" in message


def test_with_expected(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": n(1)})
    step = {"TableName": name, "Key": key, "AttributeUpdates": {"v": add(n(1))}}
    client.update_item(**step, Expected={"v": {"Value": n(1)}})
    assert error(client.update_item, **step, Expected={"v": {"Value": n(1)}}) == CONDITION_FAILED
    assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["v"] == n(2)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("ALL_OLD", {"v": n(1), "w": n(2)}),
        ("UPDATED_OLD", {"v": n(1)}),
        ("ALL_NEW", {"v": n(9), "w": n(2)}),
        ("UPDATED_NEW", {"v": n(9)}),
    ],
)
def test_return_values(client: Any, name: str, mode: str, expected: dict[str, Any]) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": n(1), "w": n(2)})
    answer = client.update_item(
        TableName=name, Key=key, AttributeUpdates={"v": put(n(9))}, ReturnValues=mode
    )["Attributes"]
    answer.pop("p", None)
    assert answer == expected
