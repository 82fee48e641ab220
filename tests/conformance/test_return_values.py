"""ReturnValues of PutItem, DeleteItem and UpdateItem, in every mode and for old, new and missing items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import PREFIX, error, invalid, n, prefixed, s, table, unique


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.fixture
def item(client: Any, name: str) -> dict[str, Any]:
    """A stored item."""
    stored = {
        "p": s(unique()),
        "a": n(1),
        "b": s("x"),
        "m": {"M": {"k": n(1), "other": n(2)}},
        "l": {"L": [n(0), n(1), n(2)]},
    }
    client.put_item(TableName=name, Item=stored)
    return stored


def test_put(client: Any, name: str, item: dict[str, Any]) -> None:
    new = {"p": item["p"], "z": n(9)}
    assert "Attributes" not in client.put_item(TableName=name, Item=item, ReturnValues="NONE")
    assert client.put_item(TableName=name, Item=new, ReturnValues="ALL_OLD")["Attributes"] == item
    assert client.put_item(TableName=name, Item=item, ReturnValues="ALL_OLD")["Attributes"] == new
    fresh = client.put_item(TableName=name, Item={"p": s(unique())}, ReturnValues="ALL_OLD")
    assert "Attributes" not in fresh


def test_delete(client: Any, name: str, item: dict[str, Any]) -> None:
    key = {"p": item["p"]}
    assert client.delete_item(TableName=name, Key=key, ReturnValues="ALL_OLD")["Attributes"] == item
    assert "Attributes" not in client.delete_item(TableName=name, Key=key, ReturnValues="ALL_OLD")


@pytest.mark.parametrize("mode", ["UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"])
def test_put_and_delete_know_only_old(client: Any, name: str, mode: str) -> None:
    text = "ReturnValues can only be ALL_OLD or NONE"
    key = {"p": s("x")}
    assert error(client.put_item, TableName=name, Item=key, ReturnValues=mode) == prefixed(text)
    assert error(client.delete_item, TableName=name, Key=key, ReturnValues=mode) == prefixed(text)


def update(client: Any, name: str, item: dict[str, Any], expression: str, mode: str) -> dict[str, Any] | None:
    """The Attributes of one update; `:v` is 7 and `:s` a set where the expression uses them."""
    values = {text: value for text, value in ((":v", n(7)), (":s", {"SS": ["q"]})) if text in expression}
    answer = client.update_item(
        TableName=name,
        Key={"p": item["p"]},
        UpdateExpression=expression,
        ReturnValues=mode,
        **({"ExpressionAttributeValues": values} if values else {}),
    )
    return answer.get("Attributes")


def test_update_none(client: Any, name: str, item: dict[str, Any]) -> None:
    assert update(client, name, item, "SET a = :v", "NONE") is None


def test_update_all_old_and_all_new(client: Any, name: str, item: dict[str, Any]) -> None:
    assert update(client, name, item, "SET a = :v", "ALL_OLD") == item
    assert update(client, name, item, "SET b = :v REMOVE l", "ALL_NEW") == {
        "p": item["p"],
        "a": n(7),
        "b": n(7),
        "m": item["m"],
    }


def test_update_of_a_new_item(client: Any, name: str) -> None:
    def fresh() -> dict[str, Any]:
        return {"p": s(unique())}

    assert update(client, name, fresh(), "SET a = :v", "ALL_OLD") is None
    assert update(client, name, fresh(), "SET a = :v", "UPDATED_OLD") is None
    assert update(client, name, fresh(), "SET a = :v", "UPDATED_NEW") == {"a": n(7)}
    key = fresh()
    assert update(client, name, key, "SET a = :v", "ALL_NEW") == {**key, "a": n(7)}


@pytest.mark.parametrize(
    ("expression", "old", "new"),
    [
        ("SET a = :v", {"a": n(1)}, {"a": n(7)}),
        ("SET c = :v", None, {"c": n(7)}),
        ("SET a = :v, c = :v", {"a": n(1)}, {"a": n(7), "c": n(7)}),
        ("ADD a :v", {"a": n(1)}, {"a": n(8)}),
        ("REMOVE a", {"a": n(1)}, None),
        ("REMOVE gone", None, None),
        ("SET a = a", {"a": n(1)}, {"a": n(1)}),
        ("SET m.k = :v", {"m": {"M": {"k": n(1)}}}, {"m": {"M": {"k": n(7)}}}),
        ("SET m.fresh = :v", None, {"m": {"M": {"fresh": n(7)}}}),
        ("SET l[1] = :v", {"l": {"L": [n(1)]}}, {"l": {"L": [n(7)]}}),
        ("SET a = :v REMOVE b", {"a": n(1), "b": s("x")}, {"a": n(7)}),
        ("REMOVE m.k", {"m": {"M": {"k": n(1)}}}, None),
        ("ADD fresh :s", None, {"fresh": {"SS": ["q"]}}),
    ],
)
def test_update_touched_paths_only(
    client: Any,
    name: str,
    item: dict[str, Any],
    expression: str,
    old: dict[str, Any] | None,
    new: dict[str, Any] | None,
) -> None:
    assert update(client, name, item, expression, "UPDATED_OLD") == old
    client.put_item(TableName=name, Item=item)
    assert update(client, name, item, expression, "UPDATED_NEW") == new


def test_bare_update_returns_the_item(client: Any, name: str, item: dict[str, Any]) -> None:
    key = {"p": item["p"]}
    assert client.update_item(TableName=name, Key=key, ReturnValues="ALL_NEW")["Attributes"] == item
    fresh = {"p": s(unique())}
    assert client.update_item(TableName=name, Key=fresh, ReturnValues="ALL_NEW")["Attributes"] == fresh
    assert "Attributes" not in client.update_item(TableName=name, Key=key, ReturnValues="UPDATED_NEW")


def test_an_unknown_mode(client: Any, name: str) -> None:
    text = (
        "Failed to satisfy constraint: Member must satisfy enum value set: "
        "[ALL_OLD, UPDATED_OLD, ALL_NEW, UPDATE_NEW, NONE]"
    )
    key = {"p": s("x")}
    assert error(client.put_item, TableName=name, Item=key, ReturnValues="cat") == invalid(PREFIX + text)
    assert error(client.update_item, TableName=name, Key=key, ReturnValues="cat") == invalid(PREFIX + text)
    assert error(client.delete_item, TableName=name, Key=key, ReturnValues="cat") == invalid(PREFIX + text)
