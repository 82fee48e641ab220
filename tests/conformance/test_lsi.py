"""Local secondary indexes: consistent at once, fetch what they do not project, page like the table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.support import (
    all_items,
    column,
    error,
    invalid,
    n,
    pages,
    put_all,
    s,
    same_items,
    table,
    unique,
)


@pytest.fixture(scope="module")
def name(client: Any) -> Iterator[str]:
    with table(
        client,
        "p/r:N",
        lsi=(("all", "p/l:N", "ALL"), ("keys", "p/l:N", "KEYS_ONLY"), ("some", "p/m", "INCLUDE", ["x"])),
    ) as made:
        yield made


@pytest.fixture
def partition(client: Any, name: str) -> dict[str, Any]:
    """A partition of six items whose order by l is the reverse of that by r; the last has no l."""
    value = s(unique())
    items: list[dict[str, Any]] = [
        {"p": value, "r": n(i), "l": n(-i), "m": s(f"m{i}"), "x": s("x"), "z": s("z")} for i in range(6)
    ]
    items.append({"p": value, "r": n(99), "z": s("sparse")})
    put_all(client, name, items)
    return value


def query(client: Any, name: str, index: str, partition: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    """All items of a partition in the order of an index, strongly consistent."""
    return all_items(
        client.query,
        TableName=name,
        IndexName=index,
        KeyConditionExpression="p = :p" + more.pop("condition", ""),
        ExpressionAttributeValues={":p": partition, **more.pop("values", {})},
        **{"ConsistentRead": True, **more},
    )


def test_order_and_sparseness(client: Any, name: str, partition: dict[str, Any]) -> None:
    assert column(query(client, name, "all", partition), "r") == ["5", "4", "3", "2", "1", "0"]
    assert column(query(client, name, "all", partition, ScanIndexForward=False), "r") == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
    ]
    ranged = query(client, name, "all", partition, condition=" AND l > :l", values={":l": n(-3)})
    assert column(ranged, "r") == ["2", "1", "0"]


def test_writes_are_seen_at_once(client: Any, name: str) -> None:
    value = s(unique())
    key = {"p": value, "r": n(1)}
    for number in range(20):
        client.put_item(TableName=name, Item={**key, "l": n(number)})
        assert column(query(client, name, "all", value), "l") == [str(number)]
    client.update_item(TableName=name, Key=key, UpdateExpression="REMOVE l")
    assert query(client, name, "all", value) == []
    client.update_item(
        TableName=name, Key=key, UpdateExpression="SET l = :l", ExpressionAttributeValues={":l": n(1)}
    )
    assert len(query(client, name, "all", value)) == 1
    client.delete_item(TableName=name, Key=key)
    assert query(client, name, "all", value) == []


def test_projections_and_fetching(client: Any, name: str, partition: dict[str, Any]) -> None:
    (first, *_) = query(client, name, "keys", partition)
    assert first.keys() == {"p", "r", "l"}
    (first, *_) = query(client, name, "some", partition)
    assert first.keys() == {"p", "r", "m", "x"}
    (first, *_) = query(client, name, "all", partition)
    assert first.keys() == {"p", "r", "l", "m", "x", "z"}
    (first, *_) = query(client, name, "keys", partition, Select="ALL_ATTRIBUTES")
    assert first.keys() == {"p", "r", "l", "m", "x", "z"}, "fetched from the table"
    (first, *_) = query(client, name, "keys", partition, ProjectionExpression="r, z")
    assert first == {"r": n(5), "z": s("z")}, "fetched from the table"
    (first, *_) = query(client, name, "some", partition, Select="ALL_PROJECTED_ATTRIBUTES")
    assert first.keys() == {"p", "r", "m", "x"}


def test_paging_by_both_keys(client: Any, name: str, partition: dict[str, Any]) -> None:
    got = pages(
        client.query,
        TableName=name,
        IndexName="keys",
        KeyConditionExpression="p = :p",
        ExpressionAttributeValues={":p": partition},
        Limit=2,
    )
    assert [page["Count"] for page in got] == [2, 2, 2, 0]
    assert got[0]["LastEvaluatedKey"] == {"p": partition, "r": n(4), "l": n(-4)}


def test_ties_are_ordered_by_the_table_key(client: Any, name: str) -> None:
    value = s(unique())
    put_all(client, name, [{"p": value, "r": n(i), "l": n(1)} for i in (3, 1, 2, 10)])
    assert column(query(client, name, "keys", value), "r") == ["1", "2", "3", "10"]
    assert column(query(client, name, "keys", value, Limit=1), "r") == ["1", "2", "3", "10"]
    assert column(query(client, name, "keys", value, ScanIndexForward=False), "r") == ["10", "3", "2", "1"]


def test_filters(client: Any, name: str, partition: dict[str, Any]) -> None:
    found = query(client, name, "all", partition, FilterExpression="m = :m", values={":m": s("m3")})
    assert column(found, "r") == ["3"]
    refused = error(
        client.query,
        TableName=name,
        IndexName="all",
        KeyConditionExpression="p = :p",
        FilterExpression="l = :l",
        ExpressionAttributeValues={":p": partition, ":l": n(1)},
    )
    assert refused == (
        "ValidationException",
        "Filter Expression can only contain non-primary key attributes: Primary key attribute: l",
    )


@pytest.mark.parametrize("more", [{}, {"Select": "ALL_ATTRIBUTES"}, {"ProjectionExpression": "z"}])
def test_filters_on_what_the_index_does_not_hold(
    client: Any, name: str, partition: dict[str, Any], more: dict[str, Any]
) -> None:
    request = {
        "TableName": name,
        "IndexName": "keys",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": partition},
        "FilterExpression": "attribute_exists(z) OR attribute_exists(r)",
    }
    assert error(client.query, **request, **more) == invalid(
        "One or more parameter values were invalid: "
        "Secondary index keys does not project one or more filter attributes: [z]"
    )


def test_scan(client: Any) -> None:
    with table(client, "p/r:N", lsi=(("by_l", "p/l:N"),)) as made:
        items = [{"p": s(f"k{i % 3}"), "r": n(i), "l": n(-i)} for i in range(12)]
        put_all(client, made, [*items, {"p": s("k0"), "r": n(99)}])
        found = all_items(client.scan, TableName=made, IndexName="by_l", ConsistentRead=True, Limit=5)
        assert same_items(found, items)


def test_index_keys_are_checked(client: Any, name: str) -> None:
    refused = error(client.put_item, TableName=name, Item={"p": s("x"), "r": n(1), "m": n(5)})
    assert refused == (
        "ValidationException",
        "One or more parameter values were invalid: Type mismatch for Index Key m Expected: S "
        "Actual: N IndexName: some",
    )


def test_long_index_range_keys(client: Any, name: str) -> None:
    base = {"p": s(unique()), "r": n(1)}
    client.put_item(TableName=name, Item={**base, "m": s("x" * 1024)})
    assert (
        error(client.put_item, TableName=name, Item={**base, "m": s("x" * 1025)})[0] == "ValidationException"
    )


def test_bad_start_keys(client: Any, name: str, partition: dict[str, Any]) -> None:
    for start in (
        {"p": partition, "r": n(1)},
        {"p": partition, "l": n(1)},
        {"p": s("y"), "r": n(1), "l": n(1)},
    ):
        refused = error(
            client.query,
            TableName=name,
            IndexName="all",
            KeyConditionExpression="p = :p",
            ExpressionAttributeValues={":p": partition},
            ExclusiveStartKey=start,
        )
        assert refused[0] == "ValidationException"
