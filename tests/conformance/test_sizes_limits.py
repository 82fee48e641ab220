"""Sizes: 400 KB items counted byte by byte, key sizes, pages of 1 MB, batches of 16 MB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import Containing, error, invalid, n, pages, s, table, unique

LIMIT = 409_600
TOO_BIG = "Item size has exceeded the maximum allowed size"
UPDATE_TOO_BIG = "Item size to update has exceeded the maximum allowed size"
HASH_TOO_BIG = (
    "One or more parameter values were invalid: "
    "Size of hashkey has exceeded the maximum size limit of2048 bytes"
)
RANGE_TOO_BIG = (
    "One or more parameter values were invalid: "
    "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
)


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(client, "p") as made:
        yield made


# attribute value -> its size in bytes, without the attribute's name
SIZES: list[tuple[dict[str, Any], int]] = [
    ({"S": "abc"}, 3),
    ({"S": "\u00e9"}, 2),
    ({"S": "\U0001f600"}, 4),
    ({"S": ""}, 0),
    ({"B": b"abc"}, 3),
    ({"BOOL": True}, 1),
    ({"NULL": True}, 1),
    ({"SS": ["ab", "c"]}, 3),
    ({"BS": [b"ab", b"c"]}, 3),
    ({"L": []}, 3),
    ({"M": {}}, 3),
    ({"L": [{"S": "ab"}]}, 3 + 1 + 2),
    ({"M": {"k": {"S": "ab"}}}, 3 + 1 + 1 + 2),
    ({"L": [{"L": []}, {"M": {}}]}, 3 + 2 + 3 + 3),
    ({"N": "0"}, 2),
    ({"N": "1"}, 2),
    ({"N": "12"}, 2),
    ({"N": "123"}, 3),
    ({"N": "-12"}, 3),
    ({"N": "100"}, 2),
    ({"N": "12.5"}, 3),
    ({"N": "12345678901234567890"}, 11),
    ({"NS": ["1", "123"]}, 2 + 3),
]
SIZES_MEASURED_EXACTLY = [pair for pair in SIZES if pair[0] != {"N": "0"}]


def filled(key: str, value: dict[str, Any], size: int) -> dict[str, Any]:
    """An item of exactly `size` bytes if the value has the size that the table above says."""
    counted = {repr(v): bytes_ for v, bytes_ in SIZES}[repr(value)]
    padding = size - (len("p") + len(key)) - (len("v") + counted) - len("f")
    return {"p": s(key), "v": value, "f": s("x" * padding)}


@pytest.mark.parametrize(("value", "_size"), SIZES_MEASURED_EXACTLY)
def test_the_limit_to_the_byte(client: Any, name: str, value: dict[str, Any], _size: int) -> None:
    key = unique()
    client.put_item(TableName=name, Item=filled(key, value, LIMIT))
    assert error(client.put_item, TableName=name, Item=filled(key, value, LIMIT + 1)) == invalid(TOO_BIG)


def test_a_big_item_comes_back(client: Any, name: str) -> None:
    item = {"p": s(unique()), "v": {"B": bytes(range(256)) * 1590}}
    client.put_item(TableName=name, Item=item)
    assert client.get_item(TableName=name, Key={"p": item["p"]}, ConsistentRead=True)["Item"] == item


def test_attribute_names_count(client: Any, name: str) -> None:
    key = unique()
    rest = LIMIT - 1 - len(key) - 1000
    client.put_item(TableName=name, Item={"p": s(key), "n" * 1000: s("x" * rest)})
    refused = error(client.put_item, TableName=name, Item={"p": s(key), "n" * 1001: s("x" * rest)})
    assert refused == invalid(TOO_BIG)


def test_updates_are_limited(client: Any, name: str) -> None:
    key = {"p": s(unique())}
    client.put_item(TableName=name, Item={**key, "a": s("x" * 300_000)})
    update = {"TableName": name, "Key": key, "UpdateExpression": "SET b = :b"}
    refused = error(client.update_item, **update, ExpressionAttributeValues={":b": s("y" * 120_000)})
    assert refused == invalid(UPDATE_TOO_BIG)
    assert "b" not in client.get_item(TableName=name, Key=key, ConsistentRead=True)["Item"]
    client.update_item(**update, ExpressionAttributeValues={":b": s("y" * 100_000)})


def test_an_update_leaves_the_keys_out_and_adds_its_actions(client: Any, name: str) -> None:
    # One SET counts name + value + 19, and 3 for the update; the key is left out.
    # the local oracle differs: it counts an update like a put
    room = LIMIT - 3 - 19 - len("v")
    update = {"TableName": name, "UpdateExpression": "SET v = :v"}
    small = {"p": s("k")}
    refused = error(
        client.update_item, **update, Key=small, ExpressionAttributeValues={":v": s("x" * (room + 1))}
    )
    assert refused == invalid(UPDATE_TOO_BIG)
    client.update_item(**update, Key=small, ExpressionAttributeValues={":v": s("x" * room)})


def test_the_result_of_an_update_obeys_the_items_limit_too(client: Any, name: str) -> None:
    long_key = "k" * 1000
    room = LIMIT - len("p") - len(long_key) - len("v")
    update = {"TableName": name, "Key": {"p": s(long_key)}, "UpdateExpression": "SET v = :v"}
    refused = error(client.update_item, **update, ExpressionAttributeValues={":v": s("x" * (room + 1))})
    assert refused[0] == "ValidationException"
    client.update_item(**update, ExpressionAttributeValues={":v": s("x" * (room - 100))})


@pytest.mark.parametrize("kind", ["S", "B"])
def test_key_sizes(client: Any, kind: str) -> None:
    def value(size: int) -> dict[str, Any]:
        return {"S": "k" * size} if kind == "S" else {"B": b"k" * size}

    with table(client, f"p:{kind}/r:{kind}") as made:
        good = {"p": value(2048), "r": value(1024)}
        client.put_item(TableName=made, Item=good)
        assert client.get_item(TableName=made, Key=good, ConsistentRead=True)["Item"] == good
        long_hash, long_range = {"p": value(2049), "r": value(1)}, {"p": value(1), "r": value(1025)}
        for call, parameter in (
            (client.put_item, "Item"),
            (client.get_item, "Key"),
            (client.delete_item, "Key"),
            (client.update_item, "Key"),
        ):
            assert error(call, TableName=made, **{parameter: long_hash}) == invalid(HASH_TOO_BIG)
            assert error(call, TableName=made, **{parameter: long_range}) == invalid(RANGE_TOO_BIG)


def test_key_sizes_are_bytes_not_characters(client: Any, name: str) -> None:
    client.put_item(TableName=name, Item={"p": s("\u00e9" * 1024)})
    assert error(client.put_item, TableName=name, Item={"p": s("\u00e9" * 1024 + "x")}) == invalid(
        HASH_TOO_BIG
    )


@pytest.fixture(scope="module")
def wide(client: Any) -> Iterator[str]:
    """Thirty items of 100,000 bytes each in one partition."""
    with table(client, "p/r:N") as made:
        for number in range(30):
            item = {"p": s("x"), "r": n(number), "v": s("")}
            size = 1 + 1 + 1 + 2 + 1
            item["v"] = s("y" * (100_000 - size))
            client.put_item(TableName=made, Item=item)
        yield made


def test_a_query_page_ends_at_one_megabyte(client: Any, wide: str) -> None:
    query = {
        "TableName": wide,
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": s("x")},
        "ConsistentRead": True,
    }
    got = pages(client.query, **query)
    counts = [page["Count"] for page in got]
    # 10 whole items are 1,000,000 bytes; the eleventh crosses 1 MiB = 1,048,576 and ends the page.
    assert counts == [11, 11, 8]
    assert [page["Items"][0]["r"] for page in got if page["Items"]][:1] == [n(0)]
    numbers = [int(item["r"]["N"]) for page in got for item in page["Items"]]
    assert numbers == list(range(30))


def test_the_page_ends_before_the_filter(client: Any, wide: str) -> None:
    got = pages(
        client.scan,
        TableName=wide,
        FilterExpression="r = :r",
        ExpressionAttributeValues={":r": n(29)},
        ConsistentRead=True,
    )
    assert [page["Count"] for page in got][:2] == [0, 0]
    assert sum(page["Count"] for page in got) == 1
    assert sum(page["ScannedCount"] for page in got) == 30
    assert len(got) >= 3


def test_a_projection_does_not_widen_the_page(client: Any, wide: str) -> None:
    first = client.scan(TableName=wide, ProjectionExpression="r", ConsistentRead=True)
    assert first["Count"] == 11
    assert "LastEvaluatedKey" in first
    counted = client.scan(TableName=wide, Select="COUNT", ConsistentRead=True)
    assert counted["Count"] == first["Count"]
    assert "Items" not in counted


def test_what_a_local_index_fetches_counts_towards_the_page(client: Any) -> None:
    with table(client, "p/r:N", lsi=(("by_l", "p/l:N", "KEYS_ONLY"),)) as made:
        for number in range(7):
            item = {"p": s("x"), "r": n(number), "l": n(number), "v": s("y" * 300_000)}
            client.put_item(TableName=made, Item=item)
        query = {
            "TableName": made,
            "IndexName": "by_l",
            "KeyConditionExpression": "p = :p",
            "ExpressionAttributeValues": {":p": s("x")},
        }
        assert [page["Count"] for page in pages(client.query, **query)] == [7]
        whole = pages(client.query, **query, Select="ALL_ATTRIBUTES")
        assert [page["Count"] for page in whole] == [4, 3]
        scanned = pages(client.scan, TableName=made, IndexName="by_l", Select="ALL_ATTRIBUTES")
        assert [page["Count"] for page in scanned] == [4, 3]


def test_a_batch_get_stops_at_sixteen_megabytes(client: Any) -> None:
    with table(client, "p") as made:
        for number in range(50):
            client.put_item(TableName=made, Item={"p": s(f"k{number}"), "v": s("y" * 400_000)})
        keys = [{"p": s(f"k{number}")} for number in range(50)]
        answer = client.batch_get_item(RequestItems={made: {"Keys": keys}})
        returned = len(answer["Responses"][made])
        left = answer["UnprocessedKeys"][made]["Keys"]
        assert 35 <= returned <= 43
        assert returned + len(left) == 50
        rest = client.batch_get_item(RequestItems=answer["UnprocessedKeys"])
        assert len(rest["Responses"][made]) == len(left)
        assert rest["UnprocessedKeys"] == {}


def test_number_keys_have_no_size_trouble(client: Any) -> None:
    with table(client, "p:N/r:N") as made:
        item = {"p": n("9" * 38), "r": n("-" + "9" * 38)}
        client.put_item(TableName=made, Item=item)
        assert client.get_item(TableName=made, Key=item, ConsistentRead=True)["Item"] == item


def test_a_batch_write_checks_every_size(client: Any, name: str) -> None:
    key = unique()
    requests = [
        {"PutRequest": {"Item": {"p": s(key)}}},
        {"PutRequest": {"Item": {"p": s("big"), "v": s("x" * LIMIT)}}},
    ]
    refused = error(client.batch_write_item, RequestItems={name: requests})
    assert refused == ("ValidationException", Containing(TOO_BIG))
    assert "Item" not in client.get_item(TableName=name, Key={"p": s(key)}, ConsistentRead=True)
