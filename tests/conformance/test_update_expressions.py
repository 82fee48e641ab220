"""UpdateExpression: SET, REMOVE, ADD, DELETE on every shape of item, and what an update may not do.

Texts of syntax and operand errors are in test_error_texts_update.py, returned values in
test_return_values.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import error, invalid, n, s, table, unique

INCORRECT_TYPE = "An operand in the update expression has an incorrect data type"
MISSING_SOURCE = "The provided expression refers to an attribute that does not exist in the item"
BAD_PATH = "The document path provided in the update expression is invalid for update"

BEFORE: dict[str, Any] = {
    "a": {"N": "5"},
    "b": {"N": "3"},
    "str": {"S": "text"},
    "l": {"L": [{"S": "zero"}, {"S": "one"}, {"S": "two"}]},
    "m": {"M": {"x": {"N": "1"}, "deep": {"M": {"y": {"S": "z"}}}}},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": [b"x"]},
    "boolean": {"BOOL": True},
}

V: dict[str, Any] = {
    ":one": n(1),
    ":two": n(2),
    ":minus": n(-8),
    ":t": s("T"),
    ":l": {"L": [{"S": "new"}, {"N": "9"}]},
    ":m": {"M": {"k": s("v")}},
    ":ss": {"SS": ["b", "c"]},
    ":ssall": {"SS": ["a", "b"]},
    ":ns": {"NS": ["2.0", "3"]},
    ":bs": {"BS": [b"x", b"y"]},
    ":null": {"NULL": True},
    ":e": {"L": []},
}


def strings(*texts: str) -> dict[str, Any]:
    """A list of strings as an attribute value."""
    return {"L": [s(text) for text in texts]}


# expression -> the attributes that differ afterwards (None: gone)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SET c = :one", {"c": n(1)}),
    ("set c = :one", {"c": n(1)}),
    ("SET a = :t, c = :m", {"a": s("T"), "c": V[":m"]}),
    ("SET a = a + :one", {"a": n(6)}),
    ("SET a = a - :one", {"a": n(4)}),
    ("SET a = :one - a", {"a": n(-4)}),
    ("SET a = a + b, b = a", {"a": n(8), "b": n(5)}),
    ("SET a = b, b = a", {"a": n(3), "b": n(5)}),
    ("SET c = (a + b)", {"c": n(8)}),
    ("SET c = (a) - (b)", {"c": n(2)}),
    ("SET c = if_not_exists(c, :one)", {"c": n(1)}),
    ("SET a = if_not_exists(a, :one)", {}),
    ("SET a = if_not_exists(c, :one) + :two", {"a": n(3)}),
    ("SET c = if_not_exists(c, :one) + if_not_exists(a, :two)", {"c": n(6)}),
    ("SET c = if_not_exists(c, a)", {"c": n(5)}),
    ("SET c = if_not_exists(m.zz, m.x)", {"c": n(1)}),
    ("SET l = list_append(l, :l)", {"l": {"L": [*strings("zero", "one", "two")["L"], *V[":l"]["L"]]}}),
    ("SET l = list_append(:l, l)", {"l": {"L": [*V[":l"]["L"], *strings("zero", "one", "two")["L"]]}}),
    ("SET c = list_append(if_not_exists(c, :e), :l)", {"c": V[":l"]}),
    ("SET l[0] = :t", {"l": strings("T", "one", "two")}),
    ("SET l[99] = :t", {"l": strings("zero", "one", "two", "T")}),
    ("SET l[9] = :one, l[4] = :two", {"l": {"L": [*strings("zero", "one", "two")["L"], n(2), n(1)]}}),
    ("SET l[1] = l[2], l[2] = l[1]", {"l": strings("zero", "two", "one")}),
    ("SET m.x = :two", {"m": {"M": {"x": n(2), "deep": {"M": {"y": s("z")}}}}}),
    ("SET m.neu = :two", {"m": {"M": {"x": n(1), "neu": n(2), "deep": {"M": {"y": s("z")}}}}}),
    ("SET m.deep.y = m.x", {"m": {"M": {"x": n(1), "deep": {"M": {"y": n(1)}}}}}),
    ("SET m.x = m.x + :one", {"m": {"M": {"x": n(2), "deep": {"M": {"y": s("z")}}}}}),
    ("SET m = :m", {"m": V[":m"]}),
    ("SET c = m.deep", {"c": {"M": {"y": s("z")}}}),
    ("SET c = l[1]", {"c": s("one")}),
    ("SET c = :null", {"c": {"NULL": True}}),
    ("REMOVE a", {"a": None}),
    ("remove a, b", {"a": None, "b": None}),
    ("REMOVE gone", {}),
    ("REMOVE l[0]", {"l": strings("one", "two")}),
    ("REMOVE l[0], l[1]", {"l": strings("two")}),
    ("REMOVE l[2], l[0]", {"l": strings("one")}),
    ("REMOVE l[7]", {}),
    ("REMOVE m.x", {"m": {"M": {"deep": {"M": {"y": s("z")}}}}}),
    ("REMOVE m.zz", {}),
    ("REMOVE m.deep.y, a", {"a": None, "m": {"M": {"x": n(1), "deep": {"M": {}}}}}),
    ("ADD a :one", {"a": n(6)}),
    ("add a :minus", {"a": n(-3)}),
    ("ADD c :one", {"c": n(1)}),
    ("ADD ss :ss", {"ss": {"SS": ["a", "b", "c"]}}),
    ("ADD ns :ns", {"ns": {"NS": ["1", "2", "3"]}}),
    ("ADD bs :bs", {"bs": {"BS": [b"x", b"y"]}}),
    ("ADD c :ss", {"c": {"SS": ["b", "c"]}}),
    ("ADD m.x :one", {"m": {"M": {"x": n(2), "deep": {"M": {"y": s("z")}}}}}),
    ("ADD m.n :one", {"m": {"M": {"x": n(1), "n": n(1), "deep": {"M": {"y": s("z")}}}}}),
    ("DELETE ss :ss", {"ss": {"SS": ["a"]}}),
    ("DELETE ss :ssall", {"ss": None}),
    ("DELETE ns :ns", {"ns": {"NS": ["1"]}}),
    ("DELETE gone :ss", {}),
    (
        "SET c = :t REMOVE a ADD b :one DELETE ss :ss",
        {"c": s("T"), "a": None, "b": n(4), "ss": {"SS": ["a"]}},
    ),
    ("REMOVE a SET c = a", {"a": None, "c": n(5)}),
    ("SET l[0] = :t REMOVE l[1]", {"l": strings("T", "two")}),
]


def plain(item: dict[str, Any]) -> dict[str, Any]:
    """The item with its sets in a fixed order, so that `==` compares what is meant."""
    return {
        name: {kind: sorted(value) if kind in ("SS", "NS", "BS") else value}
        for name, typed in item.items()
        for kind, value in typed.items()
    }


def used(expression: str) -> dict[str, Any]:
    """ExpressionAttributeValues with the values the expression names."""
    words = "".join(char if char.isalnum() or char in ":_" else " " for char in expression).split()
    values = {word: V[word] for word in words if word in V}
    return {"ExpressionAttributeValues": values} if values else {}


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


@pytest.mark.parametrize(("expression", "changes"), CASES)
def test_effect(client: Any, name: str, expression: str, changes: dict[str, Any]) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, **BEFORE})
    client.update_item(TableName=name, Key=key, UpdateExpression=expression, **used(expression))
    expected = {k: v for k, v in {**key, **BEFORE, **changes}.items() if v is not None}
    found = client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]
    assert plain(found) == plain(expected)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("SET c = gone", MISSING_SOURCE),
        ("SET c = gone + :one", MISSING_SOURCE),
        ("SET c = m.zz", MISSING_SOURCE),
        ("SET c = l[9]", MISSING_SOURCE),
        ("SET c = list_append(gone, :l)", MISSING_SOURCE),
        ("SET a = str + :one", INCORRECT_TYPE),
        ("SET a = ss - :one", INCORRECT_TYPE),
        ("SET a = list_append(a, :l)", INCORRECT_TYPE),
        ("ADD str :one", INCORRECT_TYPE),
        ("ADD a :ss", INCORRECT_TYPE),
        ("ADD ss :ns", INCORRECT_TYPE),
        ("ADD l :one", INCORRECT_TYPE),
        ("DELETE a :ss", INCORRECT_TYPE),
        ("DELETE ss :ns", INCORRECT_TYPE),
        ("SET gone.x = :one", BAD_PATH),
        ("SET gone[0] = :one", BAD_PATH),
        ("SET a.x = :one", BAD_PATH),
        ("SET a[0] = :one", BAD_PATH),
        ("SET m[0] = :one", BAD_PATH),
        ("SET l.x = :one", BAD_PATH),
        ("SET m.zz.y = :one", BAD_PATH),
        ("REMOVE gone.x", BAD_PATH),
        ("REMOVE a.x", BAD_PATH),
        ("REMOVE m.zz.y", BAD_PATH),
        ("ADD gone.x :one", BAD_PATH),
        ("DELETE gone.x :ss", BAD_PATH),
    ],
)
def test_refused_at_run_time(client: Any, name: str, expression: str, text: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, **BEFORE})
    refused = error(
        client.update_item, TableName=name, Key=key, UpdateExpression=expression, **used(expression)
    )
    assert refused == invalid(text)
    found = client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]
    assert plain(found) == plain({**key, **BEFORE}), "a refused update changes nothing"


@pytest.mark.parametrize(
    "expression", ["SET p = :t", "REMOVE p", "ADD p :one", "DELETE p :ss", "SET a = :one REMOVE p"]
)
def test_the_key_cannot_be_updated(client: Any, name: str, expression: str) -> None:
    key = {"p": s(unique())}
    assert error(
        client.update_item, TableName=name, Key=key, UpdateExpression=expression, **used(expression)
    ) == invalid(
        "One or more parameter values were invalid: Cannot update attribute p. This attribute is "
        "part of the key"
    )


@pytest.mark.parametrize(
    ("expression", "created"),
    [
        (None, {}),
        ("SET a = :one", {"a": n(1)}),
        ("SET a = if_not_exists(a, :one) + :one", {"a": n(2)}),
        ("ADD a :one", {"a": n(1)}),
        ("ADD a :ss", {"a": {"SS": ["b", "c"]}}),
        ("REMOVE a", None),
        ("REMOVE a.b", None),
        ("REMOVE a[0]", None),
        ("DELETE a :ss", None),
    ],
)
def test_on_a_missing_item(
    client: Any, name: str, expression: str | None, created: dict[str, Any] | None
) -> None:
    key = {"p": s(unique())}
    how = {"UpdateExpression": expression, **used(expression)} if expression else {}
    client.update_item(TableName=name, Key=key, **how)
    found = client.get_item(TableName=name, Key=key, ConsistentRead=True).get("Item")
    assert (plain(found) if found else found) == (None if created is None else {**key, **created})


def test_a_bare_update_leaves_an_item_alone(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, **BEFORE})
    client.update_item(TableName=name, Key=key)
    assert plain(client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]) == plain(
        {**key, **BEFORE}
    )


def test_names_with_dots_are_literal(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.update_item(
        TableName=name,
        Key=key,
        UpdateExpression="SET #dotted = :one, #map = :m",
        ExpressionAttributeNames={"#dotted": "a.b", "#map": "map"},
        ExpressionAttributeValues={":one": n(1), ":m": {"M": {}}},
    )
    client.update_item(
        TableName=name,
        Key=key,
        UpdateExpression="SET #map.#dotted = :two",
        ExpressionAttributeNames={"#dotted": "a.b", "#map": "map"},
        ExpressionAttributeValues={":two": n(2)},
    )
    found = client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]
    assert found == {**key, "a.b": n(1), "map": {"M": {"a.b": n(2)}}}


def test_a_counter_under_many_updates(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    for _ in range(50):
        client.update_item(
            TableName=name,
            Key=key,
            UpdateExpression="ADD hits :one",
            ExpressionAttributeValues={":one": n(1)},
        )
    assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["hits"] == n(50)


def test_decimal_arithmetic_is_exact(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "x": n("0.1")})
    client.update_item(
        TableName=name, Key=key, UpdateExpression="SET x = x + :v", ExpressionAttributeValues={":v": n("0.2")}
    )
    assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["x"] == n("0.3")


def test_appends_past_the_end_keep_index_order(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "l": strings("a")})
    client.update_item(
        TableName=name,
        Key=key,
        UpdateExpression="SET l[30] = :c, l[20] = :b, l[40] = :d",
        ExpressionAttributeValues={":b": s("b"), ":c": s("c"), ":d": s("d")},
    )
    assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["l"] == strings(
        "a", "b", "c", "d"
    )
