"""PutItem, GetItem, DeleteItem without options: what is stored comes back, keys follow the schema.

Expressions, ReturnValues, sizes and numbers have files of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.raw import Raw
from tests.conformance.support import (
    definitions,
    error,
    invalid,
    key_schema,
    n,
    not_found,
    prefixed,
    s,
    table,
    unique,
)

EVERYTHING = {
    "string": {"S": "text with \u00fcnic\u00f6de \U0001f600 and \x00 inside"},
    "number": {"N": "-12.5"},
    "binary": {"B": b"\x00\xff\x80"},
    "yes": {"BOOL": True},
    "no": {"BOOL": False},
    "null": {"NULL": True},
    "strings": {"SS": ["b", "a"]},
    "numbers": {"NS": ["3", "-1", "2.5"]},
    "binaries": {"BS": [b"b", b"a"]},
    "list": {"L": [{"S": "x"}, {"L": [{"N": "1"}]}, {"M": {}}]},
    "map": {"M": {"inner": {"M": {"deep": {"SS": ["z"]}}}}},
    "empty": {"S": ""},
    "empty binary": {"B": b""},
    "empty list": {"L": []},
    "empty map": {"M": {}},
    "a.b#c:d e": {"S": "odd attribute name"},
}

WRONG_KEY = "The provided key element does not match the schema"


@pytest.fixture(scope="module")
def hashed(client: Any) -> Iterator[str]:
    with table(client, "p") as name:
        yield name


@pytest.fixture(scope="module")
def ranged(client: Any) -> Iterator[str]:
    with table(client, "p/r:N") as name:
        yield name


def test_every_attribute_type_comes_back(client: Any, hashed: str) -> None:
    item = {"p": s(unique()), **EVERYTHING}
    client.put_item(TableName=hashed, Item=item)
    back = client.get_item(TableName=hashed, Key={"p": item["p"]}, ConsistentRead=True)["Item"]
    for kind, name in (("SS", "strings"), ("NS", "numbers"), ("BS", "binaries")):
        assert sorted(back[name][kind]) == sorted(item[name][kind])
        assert back.pop(name).keys() == {kind}
    assert back == {name: value for name, value in item.items() if name in back}
    assert len(back) == len(item) - 3


def test_success_without_options_is_an_empty_object(raw: Raw, hashed: str) -> None:
    key = {"p": s(unique())}
    assert raw.post("PutItem", {"TableName": hashed, "Item": key}).body == b"{}"
    assert raw.post("DeleteItem", {"TableName": hashed, "Key": key}).body == b"{}"
    assert raw.post("GetItem", {"TableName": hashed, "Key": key}).body == b"{}"


def test_put_replaces_the_whole_item(client: Any, hashed: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=hashed, Item={**key, "a": n(1), "b": n(2)})
    client.put_item(TableName=hashed, Item={**key, "c": n(3)})
    assert client.get_item(TableName=hashed, Key=key, ConsistentRead=True)["Item"] == {**key, "c": n(3)}


def test_a_missing_item_has_no_member_item(client: Any, hashed: str) -> None:
    assert "Item" not in client.get_item(TableName=hashed, Key={"p": s(unique())})


def test_delete_removes_and_may_be_repeated(client: Any, hashed: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=hashed, Item=key)
    for _ in range(2):
        client.delete_item(TableName=hashed, Key=key)
        assert "Item" not in client.get_item(TableName=hashed, Key=key, ConsistentRead=True)


def test_items_of_one_partition_are_apart(client: Any, ranged: str) -> None:
    partition = s(unique())
    for number in (1, -1, 10):
        client.put_item(TableName=ranged, Item={"p": partition, "r": n(number), "v": n(number)})
    client.delete_item(TableName=ranged, Key={"p": partition, "r": n(1)})
    found = [
        "Item" in client.get_item(TableName=ranged, Key={"p": partition, "r": n(number)}, ConsistentRead=True)
        for number in (1, -1, 10)
    ]
    assert found == [False, True, True]


@pytest.mark.parametrize(("written", "read"), [("1", "1.0"), ("1E2", "100"), ("-0", "0"), ("+5", "5e0")])
def test_number_keys_are_numbers_not_texts(client: Any, ranged: str, written: str, read: str) -> None:
    partition = s(unique())
    client.put_item(TableName=ranged, Item={"p": partition, "r": n(written)})
    assert "Item" in client.get_item(
        TableName=ranged, Key={"p": partition, "r": n(read)}, ConsistentRead=True
    )


def test_binary_keys(client: Any) -> None:
    with table(client, "p:B/r:B") as name:
        keys = [{"p": {"B": b"\x00"}, "r": {"B": bytes([byte])}} for byte in (0, 1, 0x7F, 0x80, 0xFF)]
        for key in keys:
            client.put_item(TableName=name, Item=key)
        for key in keys:
            assert client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"] == key


@pytest.mark.parametrize("key", ["a", "a\x00b", "\x00", "\x00\x01", "\U0010ffff", "x" * 2048])
def test_awkward_string_keys(client: Any, hashed: str, key: str) -> None:
    client.put_item(TableName=hashed, Item={"p": s(key), "v": s("there")})
    assert client.get_item(TableName=hashed, Key={"p": s(key)}, ConsistentRead=True)["Item"]["v"] == s(
        "there"
    )


def test_key_attributes_may_stand_in_any_order(client: Any, ranged: str) -> None:
    partition = s(unique())
    client.put_item(TableName=ranged, Item={"r": n(1), "v": s("x"), "p": partition})
    assert "Item" in client.get_item(TableName=ranged, Key={"r": n(1), "p": partition}, ConsistentRead=True)


def test_the_tables_arn_is_a_table_name(client: Any, hashed: str) -> None:
    arn = client.describe_table(TableName=hashed)["Table"]["TableArn"]
    key = {"p": s(unique())}
    client.put_item(TableName=arn, Item={**key, "v": n(1)})
    assert client.get_item(TableName=arn, Key=key, ConsistentRead=True)["Item"] == {**key, "v": n(1)}
    client.update_item(
        TableName=arn, Key=key, UpdateExpression="ADD v :one", ExpressionAttributeValues={":one": n(1)}
    )
    assert {**key, "v": n(2)} in client.scan(TableName=arn, ConsistentRead=True)["Items"]
    client.delete_item(TableName=arn, Key=key)
    assert "Item" not in client.get_item(TableName=hashed, Key=key, ConsistentRead=True)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"r": n(1)}, "One or more parameter values were invalid: Missing the key p in the item"),
        ({"p": s("x")}, "One or more parameter values were invalid: Missing the key r in the item"),
        (
            {"p": n(1), "r": n(1)},
            "One or more parameter values were invalid: Type mismatch for key p expected: S actual: N",
        ),
        (
            {"p": s("x"), "r": s("1")},
            "One or more parameter values were invalid: Type mismatch for key r expected: N actual: S",
        ),
        (
            {"p": {"L": []}, "r": n(1)},
            "One or more parameter values were invalid: Type mismatch for key p expected: S actual: L",
        ),
        (
            {"p": s(""), "r": n(1)},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: p",
        ),
    ],
)
def test_put_checks_the_key(client: Any, ranged: str, item: dict[str, Any], text: str) -> None:
    assert error(client.put_item, TableName=ranged, Item=item) == invalid(text)


@pytest.mark.parametrize(
    "key",
    [
        {"p": s("x")},
        {"r": n(1)},
        {"p": s("x"), "q": n(1)},
        {"p": s("x"), "r": n(1), "extra": n(1)},
        {"p": n(1), "r": n(1)},
        {"p": s("x"), "r": s("1")},
        {"p": s("x"), "r": {"NULL": True}},
        {},
    ],
)
@pytest.mark.parametrize("operation", ["get_item", "delete_item", "update_item"])
def test_key_must_match_the_schema(client: Any, ranged: str, operation: str, key: dict[str, Any]) -> None:
    assert error(getattr(client, operation), TableName=ranged, Key=key) == invalid(WRONG_KEY)


@pytest.mark.parametrize("operation", ["get_item", "delete_item", "update_item"])
def test_an_empty_key_value_is_refused(client: Any, hashed: str, operation: str) -> None:
    assert error(getattr(client, operation), TableName=hashed, Key={"p": s("")}) == invalid(
        "One or more parameter values are not valid. The AttributeValue for a key attribute "
        "cannot contain an empty string value. Key: p"
    )


def test_an_empty_binary_key_is_refused(client: Any) -> None:
    with table(client, "p:B") as name:
        assert error(client.put_item, TableName=name, Item={"p": {"B": b""}}) == invalid(
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty binary value. Key: p"
        )


@pytest.mark.parametrize("operation", ["get_item", "delete_item", "update_item"])
def test_a_missing_table(client: Any, operation: str) -> None:
    assert error(getattr(client, operation), TableName=unique(), Key={"p": s("x")}) == not_found()


def test_put_into_a_missing_table(client: Any) -> None:
    assert error(client.put_item, TableName=unique(), Item={"p": s("x")}) == not_found()


def test_missing_parameters(client: Any, hashed: str) -> None:
    null = "Value null at '{}' failed to satisfy constraint: Member must not be null"
    assert error(client.put_item, TableName=hashed) == prefixed(null.format("item"))
    assert error(client.get_item, TableName=hashed) == prefixed(null.format("key"))
    assert error(client.delete_item, TableName=hashed) == prefixed(null.format("key"))
    assert error(client.update_item, TableName=hashed) == prefixed(null.format("key"))
    assert error(client.get_item, Key={"p": s("x")}) == prefixed(null.format("tableName"))


def test_the_resource_interface(resource: Any) -> None:
    name = unique()
    made = resource.create_table(
        TableName=name,
        KeySchema=key_schema("p/r:N"),
        AttributeDefinitions=definitions("p/r:N"),
        BillingMode="PAY_PER_REQUEST",
    )
    made.wait_until_exists()
    item = {"p": "x", "r": 1, "words": {"a", "b"}, "nested": {"list": [1, "two", None, b"3"]}}
    made.put_item(Item=item)
    assert made.get_item(Key={"p": "x", "r": 1}, ConsistentRead=True)["Item"]["words"] == {"a", "b"}
    made.delete()
