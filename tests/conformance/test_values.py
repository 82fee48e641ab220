"""Attribute values: empty values, sets, nesting, names, and values of a wrong shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import Containing, error, invalid, n, prefixed, s, table, unique

INVALID = "One or more parameter values were invalid: "
SERIALIZATION = "com.amazon.coral.service#SerializationException"


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


def refused_everywhere(client: Any, name: str, value: dict[str, Any]) -> set[tuple[str, str]]:
    """The refusals of a value as an attribute, nested in a map and in a list, and as an expression value."""
    key = {"p": s("x")}
    refusals = {
        error(client.put_item, TableName=name, Item={**key, "v": shape})
        for shape in (value, {"M": {"a": value}}, {"L": [s("ok"), value]})
    }
    refusals.add(
        error(
            client.put_item,
            TableName=name,
            Item=key,
            ConditionExpression="a = :v",
            ExpressionAttributeValues={":v": value},
        )
    )
    return refusals


@pytest.mark.parametrize(
    "value",
    [
        {"S": ""},
        {"B": b""},
        {"L": []},
        {"M": {}},
        {"SS": [""]},
        {"SS": ["", "a"]},
        {"BS": [b"", b"a"]},
        {"L": [{"S": ""}, {"NULL": True}, {"L": []}]},
        {"M": {"empty": {"S": ""}}},
    ],
)
def test_empty_values_that_are_fine(client: Any, name: str, value: dict[str, Any]) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": value})
    back = client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]["v"]
    (kind,) = value
    assert back.keys() == {kind}
    assert sorted(back[kind]) == sorted(value[kind]) if kind in ("SS", "BS") else back == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"SS": []}, INVALID + "An string set  may not be empty"),
        ({"NS": []}, INVALID + "An number set  may not be empty"),
        ({"BS": []}, "Binary sets should not be empty"),
        ({"SS": ["a", "b", "a"]}, "Input collection ["),
        ({"SS": ["a", "b", "a"]}, "] contains duplicates."),
        ({"BS": [b"b", b"b"]}, "]of type BS contains duplicates."),
        ({"NULL": False}, INVALID + "Null attribute value types must have the value of true"),
    ],
)
def test_values_that_are_refused(client: Any, name: str, value: dict[str, Any], text: str) -> None:
    for code, message in refused_everywhere(client, name, value):
        assert code == "ValidationException"
        assert text in message


def test_the_members_of_a_duplicate_set_are_quoted(client: Any, name: str) -> None:
    # the local oracle differs: it words this as the service did before 2026
    assert error(client.put_item, TableName=name, Item={"p": s("x"), "v": {"SS": ["a", "a"]}}) == prefixed(
        INVALID + 'Input collection ["a", "a"] contains duplicates.'
    )


@pytest.mark.parametrize(
    ("value", "newer", "older"),
    [
        (
            {"SS": ["b", "a", "b"]},
            INVALID + 'Input collection ["a", "b", "b"] contains duplicates.',
            INVALID + "Input collection [b, a, b] contains duplicates.",
        ),
        (
            {"BS": [b"\xff", b"\x00", b"\x00"]},
            INVALID + 'Input collection ["AA==","/w==","AA=="]of type BS contains duplicates.',
            INVALID + "Input collection [/w==, AA==, AA==]of type BS contains duplicates.",
        ),
        (
            {"NS": ["2", "1", "2"]},
            INVALID + "Input collection contains duplicates.",
            "Input collection contains duplicates",
        ),
    ],
)
def test_duplicates_by_operation(
    client: Any, name: str, value: dict[str, Any], newer: str, older: str
) -> None:
    """The writes of one item name the repeat in order, behind the prefix; Query is bare; batches are older."""
    item = {"p": s("x"), "v": value}
    assert error(client.put_item, TableName=name, Item=item) == prefixed(newer)
    assert error(client.delete_item, TableName=name, Key={"p": value}) == prefixed(newer)
    assert error(client.get_item, TableName=name, Key={"p": value}) == invalid(newer)
    values = {":p": s("x"), ":v": value}
    query = {
        "KeyConditionExpression": "p = :p",
        "FilterExpression": "v = :v",
        "ExpressionAttributeValues": values,
    }
    assert error(client.query, TableName=name, **query) == invalid(newer)
    assert error(client.batch_write_item, RequestItems={name: [{"PutRequest": {"Item": item}}]}) == invalid(
        older
    )


def test_sets_are_unordered(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "v": {"SS": ["c", "a", "b"]}})
    client.put_item(
        TableName=name,
        Item={**key, "v": {"SS": ["a"]}},
        ConditionExpression="v = :v",
        ExpressionAttributeValues={":v": {"SS": ["b", "c", "a"]}},
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "N": "1"},
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of "
            "the supported datatypes",
        ),
    ],
)
def test_exactly_one_type(raw: Raw, name: str, value: dict[str, Any], text: str) -> None:
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("PutItem", {"TableName": name, "Item": {"p": s("x"), "v": value}}),
        ("PutItem", {"TableName": name, "Item": {"p": s("x"), "v": {"L": [{"M": {"k": value}}]}}}),
        ("GetItem", {"TableName": name, "Key": {"p": value}}),
        (
            "Scan",
            {"TableName": name, "FilterExpression": "a = :v", "ExpressionAttributeValues": {":v": value}},
        ),
    ]
    for operation, body in bodies:
        kind, message = raw.post(operation, body).error
        assert kind == "com.amazon.coral.validate#ValidationException"
        assert message is not None
        assert text in message


@pytest.mark.parametrize(
    "value",
    [
        {"S": 5},
        {"S": True},
        {"S": ["a"]},
        {"S": {"a": "b"}},
        {"N": 5},
        {"N": 1.5},
        {"N": False},
        {"B": 5},
        {"B": "not base64!"},
        {"B": "YQ"},
        {"BOOL": "maybe"},
        {"BOOL": {}},
        {"NULL": "maybe"},
        {"SS": "a"},
        {"SS": [1]},
        {"SS": {"a": "b"}},
        {"NS": [1]},
        {"BS": ["$$"]},
        {"L": {}},
        {"L": "a"},
        {"L": ["a"]},
        {"M": []},
        {"M": "a"},
        {"M": {"a": "b"}},
        "a",
        5,
        [],
        True,
    ],
)
def test_json_of_the_wrong_type(raw: Raw, name: str, value: Any) -> None:
    for body in (
        {"p": s("x"), "v": value},
        {"p": s("x"), "v": {"L": [value]}},
        {"p": s("x"), "v": {"M": {"k": value}}},
    ):
        reply = raw.post("PutItem", {"TableName": name, "Item": body})
        assert reply.status == 400
        assert reply.error[0] == SERIALIZATION, value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"S": 5}, "NUMBER_VALUE cannot be converted to String"),
        ({"S": 5.5}, "DECIMAL_VALUE cannot be converted to String"),
        ({"S": True}, "TRUE_VALUE cannot be converted to String"),
        ({"S": False}, "FALSE_VALUE cannot be converted to String"),
        ({"N": 5}, "NUMBER_VALUE cannot be converted to String"),
    ],
)
def test_texts_of_type_errors(raw: Raw, name: str, value: Any, text: str) -> None:
    reply = raw.post("PutItem", {"TableName": name, "Item": {"p": s("x"), "v": value}})
    assert reply.json == {"__type": SERIALIZATION, "Message": text}


def nested(levels: int, innermost: dict[str, Any], kind: str = "M") -> dict[str, Any]:
    """`innermost` inside so many maps or lists."""
    value = innermost
    for _ in range(levels):
        value = {"M": {"m": value}} if kind == "M" else {"L": [value]}
    return value


@pytest.mark.parametrize("kind", ["M", "L"])
def test_thirty_one_levels(client: Any, name: str, kind: str) -> None:
    item = {"p": s(unique()), "v": nested(31, s("deep"), kind)}
    client.put_item(TableName=name, Item=item)
    assert client.get_item(TableName=name, Key={"p": item["p"]}, ConsistentRead=True)["Item"] == item
    update = {"TableName": name, "Key": {"p": item["p"]}, "UpdateExpression": "SET v = :v"}
    client.update_item(**update, ExpressionAttributeValues={":v": item["v"]})


@pytest.mark.parametrize("kind", ["M", "L"])
def test_thirty_two_levels(client: Any, name: str, kind: str) -> None:
    text = Containing("Nesting Levels have exceeded supported limits")
    value = nested(32, s("deep"), kind)
    key = {"p": s("x")}
    assert error(client.put_item, TableName=name, Item={**key, "v": value}) == ("ValidationException", text)
    update = {"TableName": name, "Key": key, "UpdateExpression": "SET v = :v"}
    refused = error(client.update_item, **update, ExpressionAttributeValues={":v": value})
    assert refused == ("ValidationException", text)


def test_attribute_names(client: Any, name: str) -> None:
    item = {
        "p": s(unique()),
        "x" * 65_535: s("longest"),
        "\u00e9\U0001f600 .#:[]": s("odd"),
        "Case": n(1),
        "case": n(2),
    }
    client.put_item(TableName=name, Item=item)
    assert client.get_item(TableName=name, Key={"p": item["p"]}, ConsistentRead=True)["Item"] == item
    assert (
        error(client.put_item, TableName=name, Item={**item, "y" * 65_536: s("too long")})[0]
        == "ValidationException"
    )


def test_an_empty_attribute_name(client: Any, name: str) -> None:
    assert error(client.put_item, TableName=name, Item={"p": s("x"), "": s("v")})[0] == "ValidationException"


def test_a_string_of_every_plane(client: Any, name: str) -> None:
    text = "".join(
        map(chr, (0, 1, 9, 10, 13, 34, 92, 127, 128, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF))
    )
    item = {"p": s(unique()), "v": s(text)}
    client.put_item(TableName=name, Item=item)
    assert client.get_item(TableName=name, Key={"p": item["p"]}, ConsistentRead=True)["Item"] == item
